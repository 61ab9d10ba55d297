//! This file holds pitfalls of whose a task is: rescues, stale words, agents that are not told.

use agentcom_core::command::{Command, Reply};
use agentcom_core::config::HubConfig;
use agentcom_core::state::Due;
use agentcom_core::task::{Category, Death, Outcome, TaskState};
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::{Mono, Span};
use agentcom_core::wire::{Acked, Dialect, Held, Released, ToAgent, ToHub};

use super::{agent_id, draft, endings, next_work};
use crate::rig::{Rig, at_work, work};

/// Whether a session was told that it lost this assignment.
fn told_lost(bench: &mut Bench, session: u64, held: Held) -> bool {
    bench.said(session).iter().any(|frame| {
        matches!(frame, ToAgent::TaskCancelled { task_id, generation, .. }
            if (*task_id, *generation) == (held.task_id, held.generation))
    })
}

#[test]
fn p01_age_alone_takes_no_work_away() {
    let (mut bench, agent, held) = at_work(draft());
    for _ in 0..12 * 60 * 12 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[held]);
    }
    assert_eq!(bench.word(held.task_id), "working", "twelve hours of signs of life");
    assert_eq!(bench.task(held.task_id).life.crashes, 0);
}

#[test]
fn p01_a_lost_lease_and_a_spent_budget_are_two_reasons() {
    let (mut bench, agent, held) = at_work(draft());
    bench.leave(agent);
    bench.pass(Span::from_secs(30));
    let lost = endings(&bench, held.task_id);
    assert_eq!(lost, [(Outcome::LeaseLost, "the lease ran out".into())]);

    let mut budget = draft();
    budget.times.timeout = Some(Span::from_secs(20));
    let (mut bench, agent, held) = at_work(budget);
    for _ in 0..4 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[held]);
    }
    let spent = endings(&bench, held.task_id);
    assert_eq!(spent, [(Outcome::TimedOut, "the attempt took too long".into())]);
}

#[test]
fn p02_a_task_that_was_just_finished_is_not_rescued() {
    // At the very moment at which the lease ends the result is first, ..
    let (mut bench, agent, held) = at_work(draft());
    let lease = bench.hub.state().clocks(held.task_id).unwrap().lease;
    bench.now.mono = lease;
    bench.complete(agent, held);
    assert_eq!(bench.word(held.task_id), "completed");
    // .. and no deadline of what has ended is left to come back to.
    bench.pass(Span::from_mins(60));
    assert_eq!(bench.word(held.task_id), "completed");
    for due in [Due::Lease(held.task_id), Due::Timeout(held.task_id), Due::Backoff(held.task_id)] {
        assert_eq!(bench.hub.state().alarms().when(&due), None, "{due:?}");
    }
    let mut last = bench.events.iter().rev().filter(|event| event.task_id == Some(held.task_id));
    assert_eq!(last.next().map(|event| &*event.kind), Some("task.completed"));
}

/// One way in which an attempt ends without the task being done.
fn end(bench: &mut Bench, agent: u64, held: Held, way: usize) {
    let Held { task_id, generation } = held;
    match way {
        0 => bench.frame(agent, ToHub::TaskReleased(Released { task_id, generation })),
        1 => bench.fail(agent, held, Category::Retryable),
        2 => bench.fail(agent, held, Category::Quota),
        3 => {
            for _ in 0..3 {
                bench.pass(Span::from_secs(6));
                bench.ping(agent, &[]);
            }
        }
        _ => {
            bench.fail(agent, held, Category::Permanent);
            assert_eq!(bench.word(task_id), "dead_letter");
            let reply = bench.call(Command::Revive(vec![task_id]));
            assert!(matches!(reply, Reply::Revived { ref revived, .. } if *revived == [task_id]));
        }
    }
}

#[test]
fn p03_no_word_of_an_earlier_attempt_counts_for_a_later_one() {
    let mut patient = draft();
    patient.retry.attempts_max = Some(100);
    let (mut bench, agent, mut held) = at_work(patient);
    let mut earlier = Vec::new();
    for way in 0..5 {
        end(&mut bench, agent, held, way);
        earlier.push(held);
        let next = next_work(&mut bench, agent, "a").unwrap();
        assert!(next.generation > held.generation, "way {way}: {next:?} after {held:?}");
        held = next;
        bench.accept(agent, held);
        let life = bench.task(held.task_id).life.clone();
        for stale in &earlier {
            bench.said(agent);
            bench.complete(agent, *stale);
            bench.fail(agent, *stale, Category::Permanent);
            let Held { task_id, generation } = *stale;
            bench.frame(agent, ToHub::TaskReleased(Released { task_id, generation }));
            let said = bench.said(agent);
            // It hears what became of that attempt, and whatever it says changes nothing.
            let settled = |frame: &ToAgent| matches!(frame, ToAgent::TaskAck(ack) if ack.status != Acked::Complete);
            assert!(said.len() == 3 && said.iter().all(settled), "way {way}: {said:?}");
            assert_eq!(bench.task(task_id).life, life, "way {way}");
        }
    }
    bench.complete(agent, held);
    assert_eq!(bench.word(held.task_id), "completed");
}

#[test]
fn p03_numbers_of_attempts_go_on_after_a_restart() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a", 1);
    let id = rig.submit(work("any"));
    let first = rig.assigned(&mut agent).remove(0);
    rig.tell(&agent, "task_released", &first);
    let second = rig.assigned(&mut agent).remove(0);
    rig.restart();
    let mut agent = rig.connect("a", 1);
    rig.tell(&agent, "task_released", &second);
    let third = rig.assigned(&mut agent).pop().unwrap();
    let numbers = [&first, &second, &third].map(|work| work["generation"].as_u64().unwrap());
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    rig.tell(&agent, "task_complete", &first);
    assert_eq!(rig.word(id), "assigned");
}

#[test]
fn p04_an_agent_is_told_at_once_what_it_lost() {
    let (mut bench, agent, held) = at_work(draft());
    bench.call(Command::Cancel(held.task_id));
    assert!(told_lost(&mut bench, agent, held), "called off");

    let mut hasty = draft();
    hasty.times.timeout = Some(Span::from_secs(5));
    let (mut bench, agent, held) = at_work(hasty);
    bench.pass(Span::from_secs(5));
    assert!(told_lost(&mut bench, agent, held), "out of time");

    let (mut bench, agent, held) = at_work(draft());
    bench.pass(Span::from_secs(30));
    assert!(told_lost(&mut bench, agent, held), "the lease was not renewed");
}

#[test]
fn p04_an_agent_that_is_cut_off_stops_before_others_may_be_given_its_work() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    rig.submit(work("heed"));
    rig.pass(Span::from_secs(20));
    rig.kill();
    let cut = rig.clock.ms();
    rig.pass(Span::from_secs(60));
    let stopped = rig.noted("stopped");
    assert_eq!(stopped.len(), 1, "it does not work on");
    // No lease that was renewed before it was cut off is longer than this.
    let ttl = HubConfig::default().lease_ttl.0;
    assert!(stopped[0].at < cut + ttl, "{} is too late after {cut}", stopped[0].at);
    assert!(stopped[0].at > cut, "a short interruption is no reason to stop");
}

#[test]
fn p05_what_is_held_has_an_end_whatever_becomes_of_its_agent() {
    // The deadline is with the lease: no connection and no agent is needed for it.
    let (mut bench, agent, held) = at_work(draft());
    bench.leave(agent);
    let state = bench.hub.state();
    assert!(state.alarms().when(&Due::Lease(held.task_id)).is_some());
    assert!(state.alarms().when(&Due::Timeout(held.task_id)).is_some());
    bench.pass(Span::from_secs(30));
    assert_eq!(bench.word(held.task_id), "delayed");

    // An agent that is forgotten gives back what it held.
    let (mut bench, _, held) = at_work(draft());
    bench.call(Command::RemoveAgent(agent_id("a")));
    assert!(bench.state(held.task_id).hold().is_none());
}

#[test]
fn p05_a_restarted_agent_of_the_same_name_keeps_nothing_alive_that_it_does_not_do() {
    let (mut bench, _, held) = at_work(draft());
    let again = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..3 {
        bench.pass(Span::from_secs(6));
        bench.ping(again, &[]);
    }
    assert_eq!(endings(&bench, held.task_id)[0].0, Outcome::LeaseLost);
    assert!(bench.now.mono < Mono(1_000) + Span::from_secs(30), "before the lease was over");
}

#[test]
fn p06_a_task_that_takes_agents_down_is_set_aside_after_three() {
    let mut bench = Bench::new();
    let mut patient = draft();
    patient.retry.attempts_max = Some(50);
    let id = bench.submit(patient);
    for name in ["a", "b", "c"] {
        let agent = bench.join(name, Dialect::V1, 1, &[]);
        // Failures that an agent lives to tell of are another matter, and do not add up with them.
        for _ in 0..2 {
            let held = next_work(&mut bench, agent, name).unwrap();
            bench.accept(agent, held);
            bench.fail(agent, held, Category::Retryable);
        }
        let held = next_work(&mut bench, agent, name).unwrap();
        bench.accept(agent, held);
        bench.leave(agent);
        bench.pass(Span::from_mins(2));
    }
    let fourth = bench.join("d", Dialect::V1, 1, &[]);
    assert_eq!(next_work(&mut bench, fourth, "d"), None);
    let life = &bench.task(id).life;
    assert_eq!((life.crashes, life.failures), (3, 6));
    assert_eq!(life.state, TaskState::Dead(Death::Crashed));
    let lost = life.attempts.iter().filter(|attempt| {
        attempt.ended.as_ref().is_some_and(|ended| ended.outcome == Outcome::LeaseLost)
    });
    let agents: Vec<_> = lost.map(|attempt| attempt.agent.as_str()).collect();
    assert_eq!(agents, ["a", "b", "c"], "those that it took down are named");
}
