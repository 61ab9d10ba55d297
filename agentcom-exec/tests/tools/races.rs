//! This file tests that no tool is led out of the workspace by whoever changes what a path means while it is
//! looked at; a tool that looks first and opens then is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use agentcom_exec::tool::Toolbox;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::Desk;
use crate::support::Watched;

/// How often each tool is called. What looks first was led out once in twenty times.
const CALLS: usize = 4_000;

/// So often is tried at most to lead out what looks first.
const TRIES_MAX: usize = 5_000_000;

/// Lets what two paths mean change places for as long as `during` runs.
fn exchanging<T>((one, other): (&Path, &Path), during: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let done = during();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// A workspace with a folder and a file, each beside a link that leads outside, to what is called alike.
fn desk() -> (Desk, [PathBuf; 4]) {
    let desk = Desk::new();
    let [folder, file] = ["folder", "file"].map(|name| desk.at(name));
    let [away, astray] = ["away", "astray"].map(|name| desk.at(name));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("secret"), "inside").unwrap();
    fs::write(&file, "inside").unwrap();
    std::os::unix::fs::symlink("../outside", &away).unwrap();
    std::os::unix::fs::symlink("../outside/secret", &astray).unwrap();
    (desk, [folder, away, file, astray])
}

/// What a model is shown of a file, or nothing if it is refused.
async fn read(tools: &Toolbox, path: &str) -> Option<String> {
    let shown = tools.call("read_file", json!({ "path": path }), &Watched::new()).await;
    shown.ok().map(|shown| shown.to_string())
}

#[test]
fn no_tool_is_led_out_by_what_changes_while_it_looks() {
    let (desk, [folder, away, file, astray]) = desk();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut shown = 0;
    for (path, places) in [("folder/secret", (&folder, &away)), ("file", (&file, &astray))] {
        exchanging((places.0, places.1), || {
            for _ in 0..CALLS {
                if let Some(text) = runtime.block_on(read(&desk.tools, path)) {
                    assert!(text.contains("inside") && !text.contains("\"secret\""), "{text}");
                    shown += 1;
                }
            }
        });
    }
    assert!(shown > 0, "it is not refused always");
    exchanging((&folder, &away), || {
        for number in 0..CALLS {
            let input = json!({ "path": format!("folder/{}", number % 9), "content": "new" });
            // Some are refused.
            let _ = runtime.block_on(desk.tools.call("write_file", input, &Watched::new()));
        }
    });
    let outside = fs::read_dir(desk.dir.path().join("outside")).unwrap();
    let outside: Vec<_> = outside.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["secret"]);
}

#[test]
fn what_looks_first_and_opens_then_is_led_out() {
    let (desk, [folder, away, ..]) = desk();
    let inside = fs::canonicalize(desk.at("")).unwrap();
    let path = desk.at("folder/secret");
    let is_led_out = || {
        let seen = fs::canonicalize(&path).is_ok_and(|path| path.starts_with(&inside));
        seen && fs::read_to_string(&path).is_ok_and(|text| text == "secret")
    };
    let led_out = exchanging((&folder, &away), || (0..TRIES_MAX).any(|_| is_led_out()));
    assert!(led_out, "the other test would show nothing");
}
