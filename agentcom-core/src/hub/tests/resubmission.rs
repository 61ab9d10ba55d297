//! This file checks what may be submitted again, and how much at once.

use super::*;
use crate::command::{Rejected, Submitted};
use crate::task::{Dependency, Rate};

fn keyed(key: &str) -> Draft {
    Draft { idempotency_key: Key::new(key).ok(), ..draft() }
}

#[test]
fn the_same_submission_is_the_same_task_whatever_became_of_what_it_needs() {
    let mut bench = Bench::new();
    let needed = bench.submit(draft());
    let needing = || Draft { depends_on: vec![Dependency::Known(needed)], ..keyed("once") };
    let id = bench.submit(needing());
    bench.call(Command::Cancel(needed));
    let again = bench.call(Command::Submit(needing().into()));
    assert!(
        matches!(again, Reply::Submitted(Submitted { id: same, existing: true, .. }) if same == id),
        "{again:?}"
    );
}

#[test]
fn the_same_submission_is_the_same_task_even_if_the_queue_is_full() {
    let mut bench = Bench::with(HubConfig { tasks_max: 1, ..HubConfig::default() });
    let id = bench.submit(keyed("once"));
    assert!(matches!(
        bench.call(Command::Submit(draft().into())),
        Reply::Rejected(Rejected::QueueFull { .. })
    ));
    assert_eq!(bench.submit(keyed("once")), id);
}

#[test]
fn one_batch_cannot_exceed_the_bound_on_bytes() {
    let mut bench = Bench::with(HubConfig { bytes_max: 100_000, ..HubConfig::default() });
    let large = || Draft { description: "x".repeat(10_000), ..draft() };
    let reply = bench.call(Command::SubmitBatch((0..100).map(|_| large()).collect()));
    assert!(matches!(reply, Reply::Rejected(Rejected::QueueFull { .. })), "{reply:?}");
    assert_eq!(bench.hub.state().task_count(), 0);
    let mut hinted = draft();
    hinted.coding.success_criteria = (0..60).map(|_| "x".repeat(2_000)).collect();
    let reply = bench.call(Command::Submit(hinted.into()));
    assert!(matches!(reply, Reply::Rejected(Rejected::QueueFull { .. })), "{reply:?}");
}

#[test]
fn one_rate_cannot_be_named_twice() {
    let mut bench = Bench::new();
    let mut twice = draft();
    let rate = |per| Rate { key: Key::new("k").unwrap(), limit: 1, per: Span(per), burst: 1 };
    twice.share.rates = vec![rate(1_000), rate(5)];
    let reply = bench.call(Command::Submit(twice.into()));
    assert!(matches!(reply, Reply::Rejected(Rejected::Draft { .. })), "{reply:?}");
}
