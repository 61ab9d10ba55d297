//! This file property-tests the kitchen's policy, as you would test one of your own.
//!
//! First against the model of a hub: whatever happens, the hub gives out what the policy says.
//! Then for what the policy promises by itself: here, that nobody waits for ever.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::rc::Rc;

use agentcom_core::command::Command;
use agentcom_core::config::HubConfig;
use agentcom_core::json::Json;
use agentcom_core::name::Kind;
use agentcom_core::task::Draft;
use agentcom_core::testing::bench::Bench;
use agentcom_core::testing::model::Model;
use agentcom_core::testing::strategy::{Happening, Play, fleets, lives};
use agentcom_core::wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../src/quickest.rs"]
mod quickest;

use quickest::QuickestFirst;

fn dish(name: &str, minutes: u64) -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::of(&(name, minutes)).unwrap())
}

/// The scripts of the core know nothing of dishes, so every order becomes one.
fn order(mut happening: Happening, minutes: u64) -> Happening {
    if let Happening::Submit(submission) = &mut happening {
        submission.draft.op.input = dish("any", minutes).op.input;
    }
    happening
}

/// One roast is ordered; then quick dishes come as fast as the only cook can make them. How many
/// of those were made before the roast.
fn roast_waits_for(quick: &[u64], oldest_first: u32) -> usize {
    let mut bench = Bench::over(HubConfig::default(), QuickestFirst);
    bench.call(Command::SetOldestFirst { every: oldest_first });
    let cook = bench.join("bob", Dialect::V1, 1, &[]);
    let busy = bench.submit(dish("salad", 5));
    let mut orders = vec![busy, bench.submit(dish("roast", 90))];
    for minutes in quick {
        orders.push(bench.submit(dish("quick", *minutes)));
        bench.serve(cook);
    }
    bench.overtaken(&orders)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_hub_gives_out_what_the_policy_says(
        fleet in fleets(1..4),
        script in lives(1..60),
        minutes in vec(1..90_u64, 60),
    ) {
        let bench = Bench::over(HubConfig::default(), QuickestFirst);
        let mut model = Model::new(HubConfig::default(), Rc::new(QuickestFirst), &fleet);
        let mut play = Play::under_a_picky_policy(bench, fleet);
        for (happening, minutes) in script.into_iter().zip(minutes) {
            let happening = order(happening, minutes);
            model.make(&happening);
            play.make(happening).map_err(TestCaseError::fail)?;
            model.agrees_with(&play.bench).map_err(TestCaseError::fail)?;
        }
    }

    /// By itself the policy starves whoever is slow, and a test of it shows that; what bounds the
    /// wait is the hub's own pick of the oldest.
    #[test]
    fn a_slow_dish_starves_unless_the_oldest_goes_first_now_and_then(
        quick in vec(1..60_u64, 20..80),
    ) {
        prop_assert_eq!(roast_waits_for(&quick, 0), quick.len(), "nothing bounds the wait");
        let waits = roast_waits_for(&quick, 8);
        prop_assert!(waits < 8, "the roast waits for {} dishes", waits);
    }
}
