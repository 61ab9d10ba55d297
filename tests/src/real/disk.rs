//! This file fills the disk under a real hub, makes room again, and asks what was lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::process::{Program, Swept, Up};
use crate::proof::{Outcome, say};

/// How large the disk is at first, and when there is room again.
const SMALL: &str = "size=6m";
const LARGE: &str = "size=256m";
/// Tasks in a batch, and bytes in the description of each.
const BATCH: usize = 50;
const BYTES: usize = 2_000;
/// Far more batches than fit.
const BATCHES_MAX: usize = 1_000;

/// A file system in memory that goes with its owner.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one on a fresh directory, with options such as `size=2m`. `None` if this system does
    /// not let us have one.
    #[must_use]
    pub fn mount(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir(at).ok()?;
        mount(&["-t", "tmpfs", "-o", options, "agentcom-test"], at).then(|| Self(at.to_owned()))
    }

    fn make_room(&self) {
        assert!(mount(&["-o", &format!("remount,{LARGE}")], &self.0), "the disk can grow");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted is seen by whoever removes the directory.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(line: &[&str], at: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(line).arg(at).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Submits until the disk is full. The hub has to stop with exit code 74 and say what to do; with
/// room on the disk it starts again, and everything that it acknowledged is there. `None` if this
/// system does not let us have a small disk.
///
/// # Panics
///
/// If the hub does not stop, or does not start again.
#[must_use]
pub fn full(program: &Program) -> Option<Outcome> {
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let dir = swept.0.path();
    let Some(disk) = SmallDisk::mount(&dir.join("disk"), SMALL) else {
        say("skipped: mounting a small file system needs root and leave to mount");
        return None;
    };
    let data = ["--agents", "0", "--data", "disk/data"];
    let mut up = Up::start(program, dir, &data);
    let api = up.api(dir);
    let mut acknowledged = Vec::new();
    let mut batches = (0..BATCHES_MAX).map(|batch| {
        let task = |number| {
            json!({
                "shell": "true", "description": "x".repeat(BYTES),
                "idempotency_key": format!("{batch}-{number}"),
            })
        };
        (0..BATCH).map(task).collect::<Vec<Value>>()
    });
    while let Some(ids) = batches.next().and_then(|batch| api.submit(&batch)) {
        acknowledged.extend(ids);
    }
    assert!(!acknowledged.is_empty(), "something fitted");
    assert!(acknowledged.len() < BATCH * BATCHES_MAX, "the disk is never full");
    let code = up.process.ended();
    let said = std::fs::read_to_string(dir.join("up.log")).unwrap_or_default();
    let mut found = Vec::new();
    if code != Some(74) || !said.contains("look at the disk") {
        found.push(format!("a hub without room ends with {code:?} and says: {said}"));
    }
    disk.make_room();
    let up = Up::start(program, dir, &data);
    let api = up.api(dir);
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|id| !matches!(api.ask("GET", &format!("/api/tasks/{id}"), None), Ok((200, _))))
        .collect();
    found.extend(lost.iter().map(|id| format!("{id} is lost though there is room again")));
    if api.submit(&[json!({ "shell": "true" })]).is_none() {
        found.push("a hub that has room again takes no task".into());
    }
    drop(up);
    let figures = json!({
        "disk_full_tasks_acknowledged": acknowledged.len(),
        "disk_full_tasks_lost": lost.len(),
        "disk_full_exit_code": code,
    });
    Some(Outcome::new(figures, found))
}
