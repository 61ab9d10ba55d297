//! This file keeps the list of everything that has a deadline, on both clocks.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::id::{QuestionId, SessionId, TaskId};
use crate::name::{AgentId, Credential, EndpointId, Key, OperatorId};
use crate::time::{Mono, Now, Wall};

/// What becomes due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A connection has not said who it is.
    Identify(SessionId),
    /// A connection whose token was refused is to be closed.
    Close(SessionId),
    /// A connection has been silent for too long.
    Silence(SessionId),
    /// A plain client has not reported what it holds.
    Report(SessionId),
    /// A plain client no longer runs what was taken from it.
    Unbar(SessionId),
    /// A connection that had no room may have some.
    Room(SessionId),
    /// A lease ends.
    Lease(TaskId),
    /// An acceptance is missing.
    Accept(TaskId),
    /// An attempt has taken too long.
    Timeout(TaskId),
    /// A plain client has not said a word about a task for too long.
    Stuck(TaskId),
    /// A backoff is over.
    Backoff(TaskId),
    /// A task no longer waits for the agent that has its repository at hand.
    Affinity(TaskId),
    /// A task may start.
    RunAfter(TaskId),
    /// A task dies.
    Deadline(TaskId),
    /// A task has been ready for too long.
    Expiry(TaskId),
    /// A task has waited for an answer or a quota for too long.
    Wait(TaskId),
    /// A question is answered by its default.
    Question(QuestionId),
    /// A quarantine is over.
    Quarantine(AgentId),
    /// A token of an operator expires.
    TokenEnd(OperatorId),
    /// A rate has room again.
    Rate(Key),
    /// An endpoint is to be looked at.
    Probe(EndpointId),
    /// Tasks for the model that a server has loaded no longer come first; by one of its names.
    Batch(EndpointId),
    /// The quota of a key is renewed, or more tasks may use the key.
    Parked(Credential),
}

/// When something becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On the clock of spans.
    Mono(Mono),
    /// On the clock of dates.
    Wall(Wall),
}

/// Everything that has a deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    at: BTreeMap<Due, When>,
    mono: BTreeSet<(Mono, Due)>,
    wall: BTreeSet<(Wall, Due)>,
}

impl Alarms {
    /// Sets or clears the deadline of `due`.
    pub fn set(&mut self, due: Due, when: Option<When>) {
        if self.at.get(&due).copied() == when {
            return;
        }
        if let Some(old) = self.at.remove(&due) {
            match old {
                When::Mono(at) => self.mono.remove(&(at, due.clone())),
                When::Wall(at) => self.wall.remove(&(at, due.clone())),
            };
        }
        match when {
            Some(When::Mono(at)) => self.mono.insert((at, due.clone())),
            Some(When::Wall(at)) => self.wall.insert((at, due.clone())),
            None => return,
        };
        if let Some(when) = when {
            self.at.insert(due, when);
        }
    }

    /// When `due` becomes due.
    #[must_use]
    pub fn when(&self, due: &Due) -> Option<When> {
        self.at.get(due).copied()
    }

    /// The first thing that is due at `now`.
    #[must_use]
    pub fn due(&self, now: Now) -> Option<&Due> {
        let mono = self.mono.first().filter(|(at, _)| *at <= now.mono).map(|(_, due)| due);
        let wall = || self.wall.first().filter(|(at, _)| *at <= now.wall).map(|(_, due)| due);
        mono.or_else(wall)
    }

    /// The next deadline on the clock of spans, if the other clock does not jump.
    #[must_use]
    pub fn next(&self, now: Now) -> Option<(Mono, &Due)> {
        let mono = self.mono.first().map(|(at, due)| (*at, due));
        let wall = self.wall.first().map(|(at, due)| (now.mono_at(*at), due));
        [mono, wall].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What becomes due.
    pub fn dues(&self) -> impl Iterator<Item = &Due> {
        self.at.keys()
    }

    /// How many deadlines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Whether the lists agree with each other.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.at.len() == self.mono.len() + self.wall.len()
            && self.mono.iter().all(|(at, due)| self.when(due) == Some(When::Mono(*at)))
            && self.wall.iter().all(|(at, due)| self.when(due) == Some(When::Wall(*at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_of_both_clocks_is_next() {
        let mut alarms = Alarms::default();
        let now = Now { mono: Mono(100), wall: Wall(1_000_000) };
        alarms.set(Due::Lease(TaskId(1)), Some(When::Mono(Mono(300))));
        alarms.set(Due::Deadline(TaskId(1)), Some(When::Wall(Wall(1_000_050))));
        assert_eq!(alarms.next(now), Some((Mono(150), &Due::Deadline(TaskId(1)))));
        assert_eq!(alarms.due(now), None);
        alarms.set(Due::Deadline(TaskId(1)), None);
        assert_eq!(alarms.next(now), Some((Mono(300), &Due::Lease(TaskId(1)))));
        assert!(alarms.agree());
    }

    #[test]
    fn a_deadline_that_moves_is_not_due_at_its_old_time() {
        let mut alarms = Alarms::default();
        alarms.set(Due::Lease(TaskId(1)), Some(When::Mono(Mono(10))));
        alarms.set(Due::Lease(TaskId(1)), Some(When::Mono(Mono(20))));
        let at = |ms| Now { mono: Mono(ms), wall: Wall(0) };
        assert_eq!(alarms.due(at(10)), None);
        assert_eq!(alarms.due(at(20)), Some(&Due::Lease(TaskId(1))));
        assert_eq!(alarms.len(), 1);
    }
}
