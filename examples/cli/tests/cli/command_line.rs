//! This file tests the command as scripts and people meet it where no hub runs.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect};

/// The command in an empty directory and an empty environment.
fn agentcom(dir: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcom"));
    command.args(line).current_dir(dir).env_clear().stdin(Stdio::null());
    command
}

fn run(line: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    agentcom(dir.path(), line).output().unwrap()
}

/// Runs a line that fails; `expected` is its exit code and what it says.
fn fails(line: &[&str], expected: &Expect) {
    let output = run(line);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "data of {line:?}");
    let code = output.status.code().unwrap();
    expected.assert_eq(&format!("{code}\n{}", String::from_utf8_lossy(&output.stderr)));
}

#[test]
fn who_does_not_say_what_to_do_is_told_all_ways_to_say_it() {
    fails(
        &["submit"],
        &expect![[r#"
        64
        error: the following required arguments were not provided:
          <-|--shell <COMMAND>|--code>

        Usage: agentcom submit <-|--shell <COMMAND>|--code>

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn a_hub_that_does_not_run_is_told_from_everything_else() {
    // Port 1 is reserved, and no hub listens there.
    let url = ["--url", "http://127.0.0.1:1"];
    fails(
        &[&["tasks"][..], &url].concat(),
        &expect![[r#"
        69
        error: hub not running on http://127.0.0.1:1
        hint: start it with `agentcom up`, or name another with --url or AGENTCOM_URL
    "#]],
    );
    fails(
        &[&["why", "89abcdef", "--json"][..], &url].concat(),
        &expect![[r#"
        69
        {"details":[],"error":"hub not running on http://127.0.0.1:1","exit_code":69,"hint":"start it with `agentcom up`, or name another with --url or AGENTCOM_URL"}
    "#]],
    );
    fails(
        &[&["watch"][..], &url].concat(),
        &expect![[r#"
        69
        error: hub not running on http://127.0.0.1:1
        hint: start it with `agentcom up`, or name another with --url or AGENTCOM_URL
    "#]],
    );
}

#[test]
fn a_line_that_breaks_a_rule_ends_with_the_code_for_usage() {
    fails(
        &["tasks", "--limit", "0"],
        &expect![[r#"
        64
        error: invalid value '0' for '--limit <N>': 0 is not in 1..=200

        For more information, try '--help'.
    "#]],
    );
    fails(
        &["task", "xyz", "--url", "http://127.0.0.1:1"],
        &expect![[r#"
        64
        error: `xyz` is no task id
        hint: give `task-` and 16 hexadecimal digits, or at least the last 4 of them
    "#]],
    );
    fails(
        &["tasks", "--url", "ftp://hub"],
        &expect![[r#"
        64
        error: `ftp://hub` is no address of a hub: it must start with http:// or https://
        hint: an address looks like http://127.0.0.1:4000
    "#]],
    );
    fails(
        &["up", "--listen", "localhost:4000"],
        &expect![[r#"
        64
        error: invalid value 'localhost:4000' for '--listen <ADDR:PORT>': give an IP address and a port, such as 127.0.0.1:4000

        For more information, try '--help'.
    "#]],
    );
    fails(
        &["help", "nothing"],
        &expect![[r#"
        64
        error: there is no command `nothing`
        hint: `agentcom help` lists the commands; `agentcom help exit-codes` the exit codes
    "#]],
    );
    assert_eq!(run(&[]).status.code(), Some(64));
    assert_eq!(run(&["submit"]).status.code(), Some(64));
}

#[test]
fn a_token_file_that_cannot_be_read_is_named() {
    fails(
        &["tasks", "--token-file", "/nonexistent/token"],
        &expect![[r#"
        4
        error: cannot read the token in /nonexistent/token: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn what_was_asked_for_goes_to_the_output_and_succeeds() {
    for line in [
        &["--help"][..],
        &["--version"],
        &["help"],
        &["help", "submit"],
        &["help", "exit-codes"],
        &["completions", "fish"],
    ] {
        let output = run(line);
        assert_eq!(output.status.code(), Some(0), "{line:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{line:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = agentcom(dir.path(), &["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn colours_are_for_those_who_want_them() {
    let dir = tempfile::tempdir().unwrap();
    let line = ["tasks", "--url", "http://127.0.0.1:1"];
    let said = |name: &str| agentcom(dir.path(), &line).env(name, "1").output().unwrap().stderr;
    assert!(said("CLICOLOR_FORCE").contains(&0x1b));
    assert!(!said("NO_COLOR").contains(&0x1b));
}
