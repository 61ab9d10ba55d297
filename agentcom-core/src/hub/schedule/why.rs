//! This file says why a task is where it is: the exact predicate, and what would move it on.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::id::TaskId;
use crate::name::AgentId;
use crate::route::Decision;
use crate::state::{Due, Gate, Requirements, State, When};
use crate::task::{Delay, Task, TaskState, Wait};
use crate::time::{Mono, Span};
use crate::view::{Nearest, Reason, Why};

/// The most agents that are looked at for the nearest one.
const NEAREST_MAX: usize = 1_000;

/// Why a living task is where it is.
#[must_use]
pub fn why(state: &State, id: TaskId) -> Option<Why> {
    let task = state.task(id)?;
    let route = route_of(task);
    Some(Why { task_id: id, state: task.life.state.as_str(), reason: reason(state, task), route })
}

/// Why an ended task ended.
#[must_use]
pub fn why_ended(task: &Task) -> Why {
    let death =
        if let TaskState::Dead(death) = task.life.state { Some(death.to_string()) } else { None };
    let reason = Reason::Ended { death, error: task.life.why_failed() };
    let route = route_of(task);
    Why { task_id: task.id, state: task.life.state.as_str(), reason, route }
}

/// The model that was chosen for the latest attempt, and what else there was.
fn route_of(task: &Task) -> Option<Box<Decision>> {
    task.life.last_attempt()?.route.clone()
}

fn reason(state: &State, task: &Task) -> Reason {
    let id = task.id;
    let now = state.now().mono;
    let left = |at: Option<Mono>| at.map_or(Span(0), |at| at - now);
    match &task.life.state {
        TaskState::Blocked { on } => Reason::Dependencies {
            on: on.clone(),
            on_dependency_failure: task.spec.after_dependency,
        },
        TaskState::Delayed(Delay::Until(at)) => Reason::NotBefore { until: *at },
        TaskState::Delayed(Delay::Backoff(_)) => Reason::Backoff {
            remaining: left(mono(state, &Due::Backoff(id))),
            error: task.life.last_error().map(String::from),
        },
        TaskState::Ready { .. } => held_back(state, task),
        TaskState::Assigned(hold) => Reason::Accepting {
            agent: hold.agent.clone(),
            remaining: left(state.clocks(id).and_then(|clocks| clocks.accept)),
        },
        TaskState::Working(hold) => match state.questions_about(id).next() {
            Some(question) => Reason::Question { question: question.clone() },
            None => Reason::Working {
                agent: hold.agent.clone(),
                lease_remaining: left(state.clocks(id).map(|clocks| clocks.lease)),
            },
        },
        TaskState::Waiting { on: Wait::Quota, until } => Reason::Quota { until: *until },
        TaskState::Waiting { on: Wait::Question(question), until } => {
            match state.question(*question) {
                Some(question) => Reason::Question { question: question.clone() },
                None => Reason::NotBefore { until: *until },
            }
        }
        TaskState::Completed | TaskState::Partial | TaskState::Dead(_) | TaskState::Cancelled => {
            why_ended(task).reason
        }
    }
}

fn mono(state: &State, due: &Due) -> Option<Mono> {
    match state.alarms().when(due)? {
        When::Mono(at) => Some(at),
        When::Wall(at) => Some(state.now().mono_at(at)),
    }
}

fn held_back(state: &State, task: &Task) -> Reason {
    let requirements = Requirements::of(&task.spec);
    if state.settings().stopped {
        return Reason::Stopped;
    }
    if let Some(scope) = state.pause_on(&requirements) {
        return Reason::Paused { scope };
    }
    match state.ready().gate_of(state.number(task.id)) {
        Some(Gate::Concurrency(key, max)) => Reason::Concurrency {
            key: key.clone(),
            max: *max,
            held_by: state.running(key).take(20).collect(),
        },
        Some(Gate::Rate(key)) => {
            let until = match state.alarms().when(&Due::Rate(key.clone())) {
                Some(When::Wall(at)) => at,
                Some(When::Mono(_)) | None => state.now().wall,
            };
            Reason::Rate { key: key.clone(), until }
        }
        Some(Gate::Route(wanted)) => Reason::Endpoints {
            tier: wanted.tier,
            model: wanted.model.as_deref().map(String::from),
            passed_over: state
                .route(wanted, &requirements, &task.life.failed_with().collect::<Vec<_>>())
                .map(|mut it| {
                    it.shorten();
                    it.alternatives
                })
                .unwrap_or_default(),
        },
        Some(Gate::Fit) | None => no_room(state, task, &requirements),
    }
}

fn no_room(state: &State, task: &Task, requirements: &Requirements) -> Reason {
    if let Some(at) = mono(state, &Due::Affinity(task.id)) {
        return Reason::Affinity { remaining: at - state.now().mono };
    }
    let able: u64 = match &requirements.pin {
        Some(agent) => u64::from(lacks(state, agent, requirements).is_empty()),
        None => {
            let class = state.ready().find(requirements);
            class.map_or(0, |class| {
                state.fleet().groups_for(class).map(|group| group.len() as u64).sum()
            })
        }
    };
    if able == 0 {
        return Reason::NoAgent { nearest: nearest(state, requirements) };
    }
    let mut kept_by = BTreeMap::new();
    for agent in able_agents(state, requirements) {
        *kept_by.entry(keeps(state, agent)).or_default() += 1;
    }
    Reason::AgentsBusy { able, kept_by }
}

/// Connected agents that can run what is required, the first of them.
fn able_agents<'a>(
    state: &'a State,
    requirements: &'a Requirements,
) -> impl Iterator<Item = &'a AgentId> {
    let fleet = state.fleet();
    let can = |group| fleet.group(group).is_some_and(|group| group.abilities.meet(requirements));
    let meant = |agent: &AgentId| requirements.pin.as_ref().is_none_or(|pin| pin == agent);
    let able =
        move |member: &&crate::state::Member| meant(&member.id) && member.group.is_some_and(can);
    fleet.members().filter(able).map(|member| &member.id).take(NEAREST_MAX)
}

/// What keeps an agent from being given work that it can do.
fn keeps(state: &State, id: &AgentId) -> &'static str {
    let trust = state.agent(id).map(|agent| (agent.draining, agent.trust.is_quarantined()));
    let session = state.session_of(id);
    match (trust, session) {
        (Some((true, _)), _) => "draining",
        (_, Some(session)) if session.drains => "draining",
        (Some((_, true)), _) => "quarantined",
        (_, Some(session)) if session.silent => "silent",
        (_, Some(session)) if !session.takes_work() => "resting",
        _ if state.fleet().named(id).is_some_and(|member| member.free.is_some()) => "unsuited",
        _ => "full",
    }
}

fn nearest(state: &State, requirements: &Requirements) -> Option<Nearest> {
    let candidates: Vec<&AgentId> = match &requirements.pin {
        Some(agent) => Vec::from([agent]),
        None => state.agents().map(|agent| &agent.id).take(NEAREST_MAX).collect(),
    };
    let lacking = candidates.into_iter().map(|agent| (lacks(state, agent, requirements), agent));
    let (lacks, agent) = lacking.min_by_key(|(lacks, _)| lacks.len())?;
    Some(Nearest { agent: agent.clone(), lacks })
}

/// What an agent lacks to be given a task, whether it has room or not.
fn lacks(state: &State, id: &AgentId, requirements: &Requirements) -> Vec<String> {
    let mut lacks = Vec::new();
    let Some(agent) = state.agent(id) else { return Vec::from(["registration".to_string()]) };
    match state.fleet().named(id).and_then(|member| state.fleet().group(member.group?)) {
        Some(group) => lacks.extend(group.abilities.lacks(requirements)),
        None => lacks.push("online".to_string()),
    }
    if agent.draining {
        lacks.push("resume".to_string());
    }
    if agent.trust.is_quarantined() {
        lacks.push("trust".to_string());
    }
    lacks
}
