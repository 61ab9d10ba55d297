//! This file is how a sidecar leaves: it takes no more, ends what it has, and says so.
//!
//! What was not started is given back at once. What runs may end by itself for a while; then it
//! is stopped and given back, unspent. The last reports have a bounded time to be heard: those
//! that are not stay in the journal for the next run.

use super::job::{Phase, Why};
use super::session::SessionEvent;
use super::{Effect, Exit, Level, Sidecar, Wake};
use crate::time::Mono;
use crate::wire::ToHub;

/// How far the leaving is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Work may still end by itself.
    Draining { until: Mono, exit: Exit },
    /// Work was asked to stop.
    Stopping { until: Mono, exit: Exit },
    /// The last reports are on their way.
    Settling { until: Mono, exit: Exit },
}

impl Leaving {
    /// When it goes on whatever happens.
    pub(super) const fn wake(&self) -> (Mono, Wake) {
        match *self {
            Self::Draining { until, .. } => (until, Wake::Drain),
            Self::Stopping { until, .. } | Self::Settling { until, .. } => (until, Wake::Settle),
        }
    }

    const fn exit_mut(&mut self) -> &mut Exit {
        match self {
            Self::Draining { exit, .. }
            | Self::Stopping { exit, .. }
            | Self::Settling { exit, .. } => exit,
        }
    }
}

impl Sidecar {
    /// Starts to leave. One who is asked to stop while it was about to restart stops.
    pub(super) fn leave(&mut self, exit: Exit) {
        if let Some(leaving) = &mut self.leaving {
            if exit == Exit::Clean {
                *leaving.exit_mut() = exit;
            }
            return;
        }
        if self.is_closed() {
            return;
        }
        self.out.log(Level::Info, None, "drains: takes no more work and ends what it has");
        self.leaving =
            Some(Leaving::Draining { until: self.floor.mono + self.config.drain_within, exit });
        if self.session.online().is_some() {
            self.out.effect(Effect::Send(ToHub::AgentDraining {}));
        }
        for claim in self.has_phase(Phase::Offered) {
            self.stop(claim, Why::Drained);
        }
    }

    /// Stops what has not ended by itself.
    pub(super) fn drain_lapse(&mut self) {
        let now = self.floor.mono;
        let Some(Leaving::Draining { until, exit }) = self.leaving else { return };
        if until > now {
            return;
        }
        // Twice the grace that a stopped job has before it is dropped: its end is then known.
        let until = now + self.config.stop_within.times(2);
        self.leaving = Some(Leaving::Stopping { until, exit });
        for claim in self.has_phase(Phase::Running) {
            self.stop(claim, Why::Drained);
        }
    }

    /// Leaves when nothing is left to do, or no time.
    pub(super) fn leave_when_settled(&mut self) {
        let now = self.floor.mono;
        if let Some(Leaving::Draining { until, exit } | Leaving::Stopping { until, exit }) =
            self.leaving
            && (self.jobs.is_empty() || until <= now)
        {
            let until = now + self.config.settle_within;
            self.leaving = Some(Leaving::Settling { until, exit });
        }
        if let Some(Leaving::Settling { until, exit }) = self.leaving
            && (until <= now || self.outbox.is_empty() && self.jobs.is_empty())
        {
            self.exit(exit);
        }
    }

    fn exit(&mut self, exit: Exit) {
        if self.session.online().is_some() && exit == Exit::Restart {
            self.out.effect(Effect::Send(ToHub::AgentRestarting {
                reason: Some("asked by the hub".into()),
            }));
        }
        if !self.outbox.is_empty() {
            let left = self.outbox.len();
            self.out.log(
                Level::Warn,
                None,
                alloc::format!("{left} reports stay in the journal for the next run"),
            );
        }
        self.leaving = None;
        self.move_session(&SessionEvent::Close);
        self.out.effect(Effect::Disconnect);
        self.out.effect(Effect::Exit(exit));
    }
}
