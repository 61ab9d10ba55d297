//! This file takes in what is told late of a call: its attempt has ended, and it was booked at its worst.
//!
//! **Invariant:** that is taken in once, from whoever made the call, within [`Spend::LATE_MAX`], and the
//! books never say more for it than was reserved.

use alloc::boxed::Box;

use super::Tx;
use super::money::CallDetail;
use crate::change::Change;
use crate::id::{Lease, TaskId};
use crate::json::Json;
use crate::ledger::{Call, Spend, Tally, Unsettled};
use crate::money::Micros;
use crate::name::AgentId;
use crate::state::payer;
use crate::task::{Attempt, Life, Task};

impl Tx<'_> {
    /// An agent says what a call of an assignment came to that has ended. `stored` is the task as the
    /// store has it, if it has ended as well. Whether that changed the books: it does not where the call is
    /// settled, is somebody else's, or was made too long ago.
    pub(in crate::hub) fn call_is_told_late(
        &mut self,
        (id, lease): (TaskId, Lease),
        agent: &AgentId,
        call: Call,
        stored: Option<&Task>,
    ) -> bool {
        let ended = || self.state.just_ended(id).or(stored);
        let Some(task) = self.state.task(id).or_else(ended).cloned() else { return false };
        let Some(spend) = task.life.spend.as_deref() else { return false };
        let owed = spend.owed(lease, call.number, self.now().wall).cloned();
        let by_agent = |attempt: &&Attempt| attempt.lease == lease && attempt.agent == *agent;
        let attempt = task.life.attempts.iter().find(by_agent);
        let (Some(owed), Some(attempt)) = (owed, attempt) else { return false };
        let came_to = self.came_to(&owed, attempt, &call);
        let paid_by = payer(&task.spec, agent, Some(&owed.reserved.model));
        let accounts = self.state.ledger().settled(&paid_by, &owed, came_to);
        self.set_accounts(accounts);
        let spend = spend.settled(came_to);
        self.settle(task, spend, &owed, came_to);
        true
    }

    /// What is booked of a call: without a price it costs the worst, as before.
    fn came_to(&self, owed: &Unsettled, attempt: &Attempt, call: &Call) -> Tally {
        let (usage, worst) = (call.spending.usage, owed.reserved.micros);
        let by_price = || {
            let price = self.price_of(attempt.chosen(), &owed.reserved.model);
            price.map_or(worst, |price| price.of(usage))
        };
        let micros: Micros = call.spending.micros.unwrap_or_else(by_price);
        Tally { calls: 1, micros: micros.min(worst), usage }
    }

    fn settle(&mut self, task: Task, spend: Spend, owed: &Unsettled, came_to: Tally) {
        let Tally { micros, usage, .. } = came_to;
        let detail = CallDetail { call: owed.call, model: &owed.reserved.model, micros, usage };
        let (id, detail) = (task.id, Json::of(&detail).ok());
        let is_over = task.life.state.is_over();
        let life = Life { spend: Some(Box::new(spend)), ..task.life };
        let change = match is_over {
            true => Change::TaskSettled(Task { life, ..task }.into()),
            false => Change::TaskMoved { id, life: life.into() },
        };
        self.record_with("spend.settled", detail, change);
    }
}
