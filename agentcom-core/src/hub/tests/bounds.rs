//! This file checks bounds at their edges: what is the most that is taken, and what is forgotten when.

use super::*;
use crate::command::Rejected;
use crate::task::{Concurrency, Priority, Rate};

fn rated(limit: u32) -> Draft {
    let mut draft = draft();
    draft.share.rates =
        vec![Rate { key: Key::new("r").unwrap(), limit, per: Span::from_secs(10), burst: 1 }];
    draft
}

#[test]
fn a_rate_that_is_in_use_keeps_its_figures_until_it_has_filled_up() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(rated(1));
    bench.serve(agent);
    let reply = bench.call(Command::Submit(rated(2).into()));
    let conflict = Rejected::RateConflict { key: Key::new("r").unwrap() };
    assert_eq!(reply, Reply::Rejected(conflict));
    bench.pass(Span::from_secs(10));
    bench.submit(rated(2));
}

#[test]
fn a_limit_that_no_task_names_any_more_is_forgotten() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let key = Key::new("c").unwrap();
    let mut capped = draft();
    capped.share.concurrency = Some(Concurrency { key: key.clone(), max: 1 });
    bench.submit(capped);
    assert!(bench.hub.state().limits().counter(&key).is_some());
    bench.serve(agent);
    assert!(bench.hub.state().limits().counter(&key).is_none());
}

#[test]
fn what_one_step_cannot_hand_out_the_next_ones_do() {
    let mut bench = Bench::new();
    let ids: Vec<TaskId> = (0..1_100).map(|_| bench.submit(draft())).collect();
    bench.join("a", Dialect::V1, 10_000, &[]);
    let given = |bench: &Bench| {
        ids.iter()
            .filter(|id| bench.hub.state().task(**id).unwrap().life.state.hold().is_some())
            .count()
    };
    assert_eq!(given(&bench), 1_024);
    bench.pass(Span(0));
    assert_eq!(given(&bench), ids.len());
}

fn keyed(key: &str) -> Draft {
    Draft { idempotency_key: Key::new(key).ok(), ..draft() }
}

#[test]
fn a_weight_is_one_to_ten_thousand() {
    let mut bench = Bench::new();
    for (weight, is_one) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let reply = bench.call(Command::SetWeight { key: Key::new("x").unwrap(), weight });
        let refused = Reply::Rejected(Rejected::BadWeight(weight));
        assert_eq!(reply, if is_one { Reply::Done } else { refused });
    }
}

#[test]
fn bounds_on_a_batch_and_on_the_queue_are_the_largest_that_is_taken() {
    let config = HubConfig { batch_max: 2, ..HubConfig::default() };
    let mut bench = Bench::with(config.clone());
    let batch = |count: usize| Command::SubmitBatch(vec![draft(); count]);
    let refused = |reply: &Reply| matches!(reply, Reply::Rejected(_));
    assert!(!refused(&bench.call(batch(2))) && refused(&bench.call(batch(3))));
    let bytes_max = bench.hub.state().bytes();
    let mut bench = Bench::with(HubConfig { bytes_max, ..config.clone() });
    assert!(!refused(&bench.call(batch(2))) && refused(&bench.call(batch(1))));
    let mut bench = Bench::with(HubConfig { bytes_max: bytes_max - 1, ..config });
    assert!(refused(&bench.call(batch(2))));
}

#[test]
fn a_hub_whose_bounds_were_lowered_still_knows_what_it_took_before() {
    let mut bench = Bench::new();
    let ids = [bench.submit(keyed("x")), bench.submit(keyed("y"))];
    bench.hub.config.tasks_max = 1;
    assert_eq!([bench.submit(keyed("x")), bench.submit(keyed("y"))], ids);
}

#[test]
fn a_key_may_be_used_again_when_its_time_is_over_and_not_a_moment_before() {
    let mut bench = Bench::with(HubConfig { key_kept: Span(1_000), ..HubConfig::default() });
    let id = bench.submit(keyed("x"));
    bench.pass(Span(999));
    assert_eq!(bench.submit(keyed("x")), id);
    bench.pass(Span(1));
    assert_ne!(bench.submit(keyed("x")), id);
}

#[test]
fn two_tasks_of_a_batch_do_not_share_a_key() {
    let mut bench = Bench::new();
    let reply = bench.call(Command::SubmitBatch(vec![keyed("x"), keyed("x")]));
    assert!(matches!(reply, Reply::Rejected(Rejected::Draft { index: 1, .. })), "{reply:?}");
    assert_eq!(bench.hub.state().task_count(), 0);
}

#[test]
fn the_digest_of_what_was_asked_for_is_as_it_was_stored_by_earlier_releases() {
    let mut bench = Bench::new();
    let command = Command::Submit(keyed("x").into());
    let (by, call) = (Principal::Admin, CallId(0));
    let facts = Facts::default();
    let _ = bench.hub.step(bench.now, Input::Call { call, by, cause: None, command, facts });
    let used = bench.hub.state().just_used(&Key::new("x").unwrap()).unwrap();
    assert_eq!(used.body, 5_426_966_953_618_321_147);
}

#[test]
fn lanes_are_called_by_the_words_that_name_them() {
    for (word, number, lane) in [
        ("urgent", "0", Priority::Urgent),
        ("high", "1", Priority::High),
        ("normal", "2", Priority::Normal),
        ("low", "3", Priority::Low),
    ] {
        assert_eq!((lane.as_str(), alloc::format!("{lane}").as_str()), (word, word));
        assert_eq!((word.parse(), number.parse()), (Ok(lane), Ok(lane)));
    }
}
