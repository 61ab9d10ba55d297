//! This file proves on a paused clock which files count and when.

use agentcom_core::id::TaskId;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Far longer than anything here waits for.
const LONG: Duration = Duration::from_secs(60);

fn inbox() -> (TempDir, Inbox) {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox {
        dir: dir.path().into(),
        started: dir.path().join(format!("{}.started", TaskId(1))),
        result: dir.path().join(format!("{}.json", TaskId(1))),
        generation: Lease(7),
        poll: Duration::from_millis(100),
        stable_for: Duration::from_millis(500),
    };
    (dir, inbox)
}

#[tokio::test(start_paused = true)]
async fn a_result_counts_when_it_has_not_changed_for_half_a_second() {
    let (_dir, inbox) = inbox();
    std::fs::write(&inbox.result, r#"{"status":"success"}"#).unwrap();
    let before = Instant::now();
    assert!(matches!(inbox.result().await, JobOutcome::Done { .. }));
    let waited = before.elapsed();
    assert!(waited >= inbox.stable_for && waited < 2 * inbox.stable_for, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_grows_is_not_read_by_half() {
    let (_dir, inbox) = inbox();
    let text = r#"{"status":"success","output":"whole"}"#;
    let writing = async {
        for end in 1..=text.len() {
            std::fs::write(&inbox.result, &text[..end]).unwrap();
            sleep(inbox.stable_for * 4 / 5).await;
        }
    };
    let (outcome, ()) = tokio::join!(inbox.result(), writing);
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.as_str(), text);
}

#[tokio::test(start_paused = true)]
async fn a_result_of_another_assignment_is_waited_out() {
    let (_dir, inbox) = inbox();
    for stale in [6, 8] {
        std::fs::write(&inbox.result, format!(r#"{{"status":"success","generation":{stale}}}"#))
            .unwrap();
        assert!(timeout(LONG, inbox.result()).await.is_err(), "generation {stale}");
    }
    std::fs::write(&inbox.result, r#"{"status":"success","generation":7}"#).unwrap();
    assert!(matches!(inbox.result().await, JobOutcome::Done { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_result_confirms_as_well_as_a_started_file() {
    for name in [".started", ".json"] {
        let (dir, inbox) = inbox();
        assert!(timeout(LONG, inbox.confirmed()).await.is_err());
        std::fs::write(dir.path().join(format!("{}{name}", TaskId(1))), "").unwrap();
        assert!(timeout(LONG, inbox.confirmed()).await.is_ok(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_errors_are_cut() {
    let (_dir, inbox) = inbox();
    let text = serde_json::json!({ "status": "failed", "reason": "\u{1}".repeat(100_000) });
    std::fs::write(&inbox.result, text.to_string()).unwrap();
    let JobOutcome::Failed { error, .. } = inbox.result().await else { panic!() };
    assert!(json_len(&error) <= Inbox::ERROR_BYTES_MAX && error.contains("bytes left out"));
}
