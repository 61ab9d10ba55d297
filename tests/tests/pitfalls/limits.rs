//! This file holds pitfalls of order and limits: slots that leak, work that starves, queues that are
//! blocked at their head, retries that storm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentcom_core::command::{Command, Scope};
use agentcom_core::config::HubConfig;
use agentcom_core::hub::schedule::{AgentFacts, FairPolicy, Policy, TaskFacts};
use agentcom_core::name::{Capability, Key};
use agentcom_core::state::{Due, When};
use agentcom_core::task::{Category, Draft, Priority, Rate, TaskState};
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::Span;
use agentcom_core::view::Reason;
use agentcom_core::wire::{Dialect, Failed, Held, Released, ToHub};

use super::{agent_id, capped, draft};

/// All the ways in which a hold can end.
fn end(bench: &mut Bench, agent: u64, held: Held, way: usize) {
    let Held { task_id, generation } = held;
    match way {
        0 => bench.complete(agent, held),
        1 => bench.fail(agent, held, Category::Permanent),
        2 => bench.fail(agent, held, Category::Retryable),
        3 => bench.fail(agent, held, Category::Crash),
        4 => bench.fail(agent, held, Category::Quota),
        5 => bench.frame(agent, ToHub::TaskReleased(Released { task_id, generation })),
        6 => drop(bench.call(Command::Cancel(task_id))),
        7 => bench.pass(Span::from_secs(12)),
        8 => {
            bench.leave(agent);
            bench.pass(Span::from_secs(30));
        }
        _ => drop(bench.call(Command::RemoveAgent(agent_id("a")))),
    }
}

#[test]
fn p11_a_slot_is_free_again_however_its_holder_ends() {
    let key = Key::new("k").unwrap();
    for way in 0..10 {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let mut first = capped("k", 1);
        first.times.timeout = Some(Span::from_secs(12)).filter(|_| way == 7);
        let first = bench.submit(first);
        let second = bench.submit(capped("k", 1));
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        assert_eq!([bench.word(first), bench.word(second)], ["working", "ready"]);
        bench.ping(agent, &[held]);
        end(&mut bench, agent, held, way);
        let fresh = bench.join("b", Dialect::V1, 1, &[]);
        let holders =
            [first, second].iter().filter(|id| bench.state(**id).hold().is_some()).count();
        assert_eq!(holders, 1, "way {way}: the slot is in use, and once");
        assert_eq!(bench.hub.state().running(&key).count(), 1, "way {way}");
        // All of it comes through in the end.
        for _ in 0..200 {
            bench.pass(Span::from_secs(1));
            bench.ping(fresh, &bench.holds(&agent_id("b")));
            bench.serve(fresh);
            if way < 6 || way == 7 {
                bench.ping(agent, &bench.holds(&agent_id("a")));
                bench.serve(agent);
            }
        }
        assert_eq!(bench.hub.state().task_count(), 0, "way {way}");
        assert_eq!(bench.hub.state().running(&key).count(), 0, "way {way}");
    }
}

/// How many seconds a task of the lowest lane waits if one urgent task arrives each second, which
/// is all that the only agent can do.
fn wait_behind_a_stream() -> Option<u64> {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(Draft { priority: Priority::Urgent, ..draft() });
    let low = bench.submit(Draft { priority: Priority::Low, ..draft() });
    (0..600).find(|_| {
        bench.submit(Draft { priority: Priority::Urgent, ..draft() });
        bench.pass(Span::from_secs(1));
        bench.ping(agent, &bench.holds(&agent_id("a")));
        bench.serve(agent) == Some(low)
    })
}

#[test]
fn p12_a_stream_of_urgent_work_does_not_starve_the_rest() {
    let waited = wait_behind_a_stream();
    assert!(waited.is_some_and(|seconds| seconds <= 62), "{waited:?}");
}

/// Counts how often it is asked whom a task suits.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

impl Policy for Counting {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        FairPolicy.key(task)
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        self.0.fetch_add(1, Ordering::Relaxed);
        FairPolicy.fit(task, agent)
    }
}

#[test]
fn p13_what_cannot_run_is_not_looked_at_again_and_holds_nothing_up() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut bench = Bench::over(HubConfig::default(), Counting(asked.clone()));
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    let paused = Capability::new("frozen").unwrap();
    bench.call(Command::Pause(Scope::Capability(paused.clone())));
    let holder = bench.submit(capped("k", 1));
    for n in 0..1_500 {
        bench.submit(match n % 3 {
            0 => Draft { needs: vec![Capability::new("tpu").unwrap()], ..draft() },
            1 => capped("k", 1),
            _ => Draft { needs: vec![paused.clone()], ..draft() },
        });
    }
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..50 {
        let able = bench.submit(draft());
        assert!(bench.state(able).hold().is_some(), "it starts in the step that takes it in");
        let held = bench.holds(&agent_id("a"));
        let held = *held.iter().find(|held| held.task_id == able).unwrap();
        bench.accept(agent, held);
        bench.complete(agent, held);
    }
    let looked = asked.load(Ordering::Relaxed) - before;
    assert!(looked <= 500, "{looked} looks for 50 tasks past 1,500 that cannot run");
    assert!(bench.state(holder).hold().is_some());
}

#[test]
fn p15_nobody_comes_back_earlier_than_asked_nor_all_at_once() {
    const FAILED: usize = 300;
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, FAILED as u32, &[]);
    for _ in 0..FAILED {
        bench.submit(draft());
    }
    let asked = Span::from_secs(90);
    for held in bench.assigned(agent) {
        bench.accept(agent, held);
        bench.frame(
            agent,
            ToHub::TaskFailed(Failed {
                task_id: held.task_id,
                generation: held.generation,
                incarnation: None,
                error: Some("429".into()),
                reason: None,
                category: Some(Category::Retryable),
                fault: None,
                retry_after_ms: Some(asked),
                tokens_used: None,
                left: Default::default(),
            }),
        );
    }
    let state = bench.hub.state();
    let waits: std::collections::BTreeSet<Span> = state
        .tasks()
        .map(|task| match state.alarms().when(&Due::Backoff(task.id)) {
            Some(When::Mono(at)) => at - bench.now.mono,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(state.task_count(), FAILED);
    assert!(*waits.first().unwrap() >= asked, "{waits:?}");
    assert!(waits.len() > FAILED * 9 / 10, "{} moments", waits.len());
}

#[test]
fn p15_repetitions_count_against_a_rate_like_first_attempts() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 50, &[]);
    let per = Span::from_secs(10);
    for _ in 0..20 {
        let mut limited = draft();
        let key = Key::new("api").unwrap();
        limited.share.rates = vec![Rate { key, limit: 2, per, burst: 2 }];
        limited.retry.attempts_max = Some(1_000);
        bench.submit(limited);
    }
    for _ in 0..300 {
        for held in bench.holds(&agent_id("a")) {
            bench.accept(agent, held);
            bench.fail(agent, held, Category::Retryable);
        }
        bench.pass(Span::from_secs(1));
        bench.ping(agent, &bench.holds(&agent_id("a")));
    }
    let starts: Vec<_> = bench.starts.iter().map(|start| start.at.mono).collect();
    assert!(starts.len() > 40 && bench.starts.iter().any(|start| start.held.generation.0 > 1));
    for window in starts.windows(5) {
        assert!(window[4] - window[0] >= per, "five starts in {}", window[4] - window[0]);
    }
}

#[test]
fn p24_a_key_is_held_neither_by_who_is_gone_nor_by_what_failed() {
    let mut bench = Bench::new();
    let gone = bench.join("gone", Dialect::V1, 2, &[]);
    let [first, second] = [(); 2].map(|()| bench.submit(capped("in-order", 1)));
    let held = bench.assigned(gone)[0];
    bench.accept(gone, held);
    // Who holds the key is there to be asked, ..
    let why = bench.hub.why(second).unwrap().reason;
    let Reason::Concurrency { held_by, .. } = why else { panic!("{why:?}") };
    assert_eq!(held_by, [first]);
    // .. a connection that breaks does not keep it for longer than a lease, ..
    bench.leave(gone);
    let next = bench.join("next", Dialect::V1, 1, &[]);
    for _ in 0..2 {
        bench.pass(Span::from_secs(15));
        bench.ping(next, &[]);
    }
    assert!(matches!(bench.state(first), TaskState::Delayed(_)));
    // .. and what has failed and waits does not keep it at all.
    assert!(bench.state(second).hold().is_some());
}
