//! This file tests that every field of a draft can be reached, in each of its spellings.

use agentcom_core::task::Draft;
use expect_test::expect_file;

use super::{References, TaskBody, draft};

fn read(json: &str) -> Draft {
    let body: TaskBody = crate::input::parse(json.as_bytes()).unwrap();
    draft(body, "", &References::new()).unwrap()
}

#[test]
fn every_field_can_be_reached() {
    let draft = read(include_str!("../../tests/whole_body.json"));
    expect_file!["every_field.txt"].assert_debug_eq(&draft);
}

#[test]
fn what_to_run_is_said_in_one_of_four_ways() {
    let op = |json| {
        let op = read(json).op;
        format!("{} {}", op.kind, op.input)
    };
    assert_eq!(op(r#"{"op":{"kind":"shell","input":{"argv":["a"]}}}"#), r#"shell {"argv":["a"]}"#);
    assert_eq!(op(r#"{"shell":"a | b"}"#), r#"shell {"command":"a | b"}"#);
    assert_eq!(op(r#"{"metadata":{"shell_command":"a"}}"#), r#"shell {"command":"a"}"#);
    assert_eq!(op(r#"{"op":{"kind":"wake"},"metadata":{"shell_command":"a"}}"#), "wake null");
    assert_eq!(op(r#"{"description":"rm -rf /"}"#), "auto null");
}

#[test]
fn the_timeout_in_the_metadata_is_that_of_a_shell_command() {
    let timeout = |json| read(json).times.timeout.map(|span| span.as_millis());
    assert_eq!(timeout(r#"{"metadata":{"shell_command":"a","timeout_ms":5}}"#), Some(5));
    assert_eq!(
        timeout(r#"{"metadata":{"shell_command":"a","timeout_ms":5},"timeout_ms":6}"#),
        Some(6)
    );
    assert_eq!(timeout(r#"{"metadata":{"timeout_ms":5}}"#), None);
}

#[test]
fn the_originals_spellings_are_read() {
    let pinned = |json| read(json).assign_to.map(|agent| agent.to_string());
    assert_eq!(pinned(r#"{"metadata":{"target_agent":"a"}}"#).as_deref(), Some("a"));
    assert_eq!(pinned(r#"{"metadata":{"assign_to":"a"}}"#).as_deref(), Some("a"));
    assert_eq!(
        pinned(r#"{"assign_to":"a","metadata":{"target_agent":"a"}}"#).as_deref(),
        Some("a")
    );
    assert_eq!(read(r#"{"needed_capabilities":["a"]}"#).needs.len(), 1);
    assert_eq!(read(r#"{"priority":0}"#).priority.as_str(), "urgent");
    assert_eq!(read(r#"{"priority":"1"}"#).priority.as_str(), "high");
}

#[test]
fn nothing_but_defaults_is_a_task() {
    let plain = read("{}");
    let nulls = read(
        r#"{"description":null,"needs":null,"metadata":null,"assign_to":null,"complete_by":null}"#,
    );
    assert_eq!(plain, nulls);
    assert_eq!(plain.share.cost, 1);
}

#[test]
fn a_burst_is_the_limit_unless_said() {
    let rates = read(r#"{"rates":[{"key":"k","limit":7,"per_ms":1000}]}"#).share.rates;
    assert_eq!(rates[0].burst, 7);
}
