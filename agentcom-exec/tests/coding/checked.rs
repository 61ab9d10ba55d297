//! This file tests what checks and rounds come to: what is shown of them, and what becomes of it.

use std::sync::{Arc, Mutex};

use agentcom_core::id::{Lease, TaskId};
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Assignment;
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::{Value, json};

use crate::checks::{checks, step};
use crate::fixture::{Fixture, git, publish};
use crate::support::eventually;

const TASK: TaskId = TaskId(1);

fn write(path: &str, content: &str) -> Turn {
    Turn::calls("write_file", json!({ "path": path, "content": content }))
}

/// What the one check says of a change that a model makes.
async fn checked(path: &str, content: &str, check: VerificationStep) -> Value {
    let model = StandIn::of([write(path, content), Turn::says("Done.")]).await;
    let fixture = Fixture::of(model);
    checks(&fixture, [check]).await.remove(0)
}

#[tokio::test]
async fn a_line_more_in_a_test_fails_the_check_and_is_shown_unless_it_is_allowed() {
    let text = "exit 0\ngrep one a.txt\ntrue\n";
    let check = checked("tests/run.sh", text, step("tests_not_weakened", "auto")).await;
    assert_eq!(check["status"], "fail", "{check:#}");
    let output = check["output"].as_str().unwrap();
    assert!(output.contains("\n+++ b/tests/run.sh\n"), "{output}");
    assert!(output.contains("\n+exit 0\n grep one a.txt\n"), "{output}");
    assert!(output.ends_with("\n\ntests are changed: tests/run.sh"), "{output}");
    let allowed = step("tests_not_weakened", "allow tests/run.sh");
    assert_eq!(checked("tests/run.sh", text, allowed).await["status"], "pass");
}

#[tokio::test]
async fn of_a_long_change_to_tests_so_much_is_shown_as_there_is_room_for() {
    let text = "# \u{e4}\n".repeat(4_000);
    let check = checked("tests/run.sh", &text, step("tests_not_weakened", "auto")).await;
    let output = check["output"].as_str().unwrap();
    assert!(output.len() < 4_100 && output.contains("\n+# \u{e4}\n"), "{}", output.len());
    assert!(output.ends_with("\n[cut]\n\ntests are changed: tests/run.sh"), "{output}");
}

#[tokio::test]
async fn a_new_test_is_fine_and_a_new_file_that_says_how_tests_run_is_not() {
    let weakened = || step("tests_not_weakened", "auto");
    assert_eq!(checked("tests/more.sh", "true\n", weakened()).await["status"], "pass");
    let steering = checked("tests/conftest.py", "collect_ignore = []\n", weakened()).await;
    assert_eq!(steering["status"], "fail", "{steering:#}");
    let allowed = step("tests_not_weakened", "allow tests/");
    assert_eq!(
        checked("tests/conftest.py", "collect_ignore = []\n", allowed).await["status"],
        "pass"
    );
}

#[tokio::test]
async fn what_tests_compare_with_and_tests_inside_a_file_stay_as_they_are() {
    let inside = |asserts: &str| {
        format!(
            "fn a() {{}}\n\n#[cfg(test)]\nmod tests {{\n    #[test]\n    fn it() {{\n        assert!({asserts});\n    }}\n}}\n"
        )
    };
    let came_to = async |path: &str, before: &str, after: &str| {
        let model = StandIn::of([write(path, after), Turn::says("Done.")]).await;
        let fixture = Fixture::of(model);
        let clone = fixture.dir.path().join("clone");
        let file = clone.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, before).unwrap();
        publish(&clone);
        let check = checks(&fixture, [step("tests_not_weakened", "auto")]).await.remove(0);
        check["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(came_to("src/a.rs", &inside("b()"), &inside("true")).await, "fail");
    let code = inside("b()").replace("fn a() {}", "fn a() { b(); }");
    assert_eq!(came_to("src/a.rs", &inside("b()"), &code).await, "pass");
    assert_eq!(came_to("a/testdata/b.json", "1", "2").await, "fail");
}

#[tokio::test]
async fn a_manifest_may_change_where_it_says_nothing_of_tests() {
    let weakened = || step("tests_not_weakened", "auto");
    let scripts = r#"{ "scripts": { "test": "exit 0" } }"#;
    assert_eq!(checked("package.json", scripts, weakened()).await["status"], "fail");
    assert_eq!(checked("web/package.json", scripts, weakened()).await["status"], "pass");
    let needs = r#"{ "dependencies": { "a": "1" } }"#;
    assert_eq!(checked("package.json", needs, weakened()).await["status"], "pass");
    let long = format!("{{ \"description\": \"{}\" }}", "a".repeat(1 << 18));
    assert_eq!(checked("package.json", &long, weakened()).await["status"], "fail");
}

#[tokio::test]
async fn python_leaves_no_compiled_files_where_a_model_works_and_where_it_is_checked() {
    let asked = "test \"$PYTHONDONTWRITEBYTECODE\" = 1";
    let command = format!("{asked} && echo two > b.txt");
    let run = Turn::calls("run_command", json!({ "command": command }));
    let fixture = Fixture::of(StandIn::of([run, Turn::says("Done.")]).await);
    let steps = [step("file_exists", "b.txt"), step("command_succeeds", asked)];
    let found = checks(&fixture, steps).await;
    assert!(found.iter().all(|check| check["status"] == "pass"), "{found:#?}");
}

#[tokio::test]
async fn a_change_has_as_many_lines_if_it_says_that_they_are_no_text() {
    let long = |end: &str| format!("{}{end}", "x\n".repeat(100));
    for end in ["", "\0"] {
        let check = checked("new.py", &long(end), step("diff_within", "60")).await;
        assert_eq!(check["status"], "fail", "{check:#}");
        let output = check["output"].as_str().unwrap();
        assert!(output.ends_with("; 60 are allowed"), "{output}");
        assert_eq!(output.contains("with what is no text: new.py"), end == "\0", "{output}");
    }
    let check = checked("new.png", "\u{89}PNG\0\n\0\n", step("diff_within", "60")).await;
    assert_eq!(check["status"], "pass", "{check:#}");
}

#[tokio::test]
async fn what_tests_are_run_is_for_the_base_to_say() {
    let model = StandIn::of([write("package.json", "{}"), Turn::says("Done.")]).await;
    let fixture = Fixture::of(model);
    let clone = fixture.dir.path().join("clone");
    std::fs::write(clone.join("Makefile"), "test:\n\t@echo 'made by make'; exit 3\n").unwrap();
    publish(&clone);
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TASK, fixture.succeed());
    job.verification_steps = vec![step("test_passes", "auto")];
    let outcome = executor.run(&job, &Asking::default()).await;
    let JobOutcome::Partial { verification: Some(report), .. } = outcome else {
        panic!("{outcome:?}")
    };
    // Where there is no such program, that is what is said of it.
    let check = report.read::<Value>().unwrap()["checks"][0].clone();
    let output = check["output"].as_str().unwrap();
    assert!(check["status"] == "fail" && output.contains("make"), "{check:#}");
    // Where the base has no tests, the change may bring them.
    let check = checked("mix.exs", "", step("test_passes", "auto")).await;
    assert!(check["output"].as_str().unwrap().contains("mix"), "{check:#}");
}

#[tokio::test]
async fn how_closely_to_look_is_judged_by_the_rules_of_the_agent() {
    let mut fixture = Fixture::new().await;
    let tier = async |fixture: &Fixture, task: u64| {
        let executor = fixture.executor();
        let job = assignment(&*executor, TaskId(task), fixture.succeed());
        let outcome = executor.run(&job, &Asking::default()).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        result.read::<Value>().unwrap()["risk_tier"].clone()
    };
    assert_eq!(tier(&fixture, 1).await, 2);
    fixture.risk.protected.push("b.txt".parse().unwrap());
    assert_eq!(tier(&fixture, 2).await, 3);
}

/// A model that writes `b.txt` in its first round, and whose later ones go as `later` says, beside the
/// names by which it was asked, one for each round.
async fn rounds(later: fn() -> Turn) -> (Fixture, Arc<Mutex<Vec<Value>>>) {
    let begun = Arc::<Mutex<Vec<Value>>>::default();
    let noted = begun.clone();
    let model = StandIn::that(Box::new(move |asked: &Value, _| {
        let mut noted = noted.lock().unwrap();
        let begins = asked["messages"].as_array().unwrap().len() == 2;
        if begins {
            noted.push(asked["model"].clone());
        }
        match (noted.len(), begins) {
            (1, true) => write("b.txt", "two"),
            (1, false) => Turn::says("Done."),
            _ if asked["model"] == "next" => Turn::says("It is fine."),
            _ => later(),
        }
    }));
    (Fixture::of(model.await), begun)
}

/// A task that may be corrected once, and never holds.
fn never_good(fixture: &Fixture) -> Assignment {
    let job = assignment(&*fixture.executor(), TASK, fixture.succeed());
    let verification_steps = vec![step("file_exists", "b.txt"), step("file_exists", "c.txt")];
    Assignment { verification_steps, max_verification_retries: 1, ..job }
}

#[tokio::test]
async fn b17_what_does_not_hold_is_corrected_only_where_that_was_asked_for() {
    for corrections in [0, 1] {
        let (fixture, begun) = rounds(|| Turn::says("It is fine.")).await;
        let job = Assignment { max_verification_retries: corrections, ..never_good(&fixture) };
        let outcome = fixture.executor().run(&job, &Asking::default()).await;
        let JobOutcome::Partial { result, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(result.read::<Value>().unwrap()["rounds"], 1 + corrections);
        assert_eq!(begun.lock().unwrap().len(), 1 + corrections as usize);
    }
}

#[tokio::test]
async fn b33_a_check_that_was_out_of_time_has_not_passed_and_counts_for_the_risk() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TASK, fixture.succeed());
    job.verification_steps = vec![step("command_succeeds", "sleep 1000")];
    job.verification_timeout_ms = Some(Span(200));
    let outcome = executor.run(&job, &Asking::default()).await;
    let JobOutcome::Partial { result, verification: Some(report), .. } = outcome else {
        panic!("{outcome:?}")
    };
    let (result, report): (Value, Value) = (result.read().unwrap(), report.read().unwrap());
    assert_eq!(
        (&report["checks"][0]["status"], &result["risk_tier"]),
        (&json!("timeout"), &json!(3))
    );
}

/// Has the next attempt at a task done by another model, and tells in how many rounds that ended.
async fn next(fixture: &Fixture, job: &Assignment) -> Value {
    let mut next = Assignment { attempt: 2, generation: Lease(2), ..job.clone() };
    next.op.input = Json::of(&json!({ "model": "next" })).unwrap();
    let outcome = fixture.executor().run(&next, &Asking::default()).await;
    let JobOutcome::Partial { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read::<Value>().unwrap()["rounds"].clone()
}

#[tokio::test]
async fn an_attempt_after_one_that_was_killed_has_only_the_rounds_that_are_left() {
    let (fixture, begun) = rounds(|| Turn::hangs("")).await;
    let (job, ctx) = (never_good(&fixture), Asking::default());
    let executor = fixture.executor();
    let second = || (begun.lock().unwrap().len() == 2).then_some(());
    tokio::select! {
        outcome = executor.run(&job, &ctx) => panic!("{outcome:?}"),
        () = eventually("it is in its second round", second) => {}
    }
    assert_eq!(next(&fixture, &job).await, 2);
    assert_eq!(*begun.lock().unwrap(), ["succeed", "succeed", "next"]);
}

#[tokio::test]
async fn a_task_that_was_given_another_life_has_all_of_its_rounds_in_it_and_no_more() {
    let (fixture, begun) = rounds(|| Turn::says("It is fine.")).await;
    let job = never_good(&fixture);
    let outcome = fixture.executor().run(&job, &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Partial { .. }), "{outcome:?}");
    let revived = Assignment { revivals: 1, ..job.clone() };
    assert_eq!(next(&fixture, &revived).await, 2);
    let worked = ["succeed", "succeed", "next", "next"];
    assert_eq!(*begun.lock().unwrap(), worked, "it is worked on");
    assert_eq!(next(&fixture, &revived).await, 2);
    assert_eq!(*begun.lock().unwrap(), worked, "that life is spent as well");
}

#[tokio::test]
async fn a_round_that_changed_nothing_counts_for_the_next_attempt_too() {
    let (fixture, begun) = rounds(|| Turn::says("It is fine.")).await;
    let job = never_good(&fixture);
    let outcome = fixture.executor().run(&job, &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Partial { .. }), "{outcome:?}");
    assert_eq!(next(&fixture, &job).await, 2);
    assert_eq!(*begun.lock().unwrap(), ["succeed", "succeed"], "it is only checked again");
    let remote = fixture.dir.path().join("remote");
    let log = ["log", "--branches=agentcom/*", "--format=%(trailers:key=Agentcom-Round,valueonly)"];
    let log = git(&remote, &log);
    assert_eq!(log.split_whitespace().collect::<Vec<_>>(), ["2", "1"]);
}
