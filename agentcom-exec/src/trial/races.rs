//! This file leads file tools out of their workspace, or tries to: it changes what a path means while they look.
//! A tool that looks first and opens then is the control, which is led out.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::Alone;
use crate::tool::{Toolbox, Workspace};

/// So often is tried at most to lead out what looks first.
const TRIES_MAX: u64 = 5_000_000;

/// How many tools are called so often.
pub const TOOLS: u64 = 5;

/// What came of a race.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raced {
    /// How many calls the tools were given.
    pub calls: u64,
    /// How many of them did what they were asked, since they found what was inside.
    pub done: u64,
    /// How many reached what is outside.
    pub escapes: u64,
}

/// Calls each file tool `calls` times, in a folder that is exchanged for a link and back all the while.
///
/// # Errors
///
/// If there is no place for it.
pub fn race(calls: u64) -> io::Result<Raced> {
    let desk = Desk::new()?;
    let folder = (desk.at("folder"), desk.at("away"));
    let file = (desk.at("file"), desk.at("astray"));
    let read = |path: &str| ("read_file", json!({ "path": path }));
    let tools: [Rival<'_>; TOOLS as usize] = [
        (&folder, &|_| read("folder/secret")),
        (&file, &|_| read("file")),
        (&folder, &|_| ("list_directory", json!({ "path": "folder" }))),
        (&folder, &|_| ("search_files", json!({ "pattern": "outside", "path": "folder" }))),
        (&folder, &|number| {
            let path = format!("folder/{}", number % 9);
            ("write_file", json!({ "path": path, "content": "new" }))
        }),
    ];
    let mut raced = Raced::default();
    for (places, call) in tools {
        exchanging((&places.0, &places.1), || {
            for number in 0..calls {
                let (name, input) = call(number);
                raced.calls += 1;
                if let Some(told) = desk.call(name, input) {
                    raced.done += 1;
                    raced.escapes += u64::from(told.contains(OUTSIDE));
                }
            }
        })?;
    }
    let outside = fs::read_dir(desk.dir.path().join("outside"))?.count();
    raced.escapes += outside.abs_diff(DECOYS) as u64;
    Ok(raced)
}

/// The two paths that change places, and how a tool is called meanwhile.
type Rival<'a> = (&'a (PathBuf, PathBuf), &'a dyn Fn(u64) -> (&'static str, Value));

/// How often a control that looks first and opens then had to try until it was led out; nothing if it never was.
///
/// # Errors
///
/// If there is no place for it.
pub fn race_naively() -> io::Result<Option<u64>> {
    let desk = Desk::new()?;
    let inside = fs::canonicalize(desk.at("."))?;
    let path = desk.at("folder/secret");
    let is_led_out = |_: &u64| {
        let seen = fs::canonicalize(&path).is_ok_and(|path| path.starts_with(&inside));
        seen && fs::read_to_string(&path).is_ok_and(|text| text == OUTSIDE)
    };
    exchanging((&desk.at("folder"), &desk.at("away")), || (1..=TRIES_MAX).find(is_led_out))
}

/// What the file outside says, and is called beside [`SECRET`]. It is in no file inside.
const OUTSIDE: &str = "outside-of-it";

const SECRET: &str = "secret";

/// How many files there are outside.
const DECOYS: usize = 2;

/// A workspace with a folder and a file, each beside a link that leads outside, to what is called alike.
struct Desk {
    dir: tempfile::TempDir,
    tools: Toolbox,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new() -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = |path: &str| dir.path().join(path);
        for folder in ["work", "work/folder", "outside"] {
            fs::create_dir(at(folder))?;
        }
        fs::write(at("work/folder").join(SECRET), "inside")?;
        fs::write(at("work/file"), "inside")?;
        fs::write(at("outside").join(SECRET), OUTSIDE)?;
        fs::write(at("outside").join(OUTSIDE), OUTSIDE)?;
        symlink("../outside", at("work/away"))?;
        symlink("../outside/secret", at("work/astray"))?;
        let tools = Toolbox::of_files(&Arc::new(Workspace::open(at("work"))?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { dir, tools, runtime })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("work").join(path)
    }

    /// What a model is told, or nothing if it is refused.
    fn call(&self, name: &str, input: Value) -> Option<String> {
        let told = self.runtime.block_on(self.tools.call(name, input, &Alone));
        told.ok().map(|told| told.to_string())
    }
}

/// Lets what two paths mean change places for as long as `during` runs.
fn exchanging<T>((one, other): (&Path, &Path), during: impl FnOnce() -> T) -> io::Result<T> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let exchanging = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
            }
            Ok(())
        });
        let done = during();
        is_over.store(true, Ordering::Relaxed);
        exchanging.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        Ok(done)
    })
}
