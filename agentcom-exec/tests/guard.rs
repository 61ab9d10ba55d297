//! This file proves that nothing of a job outlives the process that owns its guard.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use agentcom_exec::guard::{GuardCommand, How, Leftovers, Said, Talk};
use agentcom_exec::sandbox::{Cell, Level, Sandbox};
use support::{CLAN, CLAN_SIZE, eventually, level_here, mark, marked, spawner};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};

/// A process that owns a guard with a job, as a sidecar does.
fn owner(mark: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_agentcom-guard"))
        .args(["sh", "-c", CLAN])
        .env("MARK", mark)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_killed_owner_leaves_no_survivor() {
    let mark = mark("owner");
    let mut owner = owner(&mark);
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    eventually("the clan and its owner are up", || {
        (marked(&mark).len() == CLAN_SIZE + 1).then_some(())
    })
    .await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

#[test]
fn the_command_passes_exit_codes_and_output_on() {
    let run = |script: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_agentcom-guard"))
            .args(["sh", "-c", script])
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run("echo hello; exit 7"), (7, "hello\n".to_owned()));
    assert_eq!(run("kill -9 $$"), (137, String::new()));
}

#[test]
fn what_is_left_open_for_the_sidecar_is_not_handed_on() {
    let guard = env!("CARGO_BIN_EXE_agentcom-guard");
    let inner = "set -- /proc/$$/fd/*; echo $#";
    let script = format!("exec 8</dev/null; exec 9<&8; exec {guard} sh -c '{inner}'");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    // Standard input, output and error, and the folder that is listed.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4\n");
}

/// Has a command talk, in a sandbox of some level or in none; what it says, and whether it ends when
/// it hears no more.
async fn talk(level: Option<Level>) -> (String, How) {
    let dir = tempfile::tempdir().unwrap();
    let cell = level.map(|level| Sandbox::new(level).around(dir.path()).unwrap());
    let script =
        "read word; echo \"heard $word\"; read word; echo \"heard $word\"; read word || exit 7";
    let command = GuardCommand {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        cwd: dir.path().canonicalize().unwrap(),
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: cell.as_ref().map(Cell::policy),
    };
    let Talk { mut running, socket, err: _ } = spawner().spawn_talk(&command).await.unwrap();
    let (reading, mut writing) = tokio::io::split(socket);
    let mut lines = tokio::io::BufReader::new(reading).lines();
    let mut said = String::new();
    for word in ["one", "two"] {
        writing.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        said += &lines.next_line().await.unwrap().unwrap();
    }
    writing.shutdown().await.unwrap();
    loop {
        if let Said::Exited(how) = running.next().await.unwrap() {
            return (said, how);
        }
    }
}

#[tokio::test]
async fn a_job_can_be_talked_with_in_every_sandbox_and_hears_the_end() {
    let proved = level_here();
    let levels = [None, Some(Level::L2), Some(Level::L3)];
    for level in levels.into_iter().filter(|level| level.is_none_or(|level| level <= proved)) {
        let said = talk(level).await;
        assert_eq!(said, ("heard oneheard two".to_owned(), How::Exited(7)), "{level:?}");
    }
}

#[test]
fn a_guard_without_an_order_ends() {
    let guard = Command::new(env!("CARGO_BIN_EXE_agentcom-guard"))
        .arg("__guard")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(!guard.success());
    let usage =
        Command::new(env!("CARGO_BIN_EXE_agentcom-guard")).args(["__guard", "x"]).status().unwrap();
    assert_eq!(usage.code(), Some(64));
}
