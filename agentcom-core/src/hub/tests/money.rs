//! This file checks what a hub lets be spent: caps, books, questions, the emergency stop, restarts.

mod late;
mod random;

use super::*;
use crate::command::Rejected;
use crate::ledger::{Call, NotGranted, Period, Spending, Subject};
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::price::Price;
use crate::state::{Dirty, Loader, rows_of};
use crate::task::{Category, Priority};
use crate::wire::{Held, SpendAnswered, SpendCall};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

fn model(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

pub(super) fn call(held: Held, number: u32, micros: u64) -> SpendCall {
    let usage = Usage { input_tokens: 5, ..Usage::default() };
    let spending = Spending { model: model("m"), usage, micros: Some(Micros(micros)) };
    let (task_id, generation) = (held.task_id, held.generation);
    SpendCall { task_id, generation, call: Call { number, spending } }
}

pub(super) fn set_cap(bench: &mut Bench, cap: &str, micros: u64) -> Reply {
    let limit = Some(Micros(micros));
    bench.call(Command::SetCap { cap: cap.parse().unwrap(), limit })
}

/// A task at work on an agent of its own.
pub(super) fn at_work(bench: &mut Bench, agent: &str, draft: Draft) -> (u64, Held) {
    let session = bench.join(agent, Dialect::V1, 1, &[]);
    bench.submit(draft);
    let held = bench.assigned(session)[0];
    bench.accept(session, held);
    bench.said(session);
    (session, held)
}

/// What the hub says to a call, if it says something.
pub(super) fn reserve(
    bench: &mut Bench,
    session: u64,
    call: SpendCall,
) -> Option<Result<u64, NotGranted>> {
    bench.frame(session, ToHub::SpendReserve(call));
    heard(bench, session)
}

fn heard(bench: &mut Bench, session: u64) -> Option<Result<u64, NotGranted>> {
    let answer = |frame| {
        let ToAgent::SpendAnswered(SpendAnswered { granted, refused, .. }) = frame else {
            return None;
        };
        Some(granted.map(|granted| granted.micros.0).ok_or_else(|| refused.unwrap()))
    };
    let mut answers: Vec<_> = bench.said(session).into_iter().filter_map(answer).collect();
    assert!(answers.len() < 2, "{answers:?}");
    answers.pop()
}

fn used(bench: &mut Bench, session: u64, call: SpendCall) {
    bench.frame(session, ToHub::SpendUsed(call));
}

fn booked(bench: &Bench, subject: &str) -> u64 {
    let account = bench.hub.state().ledger().account(&subject.parse().unwrap());
    account.map_or(0, |account| account.spent(Period::Ever, bench.now.wall).0)
}

fn reserved(bench: &Bench) -> u64 {
    bench.hub.state().ledger().reserved(&Subject::All).0
}

pub(super) fn question(bench: &Bench) -> crate::question::Question {
    bench.hub.state().questions().next().expect("a question is open").clone()
}

fn answer(bench: &mut Bench, answer: &str) {
    let id = question(bench).id;
    assert_eq!(bench.call(Command::Answer { id, answer: Json::text(answer) }), Reply::Done);
}

#[test]
fn a_call_is_reserved_before_it_is_made_and_booked_after() {
    let mut bench = Bench::new();
    let mut draft = draft();
    draft.repo = crate::name::Repo::new("https://host/r").ok();
    draft.group.goal_id = crate::name::GoalId::new("g").ok();
    let (agent, held) = at_work(&mut bench, "a", draft);
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 70)), Some(Ok(70)));
    assert_eq!((reserved(&bench), booked(&bench, "all")), (70, 0));
    used(&mut bench, agent, call(held, 1, 30));
    for account in ["all", "agent:a", "model:m", "repo:https://host/r", "goal:g", "day:2023-11-14"]
    {
        assert_eq!(booked(&bench, account), 30, "{account}");
    }
    assert_eq!(reserved(&bench), 0);
    let spend = bench.task(held.task_id).life.spend.clone().unwrap();
    assert_eq!(
        (spend.total.micros, spend.total.calls, spend.total.usage.read()),
        (Micros(30), 1, 5)
    );
    let told =
        bench.events.iter().filter(|event| event.kind.starts_with("spend.")).map(|event| {
            (event.kind.to_string(), event.detail.as_ref().unwrap().as_str().to_string())
        });
    assert_eq!(
        told.collect::<Vec<_>>()[1],
        (
            "spend.booked".to_string(),
            r#"{"call":1,"model":"m","micros":30,"input_tokens":5,"output_tokens":0}"#.to_string()
        )
    );
}

#[test]
fn what_is_said_twice_counts_once() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    for _ in 0..2 {
        assert_eq!(reserve(&mut bench, agent, call(held, 1, 70)), Some(Ok(70)));
    }
    assert_eq!(reserved(&bench), 70);
    for _ in 0..2 {
        used(&mut bench, agent, call(held, 1, 30));
    }
    assert_eq!((reserved(&bench), booked(&bench, "all")), (0, 30));
    let again = reserve(&mut bench, agent, call(held, 1, 70));
    assert_eq!(again, Some(Err(NotGranted::Superseded)), "it is over");
}

#[test]
fn a_call_of_which_nobody_tells_the_end_is_booked_at_its_worst() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 70));
    // The word about the first was lost.
    assert_eq!(reserve(&mut bench, agent, call(held, 2, 5)), Some(Ok(5)));
    assert_eq!((reserved(&bench), booked(&bench, "all")), (5, 70));
    bench.leave(agent);
    bench.pass(Span::from_mins(15));
    assert_eq!((reserved(&bench), booked(&bench, "all")), (0, 75));
    let late = call(held, 2, 1);
    let back = bench.join("a", Dialect::V1, 1, &[]);
    used(&mut bench, back, late);
    assert_eq!(booked(&bench, "all"), 75, "what comes too late changes nothing");
}

#[test]
fn tokens_have_prices_and_what_has_none_is_not_bought_where_there_is_a_cap() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    let of_model = |number, name: &str| {
        let mut call = call(held, number, 0);
        call.call.spending = Spending {
            model: model(name),
            usage: Usage { input_tokens: 1_000, output_tokens: 100, ..Usage::default() },
            micros: None,
        };
        call
    };
    assert_eq!(
        reserve(&mut bench, agent, of_model(1, "mystery")),
        Some(Ok(0)),
        "nothing is capped"
    );
    set_cap(&mut bench, "day", 10_000);
    let refused = Some(Err(NotGranted::NoPrice(model("mystery"))));
    assert_eq!(reserve(&mut bench, agent, of_model(2, "mystery")), refused);
    let dearest = 1_000 * 375 / 100 + 100 * 15;
    let known = reserve(&mut bench, agent, of_model(3, "claude-sonnet-4-5"));
    assert_eq!(known, Some(Ok(dearest)));
    used(&mut bench, agent, of_model(3, "claude-sonnet-4-5"));
    assert_eq!(booked(&bench, "model:claude-sonnet-4-5"), 1_000 * 3 + 100 * 15);
    let [input, output] = [1, 2].map(Micros);
    let price = Price { input, output, cache_read: input, cache_write: input };
    bench.call(Command::SetPrice { model: model("mystery"), price: Some(price) });
    assert_eq!(reserve(&mut bench, agent, of_model(4, "mystery")), Some(Ok(1)), "rounded up");
}

const CHEAP: Price =
    Price { input: Micros(1), output: Micros(1), cache_read: Micros(1), cache_write: Micros(1) };

#[test]
fn a_cap_that_would_bound_nothing_is_refused() {
    let mut bench = Bench::new();
    let no_price = Reply::Rejected(Rejected::NoPrice(model("mystery")));
    assert_eq!(set_cap(&mut bench, "model:mystery/day", 1), no_price);
    assert_eq!(set_cap(&mut bench, "model:claude-opus-4-5/day", 1), Reply::Done);
    bench.call(Command::SetPrice { model: model("mystery"), price: Some(CHEAP) });
    assert_eq!(set_cap(&mut bench, "model:mystery/day", 1), Reply::Done);
    let in_use = Reply::Rejected(Rejected::PriceInUse(model("mystery")));
    assert_eq!(bench.call(Command::SetPrice { model: model("mystery"), price: None }), in_use);
    let by_agent = bench.call_as(
        Principal::Agent(AgentId::new("a").unwrap()),
        Command::SetCap { cap: "day".parse().unwrap(), limit: None },
    );
    assert!(matches!(by_agent, Reply::Rejected(Rejected::NotAllowed(_))));
}

#[test]
fn where_money_is_capped_no_server_is_asked_for_a_model_without_a_price() {
    use crate::command::EndpointCommand;
    use crate::endpoint::{Api, Endpoint, Meant};
    use crate::name::EndpointId;
    let mut bench = Bench::new();
    let models = vec![Meant { model: "mystery".into(), tiers: Vec::new() }];
    let set = |bench: &mut Bench, api, url: &str| {
        let endpoint = Endpoint { models: models.clone(), ..Endpoint::new(api, url) };
        let id = EndpointId::new("work").unwrap();
        bench.call(Command::Endpoint(EndpointCommand::Set(id, endpoint.into())))
    };
    let no_price = Reply::Rejected(Rejected::NoPrice(model("mystery")));
    assert_eq!(set(&mut bench, Api::Messages, "https://api.example"), Reply::Done);
    assert_eq!(set_cap(&mut bench, "day", 1), no_price, "it would bound nothing there");
    assert_eq!(set(&mut bench, Api::ClaudeCode, ""), Reply::Done);
    assert_eq!(set_cap(&mut bench, "day", 1), Reply::Done, "a program says what it costs");
    assert_eq!(set(&mut bench, Api::Messages, "https://api.example"), no_price);
    assert_eq!(set(&mut bench, Api::Ollama, "http://gpu"), Reply::Done, "it costs nothing");
    bench.call(Command::SetPrice { model: model("mystery"), price: Some(CHEAP) });
    assert_eq!(set(&mut bench, Api::Messages, "https://api.example"), Reply::Done);
    let in_use = Reply::Rejected(Rejected::PriceInUse(model("mystery")));
    assert_eq!(bench.call(Command::SetPrice { model: model("mystery"), price: None }), in_use);
}

#[test]
fn a_call_that_would_pass_a_cap_waits_for_a_person() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "agent:*/day", 100);
    let (agent, held) = at_work(&mut bench, "a", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 101)), None);
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 101)), None, "asked again, it still waits");
    assert_eq!(bench.hub.state().questions().count(), 1);
    assert_eq!(
        &*question(&bench).text,
        "`m` is to make a call that may cost $0.000101, and $0.0001 is left of the $0.0001 of \
         `agent:*/day`. Raise the cap? `yes` raises it by $0.000001, an amount of dollars by that; \
         `no` ends the call."
    );
    answer(&mut bench, "yes");
    assert_eq!(heard(&mut bench, agent), Some(Ok(101)));
    let caps = &bench.hub.state().settings().caps;
    let caps: Vec<_> = caps.iter().map(|(cap, limit)| (cap.to_string(), limit.0)).collect();
    assert_eq!(caps, [("agent:*/day".into(), 100), ("agent:a/day".into(), 101)]);
}

#[test]
fn whoever_says_no_or_nothing_ends_the_call() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "task", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 11));
    answer(&mut bench, "no");
    assert!(matches!(heard(&mut bench, agent), Some(Err(NotGranted::Cap(_)))));
    reserve(&mut bench, agent, call(held, 2, 11));
    for _ in 0..100 {
        bench.ping(agent, &[held]);
        bench.pass(Span::from_secs(10));
    }
    assert!(matches!(heard(&mut bench, agent), Some(Err(NotGranted::Cap(_)))));
    assert_eq!(bench.hub.state().questions().count(), 0);
    assert_eq!(bench.word(held.task_id), "working", "what was done so far is reported");
}

#[test]
fn the_budget_of_a_task_is_raised_for_that_task() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "task", 10);
    let mut of_its_own = draft();
    of_its_own.share.budget = Some(Micros(20));
    let (agent, held) = at_work(&mut bench, "a", of_its_own);
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 20)), Some(Ok(20)));
    used(&mut bench, agent, call(held, 1, 20));
    reserve(&mut bench, agent, call(held, 2, 5));
    answer(&mut bench, "0.000030");
    assert_eq!(heard(&mut bench, agent), Some(Ok(5)));
    assert_eq!(reserve(&mut bench, agent, call(held, 3, 25)), Some(Ok(25)), "up to 50 in all");
    let (other, second) = at_work(&mut bench, "b", draft());
    assert_eq!(reserve(&mut bench, other, call(second, 1, 11)), None, "others have 10");
}

#[test]
fn a_cap_that_is_raised_lets_go_on_what_waits_for_it() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 11)), None);
    set_cap(&mut bench, "day", 11);
    assert_eq!(heard(&mut bench, agent), Some(Ok(11)));
    assert_eq!(bench.hub.state().questions().count(), 0);
}

#[test]
fn what_is_neither_yes_nor_no_nor_an_amount_leaves_the_question_open() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 11)), None);
    let id = question(&bench).id;
    let takes = ["yes", "no", "an amount of dollars"].map(Into::into).into();
    let refused = Reply::Rejected(Rejected::UnclearAnswer { id, takes });
    for unclear in ["maybe", "", "0", "-1", "all you want"] {
        let answer = Json::text(unclear);
        assert_eq!(bench.call(Command::Answer { id, answer }), refused, "{unclear}");
    }
    answer(&mut bench, "2.50");
    assert_eq!(reserved(&bench), 11);
}

#[test]
fn an_older_answer_does_not_lower_a_cap_that_was_raised_meanwhile() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 10);
    let spenders = ["a", "b"].map(|name| at_work(&mut bench, name, draft()));
    for ((agent, held), micros) in spenders.into_iter().zip([40, 20]) {
        assert_eq!(reserve(&mut bench, agent, call(held, 1, micros)), None);
    }
    let mut asked: Vec<_> = bench.hub.state().questions().cloned().collect();
    asked.sort_by_key(|question| question.asked_by.clone());
    for question in asked {
        bench.call(Command::Answer { id: question.id, answer: Json::text("yes") });
    }
    assert_eq!(reserved(&bench), 60);
    assert_eq!(bench.hub.state().settings().caps[&"day".parse().unwrap()], Micros(60));
}

#[test]
fn a_new_call_of_an_attempt_takes_the_place_of_one_that_waits() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 11));
    assert_eq!(reserve(&mut bench, agent, call(held, 2, 10)), Some(Ok(10)));
    assert_eq!(bench.hub.state().questions().count(), 0);
}

#[test]
fn nobody_is_asked_where_that_is_not_wanted() {
    let config = HubConfig { raise_within: Span(0), ..HubConfig::default() };
    let mut bench = Bench::with(config);
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    let refused = reserve(&mut bench, agent, call(held, 1, 11));
    assert!(matches!(refused, Some(Err(NotGranted::Cap(_)))));
}

/// A bench on which nobody is asked, where 10 may be spent in a day, and were.
fn spent_for_the_day() -> (Bench, u64, Held) {
    let config = HubConfig { raise_within: Span(0), ..HubConfig::default() };
    let mut bench = Bench::with(config);
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 10)), Some(Ok(10)));
    used(&mut bench, agent, call(held, 1, 10));
    (bench, agent, held)
}

#[test]
fn a24_a_spent_budget_goes_before_work_however_urgent_it_is() {
    let (mut bench, ..) = spent_for_the_day();
    let mut urgent = draft();
    urgent.priority = Priority::Urgent;
    urgent.group.goal_id = crate::name::GoalId::new("g").ok();
    urgent.share.budget = Some(Micros(1_000));
    let (agent, held) = at_work(&mut bench, "b", urgent);
    let refused = reserve(&mut bench, agent, call(held, 1, 1));
    let Some(Err(NotGranted::Cap(breach))) = refused else { panic!("{refused:?}") };
    assert_eq!(breach.cap.to_string(), "day");
}

#[test]
fn b14_a_budget_that_was_used_up_is_there_again_the_next_day() {
    let (mut bench, agent, held) = spent_for_the_day();
    for number in [2, 3] {
        let refused = reserve(&mut bench, agent, call(held, number, 1));
        assert!(matches!(refused, Some(Err(NotGranted::Cap(_)))), "{refused:?}");
    }
    bench.complete(agent, held);
    // Meanwhile nothing is booked by which it could be counted anew.
    bench.pass(Span::from_mins(24 * 60));
    let (agent, held) = at_work(&mut bench, "b", draft());
    assert_eq!(reserve(&mut bench, agent, call(held, 1, 10)), Some(Ok(10)));
}

#[test]
fn a_question_about_money_falls_away_with_its_attempt() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 11));
    bench.fail(agent, held, Category::Retryable);
    assert_eq!(bench.hub.state().questions().count(), 0);
}

#[test]
fn everything_that_spends_stops_at_once_and_goes_on_unspent() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    let (idle, quiet) = at_work(&mut bench, "b", draft());
    reserve(&mut bench, agent, call(held, 1, 11));
    let waiting = bench.submit(draft());
    assert_eq!(bench.call(Command::Estop { stop: true }), Reply::Done);
    let said = bench.said(agent);
    let taken = |frame: &ToAgent| matches!(frame, ToAgent::TaskCancelled { task_id, .. } if *task_id == held.task_id);
    assert!(said.iter().any(taken), "{said:?}");
    assert_eq!([bench.word(held.task_id), bench.word(waiting)], ["ready", "ready"]);
    let why = bench.hub.why(waiting).unwrap().reason;
    assert_eq!(why, crate::view::Reason::Stopped);
    assert_eq!((reserved(&bench), booked(&bench, "all")), (0, 11), "it may have been made");
    assert_eq!(bench.word(quiet.task_id), "working", "what costs nothing goes on");
    reserve(&mut bench, idle, call(quiet, 1, 1));
    assert_eq!(bench.word(quiet.task_id), "ready", "until it is to cost something");
    bench.call(Command::Estop { stop: false });
    assert_eq!(bench.word(held.task_id), "assigned");
    assert_eq!(bench.task(held.task_id).life.failures, 0);
}

#[test]
fn tokens_of_clients_that_tell_no_calls_are_booked_with_the_result() {
    let mut bench = Bench::new();
    let (agent, held) = at_work(&mut bench, "a", draft());
    bench.frame(
        agent,
        ToHub::TaskComplete(wire::Complete {
            task_id: held.task_id,
            generation: held.generation,
            result: None,
            partial: None,
            tokens_used: Some(42),
            verification_report: None,
            left: Default::default(),
            incarnation: None,
        }),
    );
    let account = bench.hub.state().ledger().account(&Subject::All).unwrap();
    assert_eq!(account.tally(Period::Ever, bench.now.wall).usage.read(), 42);
}

/// The hub as it is after a restart: from the rows of its facts.
pub(super) fn restarted(bench: &mut Bench) {
    let state = bench.hub.state();
    let mut dirty = BTreeSet::from([Dirty::Settings]);
    dirty.extend(state.tasks().flat_map(|task| [Dirty::Spec(task.id), Dirty::Life(task.id)]));
    dirty.extend(state.agents().map(|agent| Dirty::Agent(agent.id.clone())));
    dirty.extend(state.operators().map(|operator| Dirty::Operator(operator.id.clone())));
    dirty.extend(state.questions().map(|question| Dirty::Question(question.id)));
    let accounts = state.ledger().accounts();
    dirty.extend(accounts.map(|(subject, _)| Dirty::Account(subject.clone())));
    let rows = rows_of(state, &dirty, &[]);
    let rows: BTreeMap<_, _> = rows.puts.into_iter().collect();
    let (mut fresh, mut loader) = (State::default(), Loader::default());
    for table in crate::port::store::Table::LIVE {
        for (key, value) in rows.iter().filter(|(key, _)| key.table == table) {
            if let Some(change) = loader.row(&fresh, table, &key.key, value).unwrap() {
                fresh.apply(change);
            }
        }
    }
    loader.finish().unwrap();
    assert_eq!(fresh.durable(), state.durable(), "what is stored is what was known");
    let config = bench.hub.config().clone();
    bench.hub = Hub::new(fresh, config, Box::new(FairPolicy));
    let _ = bench.hub.resume(bench.now);
    bench.check();
}

#[test]
fn b15_a_restart_forgets_neither_what_was_spent_nor_what_is_reserved() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "day", 100);
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 40));
    used(&mut bench, agent, call(held, 1, 30));
    reserve(&mut bench, agent, call(held, 2, 60));
    restarted(&mut bench);
    assert_eq!((reserved(&bench), booked(&bench, "all")), (60, 30));
    let back = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!(reserve(&mut bench, back, call(held, 2, 60)), Some(Ok(60)), "as before");
    assert_eq!(reserve(&mut bench, back, call(held, 3, 11)), None, "90 are spent, at the worst");
    // What comes after it is booked beside what there was, and not in its place.
    let (other, next) = at_work(&mut bench, "b", draft());
    assert_eq!(reserve(&mut bench, other, call(next, 1, 10)), Some(Ok(10)));
    used(&mut bench, other, call(next, 1, 7));
    assert_eq!((reserved(&bench), booked(&bench, "all")), (0, 97));
}
