//! This file tests file tools on what is odd: names, depths, sizes, numbers, and files that change meanwhile.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicBool, Ordering};

use agentcom_exec::tool::ToolErrorKind;
use serde_json::json;

use crate::Desk;

#[tokio::test]
async fn names_of_any_bytes_are_told_and_those_that_are_text_can_be_used() {
    let desk = Desk::new();
    let names: [&[u8]; 4] = [b"a\nb", b"\x1b[31mred", b"\xff\xfe", b" "];
    for name in names {
        fs::write(desk.at("src").join(OsStr::from_bytes(name)), "needle").unwrap();
    }
    let told = desk.call("list_directory", json!({ "path": "src" })).await.unwrap();
    let entries = told["entries"].as_array().unwrap();
    let listed: Vec<&str> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["src/\u{1b}[31mred", "src/ ", "src/a\nb", "src/\u{fffd}\u{fffd}"]);
    for name in &listed[..3] {
        let read = desk.call("read_file", json!({ "path": name })).await.unwrap();
        assert_eq!(read["content"], "needle", "{name:?}");
        let write = json!({ "path": name, "content": "needle" });
        assert_eq!(desk.call("write_file", write).await.unwrap()["created"], false, "{name:?}");
    }
    // Its name is shown, and is not the one that it has.
    let lost = desk.refused("read_file", json!({ "path": listed[3] })).await;
    assert_eq!(lost, ToolErrorKind::NotFound);
    let found = desk.call("search_files", json!({ "pattern": "needle" })).await.unwrap();
    assert_eq!(found["files_searched"], 4);
    for name in ["a\0b", &"x".repeat(300)] {
        assert!(desk.call("write_file", json!({ "path": name, "content": "" })).await.is_err());
        assert!(desk.call("read_file", json!({ "path": name })).await.is_err());
    }
}

#[tokio::test]
async fn folders_are_deep_only_as_far_as_tools_go_and_paths_of_any_length_end_in_an_answer() {
    let desk = Desk::new();
    let deep = |depth: usize| "d/".repeat(depth);
    for depth in [24, 200, 2_040, 100_000] {
        let path = deep(depth) + "file";
        let written = desk.call("write_file", json!({ "path": path, "content": "deep" })).await;
        let read = desk.call("read_file", json!({ "path": path })).await;
        assert_eq!((written.is_ok(), read.is_ok()), (depth <= 200, depth <= 200), "{depth}");
    }
    let recursive = json!({ "path": ".", "recursive": true });
    let told = desk.call("list_directory", recursive).await.unwrap();
    assert_eq!(told["truncated"], true);
    assert_eq!(told["entries"].as_array().unwrap().last().unwrap()["name"], "src");
    let found = desk.call("search_files", json!({ "pattern": "deep" })).await.unwrap();
    assert_eq!((&found["matches"], &found["truncated"]), (&json!([]), &true.into()));
    let here = json!({ "pattern": "deep", "path": deep(190) });
    let found = desk.call("search_files", here).await.unwrap();
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_folder_of_more_than_can_be_looked_at_is_told_in_part() {
    let desk = Desk::new();
    fs::write(desk.at(".gitignore"), "*.log\n").unwrap();
    let first = desk.at("src/0.log");
    fs::write(&first, "").unwrap();
    for number in 1..=50_000 {
        fs::hard_link(&first, desk.at(&format!("src/{number}.log"))).unwrap();
    }
    // Whoever makes so many must not have all of them read into memory, ignored or not.
    let told = desk.call("list_directory", json!({ "path": "src" })).await.unwrap();
    assert_eq!((&told["entries"], &told["truncated"]), (&json!([]), &true.into()));
    let found = desk.call("search_files", json!({ "pattern": "x", "path": "src" })).await.unwrap();
    assert_eq!((&found["files_searched"], &found["truncated"]), (&0.into(), &true.into()));
}

#[tokio::test]
async fn patterns_that_would_be_large_are_refused() {
    let desk = Desk::new();
    fs::write(desk.at("file"), "").unwrap();
    let long = "?".repeat(400_000);
    let nested = "{a,b}".repeat(2_000);
    for pattern in [&long, &nested] {
        let list = json!({ "path": ".", "pattern": pattern });
        assert_eq!(desk.refused("list_directory", list).await, ToolErrorKind::BadInput);
        let search = json!({ "pattern": "x", "file_pattern": pattern });
        assert_eq!(desk.refused("search_files", search).await, ToolErrorKind::BadInput);
    }
}

#[tokio::test]
async fn files_with_holes_are_as_large_as_they_say_and_take_what_they_hold() {
    let desk = Desk::new();
    let sparse = |name: &str, bytes: u64, text: &str| {
        fs::write(desk.at(name), text).unwrap();
        fs::File::options().write(true).open(desk.at(name)).unwrap().set_len(bytes).unwrap();
    };
    sparse("empty", 9 << 20, "");
    sparse("endless", 1 << 40, "needle\n");
    sparse("late", 1 << 20, &"needle\n".repeat(2_000));
    let refused = async |name: &str| desk.refused("read_file", json!({ "path": name })).await;
    assert_eq!(refused("empty").await, ToolErrorKind::Binary);
    assert_eq!(refused("endless").await, ToolErrorKind::TooLarge);
    let last = json!({ "path": "late", "start_line": 2_000, "end_line": 2_000 });
    assert_eq!(desk.call("read_file", last).await.unwrap()["content"], "needle\n");
    let found = desk.call("search_files", json!({ "pattern": "^needle$" })).await.unwrap();
    assert_eq!(found["files_searched"], 1);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_read_in_bounds() {
    let desk = Desk::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for name in [".gitignore", "src/.gitignore", "grows"] {
        fs::write(desk.at(name), "x\n").unwrap();
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for name in [".gitignore", "src/.gitignore", "grows"] {
            let path = desk.at(name);
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut file = fs::File::create(&path).unwrap();
                    for _ in 0..200 {
                        file.write_all(&[b'x'; 100_000]).unwrap();
                    }
                }
            });
        }
        for _ in 0..20 {
            runtime.block_on(async {
                for (tool, input) in [
                    ("read_file", json!({ "path": "grows" })),
                    ("list_directory", json!({ "path": "src" })),
                    ("search_files", json!({ "pattern": "x" })),
                ] {
                    if let Ok(told) = desk.call(tool, input).await {
                        assert!(told.to_string().len() < 100_000, "{tool}");
                    }
                }
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[tokio::test]
async fn a_file_that_is_written_anew_lends_nobody_the_rights_of_its_owner() {
    let desk = Desk::new();
    let file = desk.at("script");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).unwrap();
    let write = json!({ "path": "script", "content": "#!/bin/sh\nid" });
    desk.call("write_file", write).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn what_root_writes_belongs_to_whom_the_workspace_belongs() {
    if !nix::unistd::getuid().is_root() {
        return;
    }
    const OTHER: u32 = 65_534;
    let desk = Desk::new();
    for path in ["", "src"] {
        std::os::unix::fs::chown(desk.at(path), Some(OTHER), Some(OTHER)).unwrap();
    }
    for path in ["file", "src/a/b/file", "file"] {
        desk.call("write_file", json!({ "path": path, "content": path })).await.unwrap();
    }
    for path in ["file", "src/a", "src/a/b", "src/a/b/file"] {
        let metadata = fs::metadata(desk.at(path)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (OTHER, OTHER), "{path}");
    }
}
