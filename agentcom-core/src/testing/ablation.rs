//! This file takes each guard away in turn, and expects to be told.
//!
//! For each [`Guard`] there is a scenario that goes well with all guards, and in which something is
//! wrong without this one. A guard without a scenario does not compile.
//!
//! ```
//! use agentcom_core::guard::Guard;
//! use agentcom_core::testing::ablation::ablate;
//!
//! let noticed = ablate(Guard::Owner).expect("the guard holds, and is missed when it is gone");
//! assert!(noticed.contains("another"), "{noticed}");
//! ```

mod driver;
mod fleet;
mod money;
mod operators;
mod ownership;
mod queue;
mod sidecar;
mod sidecar_bench;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::panic::AssertUnwindSafe;

use crate::config::HubConfig;
use crate::guard::{Guard, Guards};
use crate::json::Json;
use crate::name::Kind;
use crate::task::Draft;
use crate::testing::bench::Bench;
use crate::wire::{Dialect, Held};

/// Whether all is well, or what is not.
type Verdict = Result<(), String>;

/// What shows that a guard is missed when it is gone.
type Scenario = fn(Guards) -> Verdict;

/// Runs the scenario of a guard with it and without it, and returns what was wrong without.
///
/// # Errors
///
/// If something is wrong with all guards, or nothing without this one.
pub fn ablate(guard: Guard) -> Result<String, String> {
    let name = guard.as_str();
    let scenario = scenario(guard);
    judged(scenario, Guards::all()).map_err(|wrong| format!("{name}: with all guards, {wrong}"))?;
    match judged(scenario, Guards::all().without(guard)) {
        Err(wrong) => Ok(wrong),
        Ok(()) => Err(format!("{name}: nothing is wrong without it, so nothing tests it")),
    }
}

/// A scenario may also be stopped by what checks itself.
fn judged(scenario: Scenario, guards: Guards) -> Verdict {
    std::panic::catch_unwind(AssertUnwindSafe(|| scenario(guards)))
        .unwrap_or_else(|panic| Err(told_by(&panic)))
}

fn told_by(panic: &Box<dyn core::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_string()
}

fn ensure(fine: bool, otherwise: &str) -> Verdict {
    if fine { Ok(()) } else { Err(otherwise.into()) }
}

/// The scenario that misses a guard.
fn scenario(guard: Guard) -> Scenario {
    match guard {
        Guard::Lease => ownership::lease,
        Guard::Owner => ownership::owner,
        Guard::Incarnation => ownership::incarnation,
        Guard::LeaseGrows => ownership::lease_grows,
        Guard::LeaseExpiry => ownership::lease_expiry,
        Guard::MissingTwice => ownership::missing_twice,
        Guard::AcceptDeadline => ownership::accept_deadline,
        Guard::Timeout => ownership::timeout,
        Guard::Stuck => ownership::stuck,
        Guard::ReportDeadline => ownership::report_deadline,
        Guard::LateResult => ownership::late_result,
        Guard::Settled => ownership::settled,
        Guard::AttemptLimit => ownership::attempt_limit,
        Guard::CrashLimit => ownership::crash_limit,
        Guard::Unspent => ownership::unspent,
        Guard::Final => ownership::final_end,
        Guard::DependencyGate => queue::dependency_gate,
        Guard::DependencyDeath => queue::dependency_death,
        Guard::NotBefore => queue::not_before,
        Guard::Deadline => queue::deadline,
        Guard::Expiry => queue::expiry,
        Guard::WaitDeadline => queue::wait_deadline,
        Guard::Concurrency => queue::concurrency,
        Guard::Rate => queue::rate,
        Guard::Pause => queue::pause,
        Guard::Cap | Guard::BookOnce | Guard::BookInFull | Guard::Estop => money::of(guard),
        Guard::IdempotencyKey => queue::idempotency_key,
        Guard::KeyBody => queue::key_body,
        Guard::TasksMax => queue::tasks_max,
        Guard::BytesMax => queue::bytes_max,
        Guard::BatchMax => queue::batch_max,
        Guard::Capabilities => fleet::capabilities,
        Guard::Pin => fleet::pin,
        Guard::Slots => fleet::slots,
        Guard::Drained => fleet::drained,
        Guard::Leaving => fleet::leaving,
        Guard::Quarantine => fleet::quarantine,
        Guard::Silence => fleet::silence,
        Guard::Rest => fleet::rest,
        Guard::Barred => fleet::barred,
        Guard::Shunned => fleet::shunned,
        Guard::Takeover => fleet::takeover,
        Guard::Token => fleet::token,
        Guard::TokenExpiry | Guard::Rights | Guard::OperatorsMax => operators::of(guard),
        Guard::TokenTries => fleet::token_tries,
        Guard::IdentifyDeadline => fleet::identify_deadline,
        Guard::Violations => fleet::violations,
        Guard::Permission => fleet::permission,
        Guard::AgentsMax => fleet::agents_max,
        Guard::CommitFirst => driver::commit_first,
        Guard::Tombstones => driver::tombstones,
        Guard::PanicBar => driver::panic_bar,
        Guard::BatchOrder => driver::batch_order,
        Guard::OneWriter => driver::one_writer,
        Guard::WriteBeforeAccept => sidecar::write_before_accept,
        Guard::WriteBeforeSend => sidecar::write_before_send,
        Guard::OutboxAck => sidecar::outbox_ack,
        Guard::OtherLife => sidecar::other_life,
        Guard::NeverRerun => sidecar::never_rerun,
        Guard::StopInTime => sidecar::stop_in_time,
        Guard::GoodLease => sidecar::good_lease,
        Guard::RenewFromSent => sidecar::renew_from_sent,
        Guard::JobSlots => sidecar::job_slots,
        Guard::OneLeaseAtWork | Guard::NewestLease => sidecar::lease(guard),
        Guard::Leftover => sidecar::leftover,
        Guard::OutboxMax => sidecar::outbox_max,
        Guard::GiveBack => sidecar::give_back,
        Guard::PongDeadline => sidecar::pong_deadline,
    }
}

fn bench(guards: Guards) -> Bench {
    Bench::with(HubConfig { guards, ..HubConfig::default() })
}

fn draft() -> Draft {
    let kind = Kind::new("shell").expect("a kind");
    Draft::new(kind, Json::of(&"true").unwrap_or_default())
}

/// Agent `a` on a session of its own, at work on `draft`.
fn at_work(bench: &mut Bench, dialect: Dialect, draft: Draft) -> (u64, Held) {
    let agent = bench.join("a", dialect, 1, &[]);
    let id = bench.submit(draft);
    let held = bench.assigned(agent)[0];
    assert_eq!(held.task_id, id, "the only agent is given the only task");
    bench.accept(agent, held);
    bench.said(agent);
    (agent, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_guard_is_missed_when_it_is_gone() {
        let unnoticed: Vec<String> =
            Guard::ALL.iter().filter_map(|guard| ablate(*guard).err()).collect();
        assert!(unnoticed.is_empty(), "{unnoticed:#?}");
        assert!(Guard::ALL.len() >= 25);
    }
}
