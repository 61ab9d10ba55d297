//! This file freezes what is said: each line is read and written again as it is.

use super::{read_to_agent, read_to_hub, write};
use alloc::string::String;
use alloc::vec::Vec;

const TASK: &str = "task-00000000000000aa";

/// Frames of agents, one of each kind with all its fields.
const TO_HUB: [&str; 23] = [
    r#"{"type":"identify","agent_id":"a","token":"t","name":"A","capabilities":["gpu"],"boot":"boot-0000000000000001","executors":["shell"],"slots":2,"labels":{"zone":"eu"},"version":"1"}"#,
    r#"{"type":"identify","agent_id":"a","token":"t","capabilities":null,"sandbox":{"level":"L2","network":false,"missing":[{"level":"L3","seen":"s","hint":"h"}],"attempts":[{"what":"read","expected":"Blocked","held":true}]}}"#,
    r#"{"type":"ping","held":[{"task_id":"TASK","generation":3}],"nonce":7}"#,
    r#"{"type":"task_accepted","task_id":"TASK","generation":3}"#,
    r#"{"type":"task_progress","task_id":"TASK","generation":3,"progress":50,"execution_event":{"event_type":"stdout","text":"x"}}"#,
    r#"{"type":"task_complete","task_id":"TASK","generation":3,"incarnation":"inc-0000000000000009","result":{"ok":true},"partial":true,"tokens_used":5,"verification_report":{"status":"pass"},"left":{"transcripts":["00000000000000000000000000000000000000000000000000000000000000ab"]}}"#,
    r#"{"type":"task_failed","task_id":"TASK","generation":3,"incarnation":"inc-0000000000000009","error":"e","reason":"r","category":"quota","retry_after_ms":100,"tokens_used":5,"left":{"transcripts":["00000000000000000000000000000000000000000000000000000000000000ab"]}}"#,
    r#"{"type":"task_failed","task_id":"TASK","generation":3,"category":"quota","fault":"unreachable","retry_after_ms":100}"#,
    r#"{"type":"task_rejected","task_id":"TASK","generation":3,"reason":"busy"}"#,
    r#"{"type":"task_released","task_id":"TASK","generation":3}"#,
    r#"{"type":"task_withdrawn","task_id":"TASK","generation":3,"reason":"not needed"}"#,
    r#"{"type":"task_question","task_id":"TASK","generation":3,"question":"which?","timeout_ms":1000,"default":"a","park":true}"#,
    r#"{"type":"task_question","task_id":"TASK","generation":3,"question":"may I?","timeout_ms":1000,"choices":["always"]}"#,
    r#"{"type":"task_recovering","task_id":"TASK","last_status":"working"}"#,
    r#"{"type":"state_report","task_id":"TASK","status":"working","generation":3}"#,
    r#"{"type":"wake_result","task_id":"TASK","status":"failed","attempt":2,"error":"e"}"#,
    r#"{"type":"agent_restarting","reason":"update"}"#,
    r#"{"type":"agent_draining"}"#,
    r#"{"type":"status","status":"idle"}"#,
    r#"{"type":"list_agents"}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"task_accepted","task_id":"TASK"}"#,
    r#"{"type":"ollama_report","ollama_url":"http://localhost:11434"}"#,
];

/// Frames of the hub, one of each kind with all its fields.
const TO_AGENT: [&str; 17] = [
    r#"{"type":"identified","agent_id":"a","incarnation":"inc-0000000000000009","heartbeat_ms":5000}"#,
    r#"{"type":"error","error":"validation_failed","message_type":"ping","errors":[{"field":"f","error":"required","detail":"d"}],"task_id":"TASK","hint":"h","retry_after_ms":1000}"#,
    r#"{"type":"task_assign","task_id":"TASK","generation":3,"assigned_at":9,"description":"d","metadata":{"n":1},"op":{"kind":"shell","input":{"command":"x"}},"attempt":1,"incarnation":"inc-0000000000000009","lease_ttl_ms":30000,"timeout_ms":1000,"on_lease_loss":"stop","repo":"r","branch":"b","file_hints":[{"path":"p","reason":"w"}],"success_criteria":["c"],"verification_steps":[{"type":"file_exists","target":"t"}],"complexity":{"effective_tier":"trivial","explicit_tier":"trivial","source":"explicit","inferred":{"tier":"standard","confidence_percent":66}},"routing_decision":{"target_type":"sidecar","effective_tier":"trivial"},"answers":[{"question":"which?","answer":"a","defaulted":false}],"skip_verification":false,"verification_timeout_ms":5,"max_verification_retries":2,"revivals":1}"#,
    r#"{"type":"task_assign","task_id":"TASK","generation":3,"assigned_at":9,"description":"d","metadata":null,"op":{"kind":"code"},"attempt":1,"incarnation":"inc-0000000000000009","lease_ttl_ms":30000,"on_lease_loss":"continue","route":{"endpoint":"work","api":"messages","url":"https://api.example","credential":"me","model":"m","options":{"context_tokens":8192,"think":"off"}},"skip_verification":false,"max_verification_retries":0}"#,
    r#"{"type":"task_ack","task_id":"TASK","status":"complete","generation":3}"#,
    r#"{"type":"task_ack","task_id":"TASK","status":"dead_letter","generation":3}"#,
    r#"{"type":"task_ack","task_id":"TASK","status":"superseded","generation":3}"#,
    r#"{"type":"task_cancelled","task_id":"TASK","generation":3,"reason":"cancelled","timestamp":9}"#,
    r#"{"type":"task_continue","task_id":"TASK","generation":3}"#,
    r#"{"type":"task_reassign","task_id":"TASK"}"#,
    r#"{"type":"state_report_ack","task_id":"TASK","action":"continue"}"#,
    r#"{"type":"pong","timestamp":9,"nonce":7,"lost":[{"task_id":"TASK","generation":3}]}"#,
    r#"{"type":"question_answered","question_id":"question-0000000000000001","task_id":"TASK","answer":"a","defaulted":false}"#,
    r#"{"type":"status_updated"}"#,
    r#"{"type":"agents","agents":[{"agent_id":"a","name":"A","status":"idle","capabilities":["gpu"],"connected_at":9}]}"#,
    r#"{"type":"ollama_report_ack","status":"registered"}"#,
    r#"{"type":"restart_sidecar","reason":"update"}"#,
];

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.replace("TASK", TASK)).collect()
}

#[test]
fn frames_of_agents_keep_their_form() {
    for line in lines(&TO_HUB) {
        assert_eq!(write(&read_to_hub(&line).unwrap()), line);
    }
}

#[test]
fn frames_of_the_hub_keep_their_form() {
    for line in lines(&TO_AGENT) {
        assert_eq!(write(&read_to_agent(&line).unwrap()), line);
    }
}

#[test]
fn unknown_fields_and_nulls_are_passed_over() {
    let plain = lines(&[r#"{"type":"ping","held":null,"protocol_version":1,"later":{"a":[1]}}"#]);
    assert_eq!(write(&read_to_hub(&plain[0]).unwrap()), r#"{"type":"ping"}"#);
    let pong = r#"{"type":"pong","timestamp":1,"nonce":null,"later":true}"#;
    assert_eq!(write(&read_to_agent(pong).unwrap()), r#"{"type":"pong","timestamp":1}"#);
}

#[test]
fn what_could_be_read_in_two_ways_or_by_nobody_is_no_frame() {
    let deep = "[".repeat(33) + &"]".repeat(33);
    for (text, told) in [
        (r#"{"type":"ping","type":"task_complete"}"#, "duplicate field `type`"),
        (
            r#"{"type":"task_accepted","task_id":"TASK","task_id":"TASK"}"#,
            "duplicate field `task_id`",
        ),
        (r#"{"type":"ping","nonce":1,"nonce":2}"#, "duplicate field `nonce`"),
        (r#"{"type":"task_complete","task_id":"TASK","result":{"n":1e400}}"#, "out of range"),
        (r#"{"type":"resource_report","cpu_percent":-1e400}"#, "out of range"),
        (r#"{"type":"ping","later":1e400}"#, "out of range"),
        (r#"{"type":"task_complete","task_id":"TASK","result":DEEP}"#, "nests deeper than 32"),
        (r#"{"type":"resource_report","later":DEEP}"#, "nests deeper than 32"),
        (r#"{"type":"ping"} {"type":"ping"}"#, "trailing characters"),
        (r#"{"type":"ping","nonce":NaN}"#, "expected value"),
        (r#"{"type":"ping","nonce":01}"#, "invalid number"),
        (r#"{"type":"ping","later":"\ud800"}"#, ""),
        (r#"[{"type":"ping"}]"#, "expected an object"),
    ] {
        let text = text.replace("TASK", TASK).replace("DEEP", &deep);
        match read_to_hub(&text) {
            Err(bad) => {
                assert!(alloc::format!("{bad}").contains(told) && !told.is_empty(), "{bad}: {text}")
            }
            Ok(_) => assert!(told.is_empty(), "{text}"),
        }
    }
}
