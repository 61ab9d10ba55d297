//! This file asks the hub for leave to make calls that cost money, and tells it what they came to.
//!
//! An attempt makes one call at a time, and numbers them. What is said about a call is said again
//! after the connection broke, and the hub takes it once. Without a hub nothing is spent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Sidecar;
use super::{AskId, Claim, Effect};
use crate::ledger::{Call, Granted, NotGranted, Spending};
use crate::time::{Mono, Span};
use crate::wire::{SpendAnswered, SpendCall, ToHub};

/// How long the hub, and the person that it asks, may take.
const ANSWER_MAX: Span = Span::from_mins(24 * 60);
/// How many calls are said again; what earlier ones came to is lost if the connection was.
const TOLD_MAX: usize = 16;

/// The calls of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// The number of the latest.
    number: u32,
    /// Whether that was granted and is not over.
    under_way: bool,
    wanted: Option<Wanted>,
    /// The latest that are over, oldest first.
    told: VecDeque<Call>,
}

/// A call that waits for leave.
#[derive(Clone, Debug)]
struct Wanted {
    ask: AskId,
    call: Call,
    deadline: Mono,
}

impl Calls {
    /// When the wait for leave is over.
    pub(super) fn due(&self) -> Option<Mono> {
        self.wanted.as_ref().map(|wanted| wanted.deadline)
    }

    /// Ends the wait for leave.
    pub(super) fn give_up(&mut self, claim: Claim) -> Option<Effect> {
        let wanted = self.wanted.take()?;
        Some(Effect::Grant { claim, ask: wanted.ask, answer: Err(NotGranted::Unheard) })
    }
}

impl Sidecar {
    /// A job wants to make a call.
    pub(super) fn wants_to_spend(&mut self, claim: Claim, ask: AskId, spending: Spending) {
        let deadline = self.floor.mono + ANSWER_MAX;
        let call = self.jobs.change(claim, |job| {
            let calls = &mut job.calls;
            if !job.phase.is_live() || calls.wanted.is_some() {
                return None;
            }
            calls.number += 1;
            calls.under_way = false;
            let call = Call { number: calls.number, spending };
            calls.wanted = Some(Wanted { ask, call: call.clone(), deadline });
            Some(call)
        });
        match call.flatten() {
            Some(call) => self.say_call(claim, call, ToHub::SpendReserve),
            None => {
                let answer = Err(NotGranted::Unheard);
                self.out.effect(Effect::Grant { claim, ask, answer });
            }
        }
    }

    /// A job has made a call.
    pub(super) fn has_spent(&mut self, claim: Claim, spending: Spending) {
        let call = self.jobs.change(claim, |job| {
            let calls = &mut job.calls;
            calls.number += u32::from(!calls.under_way);
            calls.under_way = false;
            let call = Call { number: calls.number, spending };
            if calls.told.len() == TOLD_MAX {
                calls.told.pop_front();
            }
            calls.told.push_back(call.clone());
            call
        });
        if let Some(call) = call {
            self.say_call(claim, call, ToHub::SpendUsed);
        }
    }

    /// The hub says whether a call may be made.
    pub(super) fn spend_answered(&mut self, answered: SpendAnswered) {
        let SpendAnswered { task_id, generation, call, granted, refused } = answered;
        let of_task = self.jobs.of(task_id, Some(generation));
        let Some(claim) = of_task.map(|(claim, _)| claim).next() else { return };
        let answer: Result<Granted, NotGranted> =
            granted.ok_or_else(|| refused.unwrap_or(NotGranted::Unheard));
        let ask = self.jobs.change(claim, |job| {
            let calls = &mut job.calls;
            let wanted = calls.wanted.take_if(|wanted| wanted.call.number == call)?;
            calls.under_way = answer.is_ok();
            Some(wanted.ask)
        });
        if let Some(ask) = ask.flatten() {
            self.out.effect(Effect::Grant { claim, ask, answer });
        }
    }

    /// Says again, after the connection broke, what the hub may not have heard.
    pub(super) fn say_calls_again(&mut self) {
        let calls = self.jobs.iter().flat_map(|(claim, job)| {
            let told = job.calls.told.iter().map(|call| (call.clone(), true));
            let wanted = job.calls.wanted.iter().map(|wanted| (wanted.call.clone(), false));
            told.chain(wanted).map(move |(call, is_over)| (claim, call, is_over))
        });
        for (claim, call, is_over) in calls.collect::<Vec<_>>() {
            let frame = if is_over { ToHub::SpendUsed } else { ToHub::SpendReserve };
            self.say_call(claim, call, frame);
        }
    }

    fn say_call(&mut self, claim: Claim, call: Call, frame: fn(SpendCall) -> ToHub) {
        if self.session.online().is_some() {
            let (task_id, generation) = (claim.task, claim.lease);
            self.out.effect(Effect::Send(frame(SpendCall { task_id, generation, call })));
        }
    }
}
