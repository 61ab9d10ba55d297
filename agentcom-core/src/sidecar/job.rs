//! This file is the state machine of one assignment on the sidecar's side.
//!
//! | state | waits for | ends with |
//! |---|---|---|
//! | offered | a slot, and a lease that is known to be good | a start, or the lease |
//! | running | the executor | an outcome, the timeout, the lease or a cancellation |
//! | stopping | the executor to end | its end, within a second |
//! | over | nothing | at once: it is forgotten or reported |

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::name::Kind;
use crate::port::executor::JobOutcome;
use crate::sidecar::question::Open;
use crate::sidecar::session::OutOfTurn;
use crate::sidecar::spend::Calls;
use crate::task::{LeaseLoss, Traces};
use crate::time::{Mono, Span};
use crate::wire::Assignment;

/// Why a job is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The hub called it off.
    Cancelled,
    /// The hub says that the lease is gone.
    Lost,
    /// The lease could run out before it is renewed.
    LeaseOut,
    /// It took longer than it may.
    TimedOut,
    /// The sidecar leaves, or may not begin it.
    Drained,
}

/// What is said of a job that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Forget,
    /// What the executor said.
    Outcome,
    /// It was given back, unspent.
    Release,
    /// It took longer than it may.
    TimedOut,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Taken on, not started.
    Offered,
    /// At work.
    Running,
    /// Asked to stop.
    Stopping(Why),
    /// Ended.
    Over(Verdict),
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEvent {
    /// It starts.
    Start,
    /// It has to stop.
    Stop(Why),
    /// It ended with something to show.
    Done,
    /// It ended with nothing to show.
    Fell,
}

impl Phase {
    /// The phase after `event`.
    pub(super) const fn on(self, event: JobEvent) -> Result<Self, OutOfTurn> {
        use JobEvent as E;
        Ok(match self {
            Self::Offered => match event {
                E::Start => Self::Running,
                E::Stop(Why::Cancelled | Why::Lost) => Self::Over(Verdict::Forget),
                E::Stop(Why::LeaseOut | Why::Drained) => Self::Over(Verdict::Release),
                E::Stop(Why::TimedOut) | E::Done | E::Fell => return Err(OutOfTurn),
            },
            Self::Running => match event {
                E::Stop(why) => Self::Stopping(why),
                E::Done | E::Fell => Self::Over(Verdict::Outcome),
                E::Start => return Err(OutOfTurn),
            },
            Self::Stopping(why) => match event {
                E::Stop(Why::Cancelled) => Self::Stopping(Why::Cancelled),
                E::Stop(Why::Lost) => match why {
                    Why::Cancelled => return Err(OutOfTurn),
                    Why::Lost | Why::LeaseOut | Why::TimedOut | Why::Drained => {
                        Self::Stopping(Why::Lost)
                    }
                },
                E::Done => Self::Over(why.when_done()),
                E::Fell => Self::Over(why.when_fallen()),
                E::Start | E::Stop(Why::LeaseOut | Why::TimedOut | Why::Drained) => {
                    return Err(OutOfTurn);
                }
            },
            Self::Over(_) => return Err(OutOfTurn),
        })
    }

    /// Whether the executor is at it.
    pub(super) const fn occupies(self) -> bool {
        match self {
            Self::Running | Self::Stopping(_) => true,
            Self::Offered | Self::Over(_) => false,
        }
    }

    /// Whether it is meant to go on.
    pub(super) const fn is_live(self) -> bool {
        match self {
            Self::Offered | Self::Running => true,
            Self::Stopping(_) | Self::Over(_) => false,
        }
    }
}

impl Why {
    /// For people.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "the hub called it off",
            Self::Lost => "the lease is gone",
            Self::LeaseOut => "the lease could run out",
            Self::TimedOut => "it took too long",
            Self::Drained => "the sidecar leaves",
        }
    }

    /// Work that got done before it heard that it should stop counts, if the hub still wants it.
    const fn when_done(self) -> Verdict {
        match self {
            Self::Cancelled => Verdict::Forget,
            Self::Lost | Self::LeaseOut | Self::TimedOut | Self::Drained => Verdict::Outcome,
        }
    }

    const fn when_fallen(self) -> Verdict {
        match self {
            Self::Cancelled | Self::Lost => Verdict::Forget,
            Self::TimedOut => Verdict::TimedOut,
            // Neither the task nor who runs it is to blame for a hub that is out of reach.
            Self::LeaseOut | Self::Drained => Verdict::Release,
        }
    }
}

/// An assignment that was taken on.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Where it stands.
    pub(super) phase: Phase,
    /// What to start; `None` once it has.
    pub(super) assignment: Option<Box<Assignment>>,
    /// Who does it.
    pub(super) kind: Kind,
    /// How long it may take.
    timeout: Option<Span>,
    /// When it has taken too long.
    pub(super) timeout_at: Option<Mono>,
    /// How long the lease lasts.
    pub(super) ttl: Span,
    /// Whether it works on without a lease.
    on_loss: LeaseLoss,
    /// When it was taken on.
    offered_at: Mono,
    /// When the lease ends at the earliest.
    lease_until: Mono,
    /// Whether the hub confirmed the lease since it gave it.
    confirmed: bool,
    /// Whether the lease is gone; only work that goes on without one lives on.
    pub(super) lost: bool,
    /// Whether the hub knows that it was taken on.
    pub(super) accepted: bool,
    /// What may be said of it.
    pub(super) news: Bucket,
    /// What it wants to know, oldest first; the first has been asked.
    pub(super) questions: VecDeque<Open>,
    /// The calls that cost money.
    pub(super) calls: Calls,
    /// Answers of the hub to come that nobody waits for.
    pub(super) stray_answers: u32,
    /// What it leaves behind.
    pub(super) left: Traces,
}

impl Job {
    /// A job whose lease the hub gave after `granted_after`.
    pub(super) fn new(
        assignment: Box<Assignment>,
        granted_after: Mono,
        offered_at: Mono,
        news: Bucket,
    ) -> Self {
        Self {
            offered_at,
            phase: Phase::Offered,
            kind: assignment.kind().clone(),
            timeout: assignment.timeout_ms,
            timeout_at: None,
            ttl: assignment.lease_ttl_ms,
            on_loss: assignment.on_lease_loss,
            lease_until: granted_after + assignment.lease_ttl_ms,
            assignment: Some(assignment),
            confirmed: false,
            lost: false,
            accepted: false,
            news,
            questions: VecDeque::new(),
            calls: Calls::default(),
            stray_answers: 0,
            left: Traces::default(),
        }
    }

    /// Whether it goes on when its lease is gone.
    pub(super) fn outlives_its_lease(&self) -> bool {
        self.on_loss == LeaseLoss::Continue && self.phase == Phase::Running
    }

    /// Whether its lease is to be renewed.
    pub(super) const fn is_held(&self) -> bool {
        self.phase.is_live() && !self.lost
    }

    /// Whether the hub listens to it: it holds the lease, or stops before the lease is given back.
    /// What it says last may be where to find what it has done.
    pub(super) const fn is_heard(&self) -> bool {
        let listens = match self.phase {
            Phase::Offered
            | Phase::Running
            | Phase::Stopping(Why::LeaseOut | Why::TimedOut | Why::Drained) => true,
            Phase::Stopping(Why::Cancelled | Why::Lost) | Phase::Over(_) => false,
        };
        listens && !self.lost
    }

    /// When it has to stop so that it has stopped before its lease ends: a fifth of the lease
    /// earlier, and at least a second. As long as it only waits for the lease to be confirmed,
    /// nothing runs that would have to stop, and the time to wait counts.
    pub(super) fn stop_at(&self) -> Option<Mono> {
        let margin = (self.ttl.0 / 5).max(1000);
        let waits = self.phase == Phase::Offered && !self.confirmed;
        let until = if waits { self.offered_at + self.ttl } else { self.lease_until };
        let at = Mono(until.0.saturating_sub(margin));
        (self.is_held() && !self.outlives_its_lease()).then_some(at)
    }

    /// Whether the lease is known to last: the hub confirmed it, or gave it only recently.
    pub(super) fn may_start(&self, now: Mono) -> bool {
        self.phase == Phase::Offered
            && (self.confirmed || self.lease_until - now > Span(self.ttl.0 / 2))
    }

    /// Counts the lease from an instant before it was renewed.
    pub(super) fn renew(&mut self, sent_at: Mono) {
        self.lease_until = self.lease_until.max(sent_at + self.ttl);
        self.confirmed = true;
    }

    /// Starts the clock of the attempt; what to start.
    pub(super) fn start(&mut self, now: Mono) -> Option<Box<Assignment>> {
        self.phase = self.phase.on(JobEvent::Start).ok()?;
        self.timeout_at = self.timeout.map(|timeout| now + timeout);
        self.assignment.take()
    }

    /// Takes out the questions whose time is over, each with its place. An answer to the first is
    /// still to come.
    pub(super) fn take_overdue(&mut self, now: Mono) -> Vec<(usize, Open)> {
        let mut over = Vec::new();
        while let Some(at) = self.questions.iter().position(|open| open.due() <= now) {
            let Some(open) = self.questions.remove(at) else { break };
            self.stray_answers += u32::from(at == 0);
            over.push((at, open));
        }
        over
    }

    /// How long it may take, for people.
    pub(super) fn timeout(&self) -> Span {
        self.timeout.unwrap_or_default()
    }
}

/// Whether an outcome has something to show.
pub(super) const fn event_of(outcome: &JobOutcome) -> JobEvent {
    match outcome {
        JobOutcome::Done { .. } | JobOutcome::Partial { .. } => JobEvent::Done,
        JobOutcome::Failed { .. }
        | JobOutcome::Unserved { .. }
        | JobOutcome::Snooze { .. }
        | JobOutcome::Cancel { .. }
        | JobOutcome::Stopped => JobEvent::Fell,
    }
}

/// Lets through so many items a second, and as many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    per_second: u64,
    /// Thousandths of items that may pass.
    level: u64,
    at: Mono,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(now: Mono, per_second: u32) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, level: per_second * 1000, at: now }
    }

    /// Whether one more may pass.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        let gained = (now - self.at).0.saturating_mul(self.per_second);
        self.level = self.level.saturating_add(gained).min(self.per_second * 1000);
        self.at = now;
        let passes = self.level >= 1000;
        self.level -= if passes { 1000 } else { 0 };
        passes
    }
}

#[cfg(test)]
mod tests;
