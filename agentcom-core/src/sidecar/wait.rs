//! This file lets deadlines pass, and knows which comes next.

use alloc::vec::Vec;

use super::Sidecar;
use super::job::{Job, Phase, Why};
use super::session::{Session, SessionEvent};
use super::{Claim, Effect, Level};
use crate::guard::Guard;
use crate::time::Mono;

/// Why a sidecar wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// To connect.
    Dial,
    /// The attempt to connect takes too long.
    Connect,
    /// The hub does not answer `identify`.
    Identify,
    /// To ping.
    Ping,
    /// The hub does not answer a ping.
    Pong,
    /// A lease could run out.
    Lease(Claim),
    /// A job takes too long.
    Timeout(Claim),
    /// A question stays unanswered.
    Question(Claim),
    /// To send reports again.
    Resend,
    /// To measure the machine.
    Measure,
    /// Running work had its time to end.
    Drain,
    /// The last reports had their time to be heard.
    Settle,
}

impl Sidecar {
    /// When to step with [`Input::Wake`](super::Input::Wake) at the latest, and what for.
    #[must_use]
    pub fn next_wake(&self) -> Option<(Mono, Wake)> {
        let jobs = self.jobs.next_wake();
        let leaving = self.leaving.iter().map(super::leave::Leaving::wake);
        self.session_wakes().into_iter().chain(jobs).chain(leaving).min()
    }

    fn session_wakes(&self) -> Vec<(Mono, Wake)> {
        match &self.session {
            Session::Waiting { until } => alloc::vec![(*until, Wake::Dial)],
            Session::Connecting { until } => alloc::vec![(*until, Wake::Connect)],
            Session::Greeting { until, .. } => alloc::vec![(*until, Wake::Identify)],
            Session::Online(_) => {
                let pong = self.pong_due().map(|at| (at, Wake::Pong));
                let ping = self.ping_due().map(|at| (at, Wake::Ping));
                let resend = self.outbox.next_due().map(|at| (at, Wake::Resend));
                let measure = self.measure_due().map(|at| (at, Wake::Measure));
                [pong, ping, resend, measure].into_iter().flatten().collect()
            }
            Session::Closed => Vec::new(),
        }
    }

    /// Lets the deadlines of connection, jobs and questions pass.
    pub(super) fn lapse(&mut self) {
        self.session_lapse();
        self.jobs_lapse();
        self.answer_overdue();
        self.drain_lapse();
    }

    fn session_lapse(&mut self) {
        let now = self.floor.mono;
        match &self.session {
            Session::Waiting { until } if *until <= now => {
                let until = now + self.config.connect_within;
                self.move_session(&SessionEvent::Dial { until });
                self.out.effect(Effect::Connect);
            }
            Session::Connecting { until } if *until <= now => {
                self.hang_up("connecting took too long")
            }
            Session::Greeting { until, .. } if *until <= now => {
                self.hang_up("the hub does not answer")
            }
            Session::Online(_)
                if self.pong_due().is_some_and(|at| at <= now) && self.on(Guard::PongDeadline) =>
            {
                self.hang_up("the hub has stopped answering");
            }
            Session::Waiting { .. }
            | Session::Connecting { .. }
            | Session::Greeting { .. }
            | Session::Online(_)
            | Session::Closed => {}
        }
    }

    fn jobs_lapse(&mut self) {
        let now = self.floor.mono;
        let is_over = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let late = |claim: Claim, job: &Job| {
            let timed_out = job.phase == Phase::Running && is_over(job.timeout_at);
            match (timed_out, is_over(job.stop_at()) && self.on(Guard::StopInTime)) {
                (true, _) => Some((claim, Why::TimedOut)),
                (false, true) => Some((claim, Why::LeaseOut)),
                (false, false) => None,
            }
        };
        let due = self.jobs.due(now).into_iter();
        let due = due.filter_map(|claim| late(claim, self.jobs.get(claim)?));
        for (claim, why) in due.collect::<Vec<_>>() {
            if why == Why::LeaseOut {
                self.out.log(Level::Warn, claim, "could not renew its lease in time");
            }
            self.stop(claim, why);
        }
    }

    /// Sends the reports and the ping that are due, and asks for the measurement that is. Reports go
    /// first: the hub then knows of the end of a job before a ping leaves it out.
    pub(super) fn send_due(&mut self) {
        if self.session.online().is_none() {
            return;
        }
        self.send_due_reports();
        if self.ping_due().is_some_and(|at| at <= self.floor.mono) {
            self.ping();
        }
        self.measure();
    }

    fn ping_due(&self) -> Option<Mono> {
        let online = self.session.online()?;
        Some(online.pinged_at.map_or(Mono(0), |at| at + self.ping_every(online.heartbeat)))
    }

    fn pong_due(&self) -> Option<Mono> {
        let first = self.session.online()?.pings.front()?;
        Some(first.at + self.config.pong_within)
    }
}
