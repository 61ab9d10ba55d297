//! This file plays those who submit tasks, and ask again until the hub has them.
//!
//! Some vanish before the reply and come back later or never; some send the same again, or
//! something else under the same key.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use std::sync::PoisonError;

use futures_util::future::{Either, select};

use super::hubs::Doors;
use super::marks::Mark;
use super::money;
use super::oracle::Oracle;
use super::world::SimClock;
use crate::command::{Command, Rejected, Reply, Submitted};
use crate::driver::{CallError, Handle};
use crate::id::TaskId;
use crate::json::Json;
use crate::name::{Key, Kind, Principal};
use crate::rng::Rng;
use crate::task::{AfterDependency, Concurrency, Dependency, Draft, LeaseLoss, Priority, Rate};
use crate::time::{Span, Wall};

/// Somebody who submits a task, or a batch of them.
pub(super) struct Submitter {
    pub(super) drafts: Vec<Draft>,
    /// Whether it vanishes and resends.
    pub(super) fickle: bool,
    pub(super) rng: Rng,
    pub(super) doors: Doors,
    pub(super) oracle: Oracle,
    pub(super) clock: SimClock,
}

/// What became of one attempt to submit.
enum Attempt {
    Done(Vec<Submitted>),
    Refused(Rejected),
    Failed,
    Vanished,
}

/// A hub to talk to: the latest, though some know an older one.
pub(super) fn pick(doors: &Doors, rng: &mut Rng) -> Option<Handle> {
    let doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
    let older = doors.len() > 1 && rng.below(6) == 0;
    let door = if older { doors.first() } else { doors.last() };
    door.map(|(_, handle)| handle.clone())
}

impl Submitter {
    /// Submits until the hub has said that it has the tasks.
    pub(super) async fn run(mut self) {
        let mut vanished = false;
        loop {
            let wait = match self.attempt().await {
                Attempt::Done(submitted) => {
                    let found = submitted.iter().any(|submitted| submitted.existing);
                    if found {
                        self.oracle.mark(Mark::FoundFirst);
                    }
                    if found && vanished {
                        self.oracle.mark(Mark::Vanished);
                    }
                    submitted.iter().for_each(|submitted| self.oracle.acknowledged(submitted.id));
                    if self.fickle && self.rng.below(3) == 0 {
                        self.resend(&submitted).await;
                    }
                    break;
                }
                Attempt::Refused(rejected) => self.give_way(&rejected),
                Attempt::Failed => {
                    self.oracle.mark(Mark::AskedAgain);
                    Span::from_secs(1)
                }
                Attempt::Vanished if self.rng.below(4) == 0 => break,
                Attempt::Vanished => {
                    vanished = true;
                    Span(self.rng.below(20_000))
                }
            };
            self.clock.sleep(wait).await;
        }
        self.oracle.seen().submitters -= 1;
    }

    fn command(&self) -> Command {
        match self.drafts.as_slice() {
            [draft] => Command::Submit(draft.clone().into()),
            drafts => Command::SubmitBatch(drafts.to_vec()),
        }
    }

    async fn attempt(&mut self) -> Attempt {
        let Some(handle) = pick(&self.doors, &mut self.rng) else { return Attempt::Failed };
        let call = Box::pin(handle.call(Principal::Admin, self.command()));
        let reply = if self.fickle && self.rng.below(4) == 0 {
            let patience = self.clock.sleep(Span(self.rng.below(60)));
            match select(call, patience).await {
                Either::Left((reply, _)) => reply,
                Either::Right(_) => return Attempt::Vanished,
            }
        } else {
            call.await
        };
        match reply {
            Ok(Reply::Submitted(submitted)) => Attempt::Done(Vec::from([submitted])),
            Ok(Reply::SubmittedBatch(all)) => {
                self.oracle.mark(Mark::BatchTaken);
                Attempt::Done(all)
            }
            Ok(Reply::Rejected(rejected)) => Attempt::Refused(rejected),
            Ok(reply) => {
                self.oracle.wrong(format!("a submission was answered with {reply:?}"));
                Attempt::Failed
            }
            Err(error) => {
                if error == CallError::Indeterminate {
                    self.oracle.mark(Mark::Indeterminate);
                }
                Attempt::Failed
            }
        }
    }

    /// Changes what was refused so that it can be taken, and says how long to wait.
    fn give_way(&mut self, rejected: &Rejected) -> Span {
        if let Rejected::QueueFull { retry_after } = rejected {
            self.oracle.mark(Mark::QueueFull);
            return retry_after.times(5);
        }
        if let Rejected::DeadDependency { .. } = rejected {
            self.oracle.mark(Mark::DeadDependency);
        } else if !matches!(rejected, Rejected::RateConflict { .. }) {
            self.oracle.wrong(format!("a submission was refused: {rejected}"));
        }
        for draft in &mut self.drafts {
            draft.depends_on.retain(|on| matches!(on, Dependency::Sibling(_)));
            draft.share.rates.clear();
            // Nothing was made with the key, but it stands for what was asked for at first.
            let key = draft.idempotency_key.as_ref().map(|key| format!("{key}-mended"));
            draft.idempotency_key = key.and_then(|key| Key::new(&key).ok());
        }
        Span(100)
    }

    /// Sends the same again, and something else under the same key.
    async fn resend(&mut self, first: &[Submitted]) {
        let ids = |all: &[Submitted]| all.iter().map(|one| one.id).collect::<Vec<TaskId>>();
        self.clock.sleep(Span(self.rng.below(5_000))).await;
        match self.attempt().await {
            Attempt::Done(again) if ids(&again) == ids(first) => self.oracle.mark(Mark::FoundFirst),
            Attempt::Done(_) => self.oracle.wrong("a key made two tasks".into()),
            Attempt::Refused(no) => self.oracle.wrong(format!("what was taken is refused: {no}")),
            Attempt::Failed | Attempt::Vanished => return,
        }
        let Some(draft) = self.drafts.first_mut() else { return };
        draft.description = String::from("something else");
        match self.attempt().await {
            Attempt::Refused(Rejected::KeyConflict { id }) if first.iter().any(|f| f.id == id) => {
                self.oracle.mark(Mark::KeyConflict);
            }
            Attempt::Refused(no) => self.oracle.wrong(format!("another body is refused by {no}")),
            Attempt::Done(_) => self.oracle.wrong("a key was used for two bodies".into()),
            Attempt::Failed | Attempt::Vanished => {}
        }
    }
}

/// A batch of which each task waits for the ones before.
pub(super) fn batch(rng: &mut Rng, number: usize, now: Wall) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for n in 0..3 {
        let mut draft = draft(rng, number, &[], now);
        draft.idempotency_key = Key::new(&format!("key-{number}-{n}")).ok();
        draft.depends_on = (0..n).map(Dependency::Sibling).collect();
        drafts.push(draft);
    }
    drafts
}

/// A task with a bit of everything that a task can have.
pub(super) fn draft(rng: &mut Rng, number: usize, known: &[TaskId], now: Wall) -> Draft {
    let kind = Kind::new("shell").unwrap_or_else(|bad| unreachable!("{bad}"));
    let mut one_in = |of: u64| rng.below(of) == 0;
    let mut draft = Draft::new(kind, Json::of(&[number]).unwrap_or_default());
    draft.idempotency_key = Key::new(&format!("key-{number}")).ok();
    if one_in(3) {
        draft.share.concurrency = Key::new("limited").ok().map(|key| Concurrency { key, max: 2 });
    }
    if one_in(6) {
        // Now and then somebody disagrees about the figures.
        let limit = if one_in(8) { 7 } else { 6 };
        let rate = |key| Rate { key, limit, per: Span::from_secs(60), burst: 2 };
        draft.share.rates = Key::new("rated").ok().map(rate).into_iter().collect();
    }
    if one_in(5) {
        draft.on_lease_loss = Some(LeaseLoss::Continue);
    }
    if one_in(6) {
        draft.times.timeout = Some(Span::from_secs(20));
    }
    if one_in(10) {
        draft.times.lease_ttl = Some(Span::from_secs(5));
    }
    if one_in(20) {
        draft.times.expires_after = Some(Span::from_secs(30));
    }
    if one_in(20) {
        draft.times.complete_by = Some(now + Span::from_secs(60));
    } else if one_in(20) {
        draft.times.run_after = Some(now + Span::from_secs(20));
    }
    draft.after_dependency = match rng.below(8) {
        0 => AfterDependency::Continue,
        1..=3 => AfterDependency::Strict,
        _ => AfterDependency::Fail,
    };
    if rng.below(4) == 0 && !known.is_empty() {
        let on = known[rng.below(known.len() as u64) as usize];
        draft.depends_on.push(Dependency::Known(on));
    }
    draft.group.goal_id = money::goal();
    draft.priority = Priority::ALL[rng.below(4) as usize];
    draft.share.fair_key = Key::new(["a", "b"][rng.below(2) as usize]).ok();
    draft
}
