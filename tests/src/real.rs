//! This file introduces the abuse of real processes: what kills, freezes and fills them, and what
//! judges them afterwards.
//!
//! What does not hold is part of the outcome, beside the figures. What keeps the abuse from going on
//! panics.

pub mod api;
pub mod disk;
pub mod feed;
pub mod freeze;
pub mod kill;
pub mod process;
pub mod scene;
