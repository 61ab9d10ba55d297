//! This file describes the machine and this process (Linux only).

use std::fs;

use crate::Outcome;
use crate::report::say;

/// Prints what a figure means little without.
pub fn describe() {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        cpus.lines().filter_map(|line| line.strip_prefix("model name\t: ")).collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let model = models.first().copied().unwrap_or("unknown");
    say(&format!("# {} x {model}, Linux {}, load {load}", models.len(), kernel.trim()));
}

/// The resident set of this process, in bytes.
///
/// # Errors
///
/// If the system does not say.
pub fn resident() -> Outcome<u64> {
    status("VmRSS:")
}

/// The largest that the resident set of this process ever was, in bytes.
///
/// # Errors
///
/// If the system does not say.
pub fn resident_peak() -> Outcome<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
    let kib = line.split_whitespace().nth(1).ok_or("no figure")?;
    Ok(kib.parse::<u64>()? * 1024)
}
