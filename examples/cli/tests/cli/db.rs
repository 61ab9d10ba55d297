//! This file backs up, restores, damages and saves the data of real hubs.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Process, Up, agentcom, eventually, json, printed, run};

const LATEST: [&str; 4] = ["db", "restore", "--latest", "--data"];

fn stopped(mut up: Up) {
    up.process.signal(Signal::SIGTERM);
    assert_eq!(up.process.ended(), Some(0));
}

fn submit(dir: &Path, name: &str) -> String {
    let task = json(dir, &["submit", "--shell", &format!("echo {name}"), "--wait"]);
    task["id"].as_str().unwrap().to_owned()
}

fn backups(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("agentcom-data/backups")).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn incarnation(dir: &Path) -> String {
    json(dir, &["stats"])["incarnation"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_of_a_running_hub_brings_back_all_that_was_acknowledged_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &[]);
    eventually("the first backup is made", || backups(dir).len() == 1);
    let before = submit(dir, "before");
    let life = incarnation(dir);
    let made = json(dir, &["db", "backup"]);
    assert!(made["rows"].as_u64().unwrap() > 0);
    let after = submit(dir, "after");
    let in_use = run(dir, &[&LATEST[..], &["agentcom-data"]].concat(), 74);
    assert_eq!(in_use, "");
    stopped(up);

    run(dir, &["db", "restore", made["path"].as_str().unwrap()], 74);
    let restored = json(dir, &["db", "restore", "--latest"]);
    let name =
        |path: &serde_json::Value| Path::new(path.as_str().unwrap()).file_name().map(Into::into);
    let (from, newest): (Option<PathBuf>, _) = (name(&restored["from"]), name(&made["path"]));
    assert_eq!(from, newest);
    assert!(dir.join(restored["kept"].as_str().unwrap()).exists());
    let _up = Up::start(dir, &[]);
    assert_eq!(json(dir, &["task", &before])["id"], before.as_str());
    run(dir, &["task", &after], 5);
    assert_ne!(incarnation(dir), life);
    assert_ne!(submit(dir, "another"), after);
}

#[test]
fn a_hub_does_not_start_on_damaged_data_until_it_is_told_to_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &[]);
    let task = submit(dir, "kept");
    json(dir, &["db", "backup"]);
    stopped(up);
    let file = dir.join("agentcom-data/hub.redb");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();

    run(dir, &["db", "verify"], 74);
    let output = agentcom(dir, &["up", "--listen", "127.0.0.1:0"]).output().unwrap();
    printed(&output, 74);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("damaged") && said.contains("--restore-latest"), "{said}");
    assert_eq!(fs::read(&file).unwrap().len(), good.len() / 2, "it is left as it is");

    let up = Up::start(dir, &["--restore-latest"]);
    assert_eq!(json(dir, &["task", &task])["id"], task.as_str());
    stopped(up);

    fs::remove_file(&file).unwrap();
    let output = agentcom(dir, &["up", "--listen", "127.0.0.1:0"]).output().unwrap();
    printed(&output, 74);
    assert!(!file.exists(), "data that is gone is not taken for data that never was");
}

#[test]
fn what_is_not_damaged_is_saved_and_a_hub_goes_on_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &[]);
    let task = submit(dir, "saved");
    stopped(up);
    let file = dir.join("agentcom-data/hub.redb");
    let mut bytes = fs::read(&file).unwrap();
    // The header of the database behind the log, without which the file cannot be opened.
    let log = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let database = 4 * 4096 + usize::try_from(log).unwrap();
    bytes[database..database + 9].fill(0);
    fs::write(&file, &bytes).unwrap();
    run(dir, &["db", "verify"], 74);
    let saved = json(dir, &["db", "salvage", "--to", "saved/hub.redb"]);
    assert!(saved["rows"].as_u64().unwrap() > 5, "{saved}");
    assert_eq!(saved["lost"], serde_json::json!([]));
    assert_eq!(fs::read(&file).unwrap(), bytes, "the damaged file is only read");
    run(dir, &["db", "salvage", "--to", "saved/hub.redb"], 74);

    fs::copy(dir.join("agentcom-data/admin.token"), dir.join("saved/admin.token")).unwrap();
    let _up = Up::start(dir, &["--data", "saved"]);
    assert_eq!(json(dir, &["task", &task])["id"], task.as_str());
}

#[test]
fn the_data_of_a_stopped_hub_is_checked_compacted_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, &["db", "verify"], 74);
    run(dir, &["db", "compact"], 74);
    assert!(!dir.join("agentcom-data").exists(), "nothing is made that was not there");
    let up = Up::start(dir, &[]);
    submit(dir, "x");
    stopped(up);
    let rows = json(dir, &["db", "verify"])["rows"].clone();
    json(dir, &["db", "compact"]);
    let copied = json(dir, &["db", "backup", "copy.redb"]);
    assert_eq!(copied["rows"], rows);
    assert_eq!(json(dir, &["db", "verify", "copy.redb"])["rows"], rows);
    run(dir, &["db", "backup", "copy.redb"], 74);
    let made = json(dir, &["db", "backup"]);
    assert_eq!(made["rows"], rows);
}

#[test]
fn a_second_interrupt_ends_what_does_not_hear_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Nobody ever writes to it, so whoever reads it waits.
    mkfifo(&dir.join("stuck"), Mode::S_IRWXU).unwrap();
    let line = ["db", "salvage", "stuck", "--to", "saved.redb"];
    let mut process = Process(agentcom(dir, &line).spawn().unwrap());
    let open = PathBuf::from(format!("/proc/{}/fd", process.0.id()));
    eventually("it reads", || {
        let files = fs::read_dir(&open).into_iter().flatten().flatten();
        let leads = |file: fs::DirEntry| fs::read_link(file.path()).unwrap_or_default();
        files.map(leads).filter(|file| file.ends_with("stuck")).count() == 2
    });
    let mut code = None;
    eventually("it ends", || {
        process.signal(Signal::SIGINT);
        code = process.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(130));
}
