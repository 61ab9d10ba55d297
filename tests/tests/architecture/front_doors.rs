//! This file holds what newcomers and machines are told to run to one and the same words.

use std::fs;
use std::path::{Path, PathBuf};

use crate::hold;
use crate::source::root;

const TEST_COMMAND: &str = "cargo test --workspace";

#[test]
fn the_gate_runs_the_test_command_of_the_readme_first() {
    let read =
        |path: &str| fs::read_to_string(root().join(path)).expect("front doors are readable");
    assert!(read("README.md").lines().any(|line| line.trim() == TEST_COMMAND));
    let gate = read(".ci/run");
    let mut cargo = gate.lines().filter(|line| line.starts_with("cargo "));
    assert_eq!(cargo.next(), Some(TEST_COMMAND));
    assert_eq!(cargo.next(), Some("cargo xtask verify --skip tests"));
    assert_eq!(cargo.next(), None);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = Vec::new();
    for folder in ["", "docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).expect("folders of documents are readable");
        let paths = entries.map(|entry| entry.expect("entries are readable").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    assert!(documents.len() >= 7, "documents are found: {documents:?}");
    let broken: Vec<_> = documents.iter().flat_map(broken_links).collect();
    hold("a relative link in a document leads to a file or folder", &broken);
}

fn broken_links(document: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(document).expect("documents are UTF-8");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = links.filter_map(|link| link.split('#').next()).filter(|file| {
        !file.is_empty() && !file.contains("://") && !file.contains(char::is_whitespace)
    });
    let folder = document.parent().unwrap_or(Path::new(""));
    files
        .filter(|file| !folder.join(file).exists())
        .map(|file| format!("{}: {file}", document.display()))
        .collect()
}
