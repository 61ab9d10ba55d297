//! This file proves the store on a simulated disk: under power loss, failing calls and rot.
//!
//! Everything is driven by seeds, so that what is found can be had again.

mod faults;
mod hub;
mod losses;
mod model;
mod rot;
mod upkeep;

pub use faults::{Faults, fail_each_call};
pub use hub::lose_power_under_a_hub;
pub use losses::{Losses, lose_power};
pub use rot::{Base, Rot, rot};
pub use upkeep::{Files, Interrupted, Work, interrupt};

use agentcom_store_redb::Options;

/// So small that the disk is read all the time.
const CACHE_BYTES: usize = 64 * 1024;

/// Room for a few batches, so that the log goes round.
const LOG_BYTES: u64 = 64 * 1024;

/// So few batches in the tail that they are folded all the time.
const TAIL_BATCHES: usize = 4;

fn options() -> Options {
    Options {
        cache_bytes: CACHE_BYTES,
        tail_batches: TAIL_BATCHES,
        log_bytes: LOG_BYTES,
        ..Options::default()
    }
}
