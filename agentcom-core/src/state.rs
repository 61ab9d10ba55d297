//! This file is everything the hub knows.

/// Everything the hub knows.
#[derive(Debug)]
pub struct State {}
