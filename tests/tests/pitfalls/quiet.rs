//! This file holds pitfalls of what a queue does by itself: waking everybody, trusting clocks, being
//! busy with nothing, counting.

use std::time::{Duration, Instant};

use agentcom_core::command::Command;
use agentcom_core::task::{Category, Draft, Outcome, Retry};
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::{Span, Wall};
use agentcom_core::wire::{Dialect, ToAgent};

use super::{agent_id, draft, endings};
use crate::rig::{Rig, work};

#[test]
fn p16_one_task_wakes_one_agent() {
    let mut bench = Bench::new();
    let agents: Vec<_> =
        (0..300).map(|n| bench.join(&format!("a{n}"), Dialect::V1, 1, &[])).collect();
    agents.iter().for_each(|agent| drop(bench.said(*agent)));
    bench.submit(draft());
    let said: Vec<_> = agents.iter().flat_map(|agent| bench.said(*agent)).collect();
    assert!(matches!(said[..], [ToAgent::TaskAssign(_)]), "{said:?}");
}

#[test]
fn p16_a_hub_with_nothing_to_do_sleeps() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.submit(work("any"));
    }
    let mut later = work("any");
    later.times.run_after = Some(Wall(1_700_000_000_000) + Span::from_mins(24 * 60));
    rig.submit(later);
    // Until whoever could come back after the start has.
    rig.pass(Span::from_mins(2));
    let naps = rig.clock.naps();
    rig.pass(Span(Span::from_mins(24 * 60 - 2).0 - 1));
    assert_eq!(rig.clock.naps(), naps, "a day in which nothing is due costs nothing");
}

#[test]
fn p18_a_date_that_jumps_ends_no_lease_and_turns_no_stamp_back() {
    const DECADE: i64 = 315_576_000_000;
    // The longest one back is to the 1st of January 1970, as of a machine without a battery.
    for jump in
        [-86_400_000_i64, -5_000, 5_000, 86_400_000, -DECADE, DECADE, -2_000_000_000_000, 3_600_000]
    {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let id = bench.submit(draft());
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        bench.pass(Span::from_secs(10));
        bench.now.wall = Wall(bench.now.wall.0.saturating_add_signed(jump));
        bench.pass(Span::from_secs(19));
        assert_eq!(bench.word(id), "working", "{jump}: the lease is 30 s of real time, ..");
        bench.pass(Span::from_secs(1));
        assert_eq!(bench.word(id), "delayed", "{jump}: .. not more and not less");
        let stamps: Vec<_> = bench.events.iter().map(|event| event.at).collect();
        assert!(stamps.is_sorted(), "{jump}: {stamps:?}");
    }
}

#[test]
fn p18_a_date_that_jumps_ends_no_wait_before_the_next_attempt_early() {
    for jump in [-315_576_000_000_i64, -3_600_000, 3_600_000, 315_576_000_000] {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let retry = Retry { backoff_base: Some(Span::from_secs(60)), ..Retry::default() };
        let id = bench.submit(Draft { retry, ..draft() });
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        bench.fail(agent, held, Category::Retryable);
        assert_eq!(bench.word(id), "delayed");
        bench.now.wall = Wall(bench.now.wall.0.saturating_add_signed(jump));
        bench.pass(Span::from_secs(1));
        assert_eq!(bench.word(id), "delayed", "{jump}");
    }
}

#[test]
fn p18_what_an_agent_takes_the_time_to_be_does_not_matter() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a", 1);
    let id = rig.submit(work("any"));
    let work = rig.assigned(&mut agent).remove(0);
    assert!(work["lease_ttl_ms"].is_u64(), "it is told a span: {work:#}");
    for stamp in [0_u64, 4_000_000_000_000] {
        let mut frame = serde_json::json!({ "type": "task_accepted", "timestamp": stamp });
        frame["task_id"] = work["task_id"].clone();
        frame["generation"] = work["generation"].clone();
        rig.say(&agent, &frame);
        assert_eq!(rig.word(id), "working");
        assert!(rig.task(id).life.updated_at < Wall(1_700_000_001_000));
    }
}

#[test]
fn p22_an_attempt_has_an_end_even_if_nobody_gave_it_one() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    for _ in 0..24 * 60 * 6 {
        assert_eq!(bench.word(id), "working");
        bench.pass(Span::from_secs(10));
        bench.ping(agent, &[held]);
    }
    assert_eq!(endings(&bench, id)[0].0, Outcome::TimedOut, "after a day");
}

#[test]
fn p22_a_fleet_that_is_busy_and_gets_nothing_done_shows() {
    let mut rig = Rig::new();
    // Figures are of the latest step, and an agent brings one about every five seconds.
    let quiet_for = |rig: &mut Rig, span: Span| {
        let handle = rig.handle.clone();
        let quiet_for = rig.ask(handle.stats()).unwrap().quiet_for;
        quiet_for <= span && span <= quiet_for + Span::from_secs(5)
    };
    rig.sidecar("a", 2);
    rig.pass(Span::from_mins(60));
    assert!(quiet_for(&mut rig, Span(0)), "there is nothing to do");
    let hung = rig.submit(work("hang"));
    rig.pass(Span::from_mins(30));
    rig.submit(work("done"));
    rig.pass(Span::from_mins(10));
    assert!(quiet_for(&mut rig, Span::from_mins(10)), "since something was done");
    rig.submit(work("fail again"));
    rig.pass(Span::from_mins(10));
    assert!(quiet_for(&mut rig, Span::from_mins(20)), "failing is not getting done");
    rig.call(Command::Cancel(hung)).unwrap();
    rig.pass(Span::from_secs(5));
    assert!(quiet_for(&mut rig, Span(0)));
}

/// The least time in which a hub over so many tasks gives its figures.
fn time_of_figures(tasks: u64) -> Duration {
    let mut rig = Rig::new();
    for _ in 0..tasks / 1_000 {
        let drafts = vec![work("any"); 1_000];
        rig.call(Command::SubmitBatch(drafts)).unwrap();
    }
    let handle = rig.handle.clone();
    let ask = |rig: &mut Rig| {
        let start = Instant::now();
        let stats = rig.ask(handle.stats()).unwrap();
        let took = start.elapsed();
        assert!(stats.tasks.contains(&("ready", tasks)), "{stats:?}");
        took
    };
    (0..50).map(|_| ask(&mut rig)).min().unwrap()
}

#[test]
fn p25_figures_cost_the_same_however_long_the_queue_is() {
    let (few, many) = (time_of_figures(1_000), time_of_figures(20_000));
    assert!(many < few * 6, "{few:?} with 1,000 tasks, {many:?} with 20,000");
}

#[test]
fn p25_figures_are_those_that_a_count_would_find() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 3, &[]);
    for n in 0..20 {
        bench.submit(draft());
        bench.pass(Span::from_secs(1));
        bench.ping(agent, &bench.holds(&agent_id("a")));
        if n % 2 == 0 {
            bench.serve(agent);
        }
        let state = bench.hub.state();
        let count = |word| state.tasks().filter(|task| task.life.state.as_str() == word).count();
        let words = ["blocked", "delayed", "ready", "assigned", "working", "waiting"];
        assert_eq!(state.by_state(), words.map(|word| count(word) as u64));
    }
}
