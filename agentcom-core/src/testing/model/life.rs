//! This file moves the tasks of a model on: attempts that end, retries, dependencies.

use super::Model;
use crate::agent::TrustEvent;
use crate::rng::Rng;
use crate::task::{Category, Death, Delay, Hold, Outcome, Place, TaskState, Wait, backoff};
use crate::testing::bench::SEED;
use crate::time::Span;

/// How long a task waits for a quota of which nothing is said.
const QUOTA_WAIT: Span = Span::from_secs(60);

impl Model {
    pub(super) fn accept(&mut self, task: usize) {
        let found = &mut self.tasks[task];
        let Some(hold) = found.state.hold().cloned() else { return };
        found.accept_by = None;
        found.state = TaskState::Working(hold.clone());
        self.trust(&hold.agent, TrustEvent::Accepted);
    }

    /// Ends a held task with what its agent came to: all that was asked for, or part of it.
    pub(super) fn complete(&mut self, task: usize, state: TaskState) {
        let Some(hold) = self.tasks[task].state.hold().cloned() else { return };
        self.end(task, state);
        self.trust(&hold.agent, TrustEvent::Ended);
    }

    /// Ends a task for good that nobody has to be asked about: called off, or out of time.
    pub(super) fn call_off(&mut self, task: usize, state: TaskState) {
        let hold = self.tasks[task].state.hold().cloned();
        self.end(task, state);
        if let Some(hold) = hold {
            self.trust(&hold.agent, TrustEvent::Ended);
        }
    }

    /// The attempt at a held task ends without a result.
    pub(super) fn end_attempt(&mut self, task: usize, outcome: Outcome) {
        let Some(hold) = self.tasks[task].state.hold().cloned() else { return };
        self.forget_deadlines(task);
        match outcome {
            Outcome::Released => self.become_first(task),
            Outcome::Failed(Category::Permanent) => {
                self.tasks[task].failures += 1;
                self.end(task, TaskState::Dead(Death::Permanent));
            }
            Outcome::Failed(Category::Quota) => {
                let until = self.now + QUOTA_WAIT;
                self.tasks[task].state = TaskState::Waiting { on: Wait::Quota, until };
            }
            Outcome::Failed(Category::Crash) | Outcome::LeaseLost => {
                self.tasks[task].crashes += 1;
                let crashes = self.tasks[task].crashes;
                self.try_again(task, crashes, self.config.crashes_max, Death::Crashed);
            }
            Outcome::Failed(Category::Retryable)
            | Outcome::TimedOut
            | Outcome::NotAccepted
            | Outcome::CalledOff
            | Outcome::Completed
            | Outcome::Partial => {
                self.tasks[task].failures += 1;
                let failures = self.tasks[task].failures;
                let said =
                    self.tasks[task].spec.retry.as_ref().and_then(|retry| retry.attempts_max);
                self.try_again(
                    task,
                    failures,
                    said.unwrap_or(self.config.attempts_max),
                    Death::Exhausted,
                );
            }
        }
        self.judge_agent(&hold, outcome);
    }

    /// After the `spent`-th of `max` attempts a task waits for the next one, or is dead.
    fn try_again(&mut self, task: usize, spent: u32, max: u32, death: Death) {
        if spent >= max {
            return self.end(task, TaskState::Dead(death));
        }
        let found = &mut self.tasks[task];
        let retry = found.spec.retry.as_deref().cloned().unwrap_or_default();
        let base = retry.backoff_base.unwrap_or(self.config.backoff_base);
        let cap = retry.backoff_cap.unwrap_or(self.config.backoff_cap);
        let mut jitter = Rng::for_purpose(SEED, "backoff", found.id.0 ^ found.lease.0);
        let wait = backoff(spent, base, cap, Span(0), &mut jitter);
        found.backoff_ends = Some(self.now + wait);
        found.state = TaskState::Delayed(Delay::Backoff(wait));
    }

    fn judge_agent(&mut self, hold: &Hold, outcome: Outcome) {
        let name = &hold.agent;
        if matches!(outcome, Outcome::LeaseLost | Outcome::Failed(Category::Crash)) {
            let agent = self.agent_called(name);
            // What it held when it crashed went down with it.
            if self.agents[agent].crashed_at.is_some_and(|crashed| hold.since < crashed) {
                return;
            }
            self.agents[agent].crashed_at = Some(self.now);
        }
        let (since, until) = (self.now, self.now + self.config.quarantine);
        let limit = self.config.agent_crashes_max;
        match outcome {
            Outcome::Released => {}
            Outcome::NotAccepted => self.trust(name, TrustEvent::Missed),
            Outcome::LeaseLost | Outcome::Failed(Category::Crash) => {
                self.trust(name, TrustEvent::Crashed { limit, since, until });
            }
            Outcome::Failed(Category::Retryable | Category::Permanent | Category::Quota)
            | Outcome::TimedOut
            | Outcome::CalledOff
            | Outcome::Completed
            | Outcome::Partial => self.trust(name, TrustEvent::Ended),
        }
    }

    /// Trust has a state machine and a golden table of its own, and is no part of the model.
    pub(super) fn trust(&mut self, name: &crate::name::AgentId, event: TrustEvent) {
        let agent = self.agent_called(name);
        self.agents[agent].trust = self.agents[agent].trust.on(event);
    }

    fn end(&mut self, task: usize, state: TaskState) {
        self.forget_deadlines(task);
        self.tasks[task].state = state;
        self.over.push(task);
    }

    fn forget_deadlines(&mut self, task: usize) {
        let found = &mut self.tasks[task];
        found.backoff_ends = None;
        found.lease_ends = None;
        found.accept_by = None;
        found.times_out = None;
    }

    /// Tasks that waited for those that ended in this instant, the latest first; and so on.
    pub(super) fn move_dependents_on(&mut self) {
        while let Some(over) = self.over.pop() {
            let ended = self.tasks[over].clone();
            let id = ended.id;
            let waits = |task: &usize| matches!(&self.tasks[*task].state, TaskState::Blocked { on } if on.contains(&id));
            let mut waiting: alloc::vec::Vec<usize> = (0..self.tasks.len()).filter(waits).collect();
            waiting.sort_by_key(|task| self.tasks[*task].id);
            for task in waiting {
                if ended.fails(self.tasks[task].spec.after_dependency) {
                    self.end(task, TaskState::Dead(Death::Dependency));
                    continue;
                }
                if let TaskState::Blocked { on } = &mut self.tasks[task].state {
                    on.retain(|other| *other != id);
                    if on.is_empty() {
                        self.unblock(task);
                    }
                }
            }
        }
    }

    /// Nothing that it depends on is open any more: it waits for its time, or is ready.
    pub(super) fn unblock(&mut self, task: usize) {
        let run_after = self.tasks[task].spec.times().run_after;
        match run_after.filter(|at| *at > self.now) {
            Some(at) => self.tasks[task].state = TaskState::Delayed(Delay::Until(at)),
            None => self.become_ready(task),
        }
    }

    /// It waits for an agent, behind those that did before.
    pub(super) fn become_ready(&mut self, task: usize) {
        let place = self.queue_up(task);
        self.forget_deadlines(task);
        self.tasks[task].state = TaskState::Ready { since: self.now, place };
    }

    /// It waits for an agent, in front of its lane: it was given back unspent.
    fn become_first(&mut self, task: usize) {
        let place = Place { order: 0, ..self.queue_up(task) };
        self.tasks[task].state = TaskState::Ready { since: self.now, place };
    }
}
