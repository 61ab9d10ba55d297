//! This file holds what running work asks of people.
//!
//! An answer names the task and no question of ours, so a task asks one question at a time and
//! the others wait behind it. A question that is open when the connection breaks is asked again
//! with what is left of its time; the hub takes the same words about the same lease as the same
//! question. Whatever happens, the job has its answer when the time is over.

use alloc::vec::Vec;

use super::Sidecar;
use super::job::Job;
use super::{AskId, Claim, Effect};
use crate::json::Json;
use crate::question::Ask;
use crate::time::{Mono, Span};
use crate::wire::{Answered, Asked, ToHub};

/// A question without an answer.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Whose it is.
    ask: AskId,
    /// What is asked.
    question: Ask,
    /// When the default is the answer.
    deadline: Mono,
    /// What nobody's answer is.
    default: Json,
}

impl Open {
    /// When its time is over, whatever the hub says.
    pub(super) fn due(&self) -> Mono {
        self.deadline + GRACE
    }

    /// What is answered when nobody can answer any more.
    pub(super) fn default_for(&self, claim: Claim) -> Effect {
        Effect::Answer { claim, ask: self.ask, answer: self.default.clone() }
    }
}

/// How long the hub's own default may take to arrive.
const GRACE: Span = Span::from_secs(2);

impl Sidecar {
    /// A job asks.
    pub(super) fn asks(
        &mut self,
        claim: Claim,
        ask: AskId,
        question: Ask,
        timeout: Span,
        default: Json,
    ) {
        let deadline = self.floor.mono + timeout;
        let max = self.config.questions_max;
        let takes = |job: &Job| job.phase.is_live() && job.questions.len() < max;
        let Some(before) = self.jobs.get(claim).filter(|job| takes(job)) else {
            return self.out.effect(Effect::Answer { claim, ask, answer: default });
        };
        let is_first = before.questions.is_empty();
        let open = Open { ask, question, deadline, default };
        self.jobs.change(claim, |job| job.questions.push_back(open));
        if is_first {
            self.put_first_question(claim);
        }
    }

    /// The hub answers.
    pub(super) fn answered(&mut self, answered: Answered) {
        let is_asking = |(_, job): &(Claim, &Job)| !job.questions.is_empty();
        let asking = self.jobs.of(answered.task_id, None).find(is_asking);
        let Some(claim) = asking.map(|(claim, _)| claim) else { return };
        let open = self.jobs.change(claim, |job| {
            if job.stray_answers > 0 {
                job.stray_answers -= 1;
                return None;
            }
            job.questions.pop_front()
        });
        let Some(open) = open.flatten() else { return };
        self.out.effect(Effect::Answer { claim, ask: open.ask, answer: answered.answer });
        self.put_first_question(claim);
    }

    /// Gives the default where the time is over.
    pub(super) fn answer_overdue(&mut self) {
        let now = self.floor.mono;
        let mut moved = Vec::new();
        for claim in self.jobs.due(now) {
            let over = self.jobs.change(claim, |job| job.take_overdue(now)).unwrap_or_default();
            let unheard = self.jobs.change(claim, |job| {
                let due = job.calls.due().is_some_and(|due| due <= now);
                due.then(|| job.calls.give_up(claim)).flatten()
            });
            self.out.effects.extend(unheard.flatten());
            for (at, open) in over {
                if at == 0 {
                    moved.push(claim);
                }
                self.out.effect(Effect::Answer { claim, ask: open.ask, answer: open.default });
            }
        }
        for claim in moved {
            self.put_first_question(claim);
        }
    }

    /// Asks again after the connection broke: the hub may not have heard.
    pub(super) fn ask_again(&mut self) {
        let asking = self.jobs.iter().filter(|(_, job)| !job.questions.is_empty());
        for claim in asking.map(|(claim, _)| claim).collect::<Vec<_>>() {
            self.jobs.change(claim, |job| job.stray_answers = 0);
            self.put_first_question(claim);
        }
    }

    fn put_first_question(&mut self, claim: Claim) {
        let now = self.floor.mono;
        if self.session.online().is_none() {
            return;
        }
        let Some(open) = self.jobs.get(claim).and_then(|job| job.questions.front()) else {
            return;
        };
        let frame = ToHub::TaskQuestion(Asked {
            task_id: claim.task,
            generation: claim.lease,
            question: open.question.text.clone(),
            timeout_ms: open.deadline - now,
            default: Some(open.default.clone()),
            choices: open.question.choices.clone(),
            park: None,
        });
        self.out.effect(Effect::Send(frame));
    }
}
