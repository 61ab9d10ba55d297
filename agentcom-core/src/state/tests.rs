//! This file checks how a state takes note of the time.

use super::*;
use crate::command::Command;
use crate::json::Json;
use crate::name::Kind;
use crate::task::{Category, Dependency, Draft, Place, Priority, Spec};
use crate::testing::bench::Bench;
use crate::time::{Mono, Wall};
use crate::wire::Dialect;
use alloc::string::String;
use alloc::vec;

fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::null())
}

#[test]
fn a_wall_clock_that_is_set_back_goes_on_at_half_speed_until_it_has_caught_up() {
    let mut state = State::default();
    let mut at = |mono, wall| {
        state.tick(Now { mono: Mono(mono), wall: Wall(wall) });
        state.now().wall.0
    };
    assert_eq!(at(0, 10_000), 10_000);
    assert_eq!(at(1_000, 1_000), 10_500);
    assert_eq!(at(1_001, 1_001), 10_500);
    assert_eq!(at(2_000, 2_000), 11_000);
    assert_eq!(at(10_000, 10_000), 15_000);
    assert_eq!(at(16_000, 16_000), 16_000);
    assert_eq!(at(16_010, 16_010), 16_010);
}

#[test]
fn a_flow_that_comes_after_a_start_stands_beside_the_head_of_those_that_wait() {
    let mut fair = Fair::default();
    assert_eq!(fair.start_tag(&(2, None)), 0);
    fair.loaded(2, 500);
    assert_eq!([fair.start_tag(&(2, None)), fair.start_tag(&(1, None))], [500, 0]);
}

/// A state as it is loaded, in which a ready task of the usual lane has this start tag.
fn loaded(tags: &[u64]) -> State {
    let mut bench = Bench::new();
    let mut state = State::default();
    for tag in tags {
        let id = bench.submit(draft());
        let mut task = bench.task(id).clone();
        let place = Place { order: *tag, tag: *tag };
        task.life.state = TaskState::Ready { since: Wall(0), place };
        state.apply(Change::TaskAdded(task.into()));
    }
    state
}

#[test]
fn who_comes_after_a_restart_does_not_overtake_those_that_waited_before_it() {
    let mut state = loaded(&[700, 500, 600]);
    let lane = Priority::Normal.lane();
    state.resume_shares();
    let new = Key::new("new").ok();
    assert_eq!(state.fair().start_tag(&(lane, new.clone())), 500);
    assert_eq!(state.fair().start_tag(&(Priority::Urgent.lane(), new)), 0, "nobody waits there");
}

#[test]
fn states_that_differ_in_one_task_are_not_the_same() {
    let states = [loaded(&[500]), loaded(&[501])];
    assert_ne!(states[0].durable(), states[1].durable());
    assert_eq!(states[0].durable(), loaded(&[500]).durable());
}

#[test]
fn ended_tasks_are_counted_by_how_they_ended() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..2 {
        bench.submit(draft());
        bench.serve(agent);
    }
    for _ in 0..3 {
        let id = bench.submit(draft());
        bench.call(Command::Cancel(id));
    }
    let id = bench.submit(draft());
    let held = bench.starts.last().unwrap().held;
    bench.accept(agent, held);
    bench.fail(agent, held, Category::Permanent);
    assert_eq!(bench.word(id), "dead_letter");
    assert_eq!(bench.hub.state().head().unwrap().ended, [2, 0, 1, 3]);
}

#[test]
fn work_is_quiet_from_when_it_begins_or_a_task_was_completed_until_none_is_under_way() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    let quiet = |bench: &Bench| bench.hub.state().quiet_for();
    bench.pass(Span(100));
    let [first, second] = [bench.submit(draft()), bench.submit(draft())];
    let held = bench.starts[0].held;
    assert_eq!(held.task_id, first);
    bench.accept(agent, held);
    bench.pass(Span(300));
    assert_eq!(quiet(&bench), Span(300));
    bench.complete(agent, held);
    assert_eq!(quiet(&bench), Span(0));
    bench.pass(Span(200));
    assert_eq!(quiet(&bench), Span(200), "the other is under way");
    bench.call(Command::Cancel(second));
    bench.pass(Span(100));
    assert_eq!(quiet(&bench), Span(0));
}

#[test]
fn whoever_failed_to_prove_an_identity_longest_ago_is_forgotten_when_there_are_too_many() {
    let mut state = State::default();
    let claimant = |number: u64| (alloc::format!("peer-{number}").into(), "a".into());
    let refuse = |state: &mut State, number: u64, at: u64| {
        let refusals = Refusals { count: 1, at: Mono(at) };
        state.feel(Pulse::Refusals(claimant(number), Some(refusals)));
    };
    let max = Refusals::CLAIMANTS_MAX as u64;
    (0..max).for_each(|number| refuse(&mut state, number, 10 + number));
    refuse(&mut state, 0, max + 10);
    assert!(state.refusals(&claimant(1)).is_some(), "one that is known needs no room");
    refuse(&mut state, max, max + 11);
    let known = [0, 1, 2, max].map(|number| state.refusals(&claimant(number)).is_some());
    assert_eq!(known, [true, false, true, true]);
}

#[test]
fn a_task_counts_with_every_text_of_it_against_the_bound_on_bytes() {
    let long = || String::from("0123456789");
    let bytes = |change: &dyn Fn(&mut Draft)| {
        let mut bench = Bench::new();
        let mut draft = draft();
        change(&mut draft);
        bench.submit(draft);
        bench.hub.state().bytes()
    };
    let json = |text: &str| Json::parse(text).unwrap();
    let plain = bytes(&|draft| draft.op.input = json("1234"));
    assert_eq!(plain, (4 + "null".len() + size_of::<Spec>() + size_of::<Task>()) as u64);
    assert_eq!(bytes(&|draft| draft.op.input = json("123456")), plain + 2);
    let all = bytes(&|draft| {
        draft.op.input = json("1234");
        draft.description = long();
        draft.metadata = json(r#"{"n":1}"#);
        draft.coding.success_criteria = vec![long(), long()];
    });
    assert_eq!(all, plain + 10 + 3 + 20);
    let mut bench = Bench::new();
    let first = bench.submit(draft());
    let before = bench.hub.state().bytes();
    let depends_on = vec![Dependency::Known(first)];
    bench.submit(Draft { depends_on, ..draft() });
    let needed = size_of::<TaskId>() as u64;
    assert_eq!(bench.hub.state().bytes(), 2 * before + needed);
}

#[test]
fn tasks_behind_another_are_listed_in_the_order_of_submission() {
    let mut bench = Bench::new();
    let ids = [(); 3].map(|()| bench.submit(draft()));
    let state = bench.hub.state();
    let behind = state.tasks_after(state.number(ids[0])).map(|(_, task)| task.id);
    assert!(behind.eq(ids[1..].iter().copied()));
}

#[test]
fn living_tasks_are_counted_by_state() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    let [worked_on, given] = [bench.submit(draft()), bench.submit(draft())];
    let held = bench.starts[0].held;
    assert_eq!(held.task_id, worked_on);
    bench.accept(agent, held);
    for _ in 0..2 {
        let depends_on = vec![Dependency::Known(given)];
        bench.submit(Draft { depends_on, ..draft() });
    }
    for _ in 0..3 {
        let mut later = draft();
        later.times.run_after = Some(bench.now.wall + Span(1));
        bench.submit(later);
    }
    for _ in 0..4 {
        bench.submit(draft());
    }
    assert_eq!(bench.hub.state().by_state(), [2, 3, 4, 1, 1, 0]);
}
