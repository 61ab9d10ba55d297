//! This file lists repositories, registers them, and says in which order they come.

use agentcom_core::name::RepoName;
use serde_json::{Value, json};

use crate::args::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{CAUTION, PLAIN, table};
use crate::table::{Column, Table};
use crate::text::field;
use crate::tiers::ForTiers;

/// What to do with repositories.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Tasks for models or sessions that name no repository are about the first one that is not paused.

Examples:
  agentcom repo add https://github.com/OWNER/NAME
  agentcom repo add git@host:OWNER/NAME --executor acp=complex --executor ollama/qwen3:8b
  agentcom repo move NAME 1";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Register a repository; one of that name is replaced
    Add(Add),
    /// List repositories, the one that tasks without one are about first
    List,
    /// Forget a repository; tasks about it stay
    Remove(Name),
    /// Say where in the order a repository stands
    Move {
        #[command(flatten)]
        name: Name,
        /// The place, 1 for the first
        place: u32,
    },
    /// Start no more work on a repository
    Pause(Name),
    /// Start work on a repository again
    Unpause(Name),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The repository
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its address; clones may reach it by another
    #[arg(value_name = "URL")]
    address: String,
    /// What to call it [default: the last part of its address]
    #[arg(long)]
    name: Option<String>,
    /// What does tasks about it that do not say, perhaps with which model, and perhaps only those of
    /// some tiers: code, acp, claude-code, ollama, claude or wake (repeatable)
    #[arg(long = "executor", value_name = "KIND[/MODEL][=TIER,…]")]
    executors: Vec<ForTiers>,
}

const COLUMNS: [Column; 5] = [
    Column::text("REPOSITORY", 8, 0),
    Column::fixed("STATE", 0),
    Column::fixed("AGENTS", 2).right(),
    Column::text("DONE BY", 12, 3),
    Column::text("ADDRESS", 12, 1),
];

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let (answer, said) = match &args.verb {
        Verb::List => {
            let answer = client.get(&["api", "repos"], &[]).await?;
            return Ok(ctx.print.data(&answer, || render(&answer))?);
        }
        Verb::Add(add) => {
            let name = add.name()?;
            let answer = client.put(&["api", "repos", name], &add.body()).await?;
            (answer, format!("{name} is registered"))
        }
        Verb::Remove(Name { name }) => {
            let answer = client.delete(&["api", "repos", name], None).await?;
            (answer, format!("{name} is forgotten; tasks about it stay"))
        }
        Verb::Move { name: Name { name }, place } => {
            let body = json!({ "place": place });
            let answer = client.put(&["api", "repos", name, "place"], &body).await?;
            (answer, format!("{name} is moved"))
        }
        Verb::Pause(Name { name }) => {
            let answer = client.post(&["api", "repos", name, "pause"], &json!({})).await?;
            (answer, format!("no more work on {name} is started"))
        }
        Verb::Unpause(Name { name }) => {
            let answer = client.post(&["api", "repos", name, "unpause"], &json!({})).await?;
            (answer, format!("work on {name} is started again"))
        }
    };
    Ok(ctx.print.data(&answer, || format!("{said}\n"))?)
}

impl Add {
    /// What it is called.
    fn name(&self) -> Result<&str, Failure> {
        let address = self.address.trim().trim_end_matches('/');
        let address = address.strip_suffix(".git").unwrap_or(address);
        let last = address.rsplit(['/', ':']).next().filter(|last| !last.is_empty());
        let name = self.name.as_deref().or(last).unwrap_or_default();
        RepoName::new(name).map(|_| name).map_err(|bad| {
            Failure::new(Exit::Usage, format_args!("`{name}` cannot be its name: {}", bad.why))
                .hint(
                    "an address is such as https://github.com/OWNER/NAME; --name says another name",
                )
        })
    }

    fn body(&self) -> Value {
        let executors = self.executors.iter().map(|runs| {
            runs.told(match runs.what.split_once('/') {
                Some((kind, model)) => json!({ "kind": kind, "model": model }),
                None => json!({ "kind": runs.what }),
            })
        });
        json!({ "url": self.address, "executors": executors.collect::<Value>() })
    }
}

fn render(answer: &Value) -> String {
    let repos = answer["repos"].as_array().map(Vec::as_slice).unwrap_or_default();
    if repos.is_empty() {
        return "no repositories; agents work in the clones that they were started in\n".into();
    }
    let mut rows = Table::new(&COLUMNS);
    for repo in repos {
        let is_paused = repo["paused"].as_bool() == Some(true);
        let (style, state) = if is_paused { (CAUTION, "paused") } else { (PLAIN, "active") };
        rows.row(
            style,
            vec![
                field(repo, "name"),
                state.into(),
                repo["agents"].to_string(),
                done_by(repo),
                field(repo, "url"),
            ],
        );
    }
    table(&rows)
}

/// What does tasks that do not say.
fn done_by(repo: &Value) -> String {
    let items = repo["executors"].as_array().into_iter().flatten().map(|runs| {
        let tiers = runs["tiers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let tiers = tiers.collect::<Vec<_>>().join(", ");
        let only = if tiers.is_empty() { tiers } else { format!(" ({tiers})") };
        let model = field(runs, "model");
        let with = if model.is_empty() { model } else { format!("/{model}") };
        format!("{}{with}{only}", field(runs, "kind"))
    });
    items.collect::<Vec<_>>().join(", ")
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

    fn add(line: &[&str]) -> Add {
        let line = Line::parse_from([&["repo", "add"], line].concat());
        let Verb::Add(add) = line.args.verb else { panic!("it adds") };
        add
    }

    #[test]
    fn a_repository_is_called_by_the_end_of_its_address() {
        for (url, name) in
            [("https://host/own/web.git/", "web"), ("git@host:web", "web"), ("/srv/web", "web")]
        {
            assert_eq!(add(&[url]).name().unwrap(), name);
        }
        assert_eq!(add(&["https://host/own/web", "--name", "site"]).name().unwrap(), "site");
        assert!(add(&["/"]).name().is_err() && add(&["/srv/two words"]).name().is_err());
    }

    #[test]
    fn what_works_on_a_repository_is_said_by_tier() {
        let line = ["u", "--executor", "acp/a/b=complex,unknown", "--executor", "ollama/qwen3:8b"];
        expect![[r#"{"executors":[{"kind":"acp","model":"a/b","tiers":["complex","unknown"]},{"kind":"ollama","model":"qwen3:8b"}],"url":"u"}"#]]
            .assert_eq(&add(&line).body().to_string());
    }

    #[test]
    fn repositories_are_listed_in_their_order() {
        let repos = json!({ "repos": [
            { "name": "web", "url": "https://host/own/web", "paused": false, "agents": 2,
              "executors": [{ "kind": "acp", "model": "m", "tiers": ["complex"] }] },
            { "name": "api", "url": "git@host:own/api", "paused": true, "agents": 0 },
        ]});
        let text = render(&repos);
        expect![[r#"
            REPOSITORY  STATE   AGENTS  DONE BY          ADDRESS
            web         active       2  acp/m (complex)  https://host/own/web
            api         paused       0                   git@host:own/api
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
        assert!(render(&json!({ "repos": [] })).contains("no repositories"));
    }
}
