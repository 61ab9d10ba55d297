//! This file holds the house to its plan: who may know whom, what must not appear, how large
//! things may be. `docs/ARCHITECTURE.md` says why.
//!
//! A failure names the rule and each place that breaks it. To change a rule, change its table here
//! and the document in the same commit.

mod closure;
mod contracts;
mod edges;
mod front_doors;
mod habits;
mod layers;
mod named;
mod purity;
mod sizes;
mod sole_doers;
mod source;

/// Fails with the rule and the places that break it, if there are any.
#[track_caller]
fn hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "\nrule: {rule}\n  broken at\n  {}\n", broken.join("\n  "));
}
