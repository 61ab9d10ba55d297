//! This file says why a task is where it is.

use std::collections::BTreeSet;

use agentcom_core::name::Capability;
use agentcom_core::route::{Alternative, Verdict};
use agentcom_core::sandbox::Level;
use agentcom_exec::model::ollama::listed;
use serde_json::Value;

use crate::args::Context;
use crate::client::Client;
use crate::exit::Outcome;
use crate::name::task_id;
use crate::print::STRONG;
use crate::route;
use crate::table::one_line;
use crate::text::{self, field, plain, short};

/// Which task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, or the end of it
    #[arg(value_name = "ID")]
    id: String,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let id = task_id(&client, &args.id).await?;
    let why = client.get(&["api", "tasks", &id, "why"], &[]).await?;
    let there = there(&client, &why["reason"]).await;
    Ok(ctx.print.data(&why, || {
        let said = format!(
            "{STRONG}{}{STRONG:#} is {}: {}{there}\n",
            short(&id),
            field(&why, "state").replace('_', " "),
            sentence(&why["reason"])
        );
        let route = route::whole(&why["route"]);
        said + &route.map_or_else(String::new, |route| format!("{route}\n"))
    })?)
}

/// What servers have where they do not have the model that is wanted, to be said behind the reason; nothing
/// if that keeps no task.
pub(crate) async fn there(client: &Client, reason: &Value) -> String {
    let passed_over = passed_over(reason);
    let lack = passed_over.iter().filter(|it| it.verdict == Verdict::Missing);
    let names: BTreeSet<&str> = lack.map(|it| it.endpoint.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    // Whoever asks hears the reason all the same.
    let all = client.get(&["api", "endpoints"], &[]).await.unwrap_or_default();
    let all = all["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lacking = all.iter().filter(|it| names.contains(field(it, "name").as_str()));
    lacking.map(|endpoint| format!("; {}", has(endpoint))).collect()
}

/// What an endpoint has, in words.
fn has(endpoint: &Value) -> String {
    let served = endpoint["served"].as_array().into_iter().flatten();
    let names: Vec<String> = served
        .map(|served| {
            let cannot = if served["tools"] == false { " (no tools)" } else { "" };
            format!("{}{cannot}", one_line(&field(served, "model")))
        })
        .collect();
    let names = if names.is_empty() { "no models".to_owned() } else { listed(&names) };
    format!("{} has {names}", field(endpoint, "name"))
}

/// A reason in words.
pub(crate) fn sentence(reason: &Value) -> String {
    let get = |name: &str| field(reason, name);
    let millis = |name: &str| agentcom_core::time::Span(reason[name].as_u64().unwrap_or_default());
    let until = |name: &str| text::date(&reason[name]).map_or_else(String::new, text::stamp);
    match reason["code"].as_str().unwrap_or_default() {
        "dependencies" => format!(
            "it waits for {} to end, and {}",
            short_ids(&reason["on"]),
            after_failure(&get("on_dependency_failure"))
        ),
        "not_before" => format!("it is not to start before {}", until("until")),
        "backoff" => {
            format!(
                "it failed and is tried again in {}{}",
                millis("remaining"),
                after_colon(&get("error"))
            )
        }
        "stopped" => "all spending is stopped; `agentcom estop --off` ends that".into(),
        "paused" => {
            let paused = &reason["scope"];
            format!("{} is paused; `agentcom unpause{}` ends that", scope(paused), flag(paused))
        }
        "concurrency" => format!(
            "as many tasks with the key `{}` run as may ({}): {}",
            get("key"),
            get("max"),
            short_ids(&reason["held_by"])
        ),
        "rate" => format!("the rate `{}` allows the next start {}", get("key"), until("until")),
        "endpoints" => endpoints(reason),
        "no_agent" => no_agent(&reason["nearest"]),
        "agents_busy" => {
            let kept_by = kept_by(&reason["kept_by"]);
            match &*get("able") {
                "1" => format!("one agent can run it, and takes no work now ({kept_by})"),
                able => format!("{able} agents can run it, and none takes work now ({kept_by})"),
            }
        }
        "affinity" => format!(
            "it waits {} for the agent that has its repository at hand",
            millis("remaining")
        ),
        "accepting" => format!("{} has {} left to accept it", get("agent"), millis("remaining")),
        "working" => format!(
            "{} works on it and keeps it for another {} before it has to renew",
            get("agent"),
            millis("lease_remaining")
        ),
        "question" => question(&reason["question"]),
        "quota" => format!("the quota of its agent is used up until {}", until("until")),
        "ended" => ended(&get("death"), &get("error")),
        _ => reason.to_string(),
    }
}

fn question(question: &Value) -> String {
    let (id, text) = (field(question, "id"), field(question, "text"));
    let until = text::date(&question["deadline"]).map_or_else(String::new, text::stamp);
    format!(
        "its agent waits for an answer until {until} ({} if nobody gives one): {text}; `agentcom answer {} ANSWER`",
        plain(&question["default"]),
        short(&id),
    )
}

/// What a task does when one that it depends on ends without being completed.
pub(crate) fn after_failure(policy: &str) -> &'static str {
    match policy {
        "continue" => "runs whatever becomes of them",
        "strict" => "dies unless all are completed, in whole and not in part",
        _ => "dies if one of them dies or is cancelled",
    }
}

fn passed_over(reason: &Value) -> Vec<Alternative> {
    serde_json::from_value(reason["passed_over"].clone()).unwrap_or_default()
}

/// What keeps all endpoints from a task.
fn endpoints(reason: &Value) -> String {
    let (tier, model) = (field(reason, "tier"), field(reason, "model"));
    let others = route::others(&passed_over(reason));
    let what = if model.is_empty() { format!("{tier} tasks") } else { model };
    if others.is_empty() {
        return format!("no endpoint has a model for {what}; `agentcom endpoint list` shows them");
    }
    format!("no endpoint takes {what}: {others}")
}

/// How many agents are kept from work by what.
fn kept_by(counts: &Value) -> String {
    let count = |(word, count): (&String, &Value)| format!("{count} {word}");
    let counts = counts.as_object().into_iter().flatten().map(count);
    counts.collect::<Vec<_>>().join(", ")
}

fn no_agent(nearest: &Value) -> String {
    if nearest.is_null() {
        return "no agent is registered; `agentcom agent add NAME` registers one".into();
    }
    let agent = field(nearest, "agent");
    let lacks = nearest["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let (offline, lacks): (Vec<&str>, Vec<&str>) = lacks.partition(|what| *what == "online");
    let level = |word: &&str| Level::of_capability(&Capability::new(word).ok()?);
    let lacks: Vec<String> = lacks
        .iter()
        .map(|word| match level(word) {
            Some(level) => format!("a sandbox of {level} (`agentcom agents {agent}` says why)"),
            None => (*word).to_owned(),
        })
        .collect();
    let lacks = lacks.join(", ");
    let but = match (lacks.is_empty(), offline.is_empty()) {
        (true, _) => format!("{agent} could, and is offline"),
        (false, false) => format!("{agent} comes nearest, lacks {lacks} and is offline"),
        (false, true) => format!("{agent} comes nearest and lacks {lacks}"),
    };
    format!("no connected agent can run it; {but}")
}

fn ended(death: &str, error: &str) -> String {
    let how = if death.is_empty() { "it has ended".into() } else { format!("it died ({death})") };
    how + &after_colon(error)
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn short_ids(ids: &Value) -> String {
    let ids = ids.as_array().map(Vec::as_slice).unwrap_or_default();
    let named =
        ids.iter().filter_map(Value::as_str).map(short).take(5).collect::<Vec<_>>().join(", ");
    match ids.len() {
        0..=5 => named,
        more => format!("{named} and {} more", more - 5),
    }
}

/// What `agentcom unpause` is told of what is paused.
fn flag(scope: &Value) -> String {
    let parts = scope.as_object().into_iter().flatten();
    let named = parts.filter(|(name, _)| *name != "scope");
    named.map(|(name, value)| format!(" --{name} {}", plain(value))).collect()
}

/// What is paused, in words.
pub(crate) fn scope(scope: &Value) -> String {
    let Value::Object(parts) = scope else {
        return if scope == "all" { "all work".into() } else { plain(scope) };
    };
    let part = |(name, value): (&String, &Value)| match name.as_str() {
        "scope" => "all work".to_owned(),
        "repo" => format!("work on {}", plain(value)),
        "capability" => format!("work that needs {}", plain(value)),
        _ => format!("{name} {}", plain(value)),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::command::Scope;
    use agentcom_core::id::{Lease, QuestionId, TaskId};
    use agentcom_core::json::Json;
    use agentcom_core::name::{AgentId, EndpointId, Key, Repo};
    use agentcom_core::question::Question;
    use agentcom_core::task::{AfterDependency, Tier};
    use agentcom_core::time::{Span, Wall};
    use agentcom_core::view::{Nearest, Reason};
    use expect_test::expect;

    fn agent() -> AgentId {
        AgentId::new("a-1").unwrap()
    }

    fn full() -> Alternative {
        let endpoint = EndpointId::new("gpu").unwrap();
        Alternative { endpoint, model: "m".into(), verdict: Verdict::Full(1), fallback: None }
    }

    fn question() -> Question {
        Question {
            choices: None,
            id: QuestionId(0x89ab_cdef),
            task: TaskId(1),
            lease: Lease(1),
            asked_by: agent(),
            text: "May it?".into(),
            asked_at: Wall(0),
            deadline: Wall(1000),
            default: Json::of(&"reject").unwrap(),
            spend: None,
        }
    }

    fn waiting(tasks: u64, on_dependency_failure: AfterDependency) -> Reason {
        Reason::Dependencies { on: (0..tasks).map(TaskId).collect(), on_dependency_failure }
    }

    fn lacking(words: &[&str]) -> Reason {
        let lacks = words.iter().map(|&word| word.to_owned()).collect();
        Reason::NoAgent { nearest: Some(Nearest { agent: agent(), lacks }) }
    }

    #[test]
    fn every_reason_has_a_sentence() {
        let key = || Key::new("k").unwrap();
        let reasons = [
            waiting(7, AfterDependency::Fail),
            waiting(1, AfterDependency::Continue),
            waiting(1, AfterDependency::Strict),
            Reason::NotBefore { until: Wall(1000) },
            Reason::Backoff { remaining: Span(1500), error: Some("exit code 1".into()) },
            Reason::Stopped,
            Reason::Paused { scope: Scope::All },
            Reason::Paused { scope: Scope::Repo(Repo::new("https://h/r").unwrap()) },
            Reason::Concurrency { key: key(), max: 1, held_by: vec![TaskId(1)] },
            Reason::Rate { key: key(), until: Wall(1000) },
            Reason::Endpoints { tier: Tier::Standard, model: None, passed_over: vec![full()] },
            Reason::Endpoints {
                tier: Tier::Standard,
                model: Some("m".into()),
                passed_over: Vec::new(),
            },
            Reason::NoAgent { nearest: None },
            lacking(&["gpu", "online"]),
            lacking(&["gpu"]),
            lacking(&["online"]),
            lacking(&["sandbox-l2"]),
            Reason::AgentsBusy { able: 2, kept_by: [("full", 1), ("silent", 1)].into() },
            Reason::AgentsBusy { able: 1, kept_by: [("full", 1)].into() },
            Reason::Affinity { remaining: Span(500) },
            Reason::Accepting { agent: agent(), remaining: Span(500) },
            Reason::Working { agent: agent(), lease_remaining: Span(25_000) },
            Reason::Question { question: question() },
            Reason::Quota { until: Wall(1000) },
            Reason::Ended { death: Some("exhausted".into()), error: Some("exit code 1".into()) },
            Reason::Ended { death: None, error: None },
        ];
        let text: String = reasons
            .iter()
            .map(|reason| sentence(&serde_json::to_value(reason).unwrap()) + "\n")
            .collect();
        expect![[r#"
            it waits for 00000000, 00000001, 00000002, 00000003, 00000004 and 2 more to end, and dies if one of them dies or is cancelled
            it waits for 00000000 to end, and runs whatever becomes of them
            it waits for 00000000 to end, and dies unless all are completed, in whole and not in part
            it is not to start before 1970-01-01 00:00:01 UTC
            it failed and is tried again in 1.5 s: exit code 1
            all spending is stopped; `agentcom estop --off` ends that
            all work is paused; `agentcom unpause` ends that
            work on https://h/r is paused; `agentcom unpause --repo https://h/r` ends that
            as many tasks with the key `k` run as may (1): 00000001
            the rate `k` allows the next start 1970-01-01 00:00:01 UTC
            no endpoint takes standard tasks: m at gpu works on a task
            no endpoint has a model for m; `agentcom endpoint list` shows them
            no agent is registered; `agentcom agent add NAME` registers one
            no connected agent can run it; a-1 comes nearest, lacks gpu and is offline
            no connected agent can run it; a-1 comes nearest and lacks gpu
            no connected agent can run it; a-1 could, and is offline
            no connected agent can run it; a-1 comes nearest and lacks a sandbox of L2 (`agentcom agents a-1` says why)
            2 agents can run it, and none takes work now (1 full, 1 silent)
            one agent can run it, and takes no work now (1 full)
            it waits 500 ms for the agent that has its repository at hand
            a-1 has 500 ms left to accept it
            a-1 works on it and keeps it for another 25 s before it has to renew
            its agent waits for an answer until 1970-01-01 00:00:01 UTC (reject if nobody gives one): May it?; `agentcom answer 89abcdef ANSWER`
            the quota of its agent is used up until 1970-01-01 00:00:01 UTC
            it died (exhausted): exit code 1
            it has ended
        "#]]
        .assert_eq(&text);
    }
}
