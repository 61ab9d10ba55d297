//! This file tests that each check finds the files of the commit, whatever the commands of others did.

use agentcom_core::task::VerificationStep;
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::{Value, json};

use crate::checks::{checks, step};
use crate::fixture::{Fixture, publish};

fn command(target: &str) -> VerificationStep {
    step("command_succeeds", target)
}

/// What checks say, in their order, of a change by which there is `build.sh`, beside `a.txt` with `one`
/// and `tests/run.sh`, which looks for it and which a file `.gitattributes` of the base is about.
async fn checked(build: &str, steps: &[VerificationStep]) -> Vec<(String, String)> {
    let write = json!({ "path": "build.sh", "content": build });
    let model = StandIn::of([Turn::calls("write_file", write), Turn::says("Done.")]).await;
    let fixture = Fixture::of(model);
    let clone = fixture.dir.path().join("clone");
    std::fs::write(clone.join(".gitattributes"), "*.crlf text eol=crlf\n").unwrap();
    std::fs::write(clone.join("a.crlf"), "one\n").unwrap();
    std::os::unix::fs::symlink("a.txt", clone.join("link")).unwrap();
    publish(&clone);
    let checks = checks(&fixture, steps).await;
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    checks.iter().map(|check| (word(&check["status"]), word(&check["output"]))).collect()
}

const PUT_BACK: &str = "it changed files of the commit, which were put back:";

fn pass(output: impl Into<String>) -> (String, String) {
    ("pass".to_owned(), output.into())
}

fn fail(output: impl Into<String>) -> (String, String) {
    ("fail".to_owned(), output.into())
}

#[tokio::test]
async fn what_one_check_does_to_the_tests_does_not_help_the_next() {
    let build = "echo true > tests/run.sh; echo two > a.txt";
    let steps = [
        command("sh build.sh"),
        step("test_passes", "sh tests/run.sh && echo tested"),
        command("rm a.txt"),
        step("file_contains", "a.txt: one"),
    ];
    let told = format!("{PUT_BACK} a.txt, tests/run.sh");
    let expected = [pass(told), pass("one\ntested"), pass(format!("{PUT_BACK} a.txt")), pass("")];
    assert_eq!(checked(build, &steps).await, expected);
    let steps = [command("echo one > a.txt; echo grep two a.txt > tests/run.sh"), steps[1].clone()];
    let checks = checked("true", &steps).await;
    assert_eq!(checks[1], pass("one\ntested"), "{checks:?}");
}

#[tokio::test]
async fn files_of_the_commit_come_back_whatever_has_become_of_them() {
    // The size and the times of what they were; links, pipes and folders; and what git follows.
    let build = "touch -r a.txt then; echo two > a.txt; touch -r then a.txt\n\
        ln -sf /etc/passwd link\n\
        mv tests other; ln -s other tests; echo true > other/run.sh\n\
        rm a.crlf; mkdir a.crlf; echo x > a.crlf/x\n\
        echo '* -text' > .gitattributes; chmod 777 build.sh\n";
    let look = "cat a.txt tests/run.sh && od -c a.crlf | head -1 && readlink link && stat -c %a build.sh \
                && test ! -L tests && ls other";
    let checks = checked(build, &[command("umask; sh build.sh"), command(look)]).await;
    let told = ".gitattributes, a.crlf, a.txt, build.sh, link, tests/run.sh";
    assert!(checks[0].1.ends_with(&format!("{PUT_BACK} {told}")), "{checks:?}");
    let seen = "one\ngrep one a.txt\ntrue\n0000000   o   n   e  \\r  \\n\na.txt\n644\nrun.sh";
    assert_eq!(checks[1], pass(seen), "{checks:?}");
}

#[tokio::test]
async fn what_commands_make_beside_the_files_of_the_commit_stays_for_the_checks_after_them() {
    let steps = [
        step("file_exists", "dist/app"),
        command("mkdir dist && cp a.txt dist/app"),
        step("file_exists", "dist/app"),
    ];
    let expected = [fail("there is no such file"), pass(""), pass("")];
    assert_eq!(checked("", &steps).await, expected);
}

#[tokio::test]
async fn files_that_are_as_they_were_are_not_touched_so_that_builds_go_on() {
    let steps = [
        command("stat -c '%i %z' a.txt > noted; echo more >> tests/run.sh"),
        command("stat -c '%i %z' a.txt | diff noted -"),
    ];
    let expected = [pass(format!("{PUT_BACK} tests/run.sh")), pass("")];
    assert_eq!(checked("", &steps).await, expected);
}
