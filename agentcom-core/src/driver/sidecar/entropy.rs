//! This file holds what makes one run of a sidecar differ from another.

use crate::id::Boot;

/// What makes one run of a sidecar differ from another. It comes from the operating system, or
/// from a simulation's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy {
    /// Names the run.
    pub boot: Boot,
    /// Spreads its attempts to connect.
    pub seed: u64,
}

impl Entropy {
    /// Entropy of the operating system.
    ///
    /// # Errors
    ///
    /// If the operating system has none to give.
    pub fn of_the_system() -> Result<Self, getrandom::Error> {
        Ok(Self { boot: Boot(getrandom::u64()?), seed: getrandom::u64()? })
    }
}
