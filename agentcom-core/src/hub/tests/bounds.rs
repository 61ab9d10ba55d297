//! This file checks bounds at their edges: what is the most that is taken, and what is forgotten when.

use super::*;
use crate::command::Rejected;
use crate::name::Tag;
use crate::task::{Concurrency, Dependency, FileHint, Priority, Rate, VerificationStep};
use crate::time::Wall;

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

/// The field for which a draft is refused that was changed in this way.
fn refused(change: impl FnOnce(&mut Draft)) -> Option<&'static str> {
    let mut draft = draft();
    change(&mut draft);
    draft.check().err().map(|bad| bad.field)
}

#[test]
fn spans_of_a_task_are_taken_up_to_their_bounds_and_not_beyond() {
    let day = Span::from_mins(24 * 60);
    let days = |days: u64| Span(day.0 * days);
    type Set = fn(&mut Draft, Span);
    let bounds: [(&str, Set, Span, Span); 5] = [
        (
            "lease_ttl",
            |draft, span| draft.times.lease_ttl = Some(span),
            Span::from_secs(5),
            Span::from_mins(30),
        ),
        ("timeout", |draft, span| draft.times.timeout = Some(span), Span(1), days(30)),
        ("expires_after", |draft, span| draft.times.expires_after = Some(span), Span(1), days(366)),
        ("backoff_base", |draft, span| draft.retry.backoff_base = Some(span), Span(1), day),
        ("backoff_cap", |draft, span| draft.retry.backoff_cap = Some(span), Span(1), day),
    ];
    for (field, set, min, max) in bounds {
        let found = [min.0 - 1, min.0, max.0, max.0 + 1]
            .map(|span| refused(|draft| set(draft, Span(span))));
        assert_eq!(found, [Some(field), None, None, Some(field)]);
    }
    let by = |by| {
        refused(|draft| {
            (draft.times.run_after, draft.times.complete_by) = (Some(Wall(2)), Some(by))
        })
    };
    assert_eq!([by(Wall(2)), by(Wall(3))], [Some("complete_by"), None]);
}

#[test]
fn numbers_of_a_task_are_taken_up_to_their_bounds_and_not_beyond() {
    let attempts =
        [0, 1, 1_000, 1_001].map(|max| refused(|draft| draft.retry.attempts_max = Some(max)));
    assert_eq!(attempts, [Some("attempts_max"), None, None, Some("attempts_max")]);
    let cost = [0, 1, 1_000, 1_001].map(|cost| refused(|draft| draft.share.cost = cost));
    assert_eq!(cost, [Some("cost"), None, None, Some("cost")]);
    let rounds =
        [5, 6].map(|rounds| refused(|draft| draft.coding.verification_retries_max = rounds));
    assert_eq!(rounds, [None, Some("max_verification_retries")]);
    let rate = |limit: u32, burst: u32, per: u64| {
        let key = Key::new("r").unwrap();
        refused(|draft| draft.share.rates = vec![Rate { key, limit, burst, per: Span(per) }])
    };
    let found = [rate(1, 1, 1), rate(0, 1, 1), rate(1, 0, 1), rate(1, 1, 0)];
    assert_eq!(found, [None, Some("rates"), Some("rates"), Some("rates")]);
    let none_at_once = Concurrency { key: Key::new("k").unwrap(), max: 0 };
    let found = refused(|draft| draft.share.concurrency = Some(none_at_once));
    assert_eq!(found, Some("concurrency.max"));
}

#[test]
fn lists_and_texts_of_a_task_are_taken_up_to_their_bounds_and_not_beyond() {
    type Set = fn(&mut Draft, usize);
    let bounds: [(&str, Set, usize); 9] = [
        ("description", |draft, n| draft.description = "é".repeat(n), 10_000),
        ("needs", |draft, n| draft.needs = vec![Capability::new("c").unwrap(); n], 64),
        ("depends_on", |draft, n| draft.depends_on = vec![Dependency::Known(TaskId(1)); n], 1_000),
        ("tags", |draft, n| draft.group.tags = vec![Tag::new("t").unwrap(); n], 64),
        ("file_hints", |draft, n| draft.coding.file_hints = vec![hint("a.rs"); n], 64),
        ("success_criteria", |draft, n| draft.coding.success_criteria = vec!["x".into(); n], 64),
        (
            "verification_steps",
            |draft, n| draft.coding.verification_steps = vec![step("k", "t"); n],
            64,
        ),
        ("texts", |draft, n| draft.coding.success_criteria = vec!["é".repeat(n)], 2_000),
        ("rates", |draft, n| draft.share.rates = (0..n).map(numbered).collect(), 8),
    ];
    for (field, set, max) in bounds {
        let found = [max, max + 1].map(|n| refused(|draft| set(draft, n)));
        assert_eq!(found, [None, Some(field)]);
    }
    let found = refused(|draft| draft.share.rates = vec![numbered(1), numbered(1)]);
    assert_eq!(found, Some("rates"), "each of its own key");
    let found = refused(|draft| draft.coding.file_hints = vec![hint("")]);
    assert_eq!(found, Some("file_hints"));
    for step in [step("", "t"), step("k", "")] {
        let found = refused(|draft| draft.coding.verification_steps = vec![step]);
        assert_eq!(found, Some("verification_steps"));
    }
}

fn hint(path: &str) -> FileHint {
    FileHint { path: path.into(), reason: None }
}

fn step(kind: &str, target: &str) -> VerificationStep {
    VerificationStep { kind: kind.into(), target: target.into(), description: None }
}

fn numbered(number: usize) -> Rate {
    let key = Key::new(&alloc::format!("r{number}")).unwrap();
    Rate { key, limit: 1, per: Span(1), burst: 1 }
}
