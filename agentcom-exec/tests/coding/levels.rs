//! This file tests coding tasks where nothing confines commands: none are run, or all are as they are.

use std::sync::{Arc, Mutex};

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::{Category, VerificationStep};
use agentcom_core::testing::executor_suite::{ExecutorFixture as _, assignment};
use agentcom_exec::sandbox::{Level, Sandbox};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::Watched;

/// What a task at a level came to, whose model takes these turns, and what the model was asked first
/// and last.
struct Came {
    outcome: JobOutcome,
    asked: Vec<Value>,
    told: String,
}

async fn came(
    level: Level,
    wanted: Option<Level>,
    turns: Vec<Turn>,
    checks: &[(&str, &str)],
) -> Came {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&asked);
    let mut turns = turns.into_iter();
    let model = StandIn::that(Box::new(move |asked: &Value, _| {
        hearing.lock().unwrap().push(asked.clone());
        turns.next().unwrap_or_else(|| Turn::says("Done."))
    }));
    let mut fixture = Fixture::of(model.await);
    fixture.sandbox = Sandbox::new(level);
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), fixture.succeed());
    job.sandbox = wanted;
    let step = |(kind, target): &(&str, &str)| VerificationStep {
        kind: (*kind).to_owned(),
        target: (*target).to_owned(),
        description: None,
    };
    job.verification_steps = checks.iter().map(step).collect();
    let ctx = Watched::new();
    let outcome = executor.run(&job, &ctx).await;
    let asked = asked.lock().unwrap().clone();
    Came { outcome, asked, told: ctx.text_of("status") }
}

impl Came {
    #[track_caller]
    fn result(&self) -> (Value, Value) {
        let (JobOutcome::Done { result, verification, .. }
        | JobOutcome::Partial { result, verification, .. }) = &self.outcome
        else {
            panic!("{:?}", self.outcome)
        };
        (result.read().unwrap(), verification.as_ref().unwrap().read().unwrap())
    }

    /// What the model was told of its latest call.
    fn answered(&self) -> Value {
        let last = self.asked.last().unwrap()["messages"].as_array().unwrap().last().unwrap();
        serde_json::from_str(last["content"].as_str().unwrap()).unwrap()
    }
}

fn write() -> Turn {
    Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" }))
}

#[tokio::test]
async fn where_only_files_are_worked_on_no_model_gets_commands_and_no_check_runs_any() {
    let run = Turn::calls("run_command", json!({ "command": "touch ran" }));
    let checks = [("file_exists", "b.txt"), ("command_succeeds", "true"), ("test_passes", "true")];
    let came = came(Level::L1, Some(Level::L1), vec![write(), run], &checks).await;
    let tools = came.asked[0]["tools"].as_array().unwrap().iter();
    let tools: Vec<_> = tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["list_directory", "read_file", "search_files", "write_file"]);
    let system = came.asked[0]["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains("Nothing can be run here"), "{system}");
    assert!(!system.contains("run_command"), "{system}");
    assert_eq!(came.answered()["error"], "unknown_tool");
    let (result, report) = came.result();
    assert_eq!(result["sandbox"], "L1");
    assert!(came.told.contains("sandbox L1"), "{}", came.told);
    let checks = report["checks"].as_array().unwrap();
    let status: Vec<_> = checks.iter().map(|check| check["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["pass", "unverifiable", "unverifiable"], "{report:#}");
    let why = checks[1]["output"].as_str().unwrap();
    assert!(why.contains("no commands are run here") && why.contains("agentcom doctor"), "{why}");
    assert!(matches!(came.outcome, JobOutcome::Partial { .. }), "{:?}", came.outcome);
}

#[tokio::test]
async fn where_no_sandbox_is_wanted_commands_run_as_they_are_and_all_of_it_is_said() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "seen").unwrap();
    let command = format!("cat {}; echo $HOME; env | cut -d= -f1", secret.display());
    let run = Turn::calls("run_command", json!({ "command": command }));
    let checks = [("command_succeeds", "grep two b.txt")];
    let came = came(Level::L0, None, vec![write(), run], &checks).await;
    let told = came.answered();
    let printed = told["stdout"].as_str().unwrap();
    assert!(printed.starts_with("seen"), "{told}");
    assert_eq!((&told["sandbox"], &told["exit_code"]), (&json!("L0"), &json!(0)));
    // What is meant for the sidecar alone no command sees, whether it is confined or not.
    assert!(!printed.contains("CARGO_MANIFEST_DIR"), "{printed}");
    assert!(!printed.contains(&std::env::var("HOME").unwrap_or_default()), "{printed}");
    let (result, report) = came.result();
    assert_eq!((&result["sandbox"], &report["status"]), (&json!("L0"), &json!("pass")));
    assert!(matches!(came.outcome, JobOutcome::Done { .. }), "{:?}", came.outcome);
}

#[tokio::test]
async fn a_task_that_wants_more_than_there_is_is_not_begun() {
    for (level, wanted) in [(Level::L0, Level::L1), (Level::L1, Level::L2), (Level::L2, Level::L3)]
    {
        let came = came(level, Some(wanted), vec![write()], &[]).await;
        let JobOutcome::Failed { category: Category::Retryable, error, .. } = &came.outcome else {
            panic!("{:?}", came.outcome)
        };
        let words = format!("a sandbox of {wanted}, and what would run it here is {level}");
        assert!(error.contains(&words), "{error}");
        assert!(came.asked.is_empty());
    }
}
