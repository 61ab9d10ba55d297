//! This file checks order and limits: lanes, fairness, spread, concurrency, rates, and `why`.

use super::*;
use crate::task::{Concurrency, Priority, Rate};
use crate::view::Reason;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use schedule::{AgentFacts, TaskFacts};

fn of(priority: Priority) -> Draft {
    Draft { priority, ..draft() }
}

fn fair(key: &str) -> Draft {
    let mut draft = draft();
    draft.share.fair_key = Key::new(key).ok();
    draft
}

fn capped(key: &str, max: u32) -> Draft {
    let mut draft = draft();
    draft.share.concurrency = Some(Concurrency { key: Key::new(key).unwrap(), max });
    draft
}

/// The next task that an agent with one slot gets, which it then completes.
fn serve(bench: &mut Bench, agent: u64) -> TaskId {
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.sent.clear();
    bench.complete(agent, held);
    held.task_id
}

#[test]
fn lanes_are_served_in_order_and_each_in_order_of_arrival() {
    let mut bench = Bench::new();
    let low = bench.submit(of(Priority::Low));
    let normal = [bench.submit(of(Priority::Normal)), bench.submit(of(Priority::Normal))];
    let urgent = bench.submit(of(Priority::Urgent));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let served: Vec<TaskId> = (0..4).map(|_| serve(&mut bench, agent)).collect();
    assert_eq!(served, [urgent, normal[0], normal[1], low]);
}

#[test]
fn no_task_is_overtaken_by_one_that_became_ready_a_minute_later() {
    let mut bench = Bench::new();
    let low = bench.submit(of(Priority::Low));
    bench.pass(Span::from_secs(61));
    bench.submit(of(Priority::Urgent));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!(serve(&mut bench, agent), low);
}

#[test]
fn a_flood_does_not_hold_up_a_light_tenant() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..50 {
        bench.submit(fair("flood"));
    }
    (0..10).for_each(|_| {
        serve(&mut bench, agent);
    });
    let light = bench.submit(fair("light"));
    let next = [serve(&mut bench, agent), serve(&mut bench, agent)];
    assert!(next.contains(&light));
}

#[test]
fn what_a_policy_holds_equal_starts_in_order_of_arrival() {
    /// Makes no difference between tasks.
    #[derive(Debug)]
    struct Indifferent;
    impl Policy for Indifferent {
        fn key(&self, _: &TaskFacts<'_>) -> u64 {
            0
        }
        fn fit(&self, _: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
            Some(0)
        }
    }
    let mut bench = Bench::over(HubConfig::default(), Indifferent);
    let arrived = ["flood", "flood", "flood", "light"].map(|tenant| bench.submit(fair(tenant)));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!([(); 4].map(|()| serve(&mut bench, agent)), arrived);
}

#[test]
fn the_oldest_task_gets_its_turn_whatever_else_it_needs_than_the_others() {
    let mut bench = Bench::new();
    bench.call(Command::SetOldestFirst { every: 2 });
    let agent = bench.join("a", Dialect::V1, 1, &["gpu"]);
    let patient: Vec<TaskId> = (0..3).map(|_| bench.submit(fair("patient"))).collect();
    for n in 0..6 {
        bench.pass(Span(1));
        // Whoever is new to the queue starts at virtual time, before the rest of the patient.
        for twin in ["x", "y"] {
            bench.submit(Draft {
                share: fair(&alloc::format!("{twin}{n}")).share,
                ..needing("gpu")
            });
        }
        serve(&mut bench, agent);
    }
    assert_eq!(bench.word(patient[2]), "completed");
}

#[test]
fn four_agents_share_twenty_tasks_evenly() {
    let mut bench = Bench::new();
    let agents: Vec<u64> =
        ["a", "b", "c", "d"].map(|name| bench.join(name, Dialect::V1, 1, &[])).into();
    for _ in 0..20 {
        bench.submit(draft());
    }
    let mut done = [0; 4];
    while bench.hub.state().task_count() > 0 {
        for (n, agent) in agents.iter().enumerate() {
            if let Some(held) = bench.assigned(*agent).first().copied() {
                bench.accept(*agent, held);
                bench.sent.remove(agent);
                bench.complete(*agent, held);
                done[n] += 1;
            }
        }
    }
    assert!(done.iter().all(|count| (4..=6).contains(count)), "{done:?}");
}

#[test]
fn a_concurrency_key_is_never_exceeded_and_never_idle() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 10, &[]);
    let ids: Vec<TaskId> = (0..5).map(|_| bench.submit(capped("k", 2))).collect();
    let free = bench.submit(draft());
    assert_eq!(bench.word(free), "assigned", "others are not held up");
    let key = Key::new("k").unwrap();
    let Reason::Concurrency { max, held_by, .. } = bench.hub.why(ids[4]).unwrap().reason else {
        panic!()
    };
    assert_eq!((max, held_by.len()), (2, 2));
    let mut done = 0;
    while let Some(held) =
        bench.assigned(agent).into_iter().find(|held| ids.contains(&held.task_id))
    {
        assert_eq!(bench.hub.state().running(&key).count(), 2.min(5 - done));
        bench.accept(agent, held);
        bench.complete(agent, held);
        done += 1;
        let left: Vec<_> = bench.hub.state().running(&key).collect();
        for id in left {
            let generation = bench.task(id).life.lease;
            bench
                .sent
                .entry(agent)
                .or_default()
                .push(ToAgent::TaskContinue { task_id: id, generation });
        }
        if done == 5 {
            break;
        }
        let next = bench.hub.state().running(&key).next().unwrap();
        let held = Held { task_id: next, generation: bench.task(next).life.lease };
        bench.accept(agent, held);
        bench.complete(agent, held);
        done += 1;
    }
    assert!(done >= 4, "{done}");
}

#[test]
fn a_rate_lets_a_burst_through_and_then_one_at_a_time() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 100, &[]);
    let mut limited = draft();
    limited.share.rates =
        vec![Rate { key: Key::new("r").unwrap(), limit: 1, per: Span::from_secs(10), burst: 2 }];
    let ids: Vec<TaskId> = (0..5).map(|_| bench.submit(limited.clone())).collect();
    let started =
        |bench: &Bench| ids.iter().filter(|id| bench.state(**id).hold().is_some()).count();
    assert_eq!(started(&bench), 2);
    assert!(matches!(bench.hub.why(ids[4]).unwrap().reason, Reason::Rate { .. }));
    bench.pass(Span(9_999));
    assert_eq!(started(&bench), 2);
    bench.pass(Span(1));
    assert_eq!(started(&bench), 3);
}

fn rated(draft: Draft) -> Draft {
    let mut draft = draft;
    draft.share.rates =
        vec![Rate { key: Key::new("r").unwrap(), limit: 1, per: Span::from_secs(10), burst: 1 }];
    draft
}

#[test]
fn a_task_that_could_start_and_is_called_off_makes_way_for_the_next() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(rated(draft()));
    let [first, second] = [bench.submit(rated(draft())), bench.submit(rated(draft()))];
    serve(&mut bench, agent);
    bench.submit(draft());
    let held = bench.holds(&agent_id("a"));
    bench.pass(Span::from_secs(10));
    bench.call(Command::Cancel(first));
    bench.accept(agent, held[0]);
    bench.complete(agent, held[0]);
    assert_eq!(bench.word(second), "assigned");
}

#[test]
fn a_task_that_meets_a_second_limit_makes_way_for_the_next_at_the_first() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 10, &[]);
    bench.submit(rated(draft()));
    let both = bench.submit(rated(capped("k", 1)));
    let one = bench.submit(rated(draft()));
    bench.submit(capped("k", 1));
    bench.pass(Span::from_secs(10));
    assert_eq!([bench.word(both), bench.word(one)], ["ready", "assigned"]);
}

#[test]
fn a_task_that_may_not_start_does_not_keep_its_agent_from_the_next_one() {
    let pinned = |draft: Draft| Draft { assign_to: Some(agent_id("a")), ..draft };
    for (every, meant) in [(0, true), (1, false)] {
        let mut bench = Bench::new();
        bench.call(Command::SetOldestFirst { every });
        let agent = bench.join("a", Dialect::V1, 1, &["gpu"]);
        bench.submit(rated(draft()));
        let [held_back, next] = [rated(needing("gpu")), draft()]
            .map(|draft| bench.submit(if meant { pinned(draft) } else { draft }));
        serve(&mut bench, agent);
        assert_eq!([bench.word(held_back), bench.word(next)], ["ready", "assigned"]);
    }
}

#[test]
fn a_pinned_task_waits_for_its_agent() {
    let mut bench = Bench::new();
    let other = bench.join("other", Dialect::V1, 1, &[]);
    let id = bench.submit(Draft { assign_to: Some(agent_id("mine")), ..draft() });
    assert_eq!(bench.assigned(other), []);
    let mine = bench.join("mine", Dialect::V1, 1, &[]);
    assert_eq!(bench.assigned(mine)[0].task_id, id);
}

#[test]
fn a_repository_goes_to_the_agent_that_has_it_at_hand() {
    let mut bench = Bench::new();
    let repo = crate::name::Repo::new("https://host/r").ok();
    let draft = || Draft { repo: repo.clone(), ..draft() };
    let agents = [bench.join("a", Dialect::V1, 1, &[]), bench.join("b", Dialect::V1, 1, &[])];
    bench.submit(draft());
    let first =
        if bench.hub.state().held_by(&agent_id("a")).count() == 1 { agents[0] } else { agents[1] };
    for _ in 0..3 {
        serve(&mut bench, first);
        bench.submit(draft());
    }
    assert_eq!(bench.assigned(first).len(), 1);
}

#[test]
fn why_names_the_nearest_agent_and_what_it_lacks() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &["gpu"]);
    let mut draft = needing("ssd");
    draft.needs.push(Capability::new("gpu").unwrap());
    let id = bench.submit(draft);
    let Reason::NoAgent { nearest: Some(nearest) } = bench.hub.why(id).unwrap().reason else {
        panic!()
    };
    assert_eq!((nearest.agent.as_str(), nearest.lacks), ("a", vec!["ssd".into()]));
}

#[test]
fn why_says_that_agents_are_busy() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    let id = bench.submit(draft());
    let kept_by = [("full", 1)].into();
    assert_eq!(bench.hub.why(id).unwrap().reason, Reason::AgentsBusy { able: 1, kept_by });
}

#[test]
fn why_tells_full_agents_from_those_that_are_silent_or_drain() {
    let mut bench = Bench::new();
    for name in ["quiet", "leaving", "busy"] {
        bench.join(name, Dialect::V1, 1, &["gpu"]);
    }
    let busy = bench.submit(Draft { assign_to: Some(agent_id("busy")), ..draft() });
    assert_eq!(bench.word(busy), "assigned");
    bench.call(Command::Drain(agent_id("leaving")));
    bench.pass(Span::from_secs(15));
    bench.ping(3, &[Held { task_id: busy, generation: lease(1) }]);
    bench.pass(Span::from_secs(2));
    let id = bench.submit(needing("gpu"));
    let kept_by = [("draining", 1), ("full", 1), ("silent", 1)].into();
    assert_eq!(bench.hub.why(id).unwrap().reason, Reason::AgentsBusy { able: 3, kept_by });
}

#[test]
fn a_task_waits_for_the_agent_that_has_its_repository_at_hand_but_not_for_ever() {
    let config = HubConfig { affinity_wait: Span::from_secs(10), ..HubConfig::default() };
    let mut bench = Bench::with(config);
    let repo = crate::name::Repo::new("https://host/r").ok();
    let warm = bench.join("warm", Dialect::V1, 1, &[]);
    bench.submit(Draft { repo: repo.clone(), ..draft() });
    bench.assigned(warm);
    let cold = bench.join("cold", Dialect::V1, 1, &[]);
    let waits = bench.submit(Draft { repo, ..draft() });
    let other = bench.submit(draft());
    assert_eq!([bench.word(waits), bench.word(other)], ["ready", "assigned"], "others do not wait");
    let remaining = Span::from_secs(10);
    assert_eq!(bench.hub.why(waits).unwrap().reason, Reason::Affinity { remaining });
    serve(&mut bench, cold);
    assert_eq!(bench.word(waits), "ready");
    bench.pass(Span(9_999));
    assert_eq!(bench.word(waits), "ready");
    bench.pass(Span(1));
    assert_eq!(bench.state(waits).hold().unwrap().agent, agent_id("cold"));
}

#[test]
fn a_task_does_not_wait_for_an_agent_that_has_its_repository_at_hand_and_cannot_do_it() {
    let config = HubConfig { affinity_wait: Span::from_secs(10), ..HubConfig::default() };
    let mut bench = Bench::with(config);
    let repo = crate::name::Repo::new("https://host/r").ok();
    let warm = bench.join("warm", Dialect::V1, 1, &[]);
    bench.submit(Draft { repo: repo.clone(), ..draft() });
    serve(&mut bench, warm);
    bench.join("able", Dialect::V1, 1, &["gpu"]);
    let id = bench.submit(Draft { repo, ..needing("gpu") });
    assert_eq!(bench.word(id), "assigned");
}

#[test]
fn a_policy_in_a_box_is_asked_as_it_is_without_one() {
    /// The youngest task first, and nothing for the first agent by name.
    #[derive(Debug)]
    struct Young;
    impl Policy for Young {
        fn key(&self, task: &TaskFacts<'_>) -> u64 {
            u64::MAX - 1 - task.ready_at.0
        }
        fn fit(&self, _: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
            (agent.id.as_str() != "a").then_some(0)
        }
    }
    let boxed: Box<dyn Policy> = Box::new(Young);
    assert!(boxed.may_refuse());
    let fair: Box<dyn Policy> = Box::new(FairPolicy);
    assert!(!fair.may_refuse());
    let mut bench = Bench::over(HubConfig::default(), boxed);
    let old = bench.submit(draft());
    bench.pass(Span(1));
    let young = bench.submit(draft());
    bench.join("a", Dialect::V1, 1, &[]);
    let agent = bench.join("b", Dialect::V1, 1, &[]);
    assert_eq!([bench.serve(agent), bench.serve(agent)], [Some(young), Some(old)]);
}

#[test]
fn good_standing_counts_more_than_a_repository_at_hand_and_that_more_than_spare_abilities() {
    let mut bench = Bench::new();
    let id = bench.submit(needing("gpu"));
    let task = bench.task(id);
    let fit = |probation: bool, warm: bool, abilities: usize| {
        let mut bench = Bench::new();
        let able: Vec<String> = (0..abilities).map(|n| alloc::format!("c{n}")).collect();
        let able: Vec<&str> = able.iter().map(String::as_str).collect();
        bench.join("a", Dialect::V1, 1, &able);
        let id = &agent_id("a");
        let profile = bench.hub.state().profile(id).unwrap();
        let (ready_at, load, last_assigned) = (bench.now.wall, 0, 0);
        let (spec, failures, start_tag) = (&*task.spec, 0, 0);
        FairPolicy.fit(
            &TaskFacts { id: task.id, spec, failures, ready_at, start_tag },
            &AgentFacts { id, profile, load, probation, last_assigned, warm },
        )
    };
    let best_first = [
        fit(false, true, 1),
        fit(false, true, 2),
        fit(false, false, 1),
        fit(false, false, 2),
        fit(true, true, 1),
        fit(true, true, 2),
        fit(true, false, 1),
        fit(true, false, 2),
    ];
    assert!(best_first.is_sorted_by(|a, b| a > b), "{best_first:?}");
}
