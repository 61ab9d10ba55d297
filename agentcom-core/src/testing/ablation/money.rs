//! This file misses the guards of the ledger.

use super::{Scenario, Verdict, at_work, bench, draft, ensure};
use crate::command::Command;
use crate::guard::{Guard, Guards};
use crate::ledger::{Call, Spending, Subject};
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::task::Category;
use crate::testing::bench::Bench;
use crate::wire::{Dialect, Held, SpendCall, ToAgent, ToHub};

/// The scenario that misses one of them.
pub(super) fn of(guard: Guard) -> Scenario {
    if guard == Guard::Cap {
        cap
    } else if guard == Guard::BookOnce {
        book_once
    } else if guard == Guard::BookInFull {
        book_in_full
    } else {
        estop
    }
}

fn call(held: Held, number: u32, micros: u64) -> SpendCall {
    let model = ModelName::new("m").expect("a model");
    let spending = Spending { model, usage: Usage::default(), micros: Some(Micros(micros)) };
    let call = Call { number, spending };
    SpendCall { task_id: held.task_id, generation: held.generation, call }
}

fn cap_of_a_day(bench: &mut Bench, micros: u64) {
    let cap = "day".parse().expect("a cap");
    bench.call(Command::SetCap { cap, limit: Some(Micros(micros)) });
}

fn booked(bench: &Bench) -> u64 {
    let account = bench.hub.state().ledger().account(&Subject::All);
    let ever = crate::ledger::Period::Ever;
    account.map_or(0, |account| account.spent(ever, bench.now.wall).0)
}

/// Whether a call is granted.
fn granted(bench: &mut Bench, agent: u64, call: SpendCall) -> bool {
    bench.frame(agent, ToHub::SpendReserve(call));
    let said = bench.said(agent);
    said.iter().any(|frame| matches!(frame, ToAgent::SpendAnswered(said) if said.granted.is_some()))
}

fn cap(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    cap_of_a_day(&mut bench, 10);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    ensure(!granted(&mut bench, agent, call(held, 1, 11)), "a call passes the cap of the day")
}

fn book_once(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    for _ in 0..2 {
        bench.frame(agent, ToHub::SpendUsed(call(held, 1, 7)));
    }
    ensure(booked(&bench) == 7, "what was told twice was booked twice")
}

fn book_in_full(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    granted(&mut bench, agent, call(held, 1, 7));
    bench.fail(agent, held, Category::Retryable);
    ensure(booked(&bench) == 7, "a call that was granted is nowhere in the books")
}

fn estop(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.call(Command::Estop { stop: true });
    ensure(
        !granted(&mut bench, agent, call(held, 1, 1)),
        "money is spent after everything was stopped",
    )
}
