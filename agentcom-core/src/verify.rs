//! This file says what checks a task can have, and what they say together.
//!
//! A model never decides whether its task is done: the checks do, and a person after them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::task::VerificationStep;

/// Something that is checked when a task is said to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `file_exists`: there is a file or folder at that path, relative to the repository; in the commit,
    /// or made beside its files by the command of a check before.
    FileExists(String),
    /// `file_contains`, `PATH: TEXT`: the file has the text in it.
    FileContains {
        /// The file.
        path: String,
        /// The text.
        text: String,
    },
    /// `command_succeeds`: the command ends with exit code 0.
    CommandSucceeds(String),
    /// `test_passes`: the tests that it starts pass. `auto` finds out which command that is.
    TestPasses(Option<String>),
    /// `git_clean`: everything is committed.
    GitClean,
    /// `diff_within`, `[LINES] PATH…`: only these files and folders (`src/`) are touched, and at most
    /// so many lines.
    DiffWithin {
        /// How many lines may come and go, all in all.
        lines: Option<u64>,
        /// What may be touched; everything if there are none.
        paths: Vec<String>,
    },
    /// `tests_not_weakened`: no file of tests that the base has is changed in any way, or gone, and
    /// none comes, changes or goes that says how tests run, as [`crate::risk::steers_tests`] knows them.
    /// A line more can leave tests out just as a line less. New tests are fine; `allow PATH…` excepts
    /// files and folders.
    TestsNotWeakened {
        /// What may be changed all the same.
        except: Vec<String>,
    },
}

/// Not a check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheck {
    /// Nobody knows that kind.
    #[error("there is no check `{0}`")]
    Kind(String),
    /// It does not say what to check.
    #[error("`{kind}` needs {needed}")]
    Target {
        /// The kind of check.
        kind: String,
        /// What it has to say.
        needed: &'static str,
    },
}

impl Check {
    /// Reads a check of a task.
    ///
    /// # Errors
    ///
    /// If there is no such kind, or its target says too little.
    pub fn read(step: &VerificationStep) -> Result<Self, BadCheck> {
        let target = step.target.trim();
        let needs = |needed: &'static str| BadCheck::Target { kind: step.kind.clone(), needed };
        let words = || target.split_whitespace().map(str::to_owned);
        Ok(match step.kind.as_str() {
            "file_exists" if target.is_empty() => return Err(needs("a path")),
            "file_exists" => Self::FileExists(target.to_owned()),
            "file_contains" => {
                let parts = target.split_once(':').ok_or_else(|| needs("`PATH: TEXT`"))?;
                let (path, text) = (parts.0.trim(), parts.1.trim());
                if path.is_empty() || text.is_empty() {
                    return Err(needs("`PATH: TEXT`"));
                }
                Self::FileContains { path: path.to_owned(), text: text.to_owned() }
            }
            "command_succeeds" if target.is_empty() => return Err(needs("a command")),
            "command_succeeds" => Self::CommandSucceeds(target.to_owned()),
            "test_passes" => {
                let auto = target.is_empty() || target == "auto";
                Self::TestPasses((!auto).then(|| target.to_owned()))
            }
            "git_clean" => Self::GitClean,
            "diff_within" => {
                let lines = target.split_whitespace().next().and_then(|word| word.parse().ok());
                let paths: Vec<String> = words().skip(usize::from(lines.is_some())).collect();
                if lines.is_none() && paths.is_empty() {
                    return Err(needs("a number of lines, paths, or both"));
                }
                Self::DiffWithin { lines, paths }
            }
            "tests_not_weakened" => {
                let mut words = words();
                let except = match words.next().as_deref() {
                    Some("allow") => words.collect(),
                    _ => Vec::new(),
                };
                Self::TestsNotWeakened { except }
            }
            _ => return Err(BadCheck::Kind(step.kind.clone())),
        })
    }
}

/// Whether a path is one of `paths`, or in a folder among them.
#[must_use]
pub fn is_among(path: &str, paths: &[String]) -> bool {
    paths.iter().any(|one| match one.strip_suffix('/') {
        Some(_) => path.starts_with(one.as_str()),
        None => {
            path == one || path.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }
    })
}

/// What a check said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It took too long.
    Timeout,
    /// It cannot be checked on this machine.
    Unverifiable,
    /// It is no check, or went wrong itself.
    Error,
}

impl Status {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Timeout => "timeout",
            Self::Unverifiable => "unverifiable",
            Self::Error => "error",
        }
    }
}

/// What all checks of a task say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All hold.
    Pass,
    /// There were none.
    AutoPass,
    /// They were left out.
    Skip,
    /// Some hold and some do not.
    Partial,
    /// None holds.
    Fail,
    /// One took too long.
    Timeout,
    /// One cannot be checked on this machine, and none failed.
    Unverifiable,
    /// One is no check, or went wrong itself.
    Error,
}

impl Verdict {
    /// What checks say together: what is wrong with the checks themselves outweighs what they say.
    #[must_use]
    pub fn of(statuses: impl IntoIterator<Item = Status>) -> Self {
        let statuses: Vec<Status> = statuses.into_iter().collect();
        let has = |status| statuses.contains(&status);
        match () {
            () if statuses.is_empty() => Self::AutoPass,
            () if has(Status::Error) => Self::Error,
            () if has(Status::Timeout) => Self::Timeout,
            () if has(Status::Fail) && has(Status::Pass) => Self::Partial,
            () if has(Status::Fail) => Self::Fail,
            () if has(Status::Unverifiable) => Self::Unverifiable,
            () => Self::Pass,
        }
    }

    /// Whether the task may be called done.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Pass | Self::AutoPass | Self::Skip)
    }

    /// Whether another round may mend it.
    #[must_use]
    pub fn is_mendable(self) -> bool {
        matches!(self, Self::Partial | Self::Fail | Self::Timeout)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::AutoPass => "auto_pass",
            Self::Skip => "skip",
            Self::Partial => "partial",
            Self::Fail => "fail",
            Self::Timeout => "timeout",
            Self::Unverifiable => "unverifiable",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    fn read(kind: &str, target: &str) -> Result<Check, BadCheck> {
        Check::read(&VerificationStep {
            kind: kind.into(),
            target: target.into(),
            description: None,
        })
    }

    #[test]
    fn checks_are_read_as_they_are_written() {
        let text = |text: &str| text.to_owned();
        for (kind, target, check) in [
            ("file_exists", " a/b ", Check::FileExists(text("a/b"))),
            (
                "file_contains",
                "a.rs: fn a: b",
                Check::FileContains { path: text("a.rs"), text: text("fn a: b") },
            ),
            ("command_succeeds", "make -s", Check::CommandSucceeds(text("make -s"))),
            ("test_passes", "auto", Check::TestPasses(None)),
            ("test_passes", "cargo test", Check::TestPasses(Some(text("cargo test")))),
            ("git_clean", "", Check::GitClean),
            ("diff_within", "200", Check::DiffWithin { lines: Some(200), paths: vec![] }),
            (
                "diff_within",
                "200 src/ a.md",
                Check::DiffWithin { lines: Some(200), paths: vec![text("src/"), text("a.md")] },
            ),
            ("diff_within", "src/", Check::DiffWithin { lines: None, paths: vec![text("src/")] }),
            ("tests_not_weakened", "", Check::TestsNotWeakened { except: vec![] }),
            (
                "tests_not_weakened",
                "allow tests/old.rs",
                Check::TestsNotWeakened { except: vec![text("tests/old.rs")] },
            ),
        ] {
            assert_eq!(read(kind, target), Ok(check), "{kind} {target}");
        }
    }

    #[test]
    fn what_is_no_check_is_refused_with_what_it_needs() {
        assert_eq!(
            read("looks_good", "").unwrap_err().to_string(),
            "there is no check `looks_good`"
        );
        for kind in ["file_exists", "file_contains", "command_succeeds", "diff_within"] {
            let bad = read(kind, " ").unwrap_err().to_string();
            assert!(bad.starts_with(&format!("`{kind}` needs ")), "{bad}");
        }
        assert!(read("file_contains", "a.rs").is_err() && read("file_contains", "a.rs: ").is_err());
    }

    #[test]
    fn paths_are_whole_names() {
        let paths = ["src/".to_owned(), "a.md".to_owned(), "lib".to_owned()];
        for (path, among) in [
            ("src/a.rs", true),
            ("src2/a.rs", false),
            ("a.md", true),
            ("a.md5", false),
            ("lib/x", true),
            ("library/x", false),
        ] {
            assert_eq!(is_among(path, &paths), among, "{path}");
        }
    }

    const STATUSES: [Status; 5] =
        [Status::Pass, Status::Fail, Status::Timeout, Status::Unverifiable, Status::Error];

    proptest! {
        #[test]
        fn a_verdict_is_good_only_if_every_check_holds(
            chosen in proptest::collection::vec(0..STATUSES.len(), 0..6),
        ) {
            let statuses: Vec<Status> = chosen.iter().map(|&number| STATUSES[number]).collect();
            let verdict = Verdict::of(statuses.iter().copied());
            prop_assert_eq!(verdict.is_good(), statuses.iter().all(|&status| status == Status::Pass));
            let mut turned = statuses;
            turned.reverse();
            prop_assert_eq!(verdict, Verdict::of(turned));
        }
    }
}
