//! This file confines a process to files, sockets and signals of its own, by Landlock.
//!
//! What the kernel offers depends on its version, its ABI. The rights of ABI 3 (Linux 6.2) are what
//! [`Level::L2`](super::Level::L2) stands for, and are demanded; what later ones add is taken where
//! there is: TCP ports (4), ioctls of devices (5), abstract sockets and signals (6). Until then
//! seccomp alone refuses sockets and ioctls that matter, and signals to processes of the same user
//! pass.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};

use super::Policy;
use super::namespace::{DEVICES, TEMPORARY};

/// What the level stands for.
const DEMANDED: ABI = ABI::V3;

/// The newest that is asked for.
const NEWEST: ABI = ABI::V9;

/// The terminal, where there is one.
const TERMINAL: &str = "/dev/tty";

/// What programs look up about themselves and the machine.
const ABOUT: [&str; 8] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/proc/filesystems",
];

/// Confines this process and all that it will start. If it is `isolated`, its processes, network and
/// temporary files are its own already. The version that the kernel has.
pub(super) fn confine(policy: &Policy, isolated: bool) -> io::Result<u32> {
    let status = ruleset(policy, isolated).map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            Ok(abi(&status.landlock))
        }
        RulesetStatus::NotEnforced => Err(io::Error::other("Landlock is not enforced")),
    }
}

/// Its number, also where it is newer than what is known here.
fn abi(status: &LandlockStatus) -> u32 {
    match *status {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            kernel_abi.unwrap_or(effective_abi as i32).unsigned_abs()
        }
    }
}

fn ruleset(policy: &Policy, isolated: bool) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::from_read(NEWEST);
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let about: &[&str] = if isolated { &["/proc"] } else { &ABOUT };
    let temporary = if isolated { &TEMPORARY[..] } else { &[] };
    // What its own root shows is what it may know of.
    let listed = isolated.then(|| Path::new("/"));
    let own = policy.writable().into_iter().chain(temporary.iter().map(Path::new));
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(DEMANDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if !isolated && !policy.network.is_open() {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    rules
        .create()?
        .add_rules(path_beneath_rules(listed, AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(policy.readable(), read))?
        .add_rules(path_beneath_rules(about.iter().map(Path::new), look))?
        .add_rules(path_beneath_rules(DEVICES.into_iter().chain([TERMINAL]), device))?
        .add_rules(path_beneath_rules(own, own_files()))?
        .restrict_self()
}

/// All but devices, which nobody in a sandbox has to make.
fn own_files() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
}
