//! This file says what a sandbox was seen to hold.

use agentcom_core::name::Capability;
use serde::{Deserialize, Serialize};

use super::{Level, beneath};

/// What was proved of the sandbox of this machine, and why it is not more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The highest level of which every attempt ended as it has to.
    pub level: Level,
    /// Whether commands reach anything of the network: nobody does to whom it is not granted.
    pub network: bool,
    /// Why it is not higher, and what a person can do about it.
    pub missing: Vec<Missing>,
    /// What was tried in a sandbox of that level.
    pub attempts: Vec<Attempt>,
}

impl Report {
    /// What is proved where no commands can be confined: that file tools stay beneath their workspace.
    /// Commands are `missing`, with the reasons. Takes a millisecond, blocking.
    #[must_use]
    pub fn of_files(mut missing: Vec<Missing>) -> Self {
        let tried = beneath::attempts().map_err(|error| format!("files for the proof: {error}"));
        let held = tried.and_then(|tried| failed(&tried).map_or(Ok(tried), Err));
        let (level, attempts) = match held {
            Ok(attempts) => (Level::L1, attempts),
            Err(seen) => {
                let hint = "make the folder for temporary files one that can be written to".into();
                missing.push(Missing { level: Level::L1, seen, hint });
                (Level::L0, Vec::new())
            }
        };
        Self { level, network: false, missing, attempts }
    }

    /// What holds where less than can be proved is asked for.
    pub(super) fn asked(level: Level) -> Self {
        let missing = |level: Level, what: &str| Missing {
            level,
            seen: format!("{what} was asked for"),
            hint: "leave that out, and the strongest is taken that is proved".to_owned(),
        };
        match level {
            Level::L0 => {
                let missing = Level::ALL[1..].iter().map(|&level| missing(level, "no sandbox"));
                let (missing, attempts) = (missing.collect(), Vec::new());
                Self { level, network: true, missing, attempts }
            }
            Level::L1 | Level::L2 | Level::L3 => {
                Self::of_files(vec![missing(Level::L2, "L1, for files only,")])
            }
        }
    }

    /// What is missing for `level`, and what to do about it.
    #[must_use]
    pub fn why(&self, level: Level) -> String {
        let missing = self.missing.iter().filter(|missing| missing.level == level);
        let lines: Vec<String> =
            missing.map(|missing| format!("{}; {}", missing.seen, missing.hint)).collect();
        lines.join("; ")
    }

    /// The capabilities that an agent with such a sandbox has: `sandbox-l1` and so on up to its
    /// level. A task that needs one of them is offered to no agent that has not proved as much.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let proved = self.level;
        Level::ALL.into_iter().filter(move |&level| level <= proved).filter_map(Level::capability)
    }
}

/// What did not end as it has to.
pub(super) fn failed(attempts: &[Attempt]) -> Option<String> {
    let failed: Vec<String> = attempts
        .iter()
        .filter(|attempt| !attempt.held)
        .map(|attempt| match attempt.expected {
            Expected::Blocked => format!("it could {}", attempt.what),
            Expected::Works => format!("it could not {}", attempt.what),
        })
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

/// Something that a sandbox of a higher level would need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The level that cannot be had.
    pub level: Level,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub hint: String,
}

impl Missing {
    #[cfg(not(target_os = "linux"))]
    pub(super) fn system() -> Self {
        Self {
            level: Level::L2,
            seen: format!("nothing confines commands on {}", std::env::consts::OS),
            hint: "run the sidecar on Linux, or in a container or virtual machine of it".into(),
        }
    }
}

/// Something that was tried in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried, in words.
    pub what: String,
    /// How it has to end.
    pub expected: Expected,
    /// Whether it did.
    pub held: bool,
}

/// How an attempt has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// The sandbox refuses it.
    Blocked,
    /// It works, for commands need it.
    Works,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_capable_of_what_it_has_proved_and_no_more() {
        let capabilities = |level| {
            let report =
                Report { level, network: false, missing: Vec::new(), attempts: Vec::new() };
            report.capabilities().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(capabilities(Level::L3), ["sandbox-l1", "sandbox-l2", "sandbox-l3"]);
        assert_eq!(capabilities(Level::L1), ["sandbox-l1"]);
        assert_eq!(capabilities(Level::L0), [""; 0]);
    }
}
