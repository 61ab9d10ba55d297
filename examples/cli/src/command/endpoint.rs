//! This file lists servers of models, sets them, and parks their keys.

use std::time::Duration;

use agentcom_core::time::Wall;
use serde_json::{Value, json};

use super::submit::span;
use crate::args::Context;
use crate::exit::Outcome;
use crate::print::{CAUTION, FAINT, PLAIN, table};
use crate::table::{Column, Table};
use crate::text::{self, age, field, now, plain};
use crate::tiers::ForTiers;
use crate::tuning::Tune;

/// What to do with servers of models.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  agentcom endpoint add gpu --ollama http://gpu:11434
  agentcom endpoint add work --messages https://api.anthropic.com --credential work --model MODEL
  agentcom endpoint add team --claude-code --credential team --slots 2
  agentcom endpoint add gpu --ollama http://gpu:11434 --model small=trivial,standard --model large=complex";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Route coding tasks to a server of models as well; one of that name is replaced
    Add(Box<Add>),
    /// List servers of models, and how they are doing
    List,
    /// Route no more tasks to a server; what it works on it may finish
    Remove(Name),
    /// Do not use the key of a server for a while, at none of its servers
    Park {
        #[command(flatten)]
        name: Name,
        /// For how long, such as 90s, 30m or 5h
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        wait: Duration,
    },
    /// Use the key of a server again
    Unpark(Name),
    /// Say which models a tier of tasks tries first; the usual if none is named
    Chain {
        /// The tier: trivial, standard, complex or unknown
        tier: String,
        /// In this order: local, cloud
        classes: Vec<String>,
    },
    /// Say what does tasks of a tier that do not say: code, acp, claude-code, ollama, claude, wake, or
    /// a kind of your own; the usual if none is named
    Executor {
        /// The tier: trivial, standard, complex or unknown
        tier: String,
        /// The kind
        kind: Option<String>,
    },
    /// Say whether a used-up quota parks its key (on), or concerns the task that met it only (off)
    Parking {
        /// on or off
        parking: String,
    },
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The server
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("api").required(true))]
struct Add {
    /// What to call it
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it is, spoken to as Ollama is
    #[arg(long, value_name = "URL", group = "api")]
    ollama: Option<String>,
    /// Where it is, spoken to by the Messages API of Anthropic
    #[arg(long, value_name = "URL", group = "api")]
    messages: Option<String>,
    /// It is the Claude Code CLI that agents have (`--claude-code`), which has its credential by itself
    #[arg(long, group = "api")]
    claude_code: bool,
    /// It is the program that agents have and that speaks the Agent Client Protocol (`--acp`)
    #[arg(long, group = "api")]
    acp: bool,
    /// Its models, the most wanted first, each perhaps with the tiers that it is for [default: all
    /// that it serves; of a program its own]
    #[arg(long = "model", value_name = "NAME[=TIER,…]")]
    models: Vec<ForTiers>,
    /// Tasks may name others of its models as well
    #[arg(long, requires = "models")]
    others: bool,
    #[command(flatten)]
    tune: Tune,
    /// The key that it wants, by the name under which agents have it
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Whether it costs money: local or cloud [default: by its API]
    #[arg(long)]
    class: Option<String>,
    /// How many tasks each model works on at once [default: 1 for Ollama, else 4]
    #[arg(long)]
    slots: Option<u32>,
    /// How many models work at once; 0 is any number [default: 1 for Ollama, else 0]
    #[arg(long)]
    models_at_once: Option<u32>,
    /// What an agent has to be able to do to reach it
    #[arg(long, value_name = "CAPABILITY")]
    needs: Vec<String>,
    /// The agent on whose machine it runs, which says how busy that is
    #[arg(long, value_name = "AGENT")]
    host: Option<String>,
}

const COLUMNS: [Column; 6] = [
    Column::text("ENDPOINT", 8, 0),
    Column::text("STATE", 12, 0),
    Column::text("AT WORK", 8, 1),
    Column::text("MODELS", 12, 2),
    Column::fixed("HEARD", 4),
    Column::text("ADDRESS", 12, 3),
];

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let (answer, said) = match &args.verb {
        Verb::List => {
            let answer = client.get(&["api", "endpoints"], &[]).await?;
            return Ok(ctx.print.data(&answer, || render(&answer, now()))?);
        }
        Verb::Add(add) => {
            let answer = client.put(&["api", "endpoints", &add.name], &add.body()).await?;
            (answer, format!("coding tasks are routed to {} as well", add.name))
        }
        Verb::Remove(Name { name }) => {
            let answer = client.delete(&["api", "endpoints", name], None).await?;
            (answer, format!("no more tasks are routed to {name}"))
        }
        Verb::Park { name: Name { name }, wait } => {
            let for_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let path = ["api", "endpoints", name, "park"];
            let answer = client.post(&path, &json!({ "for_ms": for_ms })).await?;
            (answer, format!("the key of {name} is parked"))
        }
        Verb::Unpark(Name { name }) => {
            let answer = client.post(&["api", "endpoints", name, "unpark"], &json!({})).await?;
            (answer, format!("the key of {name} is used again"))
        }
        Verb::Chain { tier, classes } => {
            let body = json!({ "tier": tier, "classes": classes });
            let answer = client.put(&["api", "admin", "chain"], &body).await?;
            (answer, format!("{tier} tasks try {}", chain(classes)))
        }
        Verb::Executor { tier, kind } => {
            let body = json!({ "tier": tier, "kind": kind });
            let answer = client.put(&["api", "admin", "executor"], &body).await?;
            let kind = kind.as_deref().unwrap_or("what is usual");
            (answer, format!("{tier} tasks that do not say are done by {kind}"))
        }
        Verb::Parking { parking } => {
            let body = json!({ "parking": parking });
            let answer = client.put(&["api", "admin", "parking"], &body).await?;
            (answer, format!("parking of keys is {parking}"))
        }
    };
    Ok(ctx.print.data(&answer, || format!("{said}\n"))?)
}

fn chain(classes: &[String]) -> String {
    if classes.is_empty() { "what is usual".into() } else { classes.join(", then ") }
}

impl Add {
    fn body(&self) -> Value {
        let api = match (&self.ollama, self.claude_code, self.acp) {
            (Some(_), ..) => "ollama",
            (None, true, _) => "claude-code",
            (None, _, true) => "acp",
            (None, false, false) => "messages",
        };
        let mut body = json!({ "api": api });
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                body[name] = value;
            }
        };
        let models = self.models.iter().map(|model| model.told(json!({ "model": model.what })));
        set("url", json!(self.ollama.as_ref().or(self.messages.as_ref())));
        set("models", models.collect());
        set("others", json!(self.others.then_some(true)));
        let tuning = self.tune.tuning();
        set("tuning", if tuning.is_default() { Value::Null } else { json!(tuning) });
        set("credential", json!(self.credential));
        set("class", json!(self.class));
        set("slots", json!(self.slots));
        set("models_at_once", json!(self.models_at_once));
        set("needs", json!(self.needs));
        set("host", json!(self.host));
        body
    }
}

fn render(answer: &Value, now: Wall) -> String {
    let endpoints = answer["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    if endpoints.is_empty() {
        return "no endpoints: no agent was started with models, and none were added\n".into();
    }
    let mut rows = Table::new(&COLUMNS);
    for endpoint in endpoints {
        let state = state(endpoint);
        let style = match state.as_str() {
            "ready" => PLAIN,
            "not asked yet" => FAINT,
            _ => CAUTION,
        };
        rows.row(
            style,
            vec![
                field(endpoint, "name"),
                state,
                held(endpoint),
                models(endpoint),
                age(text::date(&endpoint["heard_at"]), now),
                address(endpoint),
            ],
        );
    }
    table(&rows)
}

/// Where it is, or which program, and whose it is.
fn address(endpoint: &Value) -> String {
    let whose = match endpoint["announced_by"].as_array().map(Vec::as_slice) {
        None | Some([]) => None,
        Some([agent]) => Some(plain(agent)),
        Some([agent, more @ ..]) => Some(format!("{} and {} more", plain(agent), more.len())),
    };
    match (endpoint["api"].as_str(), whose) {
        (Some(program @ ("claude-code" | "acp")), whose) => {
            format!("{program} of {}", whose.as_deref().unwrap_or("its agents"))
        }
        (_, Some(whose)) => format!("{}, for {whose}", field(endpoint, "url")),
        (_, None) => field(endpoint, "url"),
    }
}

/// What an endpoint is about.
fn state(endpoint: &Value) -> String {
    let until = |name: &str| text::date(&endpoint[name]).map_or_else(String::new, text::stamp);
    let error = field(endpoint, "error");
    let because = if error.is_empty() { error } else { format!(": {error}") };
    match endpoint["breaker"].as_str().unwrap_or_default() {
        "open" => format!("left alone until {}{because}", until("open_until")),
        "half_open" => format!("is tried{because}"),
        _ if endpoint["users_at_once"].is_u64() => "its key comes back".into(),
        _ if !endpoint["parked_until"].is_null() => {
            format!("parked until {}", until("parked_until"))
        }
        // A program is not looked at: it is there when its agent is.
        _ if endpoint["heard_at"].is_null() && endpoint["url"].is_string() => {
            "not asked yet".into()
        }
        _ if because.is_empty() => "ready".into(),
        _ => format!("failed once{because}"),
    }
}

fn held(endpoint: &Value) -> String {
    let count = |(model, tasks): (&String, &Value)| format!("{tasks} with {model}");
    let counts = endpoint["held"].as_object().into_iter().flatten().map(count);
    counts.collect::<Vec<_>>().join(", ")
}

/// The models that are asked for, or those that it serves; a star marks the loaded ones.
fn models(endpoint: &Value) -> String {
    let list = |name: &str| endpoint[name].as_array().cloned().unwrap_or_default();
    let served = list("served");
    let is_warm = |model: &str| {
        served.iter().any(|it| it["model"] == model && it["warm"].as_bool() == Some(true))
    };
    let named = list("models");
    let shown = if named.is_empty() { &served } else { &named };
    let star = |it: &Value| {
        let model = field(it, "model");
        if is_warm(&model) { format!("{model}*") } else { model }
    };
    shown.iter().map(star).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use expect_test::expect;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn body(line: &[&str]) -> Value {
        let line = Line::parse_from([&["endpoint", "add"], line].concat());
        let Verb::Add(add) = line.args.verb else { panic!("it adds") };
        add.body()
    }

    #[test]
    fn an_endpoint_says_its_address_and_what_is_not_usual() {
        let usual = body(&["gpu", "--ollama", "http://gpu:11434"]);
        assert_eq!(
            usual,
            json!({ "api": "ollama", "url": "http://gpu:11434", "models": [], "needs": [] })
        );
        let said = ["work", "--messages", "https://h", "--credential", "me", "--slots", "2"];
        let models = ["--model", "qwen3:8b", "--model", "large=complex,unknown", "--others"];
        expect![[r#"{"api":"messages","credential":"me","models":[{"model":"qwen3:8b"},{"model":"large","tiers":["complex","unknown"]}],"needs":[],"others":true,"slots":2,"url":"https://h"}"#]]
            .assert_eq(&body(&[&said[..], &models].concat()).to_string());
        let tuned = body(&["gpu", "--ollama", "u", "--context", "8192", "--think", "qwen3:8b=off"]);
        expect![[r#"{"context_tokens":8192,"models":{"qwen3:8b":{"think":"off"}}}"#]]
            .assert_eq(&tuned["tuning"].to_string());
        let program = json!({ "api": "claude-code", "models": [], "needs": [] });
        assert_eq!(body(&["team", "--claude-code"]), program);
        assert!(Line::try_parse_from(["endpoint", "add", "gpu"]).is_err());
        let both = ["endpoint", "add", "gpu", "--ollama", "a", "--messages", "b"];
        assert!(Line::try_parse_from(both).is_err());
    }

    #[test]
    fn endpoints_are_listed_with_what_they_are_about() {
        let served = json!([{ "model": "qwen", "warm": true }, { "model": "phi", "warm": false }]);
        let endpoints = json!({ "endpoints": [
            { "name": "gpu", "breaker": "closed", "url": "http://gpu", "heard_at": 1000,
              "served": served, "held": { "qwen": 1 }, "announced_by": ["a-1", "a-2"] },
            { "name": "new", "breaker": "closed", "url": "http://new", "models": [{ "model": "m" }] },
            { "name": "odd", "breaker": "closed", "heard_at": 1000, "error": "cut off", "url": "u" },
            { "name": "off", "breaker": "open", "open_until": 9000, "error": "refused", "url": "u" },
            { "name": "team", "api": "claude-code", "breaker": "closed", "held": { "own": 2 } },
            { "name": "work", "breaker": "closed", "parked_until": 8000, "url": "https://h" },
        ]});
        let text = render(&endpoints, Wall(61_000));
        expect![[r#"
            ENDPOINT  STATE                                              AT WORK      MODELS      HEARD  ADDRESS
            gpu       ready                                              1 with qwen  qwen*, phi  1 min  http://gpu, for a-1 and 1 more
            new       not asked yet                                                   m                  http://new
            odd       failed once: cut off                                                        1 min  u
            off       left alone until 1970-01-01 00:00:09 UTC: refused                                  u
            team      ready                                              2 with own                      claude-code of its agents
            work      parked until 1970-01-01 00:00:08 UTC                                               https://h
        "#]].assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }
}
