//! This file is what a step does about money: it lets calls be made, books them, and asks people.
//!
//! **Invariant:** a call is granted only while what is spent and reserved, with its own worst case,
//! stays within every cap; and each call that was granted is booked once. What is told late of one that
//! was booked at its worst is not booked beside that, but in its stead.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use serde::Serialize;

use super::Tx;
use crate::change::Change;
use crate::guard::Guard;
use crate::id::{QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::{
    Account, Breach, Call, Granted, NotGranted, Reserved, Spend, Spending, Subject, Tally,
    TaskMoney, Who,
};
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::price::{self, Price};
use crate::question::{Question, SpendAsk, amount, is_yes};
use crate::route::{Chosen, Class};
use crate::state::{Dirty, payer};
use crate::task::{Ended, Hold, Life, Outcome, Spec, Task, TaskEvent};
use crate::wire::{SpendAnswered, ToAgent};

/// What an event says of a call.
#[derive(Serialize)]
pub(super) struct CallDetail<'a> {
    pub(super) call: u32,
    pub(super) model: &'a ModelName,
    pub(super) micros: Micros,
    #[serde(flatten)]
    pub(super) usage: Usage,
}

/// What comes of a call that is asked for.
enum Verdict {
    Granted(Granted),
    Refused(NotGranted),
    /// A person may raise a cap.
    Asks(Breach),
}

impl Tx<'_> {
    /// The holder of a task asks leave to make a call.
    pub(in crate::hub) fn ask_to_spend(&mut self, id: TaskId, call: Call) {
        let Some((task, hold)) = self.held(id) else { return };
        let spend = task.life.spend.clone().unwrap_or_default();
        if spend.knows(hold.lease, call.number) {
            let again = spend.under_way(hold.lease).filter(|_| spend.call == call.number);
            let price = price::find(&self.state.settings().prices, call.spending.model.as_str());
            let granted = again.map(|open| Granted { micros: open.micros, price });
            let answer = granted.ok_or(NotGranted::Superseded);
            return self.answer_call(id, &hold, call.number, answer);
        }
        if self.state.questions_about(id).any(|open| asks_for(open, &hold, call.number)) {
            return;
        }
        // An attempt makes one call at a time, so nobody waits for an earlier one.
        self.drop_spend_questions(id);
        if self.state.settings().stopped && self.on(Guard::Estop) {
            return self.stop_spending(id);
        }
        if let Some(open) = spend.under_way(hold.lease).cloned() {
            // Nobody told what the call before came to.
            self.book(id, &hold, spend.call, in_full(open));
        }
        match self.judge(id, &hold, &call.spending) {
            Verdict::Granted(granted) => {
                self.reserve(id, &hold, &call, granted.micros);
                self.answer_call(id, &hold, call.number, Ok(granted));
            }
            Verdict::Refused(why) => self.answer_call(id, &hold, call.number, Err(why)),
            Verdict::Asks(breach) => self.ask_to_raise(id, &hold, call, breach),
        }
    }

    /// The holder of a task says what a call came to.
    pub(in crate::hub) fn call_was_made(&mut self, id: TaskId, call: Call) {
        let Some((task, hold)) = self.held(id) else { return };
        let spend = task.life.spend.clone().unwrap_or_default();
        let open = spend.under_way(hold.lease).cloned();
        let is_open = open.is_some() && spend.call == call.number;
        if spend.knows(hold.lease, call.number) && !is_open && self.on(Guard::BookOnce) {
            return;
        }
        if let Some(open) = open.filter(|_| !is_open) {
            self.book(id, &hold, spend.call, in_full(open));
        }
        self.book(id, &hold, call.number, call.spending);
    }

    /// An attempt is over: a call that is under way is booked at its worst, since nobody will tell what
    /// it came to. Of an agent that tells nothing of its calls, the tokens are booked that it tells
    /// with its result.
    pub(super) fn close_books(&mut self, spec: &Spec, life: &mut Life, hold: &Hold, ended: &Ended) {
        let spend = life.spend.as_deref().cloned().unwrap_or_default();
        let tells = spend.lease == hold.lease;
        let (entry, model, after) = match (&spend.open, ended.tokens) {
            (Some(open), _) if self.on(Guard::BookInFull) => {
                (Tally::worst(open), Some(&open.model), spend.given_up(ended.at))
            }
            (Some(_), _) => {
                let none = Tally::default();
                (none, None, spend.booked(hold.lease, spend.call, none))
            }
            (None, Some(tokens)) if tokens > 0 && !tells => {
                let usage = Usage { input_tokens: tokens, ..Usage::default() };
                let entry = Tally { calls: 1, micros: Micros(0), usage };
                (entry, None, spend.booked(hold.lease, spend.call, entry))
            }
            (None, _) => return,
        };
        self.set_accounts(self.accounts_after(spec, hold, model, entry));
        life.spend = Some(after.into());
    }

    /// A person, or nobody in time, answered whether a cap is raised: `no`, [`is_yes`] for as much as the
    /// call needs, or an amount of dollars. What has changed since they were asked counts.
    pub(in crate::hub) fn raise_answered(&mut self, id: TaskId, ask: SpendAsk, answer: &Json) {
        let Some((task, hold)) = self.held(id) else { return };
        let SpendAsk { call, breach } = ask;
        let breach = match self.judge(id, &hold, &call.spending) {
            Verdict::Asks(now) if now.cap == breach.cap => now,
            // It fits by now, or it is another cap that has to be asked about.
            Verdict::Granted(_) | Verdict::Refused(_) | Verdict::Asks(_) => {
                return self.ask_to_spend(id, call);
            }
        };
        let Some(raise) = raise_of(answer, breach.shortage()) else {
            let refused = NotGranted::Cap(breach.into());
            return self.answer_call(id, &hold, call.number, Err(refused));
        };
        let limit = breach.limit + raise;
        if *breach.cap.who() == Who::Task {
            let spend = task.life.spend.as_deref().cloned().unwrap_or_default();
            let spend = Spend { budget: Some(limit), ..spend };
            self.move_spend(id, "spend.raised", spend, Json::of(&limit).ok());
        } else {
            let model = Some(&call.spending.model);
            let cap = breach.cap.only_for(&payer(&task.spec, &hold.agent, model));
            self.change_settings("hub.capped", |settings| {
                settings.caps.insert(cap, limit);
            });
        }
        self.ask_to_spend(id, call);
    }

    /// Caps or prices changed: calls that wait for a person to raise a cap and fit now are made.
    pub(in crate::hub) fn reconsider_calls(&mut self) {
        let waiting: Vec<(QuestionId, TaskId, Call)> = self
            .state
            .questions()
            .filter_map(|open| Some((open.id, open.task, open.spend.as_ref()?.call.clone())))
            .collect();
        for (question, id, call) in waiting {
            let Some((_, hold)) = self.held(id) else { continue };
            if let Verdict::Granted(_) = self.judge(id, &hold, &call.spending) {
                self.record_as("question.closed", Change::QuestionClosed(question));
                self.ask_to_spend(id, call);
            }
        }
    }

    /// Takes a task away whose attempt spends money, unspent: it goes on when spending may.
    pub(in crate::hub) fn stop_spending(&mut self, id: TaskId) {
        let Some((task, hold)) = self.held(id) else { return };
        let (ended, then) = self.end_of(task, Outcome::Released, None, None);
        // The hold was read in this step, so the fence fits.
        let _ = self.take_away(id, TaskEvent::End(hold.fence(), ended, then), "all spending stops");
    }

    /// Questions of an attempt about money fall away with it.
    pub(super) fn drop_spend_questions(&mut self, id: TaskId) {
        let of_hub = |open: &&Question| open.spend.is_some();
        let questions: Vec<QuestionId> =
            self.state.questions_about(id).filter(of_hub).map(|open| open.id).collect();
        for question in questions {
            self.record_as("question.closed", Change::QuestionClosed(question));
        }
    }

    /// A held task, and who holds it.
    fn held(&self, id: TaskId) -> Option<(&Task, Hold)> {
        let task = self.state.task(id)?;
        Some((task, task.life.state.hold()?.clone()))
    }

    /// Whether a call may be made.
    fn judge(&self, id: TaskId, hold: &Hold, call: &Spending) -> Verdict {
        let Some(task) = self.state.task(id) else {
            return Verdict::Refused(NotGranted::Superseded);
        };
        let payer = payer(&task.spec, &hold.agent, Some(&call.model));
        let spend = task.life.spend.as_deref();
        let budget = spend.and_then(|spend| spend.budget).or(task.spec.budget());
        let money =
            TaskMoney { budget, spent: spend.map_or(Micros(0), |spend| spend.total.micros) };
        let (settings, ledger) = (self.state.settings(), self.state.ledger());
        let price = self.price_of(task.life.chosen(), &call.model);
        let worst = call.micros.or_else(|| price.map(|price| price.at_most(call.usage)));
        let is_capped = ledger.is_capped(&settings.caps, &payer, money) && self.on(Guard::Cap);
        let micros = match worst {
            Some(micros) => micros,
            None if is_capped => return Verdict::Refused(NotGranted::NoPrice(call.model.clone())),
            None => Micros(0),
        };
        if is_capped && !ledger.has_room_for(&payer) {
            return Verdict::Refused(NotGranted::NoAccount);
        }
        match ledger.admit(&settings.caps, &payer, money, micros, self.now().wall) {
            Err(breach) if is_capped => Verdict::Asks(breach),
            Ok(()) | Err(_) => Verdict::Granted(Granted { micros, price }),
        }
    }

    /// What a call of a model costs, if that is known: nothing on a machine of one's own, unless somebody
    /// has said otherwise.
    pub(super) fn price_of(&self, at: Option<&Chosen>, model: &ModelName) -> Option<Price> {
        let free = || {
            let endpoint = self.state.endpoint(&at?.endpoint)?;
            (endpoint.class == Class::Local).then_some(Price::FREE)
        };
        price::find(&self.state.settings().prices, model.as_str()).or_else(free)
    }

    fn reserve(&mut self, id: TaskId, hold: &Hold, call: &Call, micros: Micros) {
        let Some(life) = self.state.life(id) else { return };
        let Spending { model, usage, .. } = &call.spending;
        let spend = life.spend.as_deref().cloned().unwrap_or_default();
        let spend = spend.reserved(hold.lease, call.number, model.clone(), micros);
        let detail = CallDetail { call: call.number, model, micros, usage: *usage };
        self.move_spend(id, "spend.reserved", spend, Json::of(&detail).ok());
    }

    fn book(&mut self, id: TaskId, hold: &Hold, call: u32, came_to: Spending) {
        let Some(task) = self.state.task(id) else { return };
        let Spending { model, usage, micros } = came_to;
        let by_price = || self.price_of(task.life.chosen(), &model);
        let micros = micros.or_else(|| by_price().map(|price| price.of(usage))).unwrap_or_default();
        let entry = Tally { calls: 1, micros, usage };
        let accounts = self.accounts_after(&task.spec, hold, Some(&model), entry);
        let spend = task.life.spend.as_deref().cloned().unwrap_or_default();
        let spend = spend.booked(hold.lease, call, entry);
        self.set_accounts(accounts);
        let detail = CallDetail { call, model: &model, micros, usage };
        self.move_spend(id, "spend.booked", spend, Json::of(&detail).ok());
    }

    fn accounts_after(
        &self,
        spec: &Spec,
        hold: &Hold,
        model: Option<&ModelName>,
        entry: Tally,
    ) -> BTreeMap<Subject, Option<Account>> {
        if entry == Tally::default() {
            return BTreeMap::new();
        }
        let payer = payer(spec, &hold.agent, model);
        let caps = &self.state.settings().caps;
        self.state.ledger().after(caps, &payer, entry, self.now().wall)
    }

    pub(super) fn set_accounts(&mut self, accounts: BTreeMap<Subject, Option<Account>>) {
        for (subject, account) in accounts {
            self.dirty(Dirty::Account(subject.clone()));
            self.record_with_next(Change::Account(subject, account.map(Box::new)));
        }
    }

    fn move_spend(&mut self, id: TaskId, kind: &str, spend: Spend, detail: Option<Json>) {
        let Some(life) = self.state.life(id) else { return };
        let life = Life { spend: Some(spend.into()), ..life.clone() };
        self.record_with(kind, detail, Change::TaskMoved { id, life: life.into() });
    }

    fn answer_call(
        &mut self,
        id: TaskId,
        hold: &Hold,
        call: u32,
        answer: Result<Granted, NotGranted>,
    ) {
        let Some(session) = self.state.session_of(&hold.agent).map(|session| session.id) else {
            return;
        };
        let (granted, refused) = match answer {
            Ok(granted) => (Some(granted), None),
            Err(refused) => (None, Some(refused)),
        };
        let generation = hold.lease;
        let frame = SpendAnswered { task_id: id, generation, call, granted, refused };
        self.send(session, ToAgent::SpendAnswered(frame));
    }

    fn ask_to_raise(&mut self, id: TaskId, hold: &Hold, call: Call, breach: Breach) {
        let within = self.config.raise_within;
        if within.0 == 0 {
            let refused = NotGranted::Cap(breach.into());
            return self.answer_call(id, hold, call.number, Err(refused));
        }
        let now = self.now().wall;
        let (_, public) = self.draw_number(|head| &mut head.next_question);
        let text = format!(
            "`{}` is to make {breach}. Raise the cap? `yes` raises it by {}, an amount of dollars by \
             that; `no` ends the call.",
            call.spending.model,
            breach.shortage()
        );
        let question = Question {
            id: QuestionId(public),
            task: id,
            lease: hold.lease,
            asked_by: hold.agent.clone(),
            text: text.into(),
            asked_at: now,
            deadline: now + within,
            default: Json::of("no").unwrap_or_default(),
            choices: None,
            spend: Some(SpendAsk { call, breach }.into()),
        };
        self.record_as("question.asked", Change::QuestionAsked(question.into()));
    }
}

/// A call of which nobody told what it came to.
fn in_full(open: Reserved) -> Spending {
    Spending { model: open.model, usage: Usage::default(), micros: Some(open.micros) }
}

/// Whether the hub asks about this call already.
fn asks_for(open: &Question, hold: &Hold, call: u32) -> bool {
    let asked = open.spend.as_ref().is_some_and(|ask| ask.call.number == call);
    asked && open.lease == hold.lease
}

/// By how much a cap is raised.
fn raise_of(answer: &Json, shortage: Micros) -> Option<Micros> {
    if is_yes(answer) {
        return Some(shortage);
    }
    amount(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_says_yes_no_or_how_much() {
        let raise =
            |json: &str| raise_of(&Json::parse(json).unwrap(), Micros(7)).map(|raise| raise.0);
        for yes in ["true", "\"yes\"", "\"Ok\"", "\"allow\""] {
            assert_eq!(raise(yes), Some(7), "{yes}");
        }
        assert_eq!([raise("2"), raise("\"$2.50\"")], [Some(2_000_000), Some(2_500_000)]);
        for no in ["false", "null", "\"no\"", "0", "-1", "\"all you want\"", "[1]"] {
            assert_eq!(raise(no), None, "{no}");
        }
    }
}
