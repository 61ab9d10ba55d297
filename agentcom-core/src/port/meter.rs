//! This file is the port to the machine on which an agent works, as far as it can be measured.

use alloc::boxed::Box;
use core::fmt;

use async_trait::async_trait;

use crate::wire::Figures;

/// Measures a machine. A sidecar has at most one, and says to its hub what it measures; one without
/// says nothing, and the hub then goes by other signs.
///
/// A measurement is polled beside the heartbeats, so it may wait but must neither block nor panic. One
/// that has not ended when the next is due is dropped, and has to leave nothing behind then.
#[async_trait]
pub trait Meter: fmt::Debug + Send + Sync {
    /// How the machine is doing at this moment; `None` if that cannot be found out.
    async fn figures(&self) -> Option<Figures>;
}
