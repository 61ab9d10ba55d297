//! This file adds, lists, rotates and removes tokens with rights and an end.

use agentcom_core::operator::{Right, Validity};
use agentcom_core::time::{Span, Wall};
use serde_json::{Value, json};

use super::agent::show_token;
use super::submit::{millis, span};
use crate::args::Context;
use crate::exit::Outcome;
use crate::print::{BAD, CAUTION, PLAIN, table};
use crate::table::{Column, Table};
use crate::text::{self, age, field, now, plain};

/// What to do with tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Rights, none of which implies another:
  task:read      see tasks, agents, servers of models, repositories, questions, figures and events
  task:submit    queue tasks, call them off, retry them, and answer what agents ask
  admin:read     see pauses, caps, prices, what was spent, and who holds tokens
  admin:write    pause, drain, park, set caps, prices and repositories, stop all spending, back up

Examples:
  agentcom token add ci --right task:submit --right task:read > ci.token     shown this once
  agentcom token add screen --expires never                                  may read tasks
  agentcom token rotate ci > ci.token     the one before stays valid until it expires
  AGENTCOM_TOKEN_FILE=ci.token agentcom submit --shell 'cargo test' --wait

Making and ending tokens takes the admin token.";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a token and print it, which is shown this once
    Add(Add),
    /// List tokens: what they permit, and what is left of them
    List,
    /// Make another token of this name and print it; the latest two are valid
    Rotate(Rotate),
    /// End the tokens of this name at once
    Remove(Name),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The name of the token, under which the feed tells what was done with it
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    name: Name,
    /// What it permits: task:read, task:submit, admin:read or admin:write (repeatable)
    #[arg(long = "right", value_name = "RIGHT", value_delimiter = ',')]
    #[arg(default_values_t = [Right::TaskRead])]
    rights: Vec<Right>,
    /// For how long it is valid, such as 12h or 30d, or never to end [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    #[command(flatten)]
    name: Name,
    /// For how long it is valid, such as 12h or 30d, or never to end [default: as long as the one
    /// before was]
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
}

/// For how long a token is valid, as the hub reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expiry(Value);

const DAY_MS: u64 = 86_400_000;
/// Tokens with less than this left are worth a look.
const SOON_MS: u64 = 7 * DAY_MS;

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry(json!("never")));
    }
    // Spans of time know no days, which are as long as the calendar says.
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let millis = match days {
        Some(days) => days.saturating_mul(DAY_MS),
        None => millis(span(text).map_err(|rule| format!("{rule}, 30d, or never"))?),
    };
    Validity::of(Span(millis)).map_err(|bad| bad.to_string())?;
    Ok(Expiry(json!(millis)))
}

const COLUMNS: [Column; 5] = [
    Column::text("TOKEN", 8, 0),
    Column::text("RIGHTS", 12, 1),
    Column::fixed("EXPIRES", 0),
    Column::fixed("THE ONE BEFORE", 3),
    Column::fixed("ADDED", 4).right(),
];

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    match &args.verb {
        Verb::Add(Add { name: Name { name }, rights, expires }) => {
            let rights: Vec<&str> = rights.iter().map(|right| right.as_str()).collect();
            let body = with_end(json!({ "name": name, "rights": rights }), expires.as_ref());
            let answer = client.post(&["api", "tokens"], &body).await?;
            show_token(ctx, &answer, &said(&answer, name))
        }
        Verb::List => {
            let answer = client.get(&["api", "tokens"], &[]).await?;
            Ok(ctx.print.data(&answer, || render(&answer, now()))?)
        }
        Verb::Rotate(Rotate { name: Name { name }, expires }) => {
            let body = with_end(json!({}), expires.as_ref());
            let answer = client.post(&["api", "tokens", name, "rotate"], &body).await?;
            show_token(ctx, &answer, &said(&answer, name))
        }
        Verb::Remove(Name { name }) => {
            let answer = client.delete(&["api", "tokens", name], None).await?;
            Ok(ctx.print.data(&answer, || format!("tokens of {name} permit nothing more\n"))?)
        }
    }
}

/// What to do about a refusal that is about tokens with names.
pub(crate) fn hint(problem: &Value) -> Option<String> {
    match problem["error"].as_str()? {
        "token_expired" => {
            let name = problem["name"].as_str()?;
            Some(format!("`agentcom token rotate {name}`, with the admin token, makes another"))
        }
        "token_exists" => Some("`agentcom token rotate NAME` makes another of this name".into()),
        _ => None,
    }
}

fn with_end(mut body: Value, expires: Option<&Expiry>) -> Value {
    if let Some(Expiry(span)) = expires {
        body["expires_after_ms"] = span.clone();
    }
    body
}

/// What is to be said of a token beside the token.
fn said(answer: &Value, name: &str) -> String {
    let until = match text::date(&answer["expires_at"]) {
        Some(at) => format!("until {}", text::stamp(at)),
        None => "without an end".into(),
    };
    let rights = plain(&answer["rights"]);
    format!("{name} permits {rights} {until}; keep the token, it is not shown again")
}

fn render(answer: &Value, now: Wall) -> String {
    let operators = answer["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    if operators.is_empty() {
        return "no tokens but the admin's and those of agents; `agentcom token add NAME` makes one\n"
            .into();
    }
    let mut rows = Table::new(&COLUMNS);
    for operator in operators {
        let tokens = operator["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
        let left = |at: usize| tokens.get(at).map(|token| left(token, now)).unwrap_or_default();
        let style = match tokens.first().and_then(|token| text::date(&token["expires_at"])) {
            Some(at) if at <= now => BAD,
            Some(at) if (at - now).0 < SOON_MS => CAUTION,
            Some(_) | None => PLAIN,
        };
        let cells = vec![
            field(operator, "name"),
            plain(&operator["rights"]),
            left(0),
            left(1),
            age(text::date(&operator["added_at"]), now),
        ];
        rows.row(style, cells);
    }
    table(&rows)
}

/// How much longer a token is valid.
fn left(token: &Value, now: Wall) -> String {
    match text::date(&token["expires_at"]) {
        None => "never".into(),
        Some(at) if at <= now || token["expired"] == true => {
            format!("{} ago", age(Some(at), now))
        }
        Some(at) => format!("in {}", text::left(at - now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn tokens_are_listed_with_what_is_left_of_them() {
        let token = |expires_at: Value| json!({ "expires_at": expires_at, "expired": false });
        let operator = |name: &str, rights: &[&str], tokens: &[Value]| json!({ "name": name, "rights": rights, "added_at": 0, "tokens": tokens });
        let now = DAY_MS * 10;
        let answer = json!({ "tokens": [
            operator("ci", &["task:read", "task:submit"], &[token(json!(now + DAY_MS * 90)), token(json!(now + 5_000))]),
            operator("late", &["admin:read"], &[token(json!(now - 3_600_000))]),
            operator("screen", &["task:read"], &[token(Value::Null)]),
        ]});
        let shown = render(&answer, Wall(now));
        expect![[r#"
            TOKEN   RIGHTS                  EXPIRES  THE ONE BEFORE  ADDED
            ci      task:read, task:submit  in 90 d  in 5 s           10 d
            late    admin:read              1 h ago                   10 d
            screen  task:read               never                     10 d
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&shown).to_string());
        assert!(render(&json!({ "tokens": [] }), Wall(0)).contains("agentcom token add"));
    }

    #[test]
    fn an_end_is_said_in_days_or_as_other_spans() {
        let read = |text: &str| expiry(text).map(|Expiry(span)| span);
        assert_eq!(read("90d"), Ok(json!(90 * DAY_MS)));
        assert_eq!(read("12h"), Ok(json!(DAY_MS / 2)));
        assert_eq!(read("60"), Ok(json!(60_000)));
        assert_eq!(read("never"), Ok(json!("never")));
        assert_eq!(read("soon"), Err("write a span like 90s, 5m or 1h 30m, 30d, or never".into()));
        assert!(read("-1d").is_err() && read("d").is_err());
        for out_of_bounds in ["0s", "0d", "99999999d"] {
            let rule = read(out_of_bounds).unwrap_err();
            assert!(rule.starts_with("must be"), "{out_of_bounds}: {rule}");
        }
    }

    #[test]
    fn refusals_name_the_command_that_helps() {
        let expired = json!({ "error": "token_expired", "name": "ci" });
        assert!(hint(&expired).is_some_and(|hint| hint.contains("agentcom token rotate ci")));
        assert_eq!(hint(&json!({ "error": "unauthorized" })), None);
    }
}
