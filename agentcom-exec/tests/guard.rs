//! This file proves that nothing of a job outlives the process that owns its guard.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use agentcom_exec::guard::{GuardCommand, How, Leftovers, Said};
use support::{CLAN, CLAN_SIZE, eventually, mark, marked, spawner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

#[tokio::test]
async fn a_command_can_be_spoken_with_and_ends_with_its_input() {
    let mut command = GuardCommand {
        argv: ["sh", "-c", "echo mind >&2; while read line; do echo $line $line; done; exit 4"]
            .map(str::to_owned)
            .into(),
        env: [("PATH".to_owned(), "/bin:/usr/bin".to_owned())].into(),
        cwd: ".".into(),
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: None,
    };
    let (mut running, mut socket, mut errors) =
        spawner().spawn_to_speak_with(&command).await.unwrap();
    let mut heard = [0; 6];
    for line in ["ab\n", "cd\n"] {
        socket.write_all(line.as_bytes()).await.unwrap();
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, format!("{0} {0}\n", line.trim()).as_bytes());
    }
    socket.shutdown().await.unwrap();
    let mut said = String::new();
    errors.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "mind\n");
    assert!(matches!(running.next().await.unwrap(), Said::Started { .. }));
    assert_eq!(running.next().await.unwrap(), Said::Exited(How::Exited(4)));
    command.stdin = Some(String::new());
    let refused = spawner().spawn_to_speak_with(&command).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
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
