//! This file is the rule that an embedder may replace: in which order, and to whom.

use core::fmt;

use crate::agent::Profile;
use crate::id::TaskId;
use crate::name::AgentId;
use crate::task::Spec;
use crate::time::Wall;

/// A task that becomes ready, as a policy sees it.
#[derive(Debug)]
pub struct TaskFacts<'a> {
    /// Its name.
    pub id: TaskId,
    /// What was asked for.
    pub spec: &'a Spec,
    /// Attempts spent on failures.
    pub failures: u32,
    /// Since when it is ready.
    pub ready_at: Wall,
    /// The start tag of fair queueing among the tasks of its lane: smaller is earlier.
    pub start_tag: u64,
}

/// An agent that has room and can run the task, as a policy sees it.
#[derive(Debug)]
pub struct AgentFacts<'a> {
    /// Its name.
    pub id: &'a AgentId,
    /// What it says of itself.
    pub profile: &'a Profile,
    /// Held tasks per thousand slots.
    pub load: u32,
    /// Whether it missed an acceptance, or is probed after a quarantine.
    pub probation: bool,
    /// The number of the assignment that it was last given; smaller is longer ago.
    pub last_assigned: u64,
    /// Whether it was the last to work on the task's repository.
    pub warm: bool,
}

/// In which order tasks start, and which agent suits best. Pure: the same facts give the same
/// answers.
///
/// What a policy cannot do is to break a limit: capabilities, pins, concurrency, rates and pauses
/// are decided before it is asked.
pub trait Policy: fmt::Debug + Send {
    /// The place of a task in its lane: smaller starts earlier, equal ones in the order in which
    /// they became ready, and the three largest numbers are equal. Asked once, when the task becomes
    /// ready.
    fn key(&self, task: &TaskFacts<'_>) -> u64;

    /// How well an agent suits a task: larger is better, `None` is not at all. Among equals the
    /// agent with the least load is taken, of those the one that was given a task longest ago, and
    /// of those the first by name.
    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32>;

    /// Whether [`Policy::fit`] ever answers `None`. If it never does, it is not asked about a task
    /// for which only one agent has room.
    fn may_refuse(&self) -> bool {
        true
    }
}

impl<P: Policy + ?Sized> Policy for alloc::boxed::Box<P> {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        (**self).key(task)
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        (**self).fit(task, agent)
    }

    fn may_refuse(&self) -> bool {
        (**self).may_refuse()
    }
}

/// The usual policy: fair shares inside each lane; agents in good standing, then those that have
/// the repository at hand, then those with the fewest abilities that the task does not need.
#[derive(Clone, Copy, Debug, Default)]
pub struct FairPolicy;

impl Policy for FairPolicy {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.start_tag
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        let surplus = agent.profile.capabilities.len().saturating_sub(task.spec.needs.len());
        let spare = 1_000_u32.saturating_sub(surplus.min(1_000) as u32);
        let warm = if agent.warm { 10_000 } else { 0 };
        let good = if agent.probation { 0 } else { 100_000 };
        Some(good + warm + spare)
    }

    fn may_refuse(&self) -> bool {
        false
    }
}
