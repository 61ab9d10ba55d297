//! This file ends what has run out of time, and is the only one that does.
//!
//! **Invariant:** whatever waits for someone else has a deadline, so nothing waits for ever.

use alloc::vec::Vec;

use super::tx::Tx;
use super::{Effect, endpoints, operators};
use crate::agent::TrustEvent;
use crate::change::Change;
use crate::guard::Guard;
use crate::id::{QuestionId, SessionId, TaskId};
use crate::name::Key;
use crate::port::transport::CloseReason;
use crate::state::Pulse;
use crate::state::{Due, Gate};
use crate::task::{Answer, Death, Outcome, TaskEvent, TaskState, Wait};
use crate::time::{Mono, Span};
use crate::wire::Dialect;

/// The most deadlines that one step lets pass, so that a mass of them does not hold up the rest.
const PASSED_MAX: usize = 512;

/// Lets due deadlines pass, item by item.
pub(super) fn run(tx: &mut Tx<'_>) {
    for _ in 0..PASSED_MAX {
        let Some(due) = tx.state.alarms().due(tx.now()).cloned() else { return };
        pass(tx, &due);
        if tx.state.alarms().when(&due).is_some_and(|when| still_due(tx, when)) {
            tx.feel(Pulse::Passed(due));
        }
    }
}

/// Grants every lease anew, in full: nobody could renew while the hub was down, nor in the time
/// that it took to start.
pub(super) fn resume(tx: &mut Tx<'_>, took: Span) {
    let held: Vec<TaskId> = tx.state.held().collect();
    held.into_iter().for_each(|id| tx.grant(id));
    be_lenient(tx, took);
    give_grace(tx, Span(0), tx.config.return_within);
}

/// A hub that stood still for `gone` heard nobody. What they said meanwhile waits in their
/// connections, or in those who gave up on it.
pub(super) fn stood_still(tx: &mut Tx<'_>, gone: Span) {
    let more = be_lenient(tx, gone);
    give_grace(tx, gone, more);
}

/// How long agents may take to come back to a hub that was gone for so long: the longer it was, the
/// longer they wait before they try again. Some of them are taken for connected until then, since
/// what they said before they gave up is still to be read. Who is silent for good is found out all
/// the same, unless the hub stands still for a fifth of the time.
fn be_lenient(tx: &mut Tx<'_>, gone: Span) -> Span {
    let more = tx.config.return_within.min(Span(gone.0.saturating_mul(4)));
    tx.feel(Pulse::Lenient(tx.now().mono + more));
    more
}

/// Does not count `gone` against anybody, and gives those who hold a task at least `more`.
fn give_grace(tx: &mut Tx<'_>, gone: Span, more: Span) {
    let back_by = tx.now().mono + more;
    tx.feel(Pulse::Returning(back_by));
    let put_off = |at: Mono| (at + gone).max(back_by);
    let held: Vec<TaskId> = tx.state.held().collect();
    for id in held {
        tx.clocks(id, |clocks| {
            clocks.lease = put_off(clocks.lease);
            clocks.accept = clocks.accept.map(put_off);
            // A result in time may be among what was not heard.
            clocks.timeout = clocks.timeout.map(put_off);
            clocks.stuck = clocks.stuck.map(put_off);
            clocks.told = clocks.told + gone;
        });
    }
    let sessions: Vec<_> = tx.state.sessions().map(|session| session.id).collect();
    for id in sessions {
        tx.session(id, |session| {
            session.identify_by = session.identify_by.map(|at| at + gone);
            session.silent_at = session.silent_at.map(|at| at + gone);
            session.report_by = session.report_by.map(|at| at + gone);
        });
    }
}

fn still_due(tx: &Tx<'_>, when: crate::state::When) -> bool {
    match when {
        crate::state::When::Mono(at) => at <= tx.now().mono,
        crate::state::When::Wall(at) => at <= tx.now().wall,
    }
}

/// A deadline whose guard was taken away passes without a trace.
fn pass(tx: &mut Tx<'_>, due: &Due) {
    if guard_of(due).is_some_and(|guard| !tx.on(guard)) {
        return;
    }
    match due {
        Due::Identify(session) => close(tx, *session, CloseReason::Unauthorised),
        Due::Close(session) => close(tx, *session, CloseReason::Unauthorised),
        Due::Silence(session) => silence(tx, *session),
        Due::Report(session) => report_missing(tx, *session),
        Due::Unbar(session) => tx.session(*session, |session| session.barred_until = None),
        Due::Room(session) => tx.session(*session, |session| session.busy_until = None),
        Due::Lease(task) => tx.lose(*task, Outcome::LeaseLost, "the lease ran out"),
        Due::Accept(task) => tx.lose(*task, Outcome::NotAccepted, "not accepted in time"),
        Due::Timeout(task) => tx.lose(*task, Outcome::TimedOut, "the attempt took too long"),
        Due::Stuck(task) => tx.lose(*task, Outcome::LeaseLost, "no news for too long"),
        Due::Backoff(task) | Due::RunAfter(task) => due_now(tx, *task),
        Due::Wait(task) => wait_over(tx, *task),
        Due::Deadline(task) => kill(tx, *task, Death::Deadline),
        Due::Expiry(task) => kill(tx, *task, Death::Expired),
        Due::Question(question) => default_answer(tx, *question),
        Due::Quarantine(agent) => tx.trust(agent, TrustEvent::Served),
        Due::TokenEnd(operator) => operators::expire(tx, operator),
        Due::Rate(key) => rate_opens(tx, key),
        Due::Probe(id) => endpoints::look_due(tx, id),
        Due::Parked(key) => endpoints::parked_due(tx, key),
        Due::Affinity(_) | Due::Batch(_) => {}
    }
}

/// The guard that a deadline is, where it is one and not merely the end of a wait.
const fn guard_of(due: &Due) -> Option<Guard> {
    match due {
        Due::Identify(_) => Some(Guard::IdentifyDeadline),
        Due::Silence(_) => Some(Guard::Silence),
        Due::Report(_) => Some(Guard::ReportDeadline),
        Due::Lease(_) => Some(Guard::LeaseExpiry),
        Due::Accept(_) => Some(Guard::AcceptDeadline),
        Due::Timeout(_) => Some(Guard::Timeout),
        Due::Stuck(_) => Some(Guard::Stuck),
        Due::Deadline(_) => Some(Guard::Deadline),
        Due::Expiry(_) => Some(Guard::Expiry),
        Due::TokenEnd(_) => Some(Guard::TokenExpiry),
        Due::Wait(_) | Due::Question(_) => Some(Guard::WaitDeadline),
        Due::Close(_)
        | Due::Unbar(_)
        | Due::Room(_)
        | Due::Backoff(_)
        | Due::RunAfter(_)
        | Due::Quarantine(_)
        | Due::Rate(_)
        | Due::Affinity(_)
        | Due::Probe(_)
        | Due::Batch(_)
        | Due::Parked(_) => None,
    }
}

fn close(tx: &mut Tx<'_>, session: SessionId, reason: CloseReason) {
    tx.effect(Effect::Close(session, reason));
    tx.feel(Pulse::SessionGone(session));
}

/// A silent v1 client gets no more work; a silent plain client is closed as the original does.
fn silence(tx: &mut Tx<'_>, id: SessionId) {
    let Some(session) = tx.state.session(id) else { return };
    match session.dialect {
        Dialect::Plain => close(tx, id, CloseReason::TooSlow),
        Dialect::V1 => tx.session(id, |session| {
            session.silent = true;
            session.silent_at = None;
        }),
    }
}

/// What a plain client did not report after it came back, it does not have.
fn report_missing(tx: &mut Tx<'_>, id: SessionId) {
    let Some(session) = tx.state.session(id) else { return };
    let (missing, barred) = (session.unreported.clone(), session.barred_until);
    let Some(agent) = session.agent.clone() else { return };
    tx.session(id, |session| {
        session.report_by = None;
        session.unreported.clear();
    });
    for task in missing {
        // It may have been lost by other means, and be held by another agent.
        if !tx.state.held_by(&agent).any(|held| held == task) {
            continue;
        }
        let accepted =
            matches!(tx.state.life(task).map(|life| &life.state), Some(TaskState::Working(_)));
        let outcome = if accepted { Outcome::LeaseLost } else { Outcome::Released };
        tx.lose(task, outcome, "not reported after reconnecting");
        // It does not run what it does not report, so it may be given that and other work at once.
        tx.session(id, |session| {
            session.shunned.remove(&task);
            session.barred_until = barred;
        });
    }
}

fn due_now(tx: &mut Tx<'_>, id: TaskId) {
    let Some(task) = tx.state.task(id) else { return };
    let place = tx.place(&task.spec, id, task.life.failures);
    // Only delayed and waiting tasks have this alarm, and both admit the event.
    let _ = tx.transition(id, TaskEvent::Due(place, None));
}

fn wait_over(tx: &mut Tx<'_>, id: TaskId) {
    if let Some(TaskState::Waiting { on: Wait::Question(question), .. }) =
        tx.state.life(id).map(|life| &life.state)
    {
        let question = *question;
        return default_answer(tx, question);
    }
    due_now(tx, id);
}

fn kill(tx: &mut Tx<'_>, id: TaskId, death: Death) {
    // Every living state admits the event.
    let _ = tx.take_away(id, TaskEvent::Kill(death), &alloc::format!("{death}"));
}

fn default_answer(tx: &mut Tx<'_>, id: QuestionId) {
    let Some(question) = tx.state.question(id).cloned() else { return };
    tx.record_as("question.defaulted", Change::QuestionClosed(id));
    if let Some(ask) = question.spend {
        return tx.raise_answered(question.task, *ask, &question.default);
    }
    tx.tell_who_asked(&question, &question.default, true);
    let (task, text) = (question.task, question.text);
    let answer = Answer { question: text, answer: question.default, defaulted: true };
    // Only the task that was parked for the answer is waiting for it.
    let _ = tx.go_on_with(task, id, answer);
}

/// Lets what waits for a rate try again; a bucket that is full again is forgotten.
fn rate_opens(tx: &mut Tx<'_>, key: &Key) {
    tx.state.wake(&Gate::Rate(key.clone()));
    let Some((rate, bucket)) = tx.state.level(key) else { return };
    if bucket.is_full(rate, tx.now().wall) {
        tx.record_as("rate.idle", Change::BucketFull(key.clone()));
    } else {
        let full = bucket.full_at(rate);
        tx.feel(Pulse::RateOpens(key.clone(), full));
    }
}
