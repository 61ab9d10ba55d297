//! This file holds small habits that no lint of the compiler holds.

use std::fs;

use crate::hold;
use crate::source::{root, sources, words};

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut broken = mentions(&["#[allow", "#![allow"]);
    broken.retain(|place| !place.contains("/tests/support/") && !place.contains("/tests/common/"));
    hold("a lint is excused by `#[expect(lint, reason = \"..\")]`", &broken);
}

#[test]
fn no_test_is_ignored_or_meant_to_panic() {
    hold("a test runs, and says what it proves", &mentions(&["#[ignore", "#[should_panic"]));
}

#[test]
fn names_say_what_things_are() {
    let vague = ["Manager", "Helper", "Util", "Utils"];
    let mut broken = Vec::new();
    for source in sources() {
        for keyword in ["struct", "enum", "trait"] {
            for at in words(&source.code, keyword) {
                let rest = source.code[at + keyword.len()..].trim_start();
                let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                if vague.iter().any(|word| rest[..end].ends_with(word)) {
                    broken.push(format!("{}: {}", source.place(at), &rest[..end]));
                }
            }
        }
    }
    hold("no Manager, Helper or Util: a name says what a thing is", &broken);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is readable");
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let members = members.expect("the workspace lists its members");
    let folders: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(folders.contains(&"agentcom-core"), "members are read: {folders:?}");
    let broken: Vec<_> = folders
        .into_iter()
        .map(|folder| format!("{folder}/Cargo.toml"))
        .filter(|path| {
            let text = fs::read_to_string(root().join(path)).expect("manifests are readable");
            !text.contains("[lints]\nworkspace = true")
        })
        .collect();
    hold("a crate's manifest says `[lints]` `workspace = true`", &broken);
}

fn mentions(banned: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        for word in banned {
            found.extend(
                words(&source.code, word).map(|at| format!("{}: `{word}`", source.place(at))),
            );
        }
    }
    found
}
