//! This file puts into words which model was chosen for a task, and why not another.

use agentcom_core::route::{Alternative, Chosen, Decision, Fallback, Verdict};
use serde_json::{Value, json};

use crate::text::{self, stamp};

/// What was chosen; nothing if a task was not routed.
pub(crate) fn chosen(route: &Value) -> Option<String> {
    let Decision { chosen, .. } = read(route)?;
    chosen.map(|Chosen { endpoint, model, .. }| format!("{model} at {endpoint}"))
}

/// What was chosen, and what else there was.
pub(crate) fn whole(route: &Value) -> Option<String> {
    let Decision { chosen, alternatives, .. } = read(route)?;
    let Chosen { endpoint, model, score, fallback } = chosen?;
    let why = fallback.map_or_else(String::new, |it| format!(", {}", reason(it)));
    let chosen = format!("{model} at {endpoint} was chosen ({score}{why})");
    Some(if alternatives.is_empty() {
        chosen
    } else {
        format!("{chosen}; others: {}", others(&alternatives))
    })
}

/// What was not chosen, one beside the other.
pub(crate) fn others(alternatives: &[Alternative]) -> String {
    let words = alternatives.iter().map(|Alternative { endpoint, model, verdict, fallback }| {
        let why = fallback.map_or_else(String::new, |it| format!(" ({})", reason(it)));
        format!("{model} at {endpoint} {}{why}", words(verdict))
    });
    words.collect::<Vec<_>>().join(", ")
}

fn read(route: &Value) -> Option<Decision> {
    serde_json::from_value(route.clone()).ok()
}

/// Why a model comes behind others for a task at which some failed.
fn reason(fallback: Fallback) -> String {
    match fallback {
        Fallback::SameServer => "another model of its server failed at the task".into(),
        Fallback::HigherTier(tier) => {
            let tier = text::plain(&json!(tier));
            format!("it is for {tier} tasks, and those for the task's tier come first")
        }
        Fallback::Again => "it failed at the task".into(),
    }
}

/// What is said of a model, behind its name.
fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Suits(score) => format!("suits less ({score})"),
        Verdict::Open(until) => format!("fails and is left alone until {}", stamp(*until)),
        Verdict::Tried => "failed and is tried with another task".into(),
        Verdict::Parked(key, until) => {
            format!("is parked with the key {key} until {}", stamp(*until))
        }
        Verdict::Returning(key) => format!("is used by others that come back with the key {key}"),
        Verdict::Full(1) => "works on a task".into(),
        Verdict::Full(slots) => format!("works on {slots} tasks"),
        Verdict::Occupied(model) => format!("has to wait for {model}"),
        Verdict::Batch(model) => format!("has to wait for the other tasks of {model}"),
        Verdict::NoAgent(need) => format!("needs an agent with {need}"),
        Verdict::NoRoom => "waits for its agents".into(),
        Verdict::Missing => "is not there; `ollama pull` fetches models".into(),
        Verdict::NoTools => "was not made to call tools; `--calls` can have it do so".into(),
        Verdict::NoPrice => "has no price where there are caps; `agentcom price` sets one".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::name::{Capability, Credential, EndpointId};
    use agentcom_core::task::Tier;
    use agentcom_core::time::Wall;
    use expect_test::expect;

    #[test]
    fn every_verdict_has_words() {
        let key = || Credential::new("me").unwrap();
        let verdicts = [
            Verdict::Suits(9),
            Verdict::Open(Wall(1000)),
            Verdict::Tried,
            Verdict::Parked(key(), Wall(1000)),
            Verdict::Returning(key()),
            Verdict::Full(1),
            Verdict::Full(4),
            Verdict::Occupied("qwen".into()),
            Verdict::Batch("qwen".into()),
            Verdict::NoAgent(Capability::key(&key())),
            Verdict::NoRoom,
            Verdict::Missing,
            Verdict::NoTools,
            Verdict::NoPrice,
        ];
        let endpoint = || EndpointId::new("gpu").unwrap();
        let alternative = |verdict| Alternative {
            endpoint: endpoint(),
            model: "m".into(),
            verdict,
            fallback: None,
        };
        let decision = Decision {
            tier: Tier::Standard,
            chosen: Some(Chosen {
                endpoint: endpoint(),
                model: "best".into(),
                score: 450,
                fallback: None,
            }),
            alternatives: verdicts.map(alternative).into(),
        };
        let route = serde_json::to_value(&decision).unwrap();
        assert_eq!(chosen(&route).as_deref(), Some("best at gpu"));
        assert_eq!(whole(&Value::Null), None);
        expect![[r#"
            best at gpu was chosen (450); others: m at gpu suits less (9),
            m at gpu fails and is left alone until 1970-01-01 00:00:01 UTC,
            m at gpu failed and is tried with another task,
            m at gpu is parked with the key me until 1970-01-01 00:00:01 UTC,
            m at gpu is used by others that come back with the key me,
            m at gpu works on a task,
            m at gpu works on 4 tasks,
            m at gpu has to wait for qwen,
            m at gpu has to wait for the other tasks of qwen,
            m at gpu needs an agent with key-me,
            m at gpu waits for its agents,
            m at gpu is not there; `ollama pull` fetches models,
            m at gpu was not made to call tools; `--calls` can have it do so,
            m at gpu has no price where there are caps; `agentcom price` sets one"#]]
        .assert_eq(&whole(&route).unwrap().replace(", ", ",\n"));
    }

    #[test]
    fn every_fallback_has_words() {
        let endpoint = || EndpointId::new("gpu").unwrap();
        let fallbacks =
            [Fallback::SameServer, Fallback::HigherTier(Tier::Complex), Fallback::Again];
        let [same, higher, again] = fallbacks.map(|fallback| Alternative {
            endpoint: endpoint(),
            model: "m".into(),
            verdict: Verdict::Suits(9),
            fallback: Some(fallback),
        });
        let best = Chosen {
            endpoint: endpoint(),
            model: "best".into(),
            score: 450,
            fallback: same.fallback,
        };
        let decision = Decision {
            tier: Tier::Standard,
            chosen: Some(best),
            alternatives: vec![higher, again],
        };
        expect![[r#"
            best at gpu was chosen (450, another model of its server failed at the task); others: m at gpu suits less (9) (it is for complex tasks, and those for the task's tier come first),
            m at gpu suits less (9) (it failed at the task)"#]]
        .assert_eq(&whole(&serde_json::to_value(&decision).unwrap()).unwrap().replace("), ", "),\n"));
    }
}
