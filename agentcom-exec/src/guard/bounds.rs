//! This file watches over bounds of a job that no kernel holds: how many processes it has, and how much
//! memory these take together.

use std::fs::File;
use std::time::Duration;

use nix::unistd::Pid;

use super::family::{descendants, may_be_more_than};
use super::message::TooMuch;
use crate::sandbox::{Limits, Pace};

/// How often the job's processes are counted.
const COUNTS: Pace = Pace { every: Duration::from_millis(50), part: 20 };

/// How often their memory is.
#[cfg(target_os = "linux")]
const MEASURES: Pace = Pace { every: Duration::from_millis(250), part: 20 };

/// Of the processes in a sandbox so many may be the sandbox's own.
const OWN_PROCESSES: u64 = 2;

/// Waits until the job has more than `limits` say, if there are any; `segments` are what
/// [`Started`](crate::sandbox::Started) has. Cancel safe.
pub(super) async fn passed(limits: Option<Limits>, segments: Option<File>) -> TooMuch {
    let Some(limits) = limits else { return std::future::pending().await };
    tokio::select! {
        too_much = outnumbered(limits.processes) => too_much,
        too_much = too_large(limits.memory_bytes, segments) => too_much,
    }
}

/// Waits until the job has more than `most` processes and threads. A limit of the kernel binds neither
/// root nor a user who has others outside of the sandbox.
async fn outnumbered(most: u64) -> TooMuch {
    let all = most.saturating_add(OWN_PROCESSES);
    let is_more =
        || may_be_more_than(all) && descendants(Pid::this()).into_values().sum::<u64>() > all;
    until(COUNTS, is_more).await;
    TooMuch::Processes { most }
}

/// Waits until the processes of the job take more than `most` bytes of memory together.
#[cfg(target_os = "linux")]
async fn too_large(most: u64, segments: Option<File>) -> TooMuch {
    let mut memory = crate::sandbox::Memory { most, segments };
    let is_more = || {
        let processes = || descendants(Pid::this()).into_keys().collect::<Vec<_>>();
        memory.may_be_short() && memory.is_too_much(&processes())
    };
    until(MEASURES, is_more).await;
    TooMuch::Memory { most }
}

#[cfg(not(target_os = "linux"))]
async fn too_large(_most: u64, _segments: Option<File>) -> TooMuch {
    std::future::pending().await
}

/// Looks until it is so.
async fn until(pace: Pace, mut is_so: impl FnMut() -> bool) {
    let mut wait = pace.every;
    loop {
        tokio::time::sleep(wait).await;
        let (so, after) = pace.look(&mut is_so);
        if so {
            return;
        }
        wait = after;
    }
}
