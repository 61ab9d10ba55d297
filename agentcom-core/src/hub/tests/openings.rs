//! This file checks that whatever opens for work is used, and by whom.

use super::schedule::{AgentFacts, TaskFacts};
use super::*;
use crate::task::{Concurrency, Priority, Rate, Share};

fn capped(max: u32) -> Draft {
    let mut draft = draft();
    draft.share.concurrency = Some(Concurrency { key: Key::new("k").unwrap(), max });
    draft
}

fn rated(keys: &[(&str, u64)]) -> Draft {
    let mut draft = draft();
    let rate = |(key, per): &(&str, u64)| Rate {
        key: Key::new(key).unwrap(),
        limit: 1,
        per: Span(*per),
        burst: 1,
    };
    draft.share.rates = keys.iter().map(rate).collect();
    draft
}

fn slots(bench: &mut Bench, slots: u32) -> u64 {
    bench.join("a", Dialect::V1, slots, &[])
}

fn held(bench: &Bench, id: TaskId) -> Held {
    Held { task_id: id, generation: bench.state(id).hold().unwrap().lease }
}

fn finish(bench: &mut Bench, agent: u64, id: TaskId) {
    let held = held(bench, id);
    bench.accept(agent, held);
    bench.complete(agent, held);
}

#[test]
fn a_task_with_a_larger_limit_does_not_wait_behind_one_with_a_smaller() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 10);
    let running = [bench.submit(capped(2)), bench.submit(capped(2))];
    let strict = bench.submit(capped(1));
    let loose = bench.submit(capped(2));
    assert_eq!([bench.word(strict), bench.word(loose)], ["ready", "ready"]);
    finish(&mut bench, agent, running[0]);
    assert_eq!([bench.word(strict), bench.word(loose)], ["ready", "assigned"]);
}

#[test]
fn who_is_let_on_by_one_limit_and_stopped_by_another_lets_the_next_try() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 10);
    bench.submit(rated(&[("slow", 3_600_000)]));
    let running = bench.submit(capped(1));
    let both = bench.submit(Draft {
        share: Share { rates: rated(&[("slow", 3_600_000)]).share.rates, ..capped(1).share },
        ..draft()
    });
    let behind = bench.submit(capped(1));
    finish(&mut bench, agent, running);
    assert_eq!([bench.word(both), bench.word(behind)], ["ready", "assigned"]);
}

#[test]
fn a_rate_that_opens_while_nobody_has_room_is_not_forgotten() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 2);
    let first = bench.submit(rated(&[("k", 1_000)]));
    let waiting = [bench.submit(rated(&[("k", 1_000)])), bench.submit(rated(&[("k", 1_000)]))];
    let other = bench.submit(draft());
    bench.pass(Span::from_secs(5));
    assert_eq!(bench.call(Command::Cancel(waiting[0])), Reply::Cancelled { previous: "ready" });
    finish(&mut bench, agent, first);
    finish(&mut bench, agent, other);
    assert_eq!(bench.word(waiting[1]), "assigned");
}

#[test]
fn a_rate_that_opens_for_a_task_that_another_rate_stops_is_not_forgotten() {
    let mut bench = Bench::new();
    slots(&mut bench, 10);
    bench.submit(rated(&[("k", 1_000), ("slow", 3_600_000)]));
    let both = bench.submit(rated(&[("k", 1_000), ("slow", 3_600_000)]));
    let behind = bench.submit(rated(&[("k", 1_000)]));
    bench.pass(Span::from_secs(2));
    assert_eq!([bench.word(both), bench.word(behind)], ["ready", "assigned"]);
}

/// Sends tasks to the agent whose name is in their description.
#[derive(Debug)]
struct ByName;

impl Policy for ByName {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.start_tag
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        (*task.spec.description == *agent.id.as_str()).then_some(1)
    }
}

fn picky() -> Bench {
    let mut bench = Bench::new();
    let hub = core::mem::take(&mut bench.hub);
    bench.hub = Hub::new(hub.state, hub.config, Box::new(ByName));
    bench
}

fn named(agent: &str) -> Draft {
    Draft { description: agent.into(), ..draft() }
}

#[test]
fn a_task_that_suits_nobody_does_not_hide_those_behind_it() {
    let mut bench = picky();
    bench.join("idle", Dialect::V1, 1, &[]);
    let nobody: Vec<TaskId> = (0..50).map(|_| bench.submit(named("nobody"))).collect();
    let somebody = bench.submit(named("late"));
    bench.join("late", Dialect::V1, 1, &[]);
    assert_eq!(bench.word(somebody), "assigned");
    assert!(nobody.iter().all(|id| bench.word(*id) == "ready"));
}

#[test]
fn an_agent_with_room_has_only_what_it_can_run_try_again() {
    let mut bench = picky();
    bench.join("gpu", Dialect::V1, 1, &["gpu"]);
    let other = bench.join("other", Dialect::V1, 1, &[]);
    let needs = needing("gpu").needs;
    for _ in 0..500 {
        bench.submit(Draft { needs: needs.clone(), ..named("nobody") });
    }
    let work = bench.submit(named("other"));
    finish(&mut bench, other, work);
    assert!(!bench.hub.state().is_pending(), "nothing is to be tried again");
    bench.join("nobody", Dialect::V1, 1, &["gpu"]);
    assert_eq!(bench.holds(&agent_id("nobody")).len(), 1);
}

/// Says the largest numbers that there are, and the smallest.
#[derive(Debug)]
struct Extreme;

impl Policy for Extreme {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        match &*task.spec.description {
            "last" => u64::MAX,
            "last but one" => u64::MAX - 3,
            _ => 0,
        }
    }

    fn fit(&self, _: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
        Some(1)
    }
}

#[test]
fn the_largest_number_of_a_policy_is_a_place_and_the_smallest_is_behind_what_was_given_back() {
    let mut bench = Bench::over(HubConfig::default(), Extreme);
    let agent = slots(&mut bench, 1);
    let say = |word: &str| Draft { description: word.into(), ..draft() };
    let given_back = bench.submit(say("last"));
    assert_eq!(bench.word(given_back), "assigned");
    let last = bench.submit(say("last"));
    let last_but_one = bench.submit(say("last but one"));
    let first = bench.submit(say("first"));
    let Held { task_id, generation } = held(&bench, given_back);
    let frame = ToHub::TaskReleased(wire::Released { task_id, generation });
    bench.frame(agent, frame);
    let served = core::iter::from_fn(|| bench.serve(agent)).take(5).collect::<Vec<_>>();
    assert_eq!(served, [given_back, first, last_but_one, last]);
}

/// Suits nobody, and counts how often that was asked.
#[derive(Clone, Debug, Default)]
struct Nobody(alloc::sync::Arc<core::sync::atomic::AtomicUsize>);

impl Nobody {
    fn asked(&self) -> usize {
        self.0.swap(0, core::sync::atomic::Ordering::Relaxed)
    }
}

impl Policy for Nobody {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.start_tag
    }

    fn fit(&self, _: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
        self.0.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        None
    }
}

#[test]
fn a_step_makes_so_many_offers_in_vain_and_no_more_but_in_the_end_all_are_made() {
    let mut bench = Bench::new();
    let (agents, tasks) = (300, 100);
    for n in 0..agents {
        bench.join(&alloc::format!("a{n}"), Dialect::V1, 1, &[]);
    }
    let nobody = Nobody::default();
    let hub = core::mem::take(&mut bench.hub);
    bench.hub = Hub::new(hub.state, hub.config, Box::new(nobody.clone()));
    let drafts = (0..tasks).map(|_| draft()).collect();
    bench.call(Command::SubmitBatch(drafts));
    let (mut most, mut all) = (0, 0);
    loop {
        let asked = nobody.asked();
        (most, all) = (most.max(asked), all + asked);
        if !bench.hub.state().is_pending() {
            break;
        }
        bench.step(Input::Wake);
    }
    assert_eq!(all, agents * tasks);
    assert!(most <= schedule::OFFERS_MAX + agents, "{most} offers in one step");
}

#[test]
fn the_one_agent_that_suits_is_found_among_many_that_do_not() {
    let mut bench = picky();
    for n in 0..40 {
        bench.join(&alloc::format!("a{n:02}"), Dialect::V1, 1, &[]);
    }
    let id = bench.submit(named("a39"));
    assert_eq!(bench.word(id), "assigned");
}

fn keep_alive(bench: &mut Bench, agents: &[(u64, &str)], secs: u64) {
    for _ in 0..secs / 5 {
        bench.pass(Span::from_secs(5));
        for (session, name) in agents {
            let held = bench.holds(&agent_id(name));
            held.iter().for_each(|held| bench.accept(*session, *held));
            bench.ping(*session, &held);
        }
    }
}

#[test]
fn age_decides_between_the_lanes_of_those_that_a_limit_lets_on() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 10);
    let running = bench.submit(capped(1));
    let old = bench.submit(Draft { priority: Priority::Low, ..capped(1) });
    keep_alive(&mut bench, &[(agent, "a")], 65);
    let young = bench.submit(Draft { priority: Priority::Urgent, ..capped(1) });
    finish(&mut bench, agent, running);
    assert_eq!([bench.word(old), bench.word(young)], ["assigned", "ready"]);
}

/// The tenants' portions put the capped task in front of the older one.
#[test]
fn a_task_that_a_limit_holds_back_does_not_hide_an_older_one_from_another_lane() {
    let mut bench = Bench::new();
    let busy = bench.join("busy", Dialect::V1, 1, &[]);
    bench.submit(capped(1));
    let agent = slots(&mut bench, 1);
    let running = bench.submit(draft());
    let low = |tenant: &str, draft: Draft| {
        let share = Share { fair_key: Key::new(tenant).ok(), ..draft.share };
        Draft { priority: Priority::Low, share, ..draft }
    };
    let first = bench.submit(low("old", draft()));
    let second = bench.submit(low("old", draft()));
    keep_alive(&mut bench, &[(busy, "busy"), (agent, "a")], 30);
    let held_back = bench.submit(low("young", capped(1)));
    keep_alive(&mut bench, &[(busy, "busy"), (agent, "a")], 5);
    let normal = bench.submit(draft());
    finish(&mut bench, agent, running);
    finish(&mut bench, agent, first);
    let words = [second, held_back, normal].map(|id| bench.word(id));
    assert_eq!(words, ["assigned", "ready", "ready"]);
}

#[test]
fn of_equal_agents_the_first_by_name_is_taken_whoever_came_first() {
    let mut bench = Bench::new();
    bench.join("b", Dialect::V1, 1, &["gpu"]);
    bench.join("a", Dialect::V1, 1, &["ssd"]);
    let id = bench.submit(draft());
    assert_eq!(bench.state(id).hold().unwrap().agent, agent_id("a"));
}

#[test]
fn of_many_equal_agents_the_first_by_name_is_taken_though_not_all_are_compared() {
    let mut bench = Bench::new();
    for n in (0..40).rev() {
        bench.join(&alloc::format!("a{n:02}"), Dialect::V1, 1, &[]);
    }
    let ids = [draft(), draft()].map(|draft| bench.submit(draft));
    let agents = ids.map(|id| bench.state(id).hold().unwrap().agent.clone());
    assert_eq!(agents, [agent_id("a00"), agent_id("a01")]);
}
