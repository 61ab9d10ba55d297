//! This file looks after data as a newcomer does: in the wrong place, without room, interrupted.

use std::fs;
use std::path::Path;
use std::process::Output;

use agentcom_tests::real::disk::SmallDisk;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Up, agentcom, eventually, json, printed, run};

/// A stopped hub with some megabytes of tasks, in the directory that is the default.
fn data(dir: &Path) {
    let mut up = Up::start(dir, &["--agents", "0"]);
    let task = serde_json::json!({ "shell": "true", "description": "x".repeat(2_000) });
    fs::write(dir.join("tasks.json"), serde_json::Value::from(vec![task; 400]).to_string())
        .unwrap();
    for _ in 0..5 {
        run(dir, &["batch", "tasks.json"], 0);
    }
    up.process.signal(Signal::SIGTERM);
    assert_eq!(up.process.ended(), Some(0));
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_disk_without_room_is_named_and_nothing_is_left_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    data(dir);
    let Some(_disk) = SmallDisk::mount(&dir.join("small"), "size=2m") else { return };
    for line in [
        &["db", "backup", "small/b.redb"][..],
        &["db", "salvage", "--to", "small/b.redb"],
        &["db", "restore", "agentcom-data/hub.redb", "--data", "small"],
    ] {
        let output = agentcom(dir, line).output().unwrap();
        printed(&output, 74);
        let said = said(&output);
        assert!(said.contains("small/") && said.contains("there is no room left"), "{said}");
        assert_eq!(names(&dir.join("small")), Vec::<String>::new(), "{line:?}");
    }
    run(dir, &["db", "verify"], 0);
}

#[test]
fn a_backup_that_is_told_to_stop_is_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    data(dir);
    let out = dir.join("out");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        fs::create_dir(&out).unwrap();
        let mut backup = agentcom(dir, &["db", "backup", "out/b.redb"]).spawn().unwrap();
        eventually("the backup is at work", || !names(&out).is_empty());
        kill(Pid::from_raw(backup.id().try_into().unwrap()), signal).unwrap();
        let ended = backup.wait().unwrap().code();
        match ended {
            Some(130) => assert_eq!(names(&out), Vec::<String>::new()),
            // It was faster.
            Some(0) => {
                assert_eq!(names(&out), ["b.redb"]);
                run(dir, &["db", "verify", "out/b.redb"], 0);
            }
            other => panic!("{signal}: {other:?}"),
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn who_goes_wrong_is_told_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let told = |line: &[&str], code: i32, hint: &str| {
        let output = agentcom(dir, line).output().unwrap();
        let told = printed(&output, code) + &said(&output);
        assert!(told.contains(hint), "{line:?}: {told}");
    };
    let mut up = Up::start(dir, &[]);
    told(&["db", "backup", "b.redb"], 74, "without a file has the running hub make one");
    let made = json(dir, &["db", "backup"]);
    up.process.signal(Signal::SIGTERM);
    assert_eq!(up.process.ended(), Some(0));

    let made = made["path"].as_str().unwrap();
    told(&["db", "restore", made, "--data", "other"], 0, "admin token of that hub to other/");
    told(&["up", "--data", "other", "--listen", "127.0.0.1:0"], 74, "admin.token: it is missing");
    told(&["db", "verify"], 0, "default   meta ");
    fs::write(dir.join("letter"), "Dear hub, ".repeat(1_000)).unwrap();
    told(&["db", "salvage", "letter", "--to", "s.redb"], 74, "letter: nothing can be saved of it");
    told(&["db", "restore", "letter", "--data", "third"], 74, "letter: the file is no store");
    assert!(!dir.join("s.redb").exists() && !dir.join("third/hub.redb").exists());
}
