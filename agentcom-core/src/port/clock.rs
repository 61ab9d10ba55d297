//! This file is the port to time.

use alloc::boxed::Box;
use core::fmt;

use async_trait::async_trait;

use crate::time::{Mono, Now};

/// Tells the time and waits for it.
///
/// # Contract
///
/// - **Steady.** `now().mono` never goes back, and counts suspension of the machine.
/// - **Prompt.** `sleep_until` ends when `now().mono` has reached the instant, soon after it has.
/// - **Cancel safe.** Dropping a sleep has no effect beyond ending it.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time.
    fn now(&self) -> Now;

    /// Waits until the monotonic time is `at`; returns at once if it has passed.
    async fn sleep_until(&self, at: Mono);
}
