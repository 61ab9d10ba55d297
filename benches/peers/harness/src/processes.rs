//! This file asks the system about processes: who started whom, and how much memory they have.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process and those that it has started itself. PostgreSQL's put themselves into groups of their
/// own, so that its group is not enough.
pub(crate) fn family(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = numbers.filter(|number| status(*number).is_some_and(|found| found.1 == parent));
    std::iter::once(parent).chain(children).collect()
}

/// The memory that they have to themselves, and their shares of what they have in common, in KiB.
pub(crate) fn memory_kib(processes: &[u32]) -> u64 {
    let share = |number: &u32| {
        let text = fs::read_to_string(format!("/proc/{number}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes.iter().filter_map(share).sum()
}

/// Kills them. Those that this process has not started itself are gone when this returns.
pub(crate) fn kill_all(processes: &[u32]) {
    for number in processes.iter().filter_map(|number| i32::try_from(*number).ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
    }
    while processes.iter().any(|number| status(*number).is_some_and(|found| found.0 != 'Z')) {
        sleep(Duration::from_millis(1));
    }
}

/// In which state a process is, and who started it.
fn status(number: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // Its name is in brackets, and may have anything in it.
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
