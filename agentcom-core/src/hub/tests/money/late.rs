//! This file checks what is taken in of a call when its attempt has ended: what it came to stands in the
//! books then, and not its worst case.

use super::*;
use crate::id::Lease;
use crate::ledger::{Spend, Tally};
use crate::port::store::Table;

/// A task whose attempt ended in the middle of a call that may have cost 70.
fn cut(ends: impl FnOnce(&mut Bench, u64, Held)) -> (Bench, u64, Held) {
    let mut bench = Bench::new();
    let mut draft = draft();
    draft.repo = crate::name::Repo::new("https://host/r").ok();
    draft.group.goal_id = crate::name::GoalId::new("g").ok();
    let (agent, held) = at_work(&mut bench, "a", draft);
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 70)), Some(Ok(70)));
    ends(&mut bench, agent, held);
    bench.said(agent);
    assert_eq!(books(&bench), (70, 0), "nobody has told yet what it came to");
    (bench, agent, held)
}

fn estop(bench: &mut Bench, _: u64, _: Held) {
    bench.call(Command::Estop { stop: true });
}

fn cancel(bench: &mut Bench, _: u64, held: Held) {
    bench.call(Command::Cancel(held.task_id));
}

/// What was spent in all, and how many tokens were read.
fn books(bench: &Bench) -> (u64, u64) {
    let account = bench.hub.state().ledger().account(&Subject::All);
    let tally = account.map_or(Tally::default(), |it| it.tally(Period::Ever, bench.now.wall));
    (tally.micros.0, tally.usage.read())
}

fn of_task(bench: &Bench, held: Held) -> (u64, u64) {
    let total = bench.task(held.task_id).life.spend.as_ref().unwrap().total;
    (total.micros.0, total.usage.read())
}

#[test]
fn what_is_told_of_a_call_that_was_cut_takes_the_place_of_its_worst_and_once() {
    for ends in [estop, cancel] {
        let (mut bench, agent, held) = cut(ends);
        for (micros, no) in [(30, None), (20, Some(Err(NotGranted::Superseded)))] {
            used(&mut bench, agent, call(held, 1, micros));
            assert_eq!(heard(&mut bench, agent), no, "it counts once");
            for account in
                ["all", "agent:a", "model:m", "repo:https://host/r", "goal:g", "day:2023-11-14"]
            {
                assert_eq!(booked(&bench, account), 30, "{account}");
            }
            assert_eq!((books(&bench), of_task(&bench, held)), ((30, 5), (30, 5)));
        }
        let last = bench.events.last().unwrap();
        let told = r#"{"call":1,"model":"m","micros":30,"input_tokens":5,"output_tokens":0}"#;
        assert_eq!((&*last.kind, last.detail.as_ref().unwrap().as_str()), ("spend.settled", told));
        assert_eq!((last.task_id, reserved(&bench)), (Some(held.task_id), 0));
        bench.check();
    }
}

#[test]
fn what_is_kept_of_a_call_that_was_cut_keeps_its_form() {
    let (bench, _, held) = cut(cancel);
    let spend = Json::of(bench.task(held.task_id).life.spend.as_ref().unwrap()).unwrap();
    expect_test::expect![[r#"{"total":{"calls":1,"micros":70,"input_tokens":0,"output_tokens":0},"lease":1,"call":1,"unsettled":{"lease":1,"call":1,"model":"m","micros":70,"at":1700000000000}}"#]].assert_eq(spend.as_str());
}

#[test]
fn what_is_told_of_a_task_that_ends_in_the_same_batch_is_in_its_one_row() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 70));
    let (command, facts) = (Command::Cancel(held.task_id), Facts::default());
    let (call_id, by, cause) = (CallId(1), Principal::Admin, None);
    let ends = Input::Call { call: call_id, by, cause, command, facts: facts.clone() };
    let (session, frame) = (SessionId(agent), Ok(ToHub::SpendUsed(call(held, 1, 30))));
    let tells = Input::Frame { session, frame, token: None, facts };
    let steps = [ends, tells].map(|input| bench.hub.step(bench.now, input));
    let dirty: BTreeSet<Dirty> = steps.into_iter().flat_map(|step| step.dirty).collect();
    let batch = rows_of(bench.hub.state(), &dirty, &[]);
    let of_task = |key: &&(crate::port::store::RowKey, Vec<u8>)| key.0.table == Table::Ended;
    let rows: Vec<_> = batch.puts.iter().filter(of_task).collect();
    let [(key, row)] = rows[..] else { panic!("{rows:?}") };
    let stored = crate::state::ended_row(&key.key, row).unwrap().life.spend.unwrap();
    assert_eq!((stored.total.micros, stored.unsettled), (Micros(30), None));
}

#[test]
fn a_restart_forgets_neither_that_it_may_be_told_nor_that_it_was() {
    let (mut bench, _, held) = cut(estop);
    restarted(&mut bench);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    used(&mut bench, agent, call(held, 1, 30));
    restarted(&mut bench);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    used(&mut bench, agent, call(held, 1, 20));
    assert_eq!(books(&bench), (30, 5));
}

#[test]
fn the_books_never_say_more_than_was_reserved() {
    let (mut bench, agent, held) = cut(estop);
    used(&mut bench, agent, call(held, 1, 700));
    assert_eq!(books(&bench), (70, 5));
    // Of what has no price nobody knows what its tokens cost.
    let (mut bench, agent, held) = cut(estop);
    let mut of_tokens = call(held, 1, 0);
    of_tokens.call.spending.micros = None;
    used(&mut bench, agent, of_tokens);
    assert_eq!(books(&bench), (70, 5));
}

#[test]
fn others_have_no_say_in_it_and_nobody_has_of_another_call() {
    let (mut bench, agent, held) = cut(estop);
    let other = bench.join("b", Dialect::V1, 1, &[]);
    let no = Some(Err(NotGranted::Superseded));
    used(&mut bench, other, call(held, 1, 30));
    assert_eq!(heard(&mut bench, other), no);
    let another = Held { generation: Lease(held.generation.0 + 1), ..held };
    for call in [call(held, 2, 30), call(another, 1, 30)] {
        used(&mut bench, agent, call);
        assert_eq!(heard(&mut bench, agent), no);
    }
    assert_eq!(books(&bench), (70, 0));
}

#[test]
fn what_comes_too_late_is_refused() {
    for (waits, spent) in [(Spend::LATE_MAX, 30), (Spend::LATE_MAX + Span(1), 70)] {
        for ends in [estop, cancel] {
            let (mut bench, _, held) = cut(ends);
            bench.pass(waits);
            let agent = bench.join("a", Dialect::V1, 1, &[]);
            used(&mut bench, agent, call(held, 1, 30));
            let no = (spent == 70).then_some(Err(NotGranted::Superseded));
            assert_eq!((heard(&mut bench, agent), books(&bench).0), (no, spent));
        }
    }
}

#[test]
fn the_next_attempt_keeps_what_is_reserved_for_it_and_may_end_in_a_call_as_well() {
    let (mut bench, agent, held) = cut(|bench, agent, held| {
        bench.fail(agent, held, Category::Retryable);
        bench.pass(Span::from_secs(20));
    });
    let next = bench.holds(&AgentId::new("a").unwrap())[0];
    assert!(next.task_id == held.task_id && next.generation > held.generation);
    assert_eq!(reserve(&mut bench, agent, call(next, 1, 7)), Some(Ok(7)));
    used(&mut bench, agent, call(held, 1, 30));
    assert_eq!((books(&bench), reserved(&bench)), ((30, 5), 7));
    bench.check();
    bench.call(Command::Estop { stop: true });
    assert_eq!(books(&bench), (37, 5));
    used(&mut bench, agent, call(next, 1, 1));
    assert_eq!((books(&bench), of_task(&bench, held)), ((31, 10), (31, 10)));
}

#[test]
fn it_belongs_to_the_day_on_which_it_was_made() {
    let mut bench = Bench::new();
    let day = 24 * 60 * 60 * 1000;
    bench.pass(Span(day - bench.now.wall.0 % day - 60_000));
    let (agent, held) = at_work(&mut bench, "a", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 50)), Some(Ok(50)));
    bench.call(Command::Cancel(held.task_id));
    bench.pass(Span::from_mins(2));
    let (other, next) = at_work(&mut bench, "b", draft());
    used(&mut bench, other, call(next, 1, 9));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    used(&mut bench, agent, call(held, 1, 20));
    let account = bench.hub.state().ledger().account(&Subject::All).unwrap();
    assert_eq!(account.spent(Period::Day, bench.now.wall), Micros(9));
    let of_days = ["day:2023-11-14", "day:2023-11-15", "month:2023-11", "all"];
    assert_eq!(of_days.map(|account| booked(&bench, account)), [20, 9, 29, 29]);
}
