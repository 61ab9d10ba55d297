//! This file proves that what is left of a job is known until it is gone, however the job was let go.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_exec::guard::{GuardCommand, Leaks, Leftovers, Running, Said, Spawner};
use support::{eventually, mark, marked, spawner};

fn command(argv: &[&str], env: &[(&str, &str)]) -> GuardCommand {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    GuardCommand {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: env.iter().map(owned).collect(),
        cwd: std::env::temp_dir(),
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: None,
    }
}

/// A guard that is a script: it says something, and ends as it is told.
struct Scripted {
    dir: tempfile::TempDir,
    spawner: Spawner,
}

impl Scripted {
    fn saying(said: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guard = dir.path().join("guard");
        let script =
            format!("#!/bin/sh\n{said}\nread code < {}\nexit $code\n", end(dir.path()).display());
        std::fs::write(&guard, script).unwrap();
        std::fs::set_permissions(&guard, std::fs::Permissions::from_mode(0o755)).unwrap();
        nix::unistd::mkfifo(&end(dir.path()), nix::sys::stat::Mode::S_IRWXU).unwrap();
        Self { spawner: Spawner::at(&guard), dir }
    }

    async fn start(&self) -> Running {
        self.spawner.spawn(&command(&["true"], &[])).await.unwrap()
    }

    fn leaks(&self) -> Leaks {
        self.spawner.leaks()
    }

    fn ends_with(&self, code: u8) {
        std::fs::write(end(self.dir.path()), format!("{code}\n")).unwrap();
    }
}

fn end(dir: &Path) -> PathBuf {
    dir.join("end")
}

/// Says that two processes are left.
const TWO: &str = r#"printf '%s\n' '{"Clear":{"survivors":2}}' >&0"#;

#[tokio::test]
async fn what_could_not_be_ended_counts_until_its_guard_has_proved_that_it_is_gone() {
    let guard = Scripted::saying(TWO);
    let (leaks, mut running) = (guard.leaks(), guard.start().await);
    assert_eq!(running.next().await.unwrap(), Said::Clear { survivors: 2 });
    assert_eq!(leaks.survivors(), 0, "whoever listens to it knows");
    drop(running);
    assert_eq!((leaks.changed(0).await, leaks.survivors()), (2, 2));
    guard.ends_with(0);
    assert_eq!(leaks.changed(2).await, 0);
}

#[tokio::test]
async fn a_guard_that_ends_without_a_proof_leaves_what_it_told_of() {
    let guard = Scripted::saying(TWO);
    let (leaks, mut running) = (guard.leaks(), guard.start().await);
    running.next().await.unwrap();
    drop(running);
    guard.ends_with(1);
    // Another that proves something proves nothing of this one.
    let mut other = guard.start().await;
    other.next().await.unwrap();
    drop(other);
    assert_eq!(eventually("both count", || (leaks.survivors() == 4).then_some(4)).await, 4);
    guard.ends_with(0);
    eventually("one is left", || (leaks.survivors() == 2).then_some(())).await;
}

#[tokio::test]
async fn a_job_that_was_let_go_counts_once_its_guard_takes_longer_than_it_may() {
    let guard = Scripted::saying("");
    let (leaks, running) = (guard.leaks(), guard.start().await);
    drop(running);
    assert_eq!(leaks.survivors(), 0);
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(5900)).await;
    assert_eq!(leaks.survivors(), 0);
    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(leaks.survivors(), 1);
    tokio::time::resume();
    guard.ends_with(0);
    eventually("it is gone", || (leaks.survivors() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_job_that_ends_in_time_when_it_is_let_go_is_no_leak() {
    let (spawner, mark) = (spawner(), mark("let-go"));
    let job = command(&["/bin/sleep", "1000"], &[("MARK", &mark)]);
    let mut running = spawner.spawn(&job).await.unwrap();
    while !matches!(running.next().await.unwrap(), Said::Started { .. }) {}
    drop(running);
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
    let told = std::sync::Mutex::new(Vec::new());
    let ended = async {
        eventually("it is over", || (spawner.leaks().survivors() == 0).then_some(())).await
    };
    spawner.leaks().during(ended, async |left| told.lock().unwrap().push(left)).await;
    assert_eq!(told.into_inner().unwrap(), [0; 0]);
}
