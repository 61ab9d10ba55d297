//! This file checks how a model is chosen, by examples and by what has to hold of all choices.

use super::*;

use alloc::format;
use alloc::vec;
use proptest::prelude::*;

use crate::json::Json;
use crate::name::Principal;
use crate::task::Draft;

#[test]
fn what_a_model_of_ones_own_could_not_do_one_elsewhere_tries_first() {
    use Class::{Cloud, Local};
    let escalated = |chain: &[Class], failed| escalated(chain.to_vec(), failed);
    assert_eq!(escalated(&[Local, Cloud], None), [Local, Cloud]);
    assert_eq!(escalated(&[Local, Cloud], Some(Local)), [Cloud, Local]);
    assert_eq!(escalated(&[Local, Cloud], Some(Cloud)), [Local, Cloud]);
    assert_eq!(escalated(&[Cloud, Local], Some(Cloud)), [Cloud, Local]);
    assert_eq!(escalated(&[Local], Some(Local)), [Local], "nobody said that it may cost money");
}

#[test]
fn only_what_is_complex_goes_elsewhere_first() {
    for tier in [Tier::Trivial, Tier::Standard, Tier::Unknown, Tier::Complex] {
        let first = order(tier)[0];
        assert_eq!(first == Class::Cloud, tier == Tier::Complex, "{tier:?}");
        assert_ne!(order(tier)[0], order(tier)[1]);
    }
}

fn candidate(name: &str, class: Class, verdict: Verdict) -> Candidate {
    let endpoint = EndpointId::new(name).unwrap();
    Candidate { endpoint, class, model: "m".into(), verdict, fallback: None }
}

/// The choice for a task at which nobody failed.
fn at_first(tier: Tier, candidates: Vec<Candidate>) -> Decision {
    route(tier, &order(tier), &order(tier), candidates)
}

/// The endpoint that is chosen.
fn chosen(decision: &Decision) -> Option<&str> {
    decision.chosen.as_ref().map(|chosen| chosen.endpoint.as_str())
}

#[test]
fn the_same_class_elsewhere_comes_before_the_next_class_and_that_before_nothing() {
    use Class::{Cloud, Local};
    let mut candidates = vec![
        candidate("a", Local, Verdict::Suits(1)),
        candidate("b", Local, Verdict::Suits(2)),
        candidate("c", Cloud, Verdict::Suits(900)),
    ];
    let decide = |candidates: &[Candidate]| at_first(Tier::Standard, candidates.to_vec());
    assert_eq!(chosen(&decide(&candidates)), Some("b"));
    candidates[1].verdict = Verdict::Open(Wall(9));
    assert_eq!(chosen(&decide(&candidates)), Some("a"));
    candidates[0].verdict = Verdict::Full(1);
    assert_eq!(chosen(&decide(&candidates)), Some("c"));
    candidates[2].verdict = Verdict::Parked(Credential::new("k").unwrap(), Wall(7));
    let none = decide(&candidates);
    assert_eq!(chosen(&none), None);
    let told: Vec<_> =
        none.alternatives.iter().map(|it| (it.endpoint.as_str(), &it.verdict)).collect();
    let parked = Verdict::Parked(Credential::new("k").unwrap(), Wall(7));
    assert_eq!(told, [("a", &Verdict::Full(1)), ("b", &Verdict::Open(Wall(9))), ("c", &parked)]);
}

#[test]
fn what_is_stored_of_a_decision_stays_readable() {
    let candidates = vec![
        candidate("a", Class::Local, Verdict::Suits(450)),
        candidate("b", Class::Local, Verdict::Open(Wall(9))),
        candidate("c", Class::Cloud, Verdict::Parked(Credential::new("k").unwrap(), Wall(7))),
        candidate("d", Class::Cloud, Verdict::Tried),
        candidate("e", Class::Cloud, Verdict::Batch("x".into())),
    ];
    let decision = at_first(Tier::Standard, candidates);
    let text = r#"{"tier":"standard","chosen":{"endpoint":"a","model":"m","score":450},"alternatives":[{"endpoint":"b","model":"m","verdict":{"open":9}},{"endpoint":"c","model":"m","verdict":{"parked":["k",7]}},{"endpoint":"d","model":"m","verdict":"tried"},{"endpoint":"e","model":"m","verdict":{"batch":"x"}}]}"#;
    assert_eq!(serde_json::to_string(&decision).unwrap(), text);
    assert_eq!(serde_json::from_str::<Decision>(text).unwrap(), decision);
    let after = r#"{"tier":"standard","chosen":{"endpoint":"a","model":"m","score":450,"fallback":{"higher_tier":"complex"}},"alternatives":[{"endpoint":"b","model":"m","verdict":{"suits":9},"fallback":"again"}]}"#;
    let read: Decision = serde_json::from_str(after).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), after);
    assert_eq!(read.chosen.unwrap().fallback, Some(Fallback::HigherTier(Tier::Complex)));
}

#[test]
fn only_work_of_models_is_routed_and_by_the_model_and_the_program_that_it_names() {
    let wanted = |kind: &str, input: &str| {
        let draft = Draft {
            description: "rename a word".into(),
            ..Draft::new(Kind::new(kind).unwrap(), Json::parse(input).unwrap())
        };
        Wanted::at_first(&draft.into_spec(Principal::Admin, Vec::new()).unwrap())
    };
    let trivial = || Wanted { tier: Tier::Trivial, model: None, api: None, failed: false };
    assert_eq!(wanted("shell", r#"{"model":"m"}"#), None);
    assert_eq!(wanted("code", "null"), Some(Wanted { model: None, ..trivial() }));
    let acp = wanted("acp", "null");
    assert_eq!(acp, Some(Wanted { api: Some(Api::Acp), ..trivial() }));
    assert_eq!(wanted("ollama", "null"), None, "the agent asks its own server");
    let named = wanted("code", r#"{"model":"m","turns_max":3}"#);
    assert_eq!(named, Some(Wanted { model: Some("m".into()), ..trivial() }));
}

#[test]
fn a40_a_loaded_model_on_an_idle_machine_suits_best() {
    let plain = Facts::default();
    assert_eq!(plain.score(), 450_000);
    assert!(Facts { is_warm: true, ..plain }.score() > Facts { is_last: true, ..plain }.score());
    assert!(Facts { is_last: true, ..plain }.score() > plain.score());
    assert!(Facts { held: 1, ..plain }.score() < plain.score());
    assert!(Facts { cpu: Some(1_000), ..plain }.score() > 0);
}

#[test]
fn a_fallback_is_the_farther_behind_the_closer_it_is_to_what_failed() {
    let of = |model, for_tier, failed: &[&'static str]| {
        Fallback::of(model, for_tier, failed.iter().copied())
    };
    let (complex, standard) = (Some(Tier::Complex), Some(Tier::Standard));
    let order = [
        of("m", None, &[]),
        of("m", None, &["x"]),
        of("m", standard, &[]),
        of("m", complex, &["x"]),
        of("m", None, &["x", "m"]),
    ];
    assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    assert_eq!(of("m", complex, &["m"]), Some(Fallback::Again));
}

#[test]
fn models_for_higher_tiers_are_for_those_alone_at_which_some_failed() {
    let met =
        |tier, failed, tiers: &[Tier]| Wanted { tier, failed, ..Wanted::FIRST }.is_met_for(tiers);
    use Tier::{Complex, Standard, Trivial, Unknown};
    for failed in [false, true] {
        assert_eq!(met(Standard, failed, &[]), Some(None), "it is for all");
        assert_eq!(met(Standard, failed, &[Standard, Complex]), Some(None));
        assert_eq!(met(Standard, failed, &[Trivial]), None, "it is less than what failed");
        assert_eq!(met(Complex, failed, &[Standard]), None);
        for tier in [Trivial, Standard, Unknown] {
            assert_eq!(met(tier, failed, &[Complex]), failed.then_some(Some(Complex)));
        }
    }
    assert_eq!(met(Trivial, true, &[Complex, Standard]), Some(Some(Standard)), "the next first");
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let key = || Credential::new("k").unwrap();
    prop_oneof![
        3 => (0..1_000_u32).prop_map(Verdict::Suits),
        1 => Just(Verdict::Open(Wall(1))),
        1 => Just(Verdict::Tried),
        1 => Just(Verdict::Parked(key(), Wall(1))),
        1 => Just(Verdict::Full(1)),
        1 => Just(Verdict::Batch("x".into())),
    ]
}

fn many() -> impl Strategy<Value = Vec<Candidate>> {
    let class = prop_oneof![Just(Class::Local), Just(Class::Cloud)];
    prop::collection::vec((class, verdicts()), 0..12).prop_map(|all| {
        let named = all.into_iter().enumerate();
        named.map(|(n, (class, verdict))| candidate(&format!("e{n:02}"), class, verdict)).collect()
    })
}

fn tiers() -> impl Strategy<Value = Tier> {
    prop_oneof![Just(Tier::Trivial), Just(Tier::Standard), Just(Tier::Complex), Just(Tier::Unknown)]
}

fn fallbacks() -> impl Strategy<Value = Option<Fallback>> {
    prop_oneof![
        Just(None),
        Just(Some(Fallback::SameServer)),
        Just(Some(Fallback::HigherTier(Tier::Standard))),
        Just(Some(Fallback::HigherTier(Tier::Complex))),
        Just(Some(Fallback::Again)),
    ]
}

proptest! {
    #[test]
    fn who_failed_is_asked_again_only_if_nobody_else_can_be_and_never_is_nobody_asked(
        tier in tiers(),
        candidates in many(),
        behind in prop::collection::vec(fallbacks(), 12),
        failed in prop_oneof![Just(None), Just(Some(Class::Local)), Just(Some(Class::Cloud))],
    ) {
        let chains = [order(tier).to_vec(), escalated(order(tier).into(), failed)];
        let tried: Vec<Candidate> = candidates
            .iter()
            .zip(behind)
            .map(|(it, fallback)| Candidate { fallback, ..it.clone() })
            .collect();
        let decision = route(tier, &chains[0], &chains[1], tried.clone());
        prop_assert_eq!(decision.chosen.is_some(), at_first(tier, candidates).chosen.is_some());
        let Some(chosen) = &decision.chosen else { return Ok(()) };
        let place = |it: &Candidate| {
            let chain = &chains[usize::from(it.fallback.is_some())];
            let step = chain.iter().position(|class| *class == it.class);
            (it.fallback, step, core::cmp::Reverse(rank(&it.verdict)))
        };
        let it = tried.iter().find(|it| it.endpoint == chosen.endpoint).unwrap();
        prop_assert_eq!(chosen.fallback, it.fallback);
        for other in tried.iter().filter(|it| rank(&it.verdict).is_some()) {
            prop_assert!(place(it) <= place(other));
        }
    }

    #[test]
    fn what_is_chosen_can_be_asked_and_nothing_better_is_passed_over(
        tier in tiers(), candidates in many()
    ) {
        let chain = order(tier);
        let decision = at_first(tier, candidates.clone());
        let can = |it: &&Candidate| rank(&it.verdict).is_some();
        let Some(chosen) = &decision.chosen else {
            prop_assert!(!candidates.iter().any(|it| can(&it)));
            return Ok(());
        };
        let it = candidates.iter().find(|it| it.endpoint == chosen.endpoint).unwrap();
        prop_assert_eq!(Some(chosen.score), rank(&it.verdict));
        for other in candidates.iter().filter(can) {
            if other.class == it.class {
                prop_assert!(rank(&other.verdict) <= Some(chosen.score));
            } else {
                prop_assert!(it.class == chain[0]);
            }
        }
    }

    #[test]
    fn the_order_in_which_candidates_come_does_not_matter(
        tier in tiers(), candidates in many(), turn in 0..12_usize
    ) {
        let mut turned = candidates.clone();
        turned.rotate_left(turn.min(candidates.len()));
        prop_assert_eq!(at_first(tier, candidates), at_first(tier, turned));
    }

    #[test]
    fn one_more_that_can_be_asked_never_leaves_a_task_without(
        tier in tiers(), candidates in many(), at in 0..12_usize
    ) {
        let before = at_first(tier, candidates.clone()).chosen.is_some();
        let mut better = candidates;
        if let Some(it) = better.get_mut(at) {
            it.verdict = Verdict::Suits(1);
            prop_assert!(at_first(tier, better).chosen.is_some());
        } else {
            prop_assert_eq!(at_first(tier, better).chosen.is_some(), before);
        }
    }
}
