//! This file judges what a hub gave out by the rules that hold whatever a policy says.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::{Broken, Member, agent_name};
use crate::agent::Trust;
use crate::command::Scope;
use crate::name::{AgentId, Key};
use crate::task::{Rate, Spec, Task, TaskState};
use crate::testing::bench::{Bench, KINDS, Start};
use crate::time::Wall;

/// Judges after each step. It goes by what was asked for and given out, and by the lives of tasks;
/// it looks at no index and no decision of the scheduler.
///
/// - An agent does the kind of what it is given, has the capabilities, and is the one of a pin.
/// - It holds no more than it has slots; a drained or quarantined one is given nothing.
/// - Nothing starts in a scope that is paused.
/// - No concurrency limit is exceeded by even one, and no rate in any span of time.
/// - No task waits that nothing holds back while an agent that could run it has room, unless the
///   policy is one that refuses.
#[derive(Debug, Default)]
pub struct Judge {
    seen: usize,
    drawn: BTreeMap<Key, Vec<Wall>>,
    picky: bool,
}

impl Judge {
    /// A judge of a policy that finds no agent good enough for some tasks.
    #[must_use]
    pub fn of_a_picky_policy() -> Self {
        Self { picky: true, ..Self::default() }
    }

    /// Looks at what was given out since the last look: at most one step may lie between two.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words.
    pub fn look(&mut self, bench: &Bench, fleet: &[Member]) -> Result<(), Broken> {
        let starts = &bench.starts[self.seen..];
        self.seen = bench.starts.len();
        for (n, start) in starts.iter().enumerate() {
            let task = bench.task(start.held.task_id);
            let member = of(fleet, &start.agent);
            suits(&task.spec, start, member)?;
            may_start(bench, task, start)?;
            within_limit(bench, task, &starts[n + 1..])?;
            for rate in task.spec.rates() {
                let drawn = self.drawn.entry(rate.key.clone()).or_default();
                drawn.push(start.at.wall);
                within_rate(rate, drawn)?;
            }
        }
        within_slots(bench, fleet)?;
        let excused = self.picky || bench.hub.state().is_pending();
        if excused { Ok(()) } else { nothing_idles(bench, fleet) }
    }
}

fn of<'a>(fleet: &'a [Member], agent: &AgentId) -> Option<&'a Member> {
    fleet.iter().enumerate().find(|(n, _)| agent_name(*n) == *agent).map(|(_, member)| member)
}

fn can(spec: &Spec, agent: &AgentId, member: &Member) -> bool {
    let has = |need: &str| member.capabilities.contains(&need);
    let pinned = spec.assign_to.as_ref().is_some_and(|pin| pin != agent);
    KINDS.contains(&spec.op.kind.as_str())
        && spec.needs.iter().all(|need| has(need.as_str()))
        && !pinned
}

fn suits(spec: &Spec, start: &Start, member: Option<&Member>) -> Result<(), Broken> {
    if member.is_some_and(|member| can(spec, &start.agent, member)) {
        return Ok(());
    }
    Err(format!("{} was given to {}, who cannot do it", start.held.task_id, start.agent))
}

fn may_start(bench: &Bench, task: &Task, start: &Start) -> Result<(), Broken> {
    let state = bench.hub.state();
    let agent = state.agent(&start.agent).ok_or("an unknown agent was given work")?;
    if agent.draining || agent.trust.is_quarantined() {
        return Err(format!("{} was given {} while it is to get nothing", agent.id, task.id));
    }
    match paused(bench, &task.spec) {
        Some(scope) => Err(format!("{} started though {scope:?} is paused", task.id)),
        None => Ok(()),
    }
}

fn paused<'a>(bench: &'a Bench, spec: &Spec) -> Option<&'a Scope> {
    bench.hub.state().settings().paused.iter().find(|scope| match scope {
        Scope::All => true,
        Scope::Repo(repo) => spec.repo.as_ref() == Some(repo),
        Scope::Capability(capability) => spec.needs.contains(capability),
    })
}

/// At most one more than the others ran when it started; those of `later` started after it.
fn within_limit(bench: &Bench, task: &Task, later: &[Start]) -> Result<(), Broken> {
    let Some(limit) = task.spec.concurrency() else { return Ok(()) };
    let shares = |task: &Task| task.spec.concurrency().is_some_and(|other| other.key == limit.key);
    let later = later.iter().filter(|start| shares(bench.task(start.held.task_id))).count();
    let running = at_work(bench, &limit.key).saturating_sub(later);
    if running > limit.max as usize {
        return Err(format!("{running} tasks run with {limit:?}"));
    }
    Ok(())
}

fn at_work(bench: &Bench, key: &Key) -> usize {
    let holds = |task: &&Task| {
        let keyed = task.spec.concurrency().is_some_and(|limit| limit.key == *key);
        keyed && task.life.state.hold().is_some()
    };
    bench.hub.state().tasks().filter(holds).count()
}

/// In every span that ends with the last start, no more started than a burst and what was refilled.
fn within_rate(rate: &Rate, drawn: &[Wall]) -> Result<(), Broken> {
    let Some(last) = drawn.last() else { return Ok(()) };
    for (n, first) in drawn.iter().enumerate() {
        let (starts, span) = ((drawn.len() - n) as u64, *last - *first);
        let allowed = u64::from(rate.burst) + span.0 * u64::from(rate.limit) / rate.per.0;
        if starts > allowed {
            return Err(format!("{starts} tasks started in {span} with {rate:?}"));
        }
    }
    Ok(())
}

fn within_slots(bench: &Bench, fleet: &[Member]) -> Result<(), Broken> {
    for (n, member) in fleet.iter().enumerate() {
        let held = bench.hub.state().held_by(&agent_name(n)).count();
        if held > member.slots as usize {
            return Err(format!("agent {n} holds {held} tasks in {} slots", member.slots));
        }
    }
    Ok(())
}

fn nothing_idles(bench: &Bench, fleet: &[Member]) -> Result<(), Broken> {
    let state = bench.hub.state();
    let free: Vec<_> =
        fleet.iter().enumerate().filter(|(n, member)| has_room(bench, *n, member)).collect();
    for task in state.tasks().filter(|task| matches!(task.life.state, TaskState::Ready { .. })) {
        let limited = |key: &Key, max: u32| at_work(bench, key) >= max as usize;
        let held_back = paused(bench, &task.spec).is_some()
            || task.spec.concurrency().is_some_and(|limit| limited(&limit.key, limit.max))
            // When a bucket is full enough is for `within_rate` to say.
            || !task.spec.rates().is_empty();
        let idle = free.iter().find(|(n, member)| can(&task.spec, &agent_name(*n), member));
        if let (false, Some((n, _))) = (held_back, idle) {
            return Err(format!("{} waits while agent {n} has room", task.id));
        }
    }
    Ok(())
}

/// Whether an agent in good standing has a free slot.
fn has_room(bench: &Bench, number: usize, member: &Member) -> bool {
    let (state, id) = (bench.hub.state(), agent_name(number));
    let Some(agent) = state.agent(&id) else { return false };
    let held = state.held_by(&id).count();
    state.session_of(&id).is_some()
        && !agent.draining
        && matches!(agent.trust, Trust::Good | Trust::Shaken { .. })
        && held < member.slots as usize
}
