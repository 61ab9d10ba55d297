//! This file is the state machine of a task: where its life stands and what may happen next.
//!
//! | state | waits for | ends with |
//! |---|---|---|
//! | blocked | other tasks | their end, or the task's deadline |
//! | delayed | a time | that time |
//! | ready | an agent | an assignment, expiry or the deadline |
//! | assigned | the agent's acceptance | acceptance within 60 s, or the lease |
//! | working | the agent's result | a result, the lease, the timeout or the deadline |
//! | waiting | an answer or a quota | that, or the time until which it waits |
//! | completed, partial, dead, cancelled | nothing | never |
//!
//! **Invariant:** a terminal state is never left, except that an operator may revive the dead.

mod state;
#[cfg(test)]
mod tests;

pub(crate) use state::never;
pub use state::{
    Answer, Attempt, Category, Death, Delay, Ended, Fence, Finish, Hold, Life, Outcome, Place,
    TaskState, Wait,
};

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::guard::{Guard, Guards};
use crate::id::{Lease, TaskId};
use crate::route::{Chosen, Decision};
use crate::task::FailedDependency;
use crate::time::Wall;

/// What can happen to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// A task that it depends on ended; with the last of them it moves on to the given state.
    Unblock(TaskId, TaskState),
    /// What it was delayed by or waited for is over; it becomes ready at the given place, with the
    /// answer that it waited for.
    Due(Place, Option<Box<Answer>>),
    /// It is given to an agent, with the model that was chosen for it.
    Assign(Hold, Option<Box<Decision>>),
    /// The agent takes it on.
    Accept(Fence),
    /// The agent is done.
    Finish(Fence, Outcome, Box<Finish>),
    /// An agent that lost the lease is done, and nobody was given the task since.
    FinishLate(Fence, Outcome, Box<Finish>),
    /// The attempt ended without a result; the task moves on to the given state.
    End(Fence, Ended, TaskState),
    /// A task that it depends on ended without what it needs; it dies of that.
    FailDependency(FailedDependency),
    /// It dies.
    Kill(Death),
    /// It is called off.
    Cancel,
    /// An operator gives it another life at the given place.
    Revive(Place),
}

/// Why something cannot happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// The assignment is not the current one.
    #[error("the lease is stale")]
    Stale,
    /// Somebody else holds the task.
    #[error("the task is held by another agent")]
    NotHolder,
    /// It has ended.
    #[error("the task has ended")]
    Over,
    /// It does not fit the state.
    #[error("this does not fit the state of the task")]
    OutOfTurn,
}

impl Life {
    /// How many attempts are kept; older ones are dropped, their counts stay.
    pub const ATTEMPTS_KEPT: usize = 20;

    /// How many answers are kept; older ones are dropped.
    pub const ANSWERS_KEPT: usize = 8;

    /// The life of a task that was submitted at `at`.
    #[must_use]
    pub fn new(state: TaskState, at: Wall) -> Self {
        Self {
            state,
            lease: Lease(0),
            failures: 0,
            crashes: 0,
            revivals: 0,
            created_at: at,
            updated_at: at,
            attempts: Vec::new(),
            answers: Vec::new(),
            failed_dependency: None,
            finish: None,
            spend: None,
        }
    }

    /// The latest attempt.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The model that was chosen for the latest attempt.
    #[must_use]
    pub fn chosen(&self) -> Option<&Chosen> {
        self.last_attempt()?.chosen()
    }

    /// The models with which attempts came to less than was asked for, the latest last; not those of which
    /// an agent or a quota took the blame.
    pub fn failed_with(&self) -> impl Iterator<Item = &Chosen> {
        let failed = self.attempts.iter().filter(|attempt| {
            let outcome = attempt.ended.as_ref().map(|ended| ended.outcome);
            outcome.is_some_and(|outcome| match outcome {
                Outcome::Partial
                | Outcome::TimedOut
                | Outcome::Failed(Category::Retryable | Category::Permanent) => true,
                Outcome::Completed
                | Outcome::Failed(Category::Quota | Category::Crash)
                | Outcome::NotAccepted
                | Outcome::LeaseLost
                | Outcome::Released
                | Outcome::CalledOff => false,
            })
        });
        failed.filter_map(Attempt::chosen)
    }

    /// What went wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.attempts.iter().rev().find_map(|attempt| attempt.ended.as_ref()?.error.as_deref())
    }

    /// Why the task came to nothing, in words: the dependency that it died of, or else what went wrong
    /// last.
    #[must_use]
    pub fn why_failed(&self) -> Option<String> {
        let dependency = self.failed_dependency.as_ref().map(ToString::to_string);
        dependency.or_else(|| self.last_error().map(String::from))
    }

    /// The life after `event`.
    ///
    /// # Errors
    ///
    /// Why the event cannot happen; the life is as it was.
    pub fn on(&self, at: Wall, event: TaskEvent) -> Result<Self, Refused> {
        self.on_under(Guards::all(), at, event)
    }

    /// As [`Life::on`], with these guards.
    pub(crate) fn on_under(
        &self,
        guards: Guards,
        at: Wall,
        event: TaskEvent,
    ) -> Result<Self, Refused> {
        use TaskEvent as E;
        use TaskState as S;
        let mut next = self.clone();
        next.updated_at = at;
        match &self.state {
            S::Blocked { on } => match event {
                E::Unblock(other, then) => next.unblock(on, other, then)?,
                E::FailDependency(failed) => next.fail_dependency(on, failed)?,
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => {
                    return Err(Refused::Stale);
                }
                E::Due(..) | E::Assign(..) | E::Revive(_) => return Err(Refused::OutOfTurn),
            },
            S::Delayed(_) | S::Waiting { .. } => match event {
                E::Due(place, answer) => next.due(place, answer),
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::FinishLate(fence, outcome, finish) => {
                    next.finish_late(guards, &fence, outcome, finish)?
                }
                E::Accept(_) | E::Finish(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::FailDependency(_) | E::Assign(..) | E::Revive(_) => {
                    return Err(Refused::OutOfTurn);
                }
            },
            S::Ready { .. } => match event {
                E::Assign(hold, route) => next.assign(guards, hold, route)?,
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::FinishLate(fence, outcome, finish) => {
                    next.finish_late(guards, &fence, outcome, finish)?
                }
                E::Accept(_) | E::Finish(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::FailDependency(_) | E::Due(..) | E::Revive(_) => {
                    return Err(Refused::OutOfTurn);
                }
            },
            S::Assigned(hold) | S::Working(hold) => match event {
                E::Accept(fence) => next.accept(guards, hold, &fence)?,
                E::Finish(fence, outcome, finish) => {
                    hold.admits(guards, &fence)?;
                    next.finish(outcome, finish);
                }
                E::End(fence, ended, then) => {
                    hold.admits(guards, &fence)?;
                    next.end(guards, ended, then);
                }
                E::Kill(death) => next.call_off(S::Dead(death)),
                E::Cancel => next.call_off(S::Cancelled),
                E::FinishLate(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::FailDependency(_) => return Err(Refused::OutOfTurn),
                E::Due(..) | E::Assign(..) | E::Revive(_) => return Err(Refused::OutOfTurn),
            },
            S::Dead(_) => next.on_dead(event)?,
            S::Completed | S::Partial | S::Cancelled => next.on_over(guards, event)?,
        }
        Ok(next)
    }

    fn on_dead(&mut self, event: TaskEvent) -> Result<(), Refused> {
        use TaskEvent as E;
        match event {
            E::Revive(place) => self.revive(place),
            E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => {
                return Err(Refused::Stale);
            }
            E::Unblock(..) | E::FailDependency(_) | E::Due(..) => return Err(Refused::Over),
            E::Assign(..) | E::Kill(_) | E::Cancel => return Err(Refused::Over),
        }
        Ok(())
    }

    fn on_over(&mut self, guards: Guards, event: TaskEvent) -> Result<(), Refused> {
        use TaskEvent as E;
        match event {
            E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => {
                return Err(Refused::Stale);
            }
            E::Revive(place) if !guards.on(Guard::Final) => self.revive(place),
            E::Unblock(..) | E::FailDependency(_) | E::Due(..) => return Err(Refused::Over),
            E::Assign(..) | E::Kill(_) | E::Cancel | E::Revive(_) => return Err(Refused::Over),
        }
        Ok(())
    }

    fn unblock(&mut self, on: &[TaskId], other: TaskId, then: TaskState) -> Result<(), Refused> {
        if !on.contains(&other) {
            return Err(Refused::OutOfTurn);
        }
        let left: Vec<TaskId> = on.iter().copied().filter(|&id| id != other).collect();
        self.state = if left.is_empty() { then } else { TaskState::Blocked { on: left } };
        Ok(())
    }

    fn fail_dependency(&mut self, on: &[TaskId], failed: FailedDependency) -> Result<(), Refused> {
        if !on.contains(&failed.id) {
            return Err(Refused::OutOfTurn);
        }
        self.failed_dependency = Some(failed.into());
        self.state = TaskState::Dead(Death::Dependency);
        Ok(())
    }

    fn due(&mut self, place: Place, answer: Option<Box<Answer>>) {
        if answer.is_some() && self.answers.len() == Self::ANSWERS_KEPT {
            self.answers.remove(0);
        }
        self.answers.extend(answer.map(|answer| *answer));
        self.state = TaskState::Ready { since: self.updated_at, place };
    }

    fn assign(
        &mut self,
        guards: Guards,
        hold: Hold,
        route: Option<Box<Decision>>,
    ) -> Result<(), Refused> {
        if hold.lease <= self.lease && guards.on(Guard::LeaseGrows) {
            return Err(Refused::Stale);
        }
        if self.attempts.len() == Self::ATTEMPTS_KEPT {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt {
            lease: hold.lease,
            agent: hold.agent.clone(),
            assigned_at: hold.since,
            accepted_at: None,
            route,
            ended: None,
        });
        self.lease = hold.lease;
        self.state = TaskState::Assigned(hold);
        Ok(())
    }

    fn accept(&mut self, guards: Guards, hold: &Hold, fence: &Fence) -> Result<(), Refused> {
        hold.admits(guards, fence)?;
        let at = self.updated_at;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.accepted_at.get_or_insert(at);
        }
        self.state = TaskState::Working(hold.clone());
        Ok(())
    }

    fn finish(&mut self, outcome: Outcome, mut finish: Box<Finish>) {
        let (at, tokens, left) =
            (self.updated_at, finish.tokens, core::mem::take(&mut finish.left));
        let ended = Ended { tokens, left, ..Ended::new(at, outcome) };
        self.close_attempt(ended);
        self.finish = Some(finish);
        self.state = match outcome {
            Outcome::Partial => TaskState::Partial,
            Outcome::Completed
            | Outcome::Failed(_)
            | Outcome::TimedOut
            | Outcome::NotAccepted
            | Outcome::LeaseLost
            | Outcome::Released
            | Outcome::CalledOff => TaskState::Completed,
        };
    }

    fn finish_late(
        &mut self,
        guards: Guards,
        fence: &Fence,
        outcome: Outcome,
        finish: Box<Finish>,
    ) -> Result<(), Refused> {
        let lost = |attempt: &Attempt| {
            attempt.ended.as_ref().is_some_and(|ended| ended.outcome == Outcome::LeaseLost)
        };
        let last = self.attempts.last().filter(|attempt| lost(attempt)).ok_or(Refused::Stale)?;
        let hold = Hold { agent: last.agent.clone(), lease: last.lease, since: last.assigned_at };
        hold.admits(guards, fence)?;
        self.finish(outcome, finish);
        Ok(())
    }

    fn end(&mut self, guards: Guards, ended: Ended, then: TaskState) {
        match ended.outcome {
            Outcome::Failed(Category::Retryable | Category::Permanent)
            | Outcome::TimedOut
            | Outcome::NotAccepted => self.failures += 1,
            Outcome::Failed(Category::Crash) | Outcome::LeaseLost => self.crashes += 1,
            Outcome::Released => self.failures += u32::from(!guards.on(Guard::Unspent)),
            Outcome::Failed(Category::Quota)
            | Outcome::CalledOff
            | Outcome::Completed
            | Outcome::Partial => {}
        }
        self.close_attempt(ended);
        self.state = then;
    }

    fn call_off(&mut self, then: TaskState) {
        let at = self.updated_at;
        self.close_attempt(Ended::new(at, Outcome::CalledOff));
        self.state = then;
    }

    fn close_attempt(&mut self, ended: Ended) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = Some(ended);
        }
    }

    fn revive(&mut self, place: Place) {
        self.failures = 0;
        self.crashes = 0;
        self.revivals = self.revivals.saturating_add(1);
        self.failed_dependency = None;
        self.state = TaskState::Ready { since: self.updated_at, place };
    }
}
