//! This file is the story of the demonstration: a small repository, and twelve tasks on it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// One task of the story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) name: &'static str,
    pub(super) lane: &'static str,
    pub(super) after: &'static [&'static str],
    pub(super) command: &'static str,
    /// Whether it is to complete in the end.
    pub(super) completes: bool,
}

/// The tasks, in the order in which they are submitted.
pub(super) const ACTS: [Act; 12] = [
    act(
        "changelog",
        "low",
        &[],
        "git log --format='%s' > changelog.txt && sleep 0.6 && echo \"$(wc -l < changelog.txt) changes\"",
    ),
    act("count", "normal", &[], "sleep 0.5; cat chapters/*.txt | wc -w | sed 's/$/ words/'"),
    act(
        "spell",
        "normal",
        &[],
        "for c in chapters/*.txt; do echo \"reading $c\"; sleep 0.3; done; echo no mistakes",
    ),
    act("survey", "urgent", &[], "git ls-files | sed 's/^/tracked: /'; sleep 0.4"),
    act(
        "lint",
        "high",
        &[],
        "for s in *.sh; do sh -n \"$s\" && echo \"$s is fine\"; done; sleep 0.5",
    ),
    act("fetch", "high", &[], FLAKY),
    Act {
        completes: false,
        ..act("broken", "high", &[], "echo 'the printer is on fire' >&2; sleep 0.2; exit 3")
    },
    act("build", "normal", &["lint"], "sh build.sh && sleep 0.7"),
    act("test", "normal", &["build"], "sh check.sh && sleep 0.6"),
    act(
        "index",
        "normal",
        &["build"],
        "tr -cs 'A-Za-z' '\\n' < book.txt | sort | uniq -c | sort -rn > index.txt; sleep 0.5; head -n 1 index.txt | sed 's/^ */most frequent: /'",
    ),
    act(
        "package",
        "normal",
        &["test", "index", "fetch"],
        "tar cf book.tar book.txt index.txt && sleep 0.5 && cksum book.tar",
    ),
    act(
        "release",
        "urgent",
        &["package", "changelog"],
        "git add -A && git commit -qm 'Release the book' && git tag v1 && git log --oneline | head -n 1",
    ),
];

/// Fails the first time and succeeds the second.
const FLAKY: &str = "if [ -e .fetched ]; then echo fetched; else touch .fetched; echo 'connection reset' >&2; exit 1; fi";

const fn act(
    name: &'static str,
    lane: &'static str,
    after: &'static [&'static str],
    command: &'static str,
) -> Act {
    Act { name, lane, after, command, completes: true }
}

/// The body of the request that submits all tasks.
pub(super) fn batch() -> Value {
    let task = |act: &Act| {
        json!({
            "ref": act.name,
            "description": act.name,
            "shell": act.command,
            "priority": act.lane,
            "depends_on": act.after,
            "timeout_ms": 20_000,
            "max_attempts": 3,
            "backoff_base_ms": 300,
            "backoff_cap_ms": 600,
            "tags": ["demo"],
        })
    };
    json!({ "tasks": ACTS.iter().map(task).collect::<Vec<_>>() })
}

/// Makes the repository.
pub(super) fn make_repository(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir.join("chapters"))?;
    for (file, text) in FILES {
        fs::write(dir.join(file), text)?;
    }
    git(dir, &["init", "-q"])?;
    for (name, value) in [
        ("user.name", "AgentCom demo"),
        ("user.email", "demo@localhost"),
        ("commit.gpgsign", "false"),
    ] {
        git(dir, &["config", name, value])?;
    }
    git(dir, &["add", "-A"])?;
    git(dir, &["commit", "-q", "-m", "Write the book"])?;
    Ok(())
}

const FILES: [(&str, &str); 5] = [
    ("chapters/1.txt", "The hub decides, stores, and only then does.\n"),
    ("chapters/2.txt", "The agents work, and whatever waits has a deadline.\n"),
    ("chapters/3.txt", "Nothing that was acknowledged is lost.\n"),
    ("build.sh", "cat chapters/*.txt > book.txt && echo \"book of $(wc -l < book.txt) lines\"\n"),
    ("check.sh", "test \"$(wc -l < book.txt)\" -eq 3 && echo 'all 3 chapters are there'\n"),
];

/// Runs git, and returns what it prints.
pub(super) fn git(dir: &Path, args: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new("git");
    // The user's own configuration and hooks have no part in the story.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.arg("-C").arg(dir).args(args).output().map_err(|error| {
        Failure::new(Exit::Failure, format_args!("cannot run git: {error}"))
            .hint("the demonstration needs git")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(Exit::Failure, format_args!("git {} failed: {}", args.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn tasks_wait_only_for_tasks_that_exist_and_complete() {
        let good: BTreeSet<&str> =
            ACTS.iter().filter(|act| act.completes).map(|act| act.name).collect();
        assert_eq!(good.len(), 11);
        assert!(ACTS.iter().flat_map(|act| act.after).all(|name| good.contains(name)));
    }

    #[test]
    fn each_task_does_in_the_repository_what_the_story_says() {
        let dir = tempfile::tempdir().unwrap();
        make_repository(dir.path()).unwrap();
        let run = |act: &Act| {
            let mut shell = Command::new("/bin/sh");
            // They sleep for those who watch.
            let command = act.command.replace("sleep ", ": ");
            shell.arg("-c").arg(command).current_dir(dir.path()).output().unwrap()
        };
        for act in &ACTS {
            let mut output = run(act);
            if act.name == "fetch" {
                assert!(!output.status.success(), "the first fetch fails");
                output = run(act);
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), act.completes, "{}: {said}", act.name);
        }
    }
}
