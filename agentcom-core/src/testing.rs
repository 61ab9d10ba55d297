//! This file introduces what tests of adapters, rules and whole fleets are built on.
//!
//! It is public, so that embedders can test their own adapters and rules with it.

pub mod ablation;
pub mod bench;
pub mod executor_suite;
pub mod faulty;
pub mod loopback;
pub mod model;
pub mod sim;
pub mod stage;
pub mod store_suite;
pub mod strategy;
pub mod transport_suite;
pub mod zoo;

pub use crate::driver::memory;
