//! This file introduces what the benches share: loads, a hub to put them on, and plain reports.
//!
//! Each bench is a program of its own under `benches/`, run by `cargo xtask bench NAME`. None of
//! them is a test: they assert that the work was done, never how fast.

pub mod append;
pub mod arguments;
pub mod counting;
pub mod cycle;
pub mod decisions;
pub mod disk;
pub mod fleet;
pub mod hub;
pub mod machine;
pub mod plot;
pub mod report;
pub mod scene;
pub mod steps;
pub mod work;

/// What a bench ends with. Whatever goes wrong ends it.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
