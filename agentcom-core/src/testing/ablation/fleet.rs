//! This file misses the guards of the fleet: who may speak, and who is given work.

use alloc::format;
use alloc::vec;

use super::{Verdict, at_work, bench, draft, ensure};
use crate::command::{Command, Reply, Scope};
use crate::config::HubConfig;
use crate::guard::Guards;
use crate::id::TaskId;
use crate::name::{AgentId, Capability, Principal};
use crate::port::transport::CloseReason;
use crate::task::{Category, Draft, Times};
use crate::testing::bench::{self, Bench};
use crate::time::Span;
use crate::wire::{Dialect, Rejection, ToHub};

fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).expect("a name")
}

fn gpu() -> Capability {
    Capability::new("gpu").expect("a capability")
}

/// Whether a task waits for an agent.
fn waits(bench: &Bench, id: TaskId) -> bool {
    bench.word(id) == "ready"
}

pub(super) fn capabilities(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 1, &[]);
    let needs = vec![gpu()];
    let id = bench.submit(Draft { needs, ..draft() });
    ensure(waits(&bench, id), "an agent was given what it cannot do")
}

pub(super) fn pin(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(Draft { assign_to: Some(agent_id("b")), ..draft() });
    ensure(waits(&bench, id), "an agent was given what is meant for another")
}

pub(super) fn slots(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    bench.submit(draft());
    ensure(bench.assigned(agent).len() == 1, "an agent was given more than it has room for")
}

pub(super) fn drained(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 1, &[]);
    bench.call(Command::Drain(agent_id("a")));
    let id = bench.submit(draft());
    ensure(waits(&bench, id), "an agent that was drained was given work")
}

pub(super) fn leaving(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.frame(agent, ToHub::AgentDraining {});
    let id = bench.submit(draft());
    ensure(waits(&bench, id), "a sidecar on its way out was given work")
}

pub(super) fn quarantine(guards: Guards) -> Verdict {
    let mut bench = Bench::with(HubConfig { agent_crashes_max: 1, guards, ..HubConfig::default() });
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.fail(agent, held, Category::Crash);
    let id = bench.submit(draft());
    ensure(waits(&bench, id), "an agent in quarantine was given work")
}

pub(super) fn silence(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 1, &[]);
    bench.pass(Span::from_secs(17));
    let id = bench.submit(draft());
    ensure(waits(&bench, id), "an agent that is silent was given work")
}

pub(super) fn rest(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let generation = bench.assigned(agent).first().map(|held| held.generation);
    let reason = Some("busy".into());
    bench.frame(agent, ToHub::TaskRejected(Rejection { task_id: id, generation, reason }));
    ensure(waits(&bench, id), "an agent without room was given the same task at once")
}

pub(super) fn barred(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (_, held) = at_work(&mut bench, Dialect::Plain, draft());
    bench.call(Command::Cancel(held.task_id));
    let id = bench.submit(draft());
    ensure(waits(&bench, id), "a plain client was given work beside what it still runs")
}

pub(super) fn shunned(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let times = Times { timeout: Some(Span::from_secs(20)), ..Times::default() };
    let (agent, held) = at_work(&mut bench, Dialect::Plain, Draft { times, ..draft() });
    for _ in 0..6 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[]);
    }
    ensure(waits(&bench, held.task_id), "a plain client was given again what it did not end")
}

pub(super) fn takeover(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let first = bench.join("a", Dialect::V1, 1, &[]);
    bench.join("a", Dialect::V1, 1, &[]);
    let replaced = bench.closed.contains(&(first, CloseReason::Replaced));
    ensure(replaced, "one agent has two connections")
}

/// Says on a fresh connection to be agent `a`, with a token made for `token`; whether that is
/// believed.
fn is_believed(bench: &mut Bench, session: u64, token: &str) -> bool {
    bench.open(session, Dialect::V1);
    bench.identify(session, "a", token, 1, &[]);
    bench.hub.state().session_of(&agent_id("a")).is_some()
}

fn with_agent(guards: Guards) -> Bench {
    let mut bench = bench(guards);
    bench.call(Command::AddAgent { id: agent_id("a"), token: bench::token("a") });
    bench
}

pub(super) fn token(guards: Guards) -> Verdict {
    let believed = is_believed(&mut with_agent(guards), 1, "b");
    ensure(!believed, "somebody is an agent without its token")
}

pub(super) fn token_tries(guards: Guards) -> Verdict {
    let mut bench = with_agent(guards);
    for session in 1..=10 {
        is_believed(&mut bench, session, &format!("guess {session}"));
    }
    ensure(!is_believed(&mut bench, 11, "a"), "tokens can be tried without end")
}

pub(super) fn identify_deadline(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.open(1, Dialect::V1);
    bench.pass(Span::from_secs(6));
    ensure(!bench.closed.is_empty(), "somebody stays connected without saying who it is")
}

pub(super) fn violations(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..10 {
        bench.raw(agent, "no frame");
    }
    ensure(!bench.closed.is_empty(), "nonsense can be sent without end")
}

pub(super) fn permission(guards: Guards) -> Verdict {
    let mut bench = with_agent(guards);
    let reply = bench.call_as(Principal::Agent(agent_id("a")), Command::Pause(Scope::All));
    ensure(matches!(reply, Reply::Rejected(_)), "an agent paused the hub")
}

pub(super) fn agents_max(guards: Guards) -> Verdict {
    let mut bench = Bench::with(HubConfig { agents_max: 0, guards, ..HubConfig::default() });
    let reply = bench.call(Command::AddAgent { id: agent_id("a"), token: bench::token("a") });
    ensure(matches!(reply, Reply::Rejected(_)), "more agents are registered than may be")
}
