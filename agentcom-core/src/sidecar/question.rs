//! This file holds what running work asks of people.
//!
//! An answer names the task and no question of ours, so a task asks one question at a time and
//! the others wait behind it. A question that is open when the connection breaks is asked again
//! with what is left of its time; the hub takes the same words about the same lease as the same
//! question. Whatever happens, the job has its answer when the time is over.

use alloc::string::String;

use super::Sidecar;
use super::job::Job;
use super::{AskId, Claim, Effect};
use crate::json::Json;
use crate::time::{Mono, Span};
use crate::wire::{Answered, Asked, ToHub};

/// A question without an answer.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Whose it is.
    ask: AskId,
    /// The words.
    text: String,
    /// When the default is the answer.
    deadline: Mono,
    /// What nobody's answer is.
    default: Json,
}

impl Open {
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
        text: String,
        timeout: Span,
        default: Json,
    ) {
        let now = self.floor.mono;
        let max = self.config.questions_max;
        let Some(job) = self
            .jobs
            .get_mut(&claim)
            .filter(|job| job.phase.is_live() && job.questions.len() < max)
        else {
            return self.out.effect(Effect::Answer { claim, ask, answer: default });
        };
        job.questions.push_back(Open { ask, text, deadline: now + timeout, default });
        if job.questions.len() == 1 {
            self.put_first_question(claim);
        }
    }

    /// The hub answers.
    pub(super) fn answered(&mut self, answered: Answered) {
        let asking = |(_, job): &(&Claim, &mut Job)| !job.questions.is_empty();
        let mut of_task = self.jobs.iter_mut().filter(|(claim, _)| claim.task == answered.task_id);
        let Some((&claim, job)) = of_task.find(asking) else { return };
        if job.stray_answers > 0 {
            job.stray_answers -= 1;
            return;
        }
        let Some(open) = job.questions.pop_front() else { return };
        self.out.effect(Effect::Answer { claim, ask: open.ask, answer: answered.answer });
        self.put_first_question(claim);
    }

    /// Gives the default where the time is over.
    pub(super) fn answer_overdue(&mut self) {
        let now = self.floor.mono;
        let mut moved = alloc::vec::Vec::new();
        for (&claim, job) in &mut self.jobs {
            while let Some(at) = job.questions.iter().position(|open| open.deadline + GRACE <= now)
            {
                let Some(open) = job.questions.remove(at) else { break };
                if at == 0 {
                    job.stray_answers += 1;
                    moved.push(claim);
                }
                self.out.effect(Effect::Answer { claim, ask: open.ask, answer: open.default });
            }
        }
        for claim in moved {
            self.put_first_question(claim);
        }
    }

    /// When the next default is due.
    pub(super) fn question_due(job: &Job) -> Option<Mono> {
        job.questions.iter().map(|open| open.deadline + GRACE).min()
    }

    /// Asks again after the connection broke: the hub may not have heard.
    pub(super) fn ask_again(&mut self) {
        let asking = self.jobs.iter_mut().filter(|(_, job)| !job.questions.is_empty());
        let claims: alloc::vec::Vec<Claim> = asking
            .map(|(&claim, job)| {
                job.stray_answers = 0;
                claim
            })
            .collect();
        for claim in claims {
            self.put_first_question(claim);
        }
    }

    fn put_first_question(&mut self, claim: Claim) {
        let now = self.floor.mono;
        if self.session.online().is_none() {
            return;
        }
        let Some(open) = self.jobs.get(&claim).and_then(|job| job.questions.front()) else {
            return;
        };
        let frame = ToHub::TaskQuestion(Asked {
            task_id: claim.task,
            generation: claim.lease,
            question: open.text.clone(),
            timeout_ms: open.deadline - now,
            default: Some(open.default.clone()),
            park: None,
        });
        self.out.effect(Effect::Send(frame));
    }
}
