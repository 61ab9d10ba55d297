//! This file says what was done and found.

use std::io::Write as _;
use std::process::ExitCode;

use agentcom_tests::sim_disk::{Faults, Interrupted, Losses, Rot};
use serde_json::json;

use crate::arguments::Arguments;

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) losses: Losses,
    pub(crate) canary_caught: bool,
    pub(crate) faults: Faults,
    pub(crate) interrupted: Interrupted,
    pub(crate) rot: Rot,
    pub(crate) caught_panics: u64,
}

pub(crate) fn sum(mut sum: Faults, more: Faults) -> Faults {
    sum.failures += more.failures;
    for (call, count) in more.by_call {
        *sum.by_call.entry(call).or_default() += count;
    }
    sum.found.extend(more.found);
    sum
}

impl Report {
    /// Tells people and machines, and says how the process ends.
    pub(crate) fn finish(&self, arguments: &Arguments) -> ExitCode {
        let Self { losses, faults, interrupted, rot, .. } = self;
        let of_calls = faults.found.iter().chain(&interrupted.found);
        let mut found: Vec<&String> =
            losses.found.iter().chain(of_calls).chain(&rot.found).collect();
        let missed =
            "the canary disk, which lies about one sync in five, was not caught".to_owned();
        found.extend((!self.canary_caught).then_some(&missed));
        let by_call: Vec<String> =
            faults.by_call.iter().map(|(call, count)| format!("{call:?} {count}")).collect();
        let by_work: Vec<String> =
            interrupted.by_work.iter().map(|(work, count)| format!("{work:?} {count}")).collect();
        say(&format!(
            "\npower losses     {} ({} of them during recovery)\n\
             acknowledged     {}, of which lost: {}\n\
             reopen failures  {}\n\
             canary           {}\n\
             failing calls    {} ({})\n\
             upkeep           {} interruptions ({}), {} power losses among them
             damaged files    {} ({} unharmed, {} reported, {} of these by the name of a row or table)\n\
             wrong values     {}\n\
             panics           {} ({} of redb caught)\n\
             found            {}",
            losses.losses,
            losses.in_recovery,
            losses.acknowledged,
            losses.lost,
            losses.reopen_failures,
            if self.canary_caught { "caught" } else { "MISSED" },
            faults.failures,
            by_call.join(", "),
            interrupted.count(),
            by_work.join(", "),
            interrupted.losses,
            rot.files,
            rot.unharmed,
            rot.reported,
            rot.named,
            rot.wrong_values,
            rot.panics,
            self.caught_panics,
            found.len(),
        ));
        found.iter().take(20).for_each(|line| say(&format!("  {line}")));
        if let Some(file) = &arguments.figures
            && let Err(error) = std::fs::write(file, self.figures(found.len()))
        {
            say(&format!("cannot write {}: {error}", file.display()));
            return ExitCode::FAILURE;
        }
        if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn figures(&self, failures: usize) -> String {
        let Self { losses, faults, interrupted, rot, .. } = self;
        let figures = json!({
            "losses": losses.losses,
            "crashes_in_recovery": losses.in_recovery,
            "acknowledged": losses.acknowledged,
            "lost": losses.lost,
            "reopen_failures": losses.reopen_failures,
            "canary_caught": self.canary_caught,
            "io_failures": faults.failures,
            "upkeep_interruptions": interrupted.count(),
            "upkeep_losses": interrupted.losses,
            "rot_files": rot.files,
            "wrong_values": rot.wrong_values,
            "panics": rot.panics,
            "failures": failures,
        });
        format!("{figures:#}\n")
    }
}

pub(crate) fn say(line: &str) {
    // Nobody is left to tell when the stream is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}
