//! This file tests the books: what is booked, and what is let through.

use super::*;
use crate::money::Usage;
use alloc::string::ToString;
use alloc::vec::Vec;
use proptest::prelude::*;

const DAY: u64 = 86_400_000;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn caps(set: &[(&str, u64)]) -> BTreeMap<Cap, Micros> {
    set.iter().map(|(cap, limit)| (cap.parse().unwrap(), Micros(*limit))).collect()
}

fn entry(micros: u64) -> Tally {
    Tally { calls: 1, micros: Micros(micros), usage: Usage::default() }
}

fn book(ledger: &mut Ledger, payer: &Payer<'_>, micros: u64, at: u64) {
    book_with(&BTreeMap::new(), ledger, payer, micros, at);
}

fn book_with(
    caps: &BTreeMap<Cap, Micros>,
    ledger: &mut Ledger,
    payer: &Payer<'_>,
    micros: u64,
    at: u64,
) {
    for (subject, account) in ledger.after(caps, payer, entry(micros), Wall(at)) {
        ledger.set(subject, account);
    }
}

fn payer<'a>(agent: &'a AgentId, repo: Option<&'a Repo>) -> Payer<'a> {
    Payer { agent, model: None, repo, goal: None }
}

#[test]
fn caps_are_read_as_they_are_written() {
    let all = [
        "day",
        "month",
        "task",
        "goal:g1",
        "goal:*",
        "agent:a/day",
        "agent:*/month",
        "model:qwen3:8b/day",
        "model:*/month",
        "repo:https://host/a/b/month",
        "repo:*/day",
    ];
    for text in all {
        assert_eq!(text.parse::<Cap>().map(|cap| cap.to_string()), Ok(text.to_string()));
    }
    for bad in ["", "week", "agent:a", "agent:a/year", "agent:/day", "goal:a b", "x:y/day"] {
        assert!(bad.parse::<Cap>().is_err(), "{bad}");
    }
}

#[test]
fn accounts_are_read_as_they_are_written() {
    for text in
        ["all", "day:2026-11-26", "month:2026-11", "agent:a", "model:m:1", "repo:https://h/r"]
    {
        assert_eq!(text.parse::<Subject>().map(|found| found.to_string()), Ok(text.to_string()));
    }
    assert!("day:today".parse::<Subject>().is_err() && "alls".parse::<Subject>().is_err());
}

#[test]
fn days_and_months_begin_at_nothing_and_the_rest_goes_on() {
    let (one, mut ledger) = (agent("a"), Ledger::default());
    let payer = payer(&one, None);
    for (micros, at) in [(5, 0), (7, DAY), (11, 31 * DAY)] {
        book(&mut ledger, &payer, micros, at);
    }
    let account = ledger.account(&Subject::All).unwrap();
    let spent = |per, at| account.spent(per, Wall(at)).0;
    assert_eq!(
        [spent(Period::Day, 31 * DAY), spent(Period::Month, 31 * DAY), spent(Period::Ever, 0)],
        [11, 11, 23]
    );
    assert_eq!(spent(Period::Day, 32 * DAY), 0);
    assert_eq!(spent(Period::Day, DAY), 11, "a clock that is set back undoes nothing");
    let of_january = ledger.account(&"month:1970-01".parse().unwrap()).unwrap();
    assert_eq!(of_january.spent(Period::Ever, Wall(0)), Micros(12));
}

#[test]
fn old_accounts_are_forgotten_and_everybodys_never() {
    let (one, other, mut ledger) = (agent("a"), agent("b"), Ledger::default());
    book(&mut ledger, &payer(&one, None), 1, 0);
    book(&mut ledger, &payer(&other, None), 1, u64::from(Ledger::DAYS_KEPT) * DAY);
    let left: Vec<_> = ledger.accounts().map(|(subject, _)| subject.to_string()).collect();
    assert_eq!(left, ["all", "day:1970-03-04", "month:1970-01", "month:1970-03", "agent:b"]);
}

#[test]
fn what_a_cap_bounds_for_ever_is_never_forgotten() {
    let (one, other) = (agent("a"), agent("b"));
    let goals = ["g", "h"].map(|name| GoalId::new(name).unwrap());
    for (cap, kept) in
        [("goal:g", &["goal:g"][..]), ("goal:*", &["goal:g", "goal:h"]), ("day", &[])]
    {
        let (caps, mut ledger) = (caps(&[(cap, 10)]), Ledger::default());
        for goal in &goals {
            let payer = Payer { goal: Some(goal), ..payer(&one, None) };
            book_with(&caps, &mut ledger, &payer, 10, 0);
        }
        let later = u64::from(Ledger::DAYS_KEPT) * DAY;
        book_with(&caps, &mut ledger, &payer(&other, None), 1, later);
        let left = ledger.accounts().map(|(subject, _)| subject.to_string());
        let left: Vec<_> = left.filter(|subject| subject.starts_with("goal:")).collect();
        assert_eq!(left, kept, "{cap}");
    }
}

#[test]
fn the_cap_for_one_goes_before_the_cap_for_each_and_a_budget_before_that_of_tasks() {
    let (one, other, ledger) = (agent("a"), agent("b"), Ledger::default());
    let caps = caps(&[("agent:*/day", 10), ("agent:a/day", 100), ("task", 50)]);
    let admit = |agent, budget, wanted| {
        let task = TaskMoney { budget, spent: Micros(0) };
        let admitted = ledger.admit(&caps, &payer(agent, None), task, Micros(wanted), Wall(0));
        admitted.map_err(|breach| breach.cap.to_string())
    };
    assert_eq!(admit(&one, None, 50), Ok(()));
    assert_eq!(admit(&one, None, 51), Err("task".into()));
    assert_eq!(admit(&one, Some(Micros(200)), 101), Err("agent:a/day".into()));
    assert_eq!(admit(&other, None, 11), Err("agent:*/day".into()));
    assert_eq!(admit(&one, Some(Micros(0)), 1), Err("task".into()));
    assert_eq!(admit(&one, Some(Micros(0)), 0), Ok(()));
}

#[test]
fn a_breach_says_what_is_left() {
    let one = agent("a");
    let mut ledger = Ledger::default();
    book(&mut ledger, &payer(&one, None), 400_000, 0);
    ledger.reserve(&payer(&one, None), Micros(500_000));
    let caps = caps(&[("day", 1_000_000)]);
    let wanted = Micros(250_000);
    let breach = ledger.admit(&caps, &payer(&one, None), TaskMoney::default(), wanted, Wall(0));
    let breach = breach.unwrap_err();
    assert_eq!(breach.shortage(), Micros(150_000));
    assert_eq!(
        breach.to_string(),
        "a call that may cost $0.25, and $0.10 is left of the $1.00 of `day`"
    );
}

proptest! {
    /// Whenever it is told what calls came to that were booked at their worst, the books are those that
    /// would be kept had it been known at once, and no account says less than was spent.
    #[test]
    fn what_is_told_late_leaves_the_books_as_if_it_had_been_told_at_once(
        calls in proptest::collection::vec((0..2_usize, 1..40_u64, 0..=100_u64, 0..2 * DAY, 0..6_usize), 1..40),
    ) {
        let agents = ["a", "b"].map(agent);
        let (mut late, mut at_once) = (Ledger::default(), Ledger::default());
        let (mut owed, mut now) = (Vec::new(), 28 * DAY);
        let settle = |late: &mut Ledger, call: &(usize, Unsettled, Tally)| {
            let after = late.settled(&payer(&agents[call.0], None), &call.1, call.2);
            after.into_iter().for_each(|(subject, account)| late.set(subject, account));
        };
        for (who, worst, share, passes, waits) in calls {
            now += passes;
            let by = payer(&agents[who], None);
            let usage = Usage { input_tokens: worst, ..Usage::default() };
            let came_to = Tally { calls: 1, micros: Micros(worst * share / 100), usage };
            let reserved = Reserved { model: ModelName::new("m").unwrap(), micros: Micros(worst) };
            book(&mut late, &by, worst, now);
            for (subject, account) in at_once.after(&BTreeMap::new(), &by, came_to, Wall(now)) {
                at_once.set(subject, account);
            }
            let call = Unsettled { lease: crate::id::Lease(1), call: 1, reserved, at: Wall(now) };
            owed.push((waits, (who, call, came_to)));
            for (waits, call) in &mut owed {
                if *waits == 0 {
                    settle(&mut late, call);
                }
                *waits = waits.wrapping_sub(1);
            }
            for (subject, account) in at_once.accounts() {
                let known = late.account(subject).unwrap().spent(Period::Ever, Wall(now));
                prop_assert!(known >= account.spent(Period::Ever, Wall(now)));
            }
        }
        owed.iter().filter(|(waits, _)| *waits < 6).for_each(|(_, call)| settle(&mut late, call));
        prop_assert_eq!(late, at_once);
    }

    /// Whoever calls in whatever order, what is booked stays within the caps as long as no call comes
    /// to more than was reserved for it.
    #[test]
    fn what_is_let_through_stays_within_the_caps(
        calls in proptest::collection::vec((0..3_usize, 1..40_u64, 0..=100_u64, any::<bool>()), 1..80),
        day in 1..200_u64, each in 1..100_u64, repo in 1..150_u64,
    ) {
        let agents = ["a", "b", "c"].map(agent);
        let repo_name = Repo::new("r").unwrap();
        let caps = caps(&[("day", day), ("agent:*/day", each), ("repo:r/month", repo)]);
        let mut ledger = Ledger::default();
        let mut under_way: Vec<(usize, u64, u64)> = Vec::new();
        let mut spent = [0_u64; 3];
        for (who, wanted, came_to, settles) in calls {
            let by = payer(&agents[who], Some(&repo_name));
            if ledger.admit(&caps, &by, TaskMoney::default(), Micros(wanted), Wall(1)).is_ok() {
                ledger.reserve(&by, Micros(wanted));
                under_way.push((who, wanted, wanted * came_to / 100));
            }
            if settles && let Some((who, wanted, came_to)) = under_way.pop() {
                let by = payer(&agents[who], Some(&repo_name));
                ledger.release(&by, Micros(wanted));
                book(&mut ledger, &by, came_to, 1);
                spent[who] += came_to;
            }
            let reserved = |of: Option<usize>| -> u64 {
                let chosen = under_way.iter().filter(|call| of.is_none_or(|of| of == call.0));
                chosen.map(|call| call.1).sum()
            };
            let all = spent.iter().sum::<u64>() + reserved(None);
            prop_assert!(all <= day.min(repo));
            for (who, spent) in spent.into_iter().enumerate() {
                prop_assert!(spent + reserved(Some(who)) <= each);
            }
            prop_assert_eq!(ledger.reserved(&Subject::All), Micros(reserved(None)));
        }
    }
}
