//! Serves a hub: opens its data, makes the admin token at the first start, listens, and stops
//! gracefully. The `agentcom` and `agentcom-hub` binaries share it.

pub mod config;
pub mod local;

use agentcom_core as _;
use anyhow as _;
use clap as _;
use tokio as _;
use tracing_subscriber as _;
