//! This file proves what the wake executor promises, with real commands and files.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::Category;
use agentcom_exec::wake::{Wake, WakeConfig};
use serde_json::{Value, json};
use support::{Watched, eventually, job, mark, marked, spawner};
use tempfile::TempDir;

const TASK: &str = "task-0000000000000001";

/// A sidecar that wakes by a shell script, with spans that suit a test.
struct Setup {
    dir: TempDir,
    config: WakeConfig,
}

fn setup(script: &str) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let argv =
        ["sh", "-c", script, "${TASK_ID}", "${GENERATION}", "${TASK_DESCRIPTION}", "${TASK_JSON}"];
    let config = WakeConfig {
        cwd: dir.path().into(),
        waits: vec![Duration::from_millis(1); 3],
        poll: Duration::from_millis(2),
        stable_for: Duration::from_millis(10),
        ..WakeConfig::new(argv.map(str::to_owned).into(), dir.path().join("results"))
    };
    Setup { dir, config }
}

impl Setup {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn wake(&self) -> Wake {
        Wake::new(spawner(), self.config.clone())
    }

    async fn run(&self) -> JobOutcome {
        self.wake().run(&job(1, "wake", "null"), &Watched::new()).await
    }
}

/// A script that confirms and then answers with `result`; `$0` is the task's id.
fn answering(result: &str) -> String {
    format!("touch results/$0.started; printf '%s' '{result}' > results/$0.json")
}

fn error_of(outcome: JobOutcome, expected: Category) -> String {
    let JobOutcome::Failed { category, error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(category, expected, "{error}");
    error
}

#[tokio::test]
async fn a10_a_session_is_woken_works_and_answers_by_a_file() {
    let setup =
        setup(&answering(r#"{"status":"success","output":"ok","pr_url":"u","tokens_used":7}"#));
    let JobOutcome::Done { result, tokens, .. } = setup.run().await else { panic!() };
    let expected = json!({ "status": "success", "output": "ok", "pr_url": "u", "tokens_used": 7 });
    assert_eq!((result.read::<Value>().unwrap(), tokens), (expected, Some(7)));
}

#[tokio::test]
async fn tokens_are_added_up_where_the_sum_is_missing() {
    let setup = setup(&answering(r#"{"status":"success","tokens_in":3,"tokens_out":4}"#));
    assert!(matches!(setup.run().await, JobOutcome::Done { tokens: Some(7), .. }));
}

#[tokio::test]
async fn other_results_are_retryable_failures() {
    for (result, error) in [
        (r#"{"status":"failed","reason":"no luck"}"#, "no luck"),
        (r#"{"status":"failed","error":"broken"}"#, "broken"),
        (r#"{"status":"odd"}"#, "the result is odd"),
        ("{}", "the result is without status"),
        ("{", "result file: EOF"),
    ] {
        let was = error_of(setup(&answering(result)).run().await, Category::Retryable);
        assert!(was.starts_with(error), "{was}");
    }
}

#[tokio::test]
async fn a_long_result_is_cut() {
    let script = r#"touch results/$0.started
        { printf '{"status":"success","output":"first '; head -c 300000 /dev/zero | tr '\0' x; printf ' last"}'; } > tmp
        mv tmp results/$0.json"#;
    let JobOutcome::Done { result, .. } = setup(script).run().await else { panic!() };
    let result: Value = result.read().unwrap();
    let output = result["output"].as_str().unwrap();
    assert!(
        output.starts_with("first x") && output.ends_with("x last") && result["truncated"] == true
    );
}

#[tokio::test]
async fn b30_the_task_arrives_in_arguments_that_no_shell_has_seen() {
    let script = format!(
        "printf '%s|' \"$0\" \"$1\" \"$2\" > seen; printf '%s' \"$3\" > json; {}",
        answering(r#"{"status":"success"}"#)
    );
    let setup = setup(&script);
    let mut job = job(1, "wake", "null");
    job.description = "\"; touch hacked; $(id) ${TASK_ID}".into();
    let outcome = setup.wake().run(&job, &Watched::new()).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let seen = std::fs::read_to_string(setup.path().join("seen")).unwrap();
    assert_eq!(seen, format!("{TASK}|7|{}|", job.description));
    let task: Value =
        serde_json::from_slice(&std::fs::read(setup.path().join("json")).unwrap()).unwrap();
    assert_eq!((&task["task_id"], &task["generation"]), (&json!(TASK), &json!(7)));
    assert!(!setup.path().join("hacked").exists());
}

#[tokio::test]
async fn a13_without_a_command_the_task_fails_for_good() {
    for command in [vec![], vec![String::new()], vec![" ".to_owned(), "x".to_owned()]] {
        let mut setup = setup("");
        setup.config.command = command;
        assert_eq!(error_of(setup.run().await, Category::Permanent), "no_wake_command_configured");
    }
}

#[tokio::test]
async fn a_failing_command_is_tried_four_times() {
    let setup = setup("echo try >> tries; echo why >&2; exit 3");
    let error = error_of(setup.run().await, Category::Retryable);
    assert_eq!(error, "wake command failed 4 times, at last: exit code 3: why");
    assert_eq!(std::fs::read_to_string(setup.path().join("tries")).unwrap().lines().count(), 4);
}

#[tokio::test]
async fn a_command_that_fails_at_first_is_forgiven() {
    let script =
        format!("mkdir once 2>/dev/null && exit 1; {}", answering(r#"{"status":"success"}"#));
    assert!(matches!(setup(&script).run().await, JobOutcome::Done { .. }));
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_and_tried_again() {
    let mut setup = setup("echo try >> tries; sleep 1000");
    setup.config.command_timeout = Duration::from_millis(50);
    setup.config.waits.truncate(1);
    let error = error_of(setup.run().await, Category::Retryable);
    assert_eq!(error, "wake command failed 2 times, at last: no end within 50 ms");
}

#[tokio::test]
async fn a_program_that_does_not_confirm_fails_the_task() {
    let mut setup = setup("exit 0");
    setup.config.started_within = Duration::from_millis(50);
    assert_eq!(error_of(setup.run().await, Category::Retryable), "no confirmation within 50 ms");
}

#[tokio::test]
async fn files_that_are_there_before_do_not_count() {
    let mut setup = setup("exit 0");
    setup.config.started_within = Duration::from_millis(50);
    let results = setup.path().join("results");
    std::fs::create_dir(&results).unwrap();
    std::fs::write(results.join(format!("{TASK}.started")), "").unwrap();
    std::fs::write(results.join(format!("{TASK}.json")), r#"{"status":"success"}"#).unwrap();
    assert_eq!(error_of(setup.run().await, Category::Retryable), "no confirmation within 50 ms");
    assert_eq!(std::fs::read_dir(results).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_woken_in_the_background_works_on_and_ends_with_the_task() {
    let mut setup = setup(&format!(
        "(sleep 0.05; {}; sleep 1000) & exit 0",
        answering(r#"{"status":"success"}"#)
    ));
    let mark = mark("wake");
    setup.config.command.insert(0, format!("MARK={mark}"));
    setup.config.command.insert(0, "env".to_owned());
    assert!(matches!(setup.run().await, JobOutcome::Done { .. }));
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_waiting_job_stops_within_500_ms() {
    let setup = setup("trap '' TERM; touch results/$0.started; sleep 1000 & exit 0");
    let ctx = Watched::new();
    let (wake, job) = (setup.wake(), job(1, "wake", "null"));
    let asking = async {
        eventually("it is confirmed", || (ctx.text_of("status") == "started").then_some(())).await;
        ctx.cancel();
        Instant::now()
    };
    let (outcome, asked) = tokio::join!(wake.run(&job, &ctx), asking);
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(outcome, JobOutcome::Stopped);
}
