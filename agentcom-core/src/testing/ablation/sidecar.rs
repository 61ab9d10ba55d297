//! This file misses the guards of the sidecar: what it writes down, runs, and says.

use super::sidecar_bench::{LIFE, SidecarBench, assignment};
use super::{Scenario, Verdict, ensure};
use crate::guard::{Guard, Guards};
use crate::id::Incarnation;
use crate::sidecar::{Effect, Input};
use crate::time::Span;
use crate::wire::ToHub;

/// How long a usual lease lasts.
const TTL: Span = Span::from_secs(30);

/// The scenarios of which lease of a task counts.
pub(super) fn lease(guard: Guard) -> Scenario {
    if guard == Guard::OneLeaseAtWork { one_lease_at_work } else { newest_lease }
}

fn is_complete(frame: &ToHub) -> bool {
    matches!(frame, ToHub::TaskComplete(_))
}

/// A sidecar with one task at work.
fn at_work(guards: Guards) -> SidecarBench {
    let mut bench = SidecarBench::online(guards, 1);
    bench.assign(assignment(1, 1, TTL));
    assert_eq!(bench.starts(), 1, "the work starts");
    bench
}

pub(super) fn write_before_accept(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.restart();
    bench.identify(LIFE);
    let told = bench.sent(|frame| matches!(frame, ToHub::TaskFailed(_)));
    ensure(told == 1, "a restarted sidecar does not know what it took on")
}

pub(super) fn write_before_send(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.done(1, 1);
    bench.restart();
    bench.identify(LIFE);
    ensure(bench.sent(is_complete) == 1, "a result was lost with the sidecar that had it")
}

pub(super) fn outbox_ack(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.done(1, 1);
    bench.step(Input::Disconnected);
    bench.identify(LIFE);
    ensure(bench.sent(is_complete) == 1, "a result that the hub never heard is not sent again")
}

pub(super) fn other_life(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.step(Input::Disconnected);
    bench.done(1, 1);
    bench.identify(Incarnation(8));
    ensure(bench.sent(is_complete) == 0, "a result was sent to another life of the data")
}

/// The hub, which never heard the acceptance, says again what it assigned.
pub(super) fn never_rerun(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.restart();
    bench.identify(LIFE);
    bench.pong(bench.pinged());
    bench.assign(assignment(1, 1, TTL));
    ensure(bench.starts() == 0, "a restarted sidecar runs again what it ran before")
}

pub(super) fn stop_in_time(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.step(Input::Disconnected);
    bench.pass(Span::from_secs(29));
    ensure(bench.stops() == 1, "work goes on when its lease may be gone")
}

/// The hub was last heard so long ago that the lease may be half over.
pub(super) fn good_lease(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.pass(Span::from_secs(4));
    bench.assign(assignment(1, 1, Span::from_secs(5)));
    ensure(bench.starts() == 0, "work started on a lease that may be gone")
}

/// A ping that is answered late.
pub(super) fn renew_from_sent(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.assign(assignment(1, 1, Span::from_secs(10)));
    bench.pass(Span::from_secs(4));
    let sent = bench.pinged();
    bench.pass(Span::from_secs(3));
    bench.pong(sent);
    bench.pass(Span::from_secs(6));
    ensure(bench.stops() == 1, "a lease counts from when the answer came")
}

pub(super) fn job_slots(guards: Guards) -> Verdict {
    let mut bench = at_work(guards);
    bench.assign(assignment(2, 1, TTL));
    ensure(bench.starts() == 1, "more runs at once than there are slots")
}

fn one_lease_at_work(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 2);
    bench.assign(assignment(1, 1, TTL));
    bench.assign(assignment(1, 2, TTL));
    ensure(bench.starts() == 1, "two leases of one task are at work")
}

/// A hub that was replaced says what it knows.
fn newest_lease(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.assign(assignment(1, 2, TTL));
    bench.assign(assignment(1, 1, TTL));
    ensure(bench.stops() == 0, "an older assignment displaced a newer one")
}

pub(super) fn leftover(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.step(Input::Survivors(1));
    bench.assign(assignment(1, 1, TTL));
    ensure(bench.starts() == 0, "a command began beside what is left of another")
}

pub(super) fn outbox_max(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::over(|config| (config.guards, config.outbox_max) = (guards, 1));
    bench.assign(assignment(1, 1, TTL));
    bench.done(1, 1);
    bench.assign(assignment(2, 1, TTL));
    ensure(bench.starts() == 1, "work is taken on while reports pile up")
}

/// It leaves before it has started.
pub(super) fn give_back(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.pass(Span::from_secs(4));
    bench.assign(assignment(1, 1, Span::from_secs(5)));
    bench.step(Input::Drain);
    let back = bench.sent(|frame| matches!(frame, ToHub::TaskReleased(_)));
    ensure(back == 1, "a sidecar left with work that it had not done")
}

pub(super) fn pong_deadline(guards: Guards) -> Verdict {
    let mut bench = SidecarBench::online(guards, 1);
    bench.effects.clear();
    bench.pass(Span::from_secs(16));
    let gone = bench.count(|effect| matches!(effect, Effect::Disconnect));
    ensure(gone > 0, "a sidecar stays with a hub that has stopped answering")
}
