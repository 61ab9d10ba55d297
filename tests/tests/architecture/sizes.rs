//! This file holds how large things may be, so that each fits a reader's head.

use std::fs;

use crate::hold;
use crate::source::{behind_braces, root, sources, words};

const FILE_LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 150;
const PORT_METHODS_MAX: usize = 5;

#[test]
fn files_are_short() {
    let broken: Vec<_> = sources()
        .iter()
        .map(|source| (source, source.text.lines().count(), lines_max(&source.path)))
        .filter(|(_, lines, max)| lines > max)
        .map(|(source, lines, max)| format!("{}: {lines} lines, at most {max}", source.path))
        .collect();
    hold("a file is short; its tests move to `x/tests.rs` first", &broken);
}

fn lines_max(path: &str) -> usize {
    if path.ends_with("src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX }
}

#[test]
fn every_file_says_first_what_it_is() {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}:1", source.path))
        .collect();
    hold("the first line of a file is one `//!` sentence about it", &broken);
}

/// Clippy counts the lines of functions; this holds it to doing so everywhere.
#[test]
fn clippy_counts_the_lines_of_every_function() {
    let mut broken = Vec::new();
    for (file, line) in [
        ("clippy.toml", "too-many-lines-threshold = 70"),
        ("Cargo.toml", "too_many_lines = \"warn\""),
    ] {
        let text = fs::read_to_string(root().join(file)).expect("configuration is readable");
        if !text.lines().any(|found| found == line) {
            broken.push(format!("{file}: `{line}` is missing"));
        }
    }
    for source in sources() {
        let excused = words(&source.code, "clippy::too_many_lines");
        broken.extend(excused.map(|at| source.place(at)));
    }
    hold("a function has at most 70 lines, without exception", &broken);
}

#[test]
fn ports_are_narrow() {
    let mut ports = 0;
    let mut broken = Vec::new();
    for source in
        sources().iter().filter(|source| source.path.starts_with("agentcom-core/src/port/"))
    {
        for at in words(&source.code, "pub trait") {
            let methods = words(&source.code[at..behind_braces(&source.code, at)], "fn").count();
            ports += 1;
            if methods > PORT_METHODS_MAX {
                broken.push(format!("{}: {methods} methods", source.place(at)));
            }
        }
    }
    assert!(ports >= 4, "the ports are where they are looked for");
    hold("a port has at most five methods", &broken);
}
