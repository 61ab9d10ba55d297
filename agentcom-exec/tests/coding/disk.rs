//! This file tests coding tasks in a repository that takes more by itself than files may.

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::{Value, json};

use crate::checks::step;
use crate::fixture::{Fixture, publish, said};

fn write(path: &str, content: &str) -> Turn {
    Turn::calls("write_file", json!({ "path": path, "content": content }))
}

#[tokio::test]
async fn what_a_repository_takes_by_itself_is_held_against_nobody_and_so_much_may_be_added() {
    let command = |line: &str| Turn::calls("run_command", json!({ "command": line }));
    let turns = [
        command("head -c 1500 /dev/zero > kept"),
        write("more.txt", &"more ".repeat(200)),
        command("rm kept"),
        write("more.txt", "one more"),
        write("a.txt", "two\n"),
        Turn::says("Done."),
    ];
    let mut fixture = Fixture::of(StandIn::of(turns).await);
    let clone = fixture.dir.path().join("clone");
    std::fs::write(clone.join("big.txt"), "big\n".repeat(25_000)).unwrap();
    publish(&clone);
    fixture.sandbox.limits.disk_bytes = 2_600;
    let has_room = "grep two a.txt && grep 'one more' more.txt && head -c 500 /dev/zero > some";
    let lines = [has_room, "head -c 9000 /dev/zero > some"];
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), fixture.succeed());
    job.verification_steps = lines.map(|line| step("command_succeeds", line)).into();
    let outcome = executor.run(&job, &Asking::default()).await;
    let JobOutcome::Partial { verification, .. } = outcome else { panic!("{outcome:?}") };
    let report: Value = verification.unwrap().read().unwrap();
    let checks = &report["checks"];
    assert_eq!((&checks[0]["status"], &checks[1]["status"]), (&json!("pass"), &json!("fail")));
    let why = checks[1]["output"].as_str().unwrap();
    assert!(why.starts_with("all files take ") && why.contains(", and may take "), "{why}");
    let (said, _) = said(fixture.dir.path(), TaskId(1));
    assert!(!said.contains("\\\"disk_full\\\":true"), "{said}");
    assert!(said.contains("there is no room: all files take "), "{said}");
}
