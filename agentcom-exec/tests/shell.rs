//! This file proves what the shell executor promises, with real processes.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::time::Span;
use agentcom_exec::environment::Environment;
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::{Level, Sandbox};
use agentcom_exec::shell::Shell;
use serde::Deserialize;
use support::{CLAN, CLAN_SIZE, Watched, eventually, job, level_here, mark, marked, spawner};

#[derive(Debug, Deserialize)]
struct Result {
    exit_code: i32,
    stdout: String,
    stderr: String,
    truncated: bool,
    sandbox: Level,
}

fn shell() -> Shell {
    Shell::new(spawner())
}

async fn outcome(input: &str) -> JobOutcome {
    shell().run(&job(1, "shell", input), &Watched::new()).await
}

async fn result(input: &str) -> Result {
    let outcome = outcome(input).await;
    let JobOutcome::Done { result, tokens: None, .. } = outcome else {
        panic!("{input}: {outcome:?}")
    };
    result.read().unwrap()
}

async fn failure(input: &str) -> (Category, String, Option<Span>) {
    let outcome = outcome(input).await;
    let JobOutcome::Failed { category, error, retry_after, tokens: None } = outcome else {
        panic!("{input}: {outcome:?}")
    };
    (category, error, retry_after)
}

fn command(text: &str) -> String {
    format!(r#"{{"command":{}}}"#, Json::of(text).unwrap())
}

#[tokio::test]
async fn what_a_command_prints_is_its_result() {
    let result = result(&command("echo out; echo err >&2")).await;
    assert_eq!((result.exit_code, &*result.stdout, &*result.stderr), (0, "out\n", "err\n"));
    assert!(!result.truncated);
}

#[tokio::test]
async fn each_attempt_says_which_sandbox_held_it_however_it_ends() {
    let level = level_here();
    let root = tempfile::tempdir().unwrap();
    let held = shell().in_directory(root.path()).in_sandbox(Sandbox::new(level));
    let mut shells = vec![(shell(), Level::L0)];
    shells.extend((level >= Level::L2).then_some((held, level)));
    for (shell, level) in shells {
        let ctx = Watched::new();
        let outcome = shell.run(&job(1, "shell", &command("true")), &ctx).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(result.read::<Result>().unwrap().sandbox, level);
        assert_eq!(ctx.text_of("status"), format!("sandbox {level}"));
        let ctx = Watched::new();
        let failed = shell.run(&job(1, "shell", &command("exit 3")), &ctx).await;
        assert!(matches!(failed, JobOutcome::Failed { .. }), "{failed:?}");
        assert_eq!(ctx.text_of("status"), format!("sandbox {level}"));
    }
}

#[tokio::test]
async fn a_confined_command_works_in_its_folder_also_where_that_is_relative() {
    let (level, here) = (level_here(), std::env::current_dir().unwrap());
    let root = tempfile::tempdir_in(&here).unwrap();
    let relative = root.path().strip_prefix(&here).unwrap();
    let levels = [Level::L0, Level::L2, Level::L3].into_iter().filter(|it| *it <= level);
    for level in levels {
        let shell = shell().in_directory(relative).in_sandbox(Sandbox::new(level));
        let write = job(1, "shell", &command(&format!("echo well > {level}")));
        let outcome = shell.run(&write, &Watched::new()).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
        let written = std::fs::read_to_string(root.path().join(level.to_string()));
        assert_eq!(written.unwrap(), "well\n");
    }
}

#[tokio::test]
async fn a_task_that_wants_a_sandbox_has_one_or_does_not_run() {
    let level = level_here();
    let root = tempfile::tempdir().unwrap();
    let run = async |shell: Shell, wanted: Option<Level>| {
        let mut job = job(1, "shell", &command("true"));
        job.sandbox = wanted;
        let outcome = shell.in_directory(root.path()).run(&job, &Watched::new()).await;
        if let JobOutcome::Failed { category: Category::Retryable, error, .. } = outcome {
            return Err(error);
        }
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        Ok(result.read::<Result>().unwrap().sandbox)
    };
    let refused = run(shell(), Some(Level::L2)).await.unwrap_err();
    assert!(refused.contains("wants a sandbox of L2"), "{refused}");
    let files_only = run(shell().in_sandbox(Sandbox::new(Level::L1)), None).await.unwrap_err();
    assert!(files_only.contains("no commands are run here"), "{files_only}");
    if level >= Level::L2 {
        let some = || shell().in_sandbox_on_demand(Sandbox::new(level));
        assert_eq!(run(some(), None).await, Ok(Level::L0));
        assert_eq!(run(some(), Some(Level::L1)).await, Ok(level));
        assert_eq!(run(some(), Some(Level::L2)).await, Ok(level));
    }
}

#[tokio::test]
async fn files_of_a_confined_command_are_bounded_and_what_was_there_is_not_held_against_it() {
    let level = level_here();
    if level < Level::L2 {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("old"), vec![1; 50_000]).unwrap();
    let run = async |text: &str| {
        let mut sandbox = Sandbox::new(level);
        sandbox.limits.disk_bytes = 20_000;
        let shell = shell().in_directory(root.path()).in_sandbox_on_demand(sandbox);
        let mut job = job(1, "shell", &command(text));
        job.sandbox = Some(Level::L2);
        shell.run(&job, &Watched::new()).await
    };
    let begun = Instant::now();
    let fills = "while :; do head -c 5000 /dev/zero >> $TMPDIR/more; sleep 0.01; done";
    for text in ["head -c 20000 old >> new", fills] {
        let outcome = run(text).await;
        // Another attempt would begin where this one has ended.
        let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
            panic!("{text}: {outcome:?}")
        };
        assert!(error.starts_with("all files take "), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    // Whatever it finds it may look at, and make room in, and add to as much as it may.
    for text in ["cat old", "rm new", "head -c 15000 old > newer"] {
        let outcome = run(text).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{text}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_confined_command_with_too_many_processes_is_not_tried_again() {
    if level_here() < Level::L2 {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new(Level::L2);
    sandbox.limits.processes = 20;
    let shell = shell().in_directory(root.path()).in_sandbox(sandbox);
    let text = "echo begun; for i in $(seq 200); do sleep 10 & done; wait";
    let outcome = shell.run(&job(1, "shell", &command(text)), &Watched::new()).await;
    let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.starts_with("it had more than 20 processes and threads"), "{error}");
}

#[tokio::test]
async fn an_argv_is_passed_on_without_a_shell() {
    assert_eq!(result(r#"{"argv":["echo","$HOME; id"]}"#).await.stdout, "$HOME; id\n");
}

#[tokio::test]
async fn standard_input_is_what_the_operation_says() {
    assert_eq!(result(r#"{"argv":["cat"],"stdin":"a\nb"}"#).await.stdout, "a\nb");
    assert_eq!(result(r#"{"argv":["cat"]}"#).await.stdout, "");
    let unread = format!(r#"{{"argv":["true"],"stdin":"{}"}}"#, "x".repeat(60_000));
    assert_eq!(result(&unread).await.exit_code, 0);
}

#[tokio::test]
async fn exit_codes_say_what_to_do() {
    use Category::{Crash, Permanent, Retryable};
    for (input, category, needle) in [
        (command("echo oops >&2; exit 3"), Retryable, "exit code 3: oops"),
        (command("echo only out; exit 4"), Retryable, "exit code 4: only out"),
        (command("exit 75"), Retryable, "exit code 75"),
        (command("exit 126"), Permanent, "126"),
        (command("no-such-program-here"), Permanent, "exit code 127"),
        (r#"{"command":"exit 9","permanent_exit_codes":[8,9]}"#.into(), Permanent, "exit code 9"),
        (r#"{"argv":["no-such-program-here"]}"#.into(), Permanent, "no-such-program-here"),
        (r#"{"argv":["/dev/null"]}"#.into(), Permanent, "/dev/null"),
        (r#"{"argv":["true"],"cwd":"/no/such/place"}"#.into(), Permanent, "working directory"),
        ("{}".into(), Permanent, "bad shell input"),
        (command("kill -9 $$"), Crash, "signal 9 (SIGKILL)"),
        (command("sh -c 'kill -9 $$'; exit $?"), Crash, "signal 9 (SIGKILL)"),
        (command("kill -TERM $$"), Crash, "signal 15 (SIGTERM)"),
    ] {
        let (was, error, retry_after) = failure(&input).await;
        assert_eq!(was, category, "{input}: {error}");
        assert!(error.contains(needle), "{input}: {error}");
        assert_eq!(retry_after.is_some(), input.contains("75"), "{input}");
    }
}

#[tokio::test]
async fn the_wait_after_exit_code_75_can_be_chosen() {
    let later = shell().retry_after(Duration::from_secs(5));
    let outcome = later.run(&job(1, "shell", &command("exit 75")), &Watched::new()).await;
    let JobOutcome::Failed { retry_after, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(retry_after, Some(Span::from_secs(5)));
}

#[tokio::test]
async fn b31_a_job_sees_its_assignment_and_what_is_allowed_and_nothing_else() {
    let input = r#"{"argv":["env"],"env":{"MINE":"1","AGENTCOM_LEASE":"forged"}}"#;
    let env = result(input).await.stdout;
    for line in [
        "AGENTCOM_TASK_ID=task-0000000000000001",
        "AGENTCOM_LEASE=7",
        "AGENTCOM_ATTEMPT=2",
        "AGENTCOM_INCARNATION=inc-0000000000000009",
        "MINE=1",
    ] {
        assert!(env.lines().any(|seen| seen == line), "{line} is not in\n{env}");
    }
    let own =
        ["AGENTCOM_TASK_ID", "AGENTCOM_LEASE", "AGENTCOM_ATTEMPT", "AGENTCOM_INCARNATION", "MINE"];
    for line in env.lines() {
        let name = line.split_once('=').unwrap().0;
        assert!(own.contains(&name) || Environment::ALLOWED.contains(&name), "{name}");
    }
    // Cargo sets this for tests; it stands for the sidecar's token.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some() && !env.contains("CARGO_PKG_NAME"));
}

#[tokio::test]
async fn a_job_starts_with_signals_as_they_usually_are() {
    // A writer whose reader has gone dies of SIGPIPE, 128 + 13, unless that is ignored.
    let result = result(&command("(yes; echo $? >&2) | head -n 1")).await;
    assert_eq!((&*result.stdout, &*result.stderr), ("y\n", "141\n"));
}

#[tokio::test]
async fn a_directory_is_relative_to_the_root() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("below")).unwrap();
    let shell = shell().in_directory(root.path());
    let outcome = shell
        .run(&job(1, "shell", r#"{"command":"touch here","cwd":"below"}"#), &Watched::new())
        .await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert!(root.path().join("below/here").exists());
}

#[tokio::test]
async fn huge_output_is_cut_in_the_middle_and_never_blocks() {
    let text = "echo first; head -c 30000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo last";
    let result = result(&command(text)).await;
    assert!(result.truncated);
    assert!(result.stdout.starts_with("first\n\0") && result.stdout.ends_with("\0last\n"));
    assert!(result.stdout.contains(" bytes left out]\n"));
}

#[tokio::test]
async fn what_is_printed_is_news() {
    let ctx = Watched::new();
    let input = command("echo one; echo two >&2; sleep 1000");
    let (shell, job) = (shell(), job(1, "shell", &input));
    tokio::select! {
        outcome = shell.run(&job, &ctx) => panic!("{outcome:?}"),
        _ = eventually("both lines are reported", || {
            (ctx.text_of("stdout") == "one\n" && ctx.text_of("stderr") == "two\n").then_some(())
        }) => {}
    }
}

#[tokio::test]
async fn a_job_that_is_asked_to_stop_stops_within_500_ms() {
    for text in ["echo up; sleep 1000", "trap '' TERM; echo up; while :; do sleep 1; done", CLAN] {
        let (ctx, mark) = (Watched::new(), mark("stop"));
        let input =
            format!(r#"{{"command":{},"env":{{"MARK":"{mark}"}}}}"#, Json::of(text).unwrap());
        let (shell, job) = (shell(), job(1, "shell", &input));
        let asking = async {
            eventually("it runs", || (ctx.text_of("stdout") == "up\n").then_some(())).await;
            ctx.cancel();
            Instant::now()
        };
        let (outcome, asked) = tokio::join!(shell.run(&job, &ctx), asking);
        assert!(asked.elapsed() < Duration::from_millis(500), "{text}: {:?}", asked.elapsed());
        assert_eq!(outcome, JobOutcome::Stopped);
        eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn a_job_that_ends_when_asked_to_can_still_clean_up() {
    let dir = tempfile::tempdir().unwrap();
    let ctx = Watched::new();
    let input = command("trap 'touch cleaned; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    let (shell, job) = (shell().in_directory(dir.path()), job(1, "shell", &input));
    let asking = async {
        eventually("it runs", || (ctx.text_of("stdout") == "up\n").then_some(())).await;
        ctx.cancel();
    };
    let (outcome, ()) = tokio::join!(shell.run(&job, &ctx), asking);
    assert_eq!(outcome, JobOutcome::Stopped);
    assert!(dir.path().join("cleaned").exists());
}

#[tokio::test]
async fn a_job_that_is_dropped_is_killed_with_all_that_it_started() {
    let (ctx, mark) = (Watched::new(), mark("drop"));
    let input = format!(r#"{{"command":{},"env":{{"MARK":"{mark}"}}}}"#, Json::of(CLAN).unwrap());
    let (shell, job) = (shell(), job(1, "shell", &input));
    tokio::select! {
        outcome = shell.run(&job, &ctx) => panic!("{outcome:?}"),
        _ = eventually("the clan is up", || (marked(&mark).len() == CLAN_SIZE).then_some(())) => {}
    }
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_neither_delays_nor_outlives_it() {
    let mark = mark("background");
    let text = "sleep 1000 & setsid sleep 1000 & echo done";
    let input = format!(r#"{{"command":"{text}","env":{{"MARK":"{mark}"}}}}"#);
    assert_eq!(result(&input).await.stdout, "done\n");
    assert_eq!(marked(&mark), [""; 0]);
}

#[tokio::test]
async fn a_job_whose_guard_is_killed_is_a_crash_and_leaves_no_group_behind() {
    let (ctx, mark) = (Watched::new(), mark("guardless"));
    let text = "sleep 1000 & echo up; kill -9 $PPID; wait";
    let input = format!(r#"{{"command":"{text}","env":{{"MARK":"{mark}"}}}}"#);
    let outcome = shell().run(&job(1, "shell", &input), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Failed { category: Category::Crash, .. }), "{outcome:?}");
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn processes_that_could_not_be_killed_are_told_with_the_attempt() {
    // A guard that says so: the system has no process that nobody can kill at hand.
    let dir = tempfile::tempdir().unwrap();
    let guard = dir.path().join("guard");
    let said =
        [r#"{"Started":{"pid":1}}"#, r#"{"Exited":{"Exited":0}}"#, r#"{"Clear":{"survivors":2}}"#];
    let script = format!("#!/bin/sh\nprintf '%s\\n' '{}' >&0\nexec /bin/cat\n", said.join("\n"));
    std::fs::write(&guard, script).unwrap();
    std::fs::set_permissions(&guard, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ctx = Watched::new();
    let shell = Shell::new(Spawner::at(&guard));
    let outcome = shell.run(&job(1, "shell", r#"{"command":"true"}"#), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(ctx.left().survivors, 2);
    assert_eq!(ctx.text_of("error"), "2 processes could not be killed");
}
