//! This file holds the limits and spans that a hub and a sidecar are built with.

use core::fmt;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::endpoint::Announced;
use crate::guard::Guards;
use crate::name::{AgentId, Capability};
use crate::sandbox::Report;
use crate::time::Span;

/// What proves who somebody is; it never appears in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes what is secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to whom it was made for and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

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
    /// How long an agent may take to come back to a hub that was away: the longest wait between two
    /// attempts, and an attempt. After a start of the hub every lease lasts at least as long, and
    /// after a standstill up to as long; one of a plain client always lasts at least as long.
    pub return_within: Span,
    /// How long an agent may take to accept.
    pub accept_within: Span,
    /// How long a plain client may hold a task without a word about it.
    pub stuck_after: Span,
    /// How long one attempt may take, unless the task says otherwise.
    pub timeout: Span,
    /// How long a client may take to identify itself.
    pub identify_within: Span,
    /// Refused tokens in a row after which an address is not listened to in an agent's name.
    pub refusals_max: u32,
    /// How long it is not listened to.
    pub refused_for: Span,
    /// How long a client whose token was refused stays connected.
    pub refused_close_after: Span,
    /// By how much a hub may be late for what is due before it takes it that it stood still, and
    /// gives its agents time to be heard again.
    pub stalled_after: Span,
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
    /// How long a person is waited for who may raise a cap that a call would pass; nobody is asked if
    /// it is nothing.
    pub raise_within: Span,
    /// Which guards stand.
    pub guards: Guards,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::from_secs(5),
            silent_after: Span::from_secs(16),
            plain_silent_after: Span::from_secs(60),
            lease_ttl: Span::from_secs(30),
            return_within: Span::from_secs(75),
            accept_within: Span::from_secs(60),
            stuck_after: Span::from_mins(5),
            timeout: Span::from_mins(24 * 60),
            identify_within: Span::from_secs(5),
            refusals_max: 10,
            refused_for: Span::from_secs(60),
            refused_close_after: Span::from_secs(30),
            stalled_after: Span(100),
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
            raise_within: Span::from_mins(15),
            guards: Guards::all(),
        }
    }
}

/// How a sidecar behaves. The defaults are those of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarConfig {
    /// The name it goes by.
    pub agent: AgentId,
    /// What proves that name.
    pub token: Secret,
    /// A name for people.
    pub name: Option<String>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The models that it was started with, by what they are called, as endpoints for the hub to choose
    /// among: at most [`Endpoint::ANNOUNCED_MAX`](crate::endpoint::Endpoint::ANNOUNCED_MAX).
    pub models: Announced,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// The version of its software.
    pub version: Option<String>,
    /// What was proved of its sandbox, if it relies on one or was told to do without; the capabilities
    /// that it has by that need not be named.
    pub sandbox: Option<Report>,
    /// How many tasks it works on at once, at least 1.
    pub slots: u32,
    /// The longest wait after a first failure to connect.
    pub backoff_base: Span,
    /// The longest wait after many failures to connect.
    pub backoff_cap: Span,
    /// The wait after the hub refused the token.
    pub refused_wait: Span,
    /// How long an attempt to connect may take.
    pub connect_within: Span,
    /// How long the hub may take to answer `identify`.
    pub identify_within: Span,
    /// How often to ping where the hub does not say.
    pub heartbeat: Span,
    /// How long the hub may take to answer a ping.
    pub pong_within: Span,
    /// How often a report is sent again until the hub has taken it in.
    pub resend_every: Span,
    /// Reports waiting for the hub at which no more work is taken.
    pub outbox_max: usize,
    /// How long running work may go on after a drain has begun.
    pub drain_within: Span,
    /// How long the last reports may wait for the hub when a drain is over.
    pub settle_within: Span,
    /// How long a stopped job may take to end before it is dropped.
    pub stop_within: Span,
    /// Frames of news about one task in a second.
    pub news_per_second: u32,
    /// Questions that one task may have open at once.
    pub questions_max: usize,
    /// Which guards stand.
    pub guards: Guards,
}

impl SidecarConfig {
    /// The configuration of `agent` with the documented defaults.
    #[must_use]
    pub const fn new(agent: AgentId, token: Secret) -> Self {
        Self {
            agent,
            token,
            name: None,
            capabilities: Vec::new(),
            models: BTreeMap::new(),
            labels: BTreeMap::new(),
            version: None,
            sandbox: None,
            slots: 1,
            backoff_base: Span::from_secs(1),
            backoff_cap: Span::from_secs(30),
            refused_wait: Span::from_secs(60),
            connect_within: Span::from_secs(30),
            identify_within: Span::from_secs(10),
            heartbeat: Span::from_secs(5),
            pong_within: Span::from_secs(10),
            resend_every: Span::from_secs(10),
            outbox_max: 256,
            drain_within: Span::from_secs(30),
            settle_within: Span::from_secs(5),
            stop_within: Span::from_secs(1),
            news_per_second: 10,
            questions_max: 8,
            guards: Guards::all(),
        }
    }
}
