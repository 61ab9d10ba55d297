//! This file holds the limits and spans that a hub and a sidecar are built with.

use crate::time::Span;

/// How a hub behaves. The defaults are those of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// How often v1 clients ping.
    pub heartbeat: Span,
    /// How long a v1 client may be silent before it gets no more work.
    pub silent_after: Span,
    /// How long a plain client may be silent before its connection is closed.
    pub plain_silent_after: Span,
    /// How long an agent keeps a task without renewing, unless the task says otherwise.
    pub lease_ttl: Span,
    /// How long plain clients keep a task at least after a hub start or a dropped connection.
    pub plain_lease_min: Span,
    /// How long an agent may take to accept.
    pub accept_within: Span,
    /// How long a plain client may hold a task without a word about it.
    pub stuck_after: Span,
    /// How long a client may take to identify itself.
    pub identify_within: Span,
    /// How long a client whose token was refused stays connected.
    pub refused_close_after: Span,
    /// How long a plain client may take to report what it holds after identifying.
    pub report_within: Span,
    /// Attempts in total, unless the task says otherwise.
    pub attempts_max: u32,
    /// Leases that a task may lose before it is dead.
    pub crashes_max: u32,
    /// The wait after the first failure.
    pub backoff_base: Span,
    /// The longest wait after a failure.
    pub backoff_cap: Span,
    /// Crashes in a row that quarantine an agent.
    pub agent_crashes_max: u32,
    /// How long a quarantine lasts.
    pub quarantine: Span,
    /// Bad frames in [`HubConfig::violation_window`] that end a connection.
    pub violations_max: u32,
    /// The window in which bad frames are counted.
    pub violation_window: Span,
    /// The most tasks that live at once.
    pub tasks_max: usize,
    /// The most bytes that the specs of living tasks take at once.
    pub bytes_max: u64,
    /// The most tasks in a batch.
    pub batch_max: usize,
    /// The most registered agents.
    pub agents_max: usize,
    /// How long an idempotency key is kept.
    pub key_kept: Span,
    /// How long events are kept.
    pub events_kept: Span,
    /// How many events are kept at most.
    pub events_max: u64,
    /// How long a task whose repository is warm on a busy agent waits for it.
    pub affinity_wait: Span,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::from_secs(5),
            silent_after: Span::from_secs(16),
            plain_silent_after: Span::from_secs(60),
            lease_ttl: Span::from_secs(30),
            plain_lease_min: Span::from_secs(75),
            accept_within: Span::from_secs(60),
            stuck_after: Span::from_mins(5),
            identify_within: Span::from_secs(5),
            refused_close_after: Span::from_secs(30),
            report_within: Span::from_secs(5),
            attempts_max: 3,
            crashes_max: 3,
            backoff_base: Span::from_secs(1),
            backoff_cap: Span::from_secs(60),
            agent_crashes_max: 3,
            quarantine: Span::from_mins(5),
            violations_max: 10,
            violation_window: Span::from_secs(60),
            tasks_max: 2_000_000,
            bytes_max: 4 << 30,
            batch_max: 1_000,
            agents_max: 20_000,
            key_kept: Span::from_mins(7 * 24 * 60),
            events_kept: Span::from_mins(7 * 24 * 60),
            events_max: 1_000_000,
            affinity_wait: Span(0),
        }
    }
}
