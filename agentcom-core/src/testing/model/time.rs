//! This file lets time pass for a model: from one instant at which something is due to the next.

use super::Model;
use crate::agent::{Trust, TrustEvent};
use crate::id::TaskId;
use crate::name::AgentId;
use crate::task::{Death, Delay, Outcome, TaskState};
use crate::testing::strategy::BEAT;
use crate::time::{Span, Wall};

/// What becomes due. What is due in the same instant is due in this order: by kind, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Lease(TaskId),
    Accept(TaskId),
    Timeout(TaskId),
    Backoff(TaskId),
    Wait(TaskId),
    Quarantine(AgentId),
    RunAfter(TaskId),
    Deadline(TaskId),
    Expiry(TaskId),
    /// Only the instant counts: everything is considered anew at each.
    Rate,
}

impl Model {
    /// Lets time pass, while connected agents beat and so renew what they hold.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            let beat = (self.now + BEAT).min(end);
            while let Some((at, _)) = self.first_due().filter(|(at, _)| *at <= beat) {
                self.now = at;
                self.let_pass();
            }
            self.now = beat;
            self.beat();
            if beat == end {
                return;
            }
        }
    }

    /// Everything that is due in this instant, and what follows from it.
    fn let_pass(&mut self) {
        while let Some((_, due)) =
            self.first_due().filter(|(at, due)| *at <= self.now && *due != Due::Rate)
        {
            self.fall_due(&due);
        }
        self.settle();
    }

    fn beat(&mut self) {
        for agent in (0..self.agents.len())
            .filter(|agent| self.agents[*agent].connected)
            .collect::<alloc::vec::Vec<_>>()
        {
            self.held_by(agent).into_iter().for_each(|task| self.renew(task));
        }
    }

    pub(super) fn renew(&mut self, task: usize) {
        let said = self.tasks[task].spec.times().lease_ttl;
        self.tasks[task].lease_ends = Some(self.now + said.unwrap_or(self.config.lease_ttl));
    }

    fn first_due(&self) -> Option<(Wall, Due)> {
        let mut first: Option<(Wall, Due)> = None;
        let mut offer = |at: Option<Wall>, due: Due| {
            let offer = at.map(|at| (at, due));
            first = first.take().into_iter().chain(offer).min();
        };
        for task in self.tasks.iter().filter(|task| !task.state.is_over()) {
            let times = task.spec.times();
            offer(task.lease_ends, Due::Lease(task.id));
            offer(task.accept_by, Due::Accept(task.id));
            offer(task.times_out, Due::Timeout(task.id));
            offer(task.backoff_ends, Due::Backoff(task.id));
            offer(times.complete_by, Due::Deadline(task.id));
            if let TaskState::Waiting { until, .. } = task.state {
                offer(Some(until), Due::Wait(task.id));
            }
            if let TaskState::Delayed(Delay::Until(at)) = task.state {
                offer(Some(at), Due::RunAfter(task.id));
            }
            if let TaskState::Ready { since, .. } = task.state {
                offer(times.expires_after.map(|span| since + span), Due::Expiry(task.id));
                offer(self.rate_opens(task), Due::Rate);
            }
        }
        for agent in &self.agents {
            if let Trust::Quarantined { until, .. } = agent.trust {
                offer(Some(until), Due::Quarantine(agent.id.clone()));
            }
        }
        first
    }

    fn fall_due(&mut self, due: &Due) {
        let position = |id: &TaskId| self.tasks.iter().position(|task| task.id == *id);
        let task = |id| position(id).expect("what is due lives");
        match due {
            Due::Lease(id) => self.end_attempt(task(id), Outcome::LeaseLost),
            Due::Accept(id) => self.end_attempt(task(id), Outcome::NotAccepted),
            Due::Timeout(id) => self.end_attempt(task(id), Outcome::TimedOut),
            Due::Backoff(id) | Due::Wait(id) | Due::RunAfter(id) => self.become_ready(task(id)),
            Due::Deadline(id) => self.call_off(task(id), TaskState::Dead(Death::Deadline)),
            Due::Expiry(id) => self.call_off(task(id), TaskState::Dead(Death::Expired)),
            Due::Quarantine(agent) => self.trust(agent, TrustEvent::Served),
            Due::Rate => {}
        }
    }
}
