//! Serves a hub: opens its data, makes the admin token at the first start, listens, and stops
//! gracefully. The `agentcom` and `agentcom-hub` binaries share it.

pub mod backups;
pub mod config;
mod driver;
pub mod error;
pub mod ground;
pub mod local;
pub mod logs;
pub mod serve;
pub mod signals;
pub mod upkeep;
