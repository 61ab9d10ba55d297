//! This file says in which state an attempt leaves its task.

use alloc::boxed::Box;

use super::{QUOTA_WAIT, Tx};
use crate::guard::Guard;
use crate::rng::Rng;
use crate::task::{Category, Death, Delay, Ended, Outcome, Task, TaskState, Wait, backoff};
use crate::time::Span;

impl Tx<'_> {
    /// Ends a held task's attempt, with the state that its outcome calls for.
    pub(in crate::hub) fn end_of(
        &self,
        task: &Task,
        outcome: Outcome,
        error: Option<Box<str>>,
        at_least: Option<Span>,
    ) -> (Ended, TaskState) {
        let ended = Ended { error, ..Ended::new(self.now().wall, outcome) };
        let then = match outcome {
            Outcome::Released => self.front(task),
            Outcome::Failed(Category::Permanent) => TaskState::Dead(Death::Permanent),
            Outcome::Failed(Category::Quota) => {
                let until = self.now().wall + at_least.unwrap_or(QUOTA_WAIT);
                TaskState::Waiting { on: Wait::Quota, until }
            }
            Outcome::Failed(Category::Crash) | Outcome::LeaseLost => {
                let crashes = task.life.crashes + 1;
                if crashes >= self.config.crashes_max && self.on(Guard::CrashLimit) {
                    TaskState::Dead(Death::Crashed)
                } else {
                    self.later(task, crashes, at_least)
                }
            }
            Outcome::Failed(Category::Retryable)
            | Outcome::TimedOut
            | Outcome::NotAccepted
            | Outcome::CalledOff
            | Outcome::Completed
            | Outcome::Partial => {
                let failures = task.life.failures + 1;
                let retry = task.spec.retry.as_deref().cloned().unwrap_or_default();
                let max = retry.attempts_max.unwrap_or(self.config.attempts_max);
                if failures >= max && self.on(Guard::AttemptLimit) {
                    TaskState::Dead(Death::Exhausted)
                } else {
                    self.later(task, failures, at_least)
                }
            }
        };
        (ended, then)
    }

    fn later(&self, task: &Task, failures: u32, at_least: Option<Span>) -> TaskState {
        let retry = task.spec.retry.as_deref().cloned().unwrap_or_default();
        let base = retry.backoff_base.unwrap_or(self.config.backoff_base);
        let cap = retry.backoff_cap.unwrap_or(self.config.backoff_cap);
        let seed = self.state.head().map_or(0, |head| head.seed);
        let mut rng = Rng::for_purpose(seed, "backoff", task.id.0 ^ task.life.lease.0);
        let wait = backoff(failures, base, cap, at_least.unwrap_or_default(), &mut rng);
        TaskState::Delayed(Delay::Backoff(wait))
    }
}
