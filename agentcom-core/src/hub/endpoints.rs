//! This file keeps what the hub knows of endpoints up to date: by tasks that look at them, by how
//! tasks that they served ended, and by the quotas of keys.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::clipped;
use super::tx::Tx;
use crate::change::Change;
use crate::endpoint::{Breaker, Endpoint, Fault, Routing, Seen, Sign};
use crate::id::TaskId;
use crate::json::Json;
use crate::name::{Credential, EndpointId, Kind, Principal, Tag};
use crate::rng::Rng;
use crate::route::{Chosen, Wanted};
use crate::state::{Group, Health, PROBE, Pulse, Requirements, probed_by};
use crate::task::{
    self, Attempt, Category, Draft, Ended, Life, Outcome, Place, Priority, Retry, Spec, Task,
    TaskEvent, TaskState, Times,
};
use crate::time::Span;

/// How often an endpoint is looked at: while it is wanted, or is out of order, and otherwise.
const LOOK_EVERY: Span = Span::from_secs(60);
const LOOK_IDLE: Span = Span::from_mins(10);
/// How long a look may take.
const LOOK_WITHIN: Span = Span::from_secs(30);
/// How long a look waits for an agent, in front of all else, before it is called off and asked for anew.
const LOOK_WAITS: Span = Span::from_mins(10);

/// After a quota was renewed one user comes back, and one more after each such time, give or take
/// half of it; with the last of so many all may.
const BACK_EVERY: Span = Span::from_secs(10);
const BACK_ONE_BY_ONE: u32 = 8;

/// An endpoint is to be looked at, or its breaker has been open for its time.
pub(super) fn look_due(tx: &mut Tx<'_>, id: &EndpointId) {
    let (Some(endpoint), Some(health)) =
        (tx.state.endpoint(id).cloned(), tx.state.endpoints().health(id).cloned())
    else {
        return;
    };
    let now = tx.now();
    let breaker = health.breaker.on(now.mono, Sign::Due);
    if breaker != health.breaker {
        tx.feel(Pulse::Health(id.clone(), Health { breaker, ..health.clone() }.into()));
    }
    let is_fine = matches!(breaker, Breaker::Closed { failures: 0, .. });
    let heard =
        health.heard_at.filter(|_| is_fine && !tx.state.endpoints().is_wanted(id, endpoint.api));
    let is_fresh = heard.is_some_and(|at| now.wall - at < LOOK_IDLE);
    if !is_fresh && !matches!(breaker, Breaker::Open { .. }) {
        look(tx, id, &endpoint);
    }
    schedule(tx, id, breaker);
}

/// When an endpoint is looked at next.
fn schedule(tx: &mut Tx<'_>, id: &EndpointId, breaker: Breaker) {
    let next = tx.now().mono + LOOK_EVERY;
    let at = match breaker {
        Breaker::Open { until, .. } => until,
        Breaker::Closed { .. } | Breaker::HalfOpen { .. } => next,
    };
    tx.feel(Pulse::ProbeAt(id.clone(), at));
}

/// Asks an agent to look at an endpoint, unless one does or none can. A program is there when its agent
/// is.
fn look(tx: &mut Tx<'_>, id: &EndpointId, endpoint: &Endpoint) {
    let is_full = tx.state.task_count() >= tx.config.tasks_max;
    let is_program = endpoint.api.program().is_some();
    if is_full || is_program || tx.state.endpoints().is_probed(id) {
        return;
    }
    let Some(spec) = look_spec(id, endpoint) else { return };
    let fleet = tx.state.fleet();
    let able = fleet.able(&Requirements::of(&spec));
    let any = |can: fn(&Group) -> bool| able.iter().any(|id| fleet.group(*id).is_some_and(can));
    // Whoever is busy with it tells by its work how the endpoint is doing.
    let may_wait = || any(Group::works) && !is_told_of(tx, id);
    if !any(Group::has_room) && !may_wait() {
        return;
    }
    let at = tx.now().wall;
    let (_, public) = tx.draw_number(|head| &mut head.next_task);
    let id = TaskId(public);
    let place = Place { order: Place::FRONT, ..tx.place(&spec, id, 0) };
    let life = Life::new(TaskState::Ready { since: at, place }, at);
    tx.record_as("task.submitted", Change::TaskAdded(Task { id, spec: spec.into(), life }.into()));
}

/// Whether results tell of an endpoint: it serves a task, or was heard of lately.
fn is_told_of(tx: &Tx<'_>, id: &EndpointId) -> bool {
    let endpoints = tx.state.endpoints();
    let heard_at = endpoints.health(id).and_then(|health| health.heard_at);
    heard_at.is_some_and(|at| tx.now().wall - at < LOOK_EVERY)
        || endpoints.held(id).next().is_some()
}

fn look_spec(id: &EndpointId, endpoint: &Endpoint) -> Option<Spec> {
    let input = BTreeMap::from([("endpoint", id.as_str())]);
    let draft = Draft {
        description: format!("look at the endpoint {id}"),
        priority: Priority::Urgent,
        needs: endpoint.needs().collect(),
        times: Times {
            timeout: Some(LOOK_WITHIN),
            expires_after: Some(LOOK_WAITS),
            ..Times::default()
        },
        retry: Retry { attempts_max: Some(1), ..Retry::default() },
        group: task::Group { tags: Tag::new(PROBE).into_iter().collect(), ..Default::default() },
        ..Draft::new(Kind::new(PROBE).ok()?, Json::of(&input).ok()?)
    };
    draft.into_spec(Principal::System, Vec::new()).ok()
}

/// What happens to a look, where something else would die of it: nobody queued it who would have to look
/// after it, and another follows, so it is called off.
pub(super) fn undying(spec: &Spec, event: TaskEvent) -> TaskEvent {
    let is_look = || probed_by(spec).is_some();
    if matches!(event, TaskEvent::Kill(_)) && is_look() {
        return TaskEvent::Cancel;
    }
    if let TaskEvent::End(fence, ended, TaskState::Dead(_)) = &event
        && is_look()
    {
        return TaskEvent::End(fence.clone(), ended.clone(), TaskState::Cancelled);
    }
    event
}

/// A task ends; if it looked at an endpoint, what it saw is known now.
pub(super) fn looked(tx: &mut Tx<'_>, id: TaskId, life: &Life) {
    let Some(id) = tx.state.task(id).and_then(|task| probed_by(&task.spec)) else { return };
    if life.attempts.is_empty() {
        // Nobody had time for it.
        return tx.feel(Pulse::ProbeAt(id, tx.now().mono));
    }
    let ended = life.last_attempt().and_then(|attempt| attempt.ended.as_ref());
    if ended.is_some_and(|ended| ended.outcome == Outcome::TimedOut) {
        // Whoever looks gives up earlier, unless it stands still itself: then it cannot be asked either.
        return hear(tx, &id, Sign::Failed(None), None, Some(unseen()));
    }
    if life.state != TaskState::Completed {
        return;
    }
    let seen: Option<Seen> = life.finish.as_ref().and_then(|finish| finish.result.read().ok());
    let Some(mut seen) = seen else { return };
    seen.models.truncate(Endpoint::MODELS_MAX);
    match seen.error.take() {
        None => hear(tx, &id, Sign::Answered, Some(seen), None),
        Some(error) => {
            hear(tx, &id, Sign::Failed(None), None, Some(clipped(&error, ERROR_CHARS_MAX)))
        }
    }
}

/// An attempt with a model ended. What counts for its endpoint is whether the model answered, and not
/// what came of the task.
pub(super) fn served(tx: &mut Tx<'_>, id: TaskId, ended: &Ended) {
    let Some(worked) = worked(ended) else { return };
    let endpoint = tx.state.task(id).or_else(|| tx.state.just_ended(id)).and_then(endpoint_of);
    let Some(endpoint) = endpoint else { return };
    match worked {
        true => hear(tx, &endpoint, Sign::Worked, None, None),
        false => hear(tx, &endpoint, Sign::Failed(None), None, Some(SILENT.into())),
    }
}

/// What is said of an endpoint that was looked at in vain.
fn unseen() -> Box<str> {
    format!("who looked at it did not say in {LOOK_WITHIN} what it saw").into()
}

/// What is said of an endpoint whose model did not answer.
const SILENT: &str = "its model answered no call in the time that a task had for it";

/// Whether the model of an attempt answered; nothing if that is not known.
fn worked(ended: &Ended) -> Option<bool> {
    match ended.outcome {
        // What follows where it did not serve to the end is decided by the fault.
        Outcome::Failed(Category::Quota) | Outcome::Released => None,
        // Of agents that do not say it: what took no tokens, and part of a result, may be the work of an
        // earlier attempt.
        Outcome::Completed => ended.left.answered.or((ended.tokens != Some(0)).then_some(true)),
        Outcome::Partial => {
            ended.left.answered.or(ended.tokens.filter(|&used| used > 0).map(|_| true))
        }
        Outcome::Failed(Category::Retryable | Category::Permanent | Category::Crash)
        | Outcome::TimedOut
        | Outcome::NotAccepted
        | Outcome::LeaseLost
        | Outcome::CalledOff => ended.left.answered,
    }
}

/// The endpoint of the latest attempt at a task.
fn endpoint_of(task: &Task) -> Option<EndpointId> {
    task.life.chosen().map(|chosen| chosen.endpoint.clone())
}

/// An endpoint that did not serve a task. What follows for the endpoint keeps other tasks from the
/// same, so that this one may go elsewhere at once.
pub(super) struct Unserved {
    endpoint: EndpointId,
    fault: Fault,
}

/// The endpoint that did not serve a task; none if the task was not routed, or if it has to wait for
/// itself, as for a quota where keys are not parked.
pub(super) fn unserved(tx: &Tx<'_>, id: TaskId, fault: Fault) -> Option<Unserved> {
    let endpoint = endpoint_of(tx.state.task(id)?)?;
    let is_there = tx.state.endpoint(&endpoint).is_some();
    let is_parked = fault != Fault::Quota || !tx.state.settings().routing.parking_off;
    (is_there && is_parked).then_some(Unserved { endpoint, fault })
}

impl Unserved {
    /// How the attempt ends: nobody is to blame, and the task is in front of its lane. But what breaks off
    /// over and over, and what nobody pays for, counts as a failure at the task, so that others are
    /// tried, and it has an end.
    pub(super) fn end_of(
        &self,
        tx: &Tx<'_>,
        task: &Task,
        error: Option<Box<str>>,
    ) -> (Ended, TaskState) {
        let outcome = match self.fault {
            Fault::Quota => Outcome::Failed(Category::Quota),
            Fault::Broken if has_broken_off_often(task) => Outcome::Failed(Category::Retryable),
            Fault::Unreachable | Fault::Busy | Fault::NoModel | Fault::Broken => Outcome::Released,
            Fault::NotPaid if others_may_go_on(tx, task) => Outcome::Failed(Category::Retryable),
            Fault::NotPaid => Outcome::Failed(Category::Permanent),
        };
        let counts = matches!(outcome, Outcome::Failed(Category::Retryable | Category::Permanent));
        let (ended, then) = tx.end_of(task, outcome, error, None);
        (ended, if counts { then } else { tx.front(task) })
    }

    /// Draws the conclusion for the endpoint, which asks to be left alone for so long `least`.
    pub(super) fn heard(&self, tx: &mut Tx<'_>, error: Option<&str>, least: Option<Span>) {
        let account = tx.state.endpoint(&self.endpoint).map(|it| it.account(&self.endpoint));
        match (self.fault, account) {
            (Fault::Quota, Some(account)) => park(tx, account, least.unwrap_or(LOOK_EVERY)),
            (Fault::Quota, None) | (Fault::NotPaid, _) => {}
            (Fault::Unreachable | Fault::Busy | Fault::NoModel | Fault::Broken, _) => {
                let error = error.map(|error| clipped(error, ERROR_CHARS_MAX));
                hear(tx, &self.endpoint, Sign::Failed(least), None, error);
            }
        }
    }
}

/// So often in all an answer may break off at one task, of one model, before that is the task's.
const BROKEN_MAX: usize = 3;

/// Whether the model of the latest attempt did not serve the task so often before that its answer has
/// to do with what it is asked.
fn has_broken_off_often(task: &Task) -> bool {
    let Some(own) = task.life.chosen() else { return false };
    let is_released = |attempt: &&Attempt| {
        attempt.ended.as_ref().is_some_and(|ended| ended.outcome == Outcome::Released)
    };
    let released = task.life.attempts.iter().filter(is_released).filter_map(Attempt::chosen);
    let before = released.filter(|it| (&it.endpoint, &it.model) == (&own.endpoint, &own.model));
    before.count() + 1 >= BROKEN_MAX
}

/// Whether there is a model for a task, or will be, other than that of its latest attempt and those that
/// failed at it.
fn others_may_go_on(tx: &Tx<'_>, task: &Task) -> bool {
    let Some(wanted) = Wanted::of(task) else { return false };
    let failed: Vec<&Chosen> = task.life.failed_with().chain(task.life.chosen()).collect();
    let wanted = Wanted { failed: true, ..wanted };
    let decision = tx.state.route(&wanted, &Requirements::of(&task.spec), &failed);
    decision.is_some_and(|decision| decision.has_other())
}

/// Something was heard of an endpoint.
fn hear(tx: &mut Tx<'_>, id: &EndpointId, sign: Sign, seen: Option<Seen>, error: Option<Box<str>>) {
    let Some(health) = tx.state.endpoints().health(id) else { return };
    let now = tx.now();
    let breaker = health.breaker.on(now.mono, sign);
    let before = health.breaker;
    let seen = seen.map(Box::new).or_else(|| health.seen.clone());
    let health = Health { breaker, seen, error, heard_at: Some(now.wall) };
    tx.feel(Pulse::Health(id.clone(), health.into()));
    if breaker != before {
        schedule(tx, id, breaker);
    }
}

/// Nobody uses a key for so long. What is parked for longer stays so.
pub(super) fn park(tx: &mut Tx<'_>, key: Credential, wait: Span) {
    let until = tx.now().wall + wait.min(Routing::PARKED_MAX);
    let known = tx.state.settings().routing.parked.get(&key);
    if known.is_some_and(|known| *known >= until) {
        return;
    }
    tx.change_settings("credential.parked", |settings| {
        settings.routing.parked.insert(key, until);
    });
}

/// The quota of a key is renewed, or one more of its users may come back: all at once would meet its
/// end together again.
pub(super) fn parked_due(tx: &mut Tx<'_>, key: &Credential) {
    let users = tx.state.endpoints().returning(key).map_or(1, |users| users + 1);
    if users > BACK_ONE_BY_ONE {
        return tx.change_settings("credential.back", |settings| {
            settings.routing.parked.remove(key);
        });
    }
    let seed = tx.state.head().map_or(0, |head| head.seed);
    let salt = key
        .as_str()
        .bytes()
        .fold(u64::from(users), |sum, byte| crate::rng::scramble(sum ^ u64::from(byte)));
    let half = BACK_EVERY.0 / 2;
    let wait = half + Rng::for_purpose(seed, "quota", salt).below(BACK_EVERY.0);
    let until = tx.now().mono + Span(wait);
    tx.feel(Pulse::UsersBack(key.clone(), users, until));
}

/// The longest text about a failure that is kept, in characters.
const ERROR_CHARS_MAX: usize = 300;
