//! This file holds the strategies of what becomes of tasks: what they wait for, and how they end.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::{option, prop_oneof, sample};

use super::{Happening, Submission, drafts};
use crate::task::{AfterDependency, Category, Retry};
use crate::time::Span;

/// A task with whatever its life may depend on: other tasks, times, attempts.
pub fn submissions() -> impl Strategy<Value = Submission> {
    let after = (
        prop_oneof![3 => vec(any::<usize>(), 0..1), 1 => vec(any::<usize>(), 1..4)],
        sample::select(&[
            AfterDependency::Fail,
            AfterDependency::Continue,
            AfterDependency::Strict,
        ]),
    );
    let spans = |longest: u64| (1..longest).prop_map(Span);
    let times = (
        option::weighted(0.2, spans(30_000)),
        option::weighted(0.1, spans(300_000)),
        option::weighted(0.1, spans(60_000)),
        option::weighted(0.1, spans(60_000)),
        option::weighted(0.1, (5_000..60_000_u64).prop_map(Span)),
    );
    (drafts(), after, times, retries()).prop_map(|(mut draft, (after, then), times, retry)| {
        let (delay, spare, expires_after, timeout, lease_ttl) = times;
        draft.after_dependency = then;
        draft.times.expires_after = expires_after;
        draft.times.timeout = timeout;
        draft.times.lease_ttl = lease_ttl;
        draft.retry = retry;
        // A task that dies before it may start is refused.
        let lifetime = spare.map(|spare| spare + delay.unwrap_or_default());
        Submission { draft: draft.into(), after, delay, lifetime }
    })
}

fn retries() -> impl Strategy<Value = Retry> {
    let spans = || option::weighted(0.3, (1..20_000_u64).prop_map(Span));
    (option::weighted(0.3, 1..4_u32), spans(), spans()).prop_map(
        |(attempts_max, backoff_base, backoff_cap)| Retry {
            attempts_max,
            backoff_base,
            backoff_cap,
        },
    )
}

/// What can happen in the life of a task: it comes, is worked on, fails, is given back, lost with
/// its agent, called off or revived.
pub fn lives(happenings: Range<usize>) -> impl Strategy<Value = Vec<Happening>> {
    vec(life(), happenings)
}

/// One happening of [`lives`].
pub(in crate::testing) fn life() -> impl Strategy<Value = Happening> {
    let all = [Category::Retryable, Category::Permanent, Category::Quota, Category::Crash];
    prop_oneof![
        8 => submissions().prop_map(Happening::Submit),
        1 => any::<usize>().prop_map(Happening::Cancel),
        1 => any::<usize>().prop_map(Happening::Revive),
        2 => any::<usize>().prop_map(Happening::Join),
        1 => any::<usize>().prop_map(Happening::Leave),
        4 => any::<usize>().prop_map(Happening::Accept),
        4 => any::<usize>().prop_map(Happening::Complete),
        2 => any::<usize>().prop_map(Happening::CompletePartly),
        3 => (any::<usize>(), sample::select(Vec::from(all)))
            .prop_map(|(at, category)| Happening::Fail(at, category)),
        1 => any::<usize>().prop_map(Happening::Release),
        4 => (0..20_000_u64).prop_map(|ms| Happening::Pass(Span(ms))),
        1 => (20_000..90_000_u64).prop_map(|ms| Happening::Pass(Span(ms))),
    ]
}
