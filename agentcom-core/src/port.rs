//! This file introduces the ports: what the core needs of the outside, as small traits.
//!
//! - [`store`] keeps the hub's state through restarts.
//! - [`transport`] carries frames between hub and agents.
//! - [`executor`] does the work.
//! - [`clock`] tells the time and waits for it.
//! - [`meter`] says how busy a machine is; a sidecar does without, too.
//!
//! A port is object-safe and has at most five methods; each line of its contract names the case
//! of the conformance suite (feature `testing`) that checks it.

pub mod clock;
pub mod executor;
pub mod meter;
pub mod store;
pub mod transport;
