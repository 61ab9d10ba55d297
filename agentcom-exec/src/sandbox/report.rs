//! This file reports what holds where no commands are confined.

use super::{Attempt, Expected, Level, Missing, Report, beneath};

/// What is proved where no commands can be confined: that file tools stay beneath their workspace.
/// Commands are `missing`, with the reasons. Takes a millisecond, blocking.
pub(super) fn of_files(mut missing: Vec<Missing>) -> Report {
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
    Report { missing, attempts, ..Report::of(level) }
}

/// What holds where nothing has to.
pub(super) fn of_nothing() -> Report {
    let missing = Level::ALL[1..].iter().map(|&level| asked(level, "no sandbox"));
    Report { network: true, missing: missing.collect(), ..Report::of(Level::L0) }
}

/// A level is not there since less was asked for.
pub(super) fn asked(level: Level, what: &str) -> Missing {
    let hint = "leave that out, and the strongest is taken that is proved".to_owned();
    Missing { level, seen: format!("{what} was asked for"), hint }
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

/// That the system of this machine confines nothing.
#[cfg(not(target_os = "linux"))]
pub(super) fn system() -> Missing {
    Missing {
        level: Level::L2,
        seen: format!("nothing confines commands on {}", std::env::consts::OS),
        hint: "run the sidecar on Linux, or in a container or virtual machine of it".into(),
    }
}
