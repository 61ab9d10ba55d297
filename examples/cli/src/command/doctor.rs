//! This file looks at the machine and says what agents can rely on, and what to do about the rest.

use agentcom_core::endpoint::is_loopback;
use agentcom_exec::claude_code::Program;
use agentcom_exec::guard::Spawner;
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::{self, Attempt, Level, Network, Report, Sandbox};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::args::Context;
use crate::confine::{means, told};
use crate::exit::Outcome;
use crate::ollama::{Look, Server};
use crate::print::{CAUTION, FAINT, GOOD, STRONG};
use crate::table::one_line;
use crate::text::field;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prove the sandbox with this user, if this is root
    #[arg(long = "sandbox-user", value_name = "UID", value_parser = clap::value_parser!(u32).range(1..))]
    user: Option<u32>,
    /// The Ollama server to look for [default: those that the hub knows of, or else
    /// http://127.0.0.1:11434]
    #[arg(long, value_name = "URL")]
    ollama: Option<String>,
    /// The Claude Code CLI to look for
    #[arg(long, value_name = "PROGRAM", default_value = Program::NAME)]
    claude_code: String,
    /// Show each attempt to break out of the sandbox
    #[arg(long)]
    attempts: bool,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let confined = Sandbox { user: args.user, ..Sandbox::new(Level::L3) };
    let spawner = Spawner::current_exe()?;
    let report = sandbox::prove(&spawner, &confined);
    // Which hosts are named does not matter: one of this machine takes their place.
    let network = Network::Hosts(Vec::new());
    let with_hosts = sandbox::prove(&spawner, &Sandbox { network, ..confined });
    let mut findings =
        vec![sandbox(&report, &with_hosts), git().await, hub(ctx).await, agents(ctx).await];
    findings.extend(ollama(args.ollama.as_deref(), ctx).await);
    findings.extend([claude_code(&args.claude_code).await, github()]);
    let data = json!({
        "findings": findings.iter().map(Finding::data).collect::<Vec<_>>(),
        "sandbox": report,
        "sandbox_with_hosts": with_hosts,
    });
    Ok(ctx.print.data(&data, || {
        let tried = match args.attempts {
            true => attempts(&report, &with_hosts),
            false => String::new(),
        };
        findings.iter().map(Finding::line).collect::<String>() + &tried
    })?)
}

/// What was found, and what to do about it if it is not as it could be.
struct Finding {
    about: &'static str,
    seen: String,
    hints: Vec<String>,
}

impl Finding {
    fn data(&self) -> Value {
        json!({
            "about": self.about,
            "ok": self.hints.is_empty(),
            "seen": self.seen,
            "hints": self.hints,
        })
    }

    fn line(&self) -> String {
        let (style, word) = if self.hints.is_empty() { (GOOD, "ok") } else { (CAUTION, "look") };
        let hints =
            self.hints.iter().map(|hint| format!("                  {FAINT}{hint}{FAINT:#}\n"));
        let hints: String = hints.collect();
        format!(
            "{style}{word:<4}{style:#}  {STRONG}{:<10}{STRONG:#}  {}\n{hints}",
            self.about, self.seen
        )
    }
}

fn sandbox(report: &Report, with_hosts: &Report) -> Finding {
    let seen = match report.level {
        Level::L3 => {
            "L3: commands run in namespaces of their own, confined by Landlock and seccomp"
        }
        Level::L2 => "L2: commands are confined by Landlock and seccomp",
        Level::L1 => "L1: commands cannot be confined; agents run none, and work on files only",
        Level::L0 => "L0: nothing can be proved here",
    };
    let network = match report.level {
        Level::L3 if with_hosts.network => {
            ", without a network unless it is granted, and then held to the hosts that are named"
        }
        Level::L3 | Level::L2 if !report.network => ", without a network unless it is granted",
        Level::L3 | Level::L2 | Level::L1 | Level::L0 => "",
    };
    let hints = report.missing.iter().map(|missing| {
        format!("not {}: {}. To have it: {}", missing.level, missing.seen, missing.hint)
    });
    let unheld = (report.level >= Level::L3 && !with_hosts.network).then(|| {
        format!("programs cannot be held to hosts that are named: {}", with_hosts.why(Level::L3))
    });
    let residue = report.residue.iter().map(|open| format!("left open: {open}"));
    let means = means(report).map(|means| format!("; {means}")).unwrap_or_default();
    let seen = format!("{seen}{network}{means}");
    Finding { about: "sandbox", seen, hints: hints.chain(unheld).chain(residue).collect() }
}

async fn git() -> Finding {
    let output = tokio::process::Command::new("git").arg("--version").output().await;
    let version = output.ok().filter(|output| output.status.success());
    match version {
        Some(output) => Finding {
            about: "git",
            seen: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            hints: Vec::new(),
        },
        None => Finding {
            about: "git",
            seen: "there is no git".to_owned(),
            hints: vec!["install it; `agentcom git` and coding tasks need it".to_owned()],
        },
    }
}

async fn hub(ctx: &Context) -> Finding {
    let found = match ctx.client() {
        Ok(client) => client.get(&["api", "stats"], &[]).await.map(|_| client.address().to_owned()),
        Err(failure) => Err(failure),
    };
    match found {
        Ok(address) => {
            Finding { about: "hub", seen: format!("answers at {address}"), hints: Vec::new() }
        }
        Err(failure) => Finding {
            about: "hub",
            seen: failure.message,
            hints: vec![failure.hint.unwrap_or_else(|| "start one with `agentcom up`".to_owned())],
        },
    }
}

/// Which agents of the hub hold less than commands of models need.
async fn agents(ctx: &Context) -> Finding {
    let about = "agents";
    let found = match ctx.client() {
        Ok(client) => client.get(&["api", "agents"], &[]).await,
        Err(failure) => Err(failure),
    };
    let Ok(found) = found else {
        return Finding {
            about,
            seen: "nobody says which there are".to_owned(),
            hints: Vec::new(),
        };
    };
    let agents = found["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weak = agents.iter().filter_map(|agent| {
        let report: Report = serde_json::from_value(agent["sandbox"].clone()).ok()?;
        let name = one_line(agent["agent_id"].as_str()?).to_string();
        (report.level < Level::L2).then(|| format!("{name}: its sandbox is {}", told(&report)))
    });
    Finding { about, seen: format!("{} registered", agents.len()), hints: weak.collect() }
}

/// How Ollama servers are: the one that is named, or those that the hub knows of, or else the one that is
/// asked unless another is named.
async fn ollama(named: Option<&str>, ctx: &Context) -> Vec<Finding> {
    const NONE: &str = "Ollama is at https://ollama.com, --ollama names another server; only coding \
                        tasks need one";
    let known = match named {
        Some(_) => Vec::new(),
        None => endpoints(ctx).await,
    };
    if !known.is_empty() {
        let is_here = ctx.client().is_ok_and(|client| is_loopback(client.address()));
        return join_all(known.iter().map(|endpoint| of_endpoint(endpoint, is_here))).await;
    }
    let url = named.unwrap_or(Ollama::URL).to_owned();
    let Look { seen, mut hints } = Server { url, ..Server::default() }.look().await;
    if named.is_none() && !hints.is_empty() {
        hints.push(NONE.to_owned());
    }
    vec![Finding { about: "ollama", seen, hints }]
}

/// The endpoints of Ollama servers that the hub knows of.
async fn endpoints(ctx: &Context) -> Vec<Value> {
    let Ok(client) = ctx.client() else { return Vec::new() };
    let Ok(answer) = client.get(&["api", "endpoints"], &[]).await else { return Vec::new() };
    let all = answer["endpoints"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|endpoint| endpoint["api"] == "ollama").collect()
}

/// How the server of an endpoint is: as it answers here, or as its agents say where its address means the
/// machine that they are on.
async fn of_endpoint(endpoint: &Value, hub_is_here: bool) -> Finding {
    let about = "ollama";
    let (name, url) = (field(endpoint, "name"), field(endpoint, "url"));
    if hub_is_here || !is_loopback(&url) {
        let wanted = endpoint["models"].as_array().into_iter().flatten();
        let wanted = wanted.map(|meant| field(meant, "model")).collect();
        let tuning = serde_json::from_value(endpoint["tuning"].clone()).unwrap_or_default();
        let Look { seen, hints } = Server { url, wanted, tuning }.look().await;
        return Finding { about, seen: format!("{name}: {seen}"), hints };
    }
    let fault = endpoint["error"].as_str().map(|error| one_line(error).to_string());
    let seen = match &fault {
        Some(fault) => format!("{name}: does not answer its agents at {url}: {fault}"),
        None if endpoint["heard_at"].is_null() => format!("{name}: nobody has looked at {url} yet"),
        None => format!("{name}: answers its agents at {url}"),
    };
    let hint = "`ollama serve` starts one, on the machine of its agents";
    Finding { about, seen, hints: fault.map(|_| hint.to_owned()).into_iter().collect() }
}

async fn claude_code(name: &str) -> Finding {
    const HINT: &str = "install it from https://code.claude.com, or name another with --claude-code; \
                        only tasks of the kind claude-code need it";
    let about = "claude";
    let found = match Program::find(name) {
        Ok(program) => program.version().await.map(|version| (program, version)),
        Err(missing) => Err(missing),
    };
    match found {
        Ok((program, version)) => {
            let seen = format!("{} at {}", one_line(&version), program.path().display());
            Finding { about, seen, hints: Vec::new() }
        }
        Err(error) => {
            let seen = one_line(&error.to_string()).to_string();
            Finding { about, seen, hints: vec![HINT.to_owned()] }
        }
    }
}

fn github() -> Finding {
    match super::git::github_token() {
        Some(_) => {
            let seen = "there is a token; pull requests are opened".to_owned();
            Finding { about: "github", seen, hints: Vec::new() }
        }
        None => Finding {
            about: "github",
            seen: "no token; branches are pushed, and no pull requests are opened".to_owned(),
            hints: vec!["put one into GITHUB_TOKEN".to_owned()],
        },
    }
}

fn attempts(report: &Report, with_hosts: &Report) -> String {
    let mut text = format!("\nA confined command\n{}", lines(&report.attempts));
    if with_hosts.network {
        let other = with_hosts.attempts.iter().filter(|attempt| !report.attempts.contains(attempt));
        let other = lines(other);
        text += &format!("\nA program to which hosts are granted by name, beside that\n{other}");
    }
    text
}

fn lines<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> String {
    let line = |attempt: &Attempt| {
        let word = match attempt.expected {
            sandbox::Expected::Blocked => "cannot",
            sandbox::Expected::Works => "can",
        };
        format!("  {word:<6}  {}\n", attempt.what)
    };
    attempts.into_iter().map(line).collect()
}
