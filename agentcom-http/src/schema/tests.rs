//! This file holds the description of frames and bodies against the types that read them.

use std::collections::BTreeSet;

use agentcom_core::wire::{read_to_agent, read_to_hub, write};
use serde_json::{Map, Value, json};

use super::{Line, TYPES, bodies, document, frames, split};
use crate::dto::batch::BatchBody;
use crate::dto::endpoint::{ChainBody, EndpointBody, ExecutorBody, ParkBody, ParkingBody};
use crate::dto::manage::{
    AnswerBody, PushBody, RestartBody, RetryBody, ScopeBody, TokenBody, WeightBody,
};
use crate::dto::money::{CapBody, CapNameBody, ModelBody, PriceBody};
use crate::dto::operator::{OperatorBody, RotateBody};
use crate::dto::repo::{PlaceBody, RepoBody};
use crate::dto::task_body::TaskBody;

/// A value of a type.
fn sample(kind: &str) -> Value {
    if let Some(item) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!([sample(item)]);
    }
    match kind {
        "text" => json!("x"),
        "{text}" => json!({ "x": "y" }),
        "integer" | "milliseconds" | "date" => json!(5),
        "flag" => json!(true),
        "json" | "object" => json!({ "x": [1] }),
        "task_id" => json!("task-0000000000000001"),
        "question_id" => json!("question-0000000000000001"),
        "boot_id" => json!("boot-0000000000000001"),
        "incarnation_id" => json!("inc-0000000000000001"),
        "granted" => json!({ "micros": 7 }),
        "not_granted" => json!({ "no_price": "m" }),
        "left" => json!({ "transcripts": ["00ab"], "answered": true, "survivors": 1 }),
        "held" => json!({ "task_id": "task-0000000000000001", "generation": 1 }),
        "op" => json!({ "kind": "shell", "input": {} }),
        "priority" => json!("high"),
        "category" => json!("quota"),
        "tier" => json!("complex"),
        "level" => json!("L2"),
        "sandbox_report" => {
            let missing = json!({ "level": "L3", "seen": "a", "hint": "b" });
            let attempt = json!({ "what": "read", "expected": "Blocked", "held": true });
            json!({ "level": "L2", "network": false, "missing": [missing], "attempts": [attempt] })
        }
        "hint" => json!({ "path": "a", "reason": "b" }),
        "step" => json!({ "type": "file_exists", "target": "a", "description": "b" }),
        "concurrency" => json!({ "key": "k", "max": 1 }),
        "rate" => json!({ "key": "k", "limit": 1, "per_ms": 1, "burst": 1 }),
        "field_error" => json!({ "field": "a", "error": "required", "detail": "b" }),
        "lease_loss" | "after_dependency" | "report_action" => json!("continue"),
        "acked" => json!("retried"),
        "complexity" => {
            let inferred = json!({ "tier": "trivial", "confidence_percent": 90 });
            json!({ "effective_tier": "trivial", "explicit_tier": null, "source": "x", "inferred": inferred })
        }
        "api" => json!("ollama"),
        "class" => json!("local"),
        "{endpoint}" => json!({ "e": {
            "api": "messages", "url": "https://h", "class": "cloud", "credential": "c",
            "models": [{ "model": "m" }], "others": true, "slots": 2, "models_at_once": 0,
        }}),
        "runs" => json!({ "kind": "acp", "model": "m", "tiers": ["complex"] }),
        "meant" => json!({ "model": "m", "tiers": ["complex"] }),
        "parking" => json!("off"),
        "right" => json!("task:read"),
        "validity" => json!("never"),
        "fault" => json!("unreachable"),
        "route" => {
            let options = json!({ "context_tokens": 8192, "think": "low", "calls": "native" });
            json!({
                "endpoint": "e", "api": "messages", "url": "u", "credential": "c", "model": "m",
                "options": options,
            })
        }
        "tuning" => {
            let of_one = json!({ "m": { "think": "low", "calls": "format" } });
            json!({ "context_tokens": 8192, "think": "off", "calls": "native", "models": of_one })
        }
        "routing" => json!({ "target_type": "wake", "effective_tier": "trivial" }),
        "peer" => {
            json!({ "agent_id": "a", "name": "n", "status": "s", "capabilities": ["c"], "connected_at": 1 })
        }
        "post_task" => json!({ "shell": "true" }),
        _ => panic!("no sample for {kind}"),
    }
}

fn full(fields: &'static str) -> Map<String, Value> {
    split(fields).map(|(name, kind, _)| (name.to_owned(), sample(kind))).collect()
}

/// Reads a frame with all its fields, and then without and with nulls in turn.
fn frames_are_read(lines: &[Line], reads: impl Fn(&str) -> Option<Value>) {
    for (name, fields) in lines {
        let text = |mut object: Map<String, Value>| {
            object.insert("type".into(), json!(name));
            Value::Object(object).to_string()
        };
        let whole = full(fields);
        let written = reads(&text(whole.clone())).unwrap_or_else(|| panic!("{name} is not read"));
        if *name != "resource_report" {
            let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            let mut expected = keys(&whole);
            expected.insert("type".into());
            assert_eq!(keys(written.as_object().unwrap()), expected, "{name}");
        }
        for (field, _, may_be_absent) in split(fields) {
            let mut without = whole.clone();
            without.remove(field);
            if may_be_absent {
                assert!(reads(&text(without)).is_some(), "{name} without {field}");
            }
        }
    }
}

#[test]
fn frames_to_the_hub_are_as_described() {
    let reads = |text: &str| {
        let frame = read_to_hub(text).ok()?;
        Some(serde_json::from_str(&write(&frame)).unwrap())
    };
    frames_are_read(&frames::TO_HUB, reads);
    for (name, fields) in frames::TO_HUB {
        for (field, _, may_be_absent) in split(fields) {
            let mut frame = full(fields);
            frame.insert("type".into(), json!(name));
            frame.insert(field.into(), Value::Null);
            let read = reads(&Value::Object(frame.clone()).to_string()).is_some();
            assert_eq!(read, may_be_absent, "{name} with null in {field}");
            frame.remove(field);
            let read = reads(&Value::Object(frame).to_string()).is_some();
            assert_eq!(read, may_be_absent, "{name} without {field}");
        }
    }
}

#[test]
fn frames_to_agents_are_as_described() {
    frames_are_read(&frames::TO_AGENT, |text| {
        let frame = read_to_agent(text).ok()?;
        Some(serde_json::from_str(&write(&frame)).unwrap())
    });
}

#[test]
fn frames_that_are_not_served_are_known() {
    for name in frames::NOT_SERVED {
        assert!(read_to_hub(&json!({ "type": name }).to_string()).is_ok(), "{name}");
    }
}

/// Reads a body as its type, or says what is wrong.
fn read(name: &str, body: &str) -> Result<(), String> {
    fn of<T: serde::de::DeserializeOwned>(body: &str) -> Result<(), String> {
        serde_json::from_str::<T>(body).map(drop).map_err(|bad| bad.to_string())
    }
    match name {
        "post_task" => of::<TaskBody>(body),
        "post_task_batch" => of::<BatchBody>(body),
        "post_dead_letter_retry" => of::<RetryBody>(body),
        "post_admin_push_task" => of::<PushBody>(body),
        "post_admin_token" => of::<TokenBody>(body),
        "post_admin_restart" => of::<RestartBody>(body),
        "put_admin_pause" => of::<ScopeBody>(body),
        "put_admin_weight" => of::<WeightBody>(body),
        "put_admin_oldest_first" => of::<crate::dto::manage::OldestFirstBody>(body),
        "put_admin_cap" => of::<CapBody>(body),
        "delete_admin_cap" => of::<CapNameBody>(body),
        "put_admin_price" => of::<PriceBody>(body),
        "delete_admin_price" => of::<ModelBody>(body),
        "put_endpoint" => of::<EndpointBody>(body),
        "post_endpoint_park" => of::<ParkBody>(body),
        "put_admin_chain" => of::<ChainBody>(body),
        "put_admin_executor" => of::<ExecutorBody>(body),
        "post_operator" => of::<OperatorBody>(body),
        "post_operator_rotate" => of::<RotateBody>(body),
        "put_repo" => of::<RepoBody>(body),
        "put_repo_place" => of::<PlaceBody>(body),
        "put_admin_parking" => of::<ParkingBody>(body),
        "post_question_answer" => of::<AnswerBody>(body),
        _ => panic!("no type for {name}"),
    }
}

#[test]
fn bodies_are_as_described() {
    for (name, fields) in bodies::BODIES {
        let whole = full(fields);
        assert_eq!(read(name, &Value::Object(whole.clone()).to_string()), Ok(()), "{name}");
        for (field, _, may_be_absent) in split(fields) {
            let mut without = whole.clone();
            without.remove(field);
            let read = read(name, &Value::Object(without).to_string());
            assert_eq!(read.is_ok(), may_be_absent, "{name} without {field}");
        }
        let complaint = read(name, r#"{"no such field":1}"#).unwrap_err();
        let known: BTreeSet<&str> = complaint.split('`').skip(3).step_by(2).collect();
        let aliases = BTreeSet::from(["needed_capabilities", "max_attempts"]);
        let described: BTreeSet<&str> = split(fields).map(|(field, _, _)| field).collect();
        let undescribed: Vec<_> =
            known.difference(&described).filter(|name| !aliases.contains(*name)).collect();
        assert_eq!(undescribed, Vec::<&&str>::new(), "{name}");
        assert!(described.is_subset(&known), "{name}: {complaint}");
    }
}

#[test]
fn each_type_has_a_meaning() {
    let lines = frames::TO_HUB.iter().chain(&frames::TO_AGENT).chain(&bodies::BODIES);
    let kinds = lines.flat_map(|(_, fields)| split(fields)).map(|(_, kind, _)| kind);
    let used: BTreeSet<&str> = kinds.map(|kind| kind.trim_matches(['[', ']', '{', '}'])).collect();
    let known: BTreeSet<&str> = TYPES.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(used, known);
}

#[test]
fn the_document_lists_every_route() {
    let document = document();
    assert_eq!(document["routes"].as_array().unwrap().len(), crate::routes::all().len());
    assert_eq!(document["frames"]["to_hub"]["ping"]["optional"]["held"], "[held]");
}
