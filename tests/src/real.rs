//! This file introduces the abuse of real processes: what kills, freezes and fills them, and what
//! judges them afterwards.
//!
//! A judgement that does not hold panics. Tests let it; proofs turn it into their exit code.

pub mod api;
pub mod arguments;
pub mod disk;
pub mod feed;
pub mod freeze;
pub mod kill;
pub mod process;
pub mod scene;
