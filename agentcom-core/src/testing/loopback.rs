//! This file names the in-memory transport among the tools for tests; programs use it as well.

pub use crate::driver::local::{LocalConnector, LocalListener, local, pair};
pub use crate::driver::queue::Capacity;
