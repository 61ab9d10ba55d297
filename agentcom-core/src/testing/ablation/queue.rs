//! This file misses the guards of the queue: what comes in, and what may start when.

use alloc::vec;

use super::{Verdict, at_work, bench, draft, ensure};
use crate::command::{Command, Rejected, Reply, Scope};
use crate::config::HubConfig;
use crate::guard::Guards;
use crate::id::TaskId;
use crate::name::Key;
use crate::task::{Category, Concurrency, Dependency, Draft, Rate, Times};
use crate::testing::bench::Bench;
use crate::time::Span;
use crate::wire::Dialect;

fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

fn depending(on: TaskId) -> Draft {
    Draft { depends_on: vec![Dependency::Known(on)], ..draft() }
}

pub(super) fn dependency_gate(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 2, &[]);
    let first = bench.submit(draft());
    let second = bench.submit(depending(first));
    ensure(
        bench.word(second) == "blocked",
        "a task started before the one that it depends on ended",
    )
}

pub(super) fn dependency_death(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    let second = bench.submit(depending(held.task_id));
    bench.fail(agent, held, Category::Permanent);
    ensure(bench.word(second) == "dead_letter", "a task goes on whose dependency failed")
}

pub(super) fn not_before(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.join("a", Dialect::V1, 1, &[]);
    let run_after = Some(bench.now.wall + Span::from_secs(60));
    let id = bench.submit(Draft { times: Times { run_after, ..Times::default() }, ..draft() });
    ensure(bench.word(id) == "delayed", "a task started before its time")
}

pub(super) fn deadline(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let complete_by = Some(bench.now.wall + Span::from_secs(10));
    let id = bench.submit(Draft { times: Times { complete_by, ..Times::default() }, ..draft() });
    bench.pass(Span::from_secs(11));
    ensure(bench.word(id) == "dead_letter", "a task outlived its deadline")
}

pub(super) fn expiry(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let expires_after = Some(Span::from_secs(10));
    let id = bench.submit(Draft { times: Times { expires_after, ..Times::default() }, ..draft() });
    bench.pass(Span::from_secs(11));
    ensure(bench.word(id) == "dead_letter", "a task that nobody took in time is still to be had")
}

pub(super) fn wait_deadline(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.fail(agent, held, Category::Quota);
    bench.pass(Span::from_secs(61));
    ensure(bench.word(held.task_id) != "waiting", "a task waits for a quota for ever")
}

/// Two tasks of one draft and an agent with room for both; whether only one of them started.
fn only_one_starts(bench: &mut Bench, draft: &Draft) -> bool {
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    bench.submit(draft.clone());
    bench.submit(draft.clone());
    bench.assigned(agent).len() == 1
}

pub(super) fn concurrency(guards: Guards) -> Verdict {
    let mut draft = draft();
    draft.share.concurrency = Some(Concurrency { key: key("k"), max: 1 });
    let one = only_one_starts(&mut bench(guards), &draft);
    ensure(one, "more tasks of a key run at once than may")
}

pub(super) fn rate(guards: Guards) -> Verdict {
    let mut draft = draft();
    draft.share.rates = vec![Rate { key: key("k"), limit: 1, per: Span::from_mins(10), burst: 1 }];
    let one = only_one_starts(&mut bench(guards), &draft);
    ensure(one, "more tasks of a key started over time than may")
}

pub(super) fn pause(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.call(Command::Pause(Scope::All));
    bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    ensure(bench.word(id) == "ready", "a task started though all work is paused")
}

fn keyed() -> Draft {
    Draft { idempotency_key: Some(key("k")), ..draft() }
}

pub(super) fn idempotency_key(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let ids = [bench.submit(keyed()), bench.submit(keyed())];
    ensure(ids[0] == ids[1], "one submission was queued twice")
}

pub(super) fn key_body(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    bench.submit(keyed());
    let other = Draft { description: "something else".into(), ..keyed() };
    let reply = bench.call(Command::Submit(other.into()));
    let refused = matches!(reply, Reply::Rejected(Rejected::KeyConflict { .. }));
    ensure(refused, "one key stands for two things")
}

pub(super) fn tasks_max(guards: Guards) -> Verdict {
    refused_as_full(HubConfig { tasks_max: 0, guards, ..HubConfig::default() })
}

pub(super) fn bytes_max(guards: Guards) -> Verdict {
    refused_as_full(HubConfig { bytes_max: 1, guards, ..HubConfig::default() })
}

fn refused_as_full(config: HubConfig) -> Verdict {
    let reply = Bench::with(config).call(Command::Submit(draft().into()));
    let full = matches!(reply, Reply::Rejected(Rejected::QueueFull { .. }));
    ensure(full, "a queue that is full takes more in")
}

pub(super) fn batch_max(guards: Guards) -> Verdict {
    let mut bench = Bench::with(HubConfig { batch_max: 1, guards, ..HubConfig::default() });
    let reply = bench.call(Command::SubmitBatch(vec![draft(), draft()]));
    let refused = matches!(reply, Reply::Rejected(Rejected::BatchSize { .. }));
    ensure(refused, "a batch is larger than may be")
}
