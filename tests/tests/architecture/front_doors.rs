//! This file holds what newcomers and machines are told to run to one and the same words.

use std::fs;

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
