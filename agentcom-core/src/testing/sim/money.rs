//! This file lets simulated work spend money, and sums it up where it is spent: whatever happens to
//! hubs, agents and frames, it never comes to more than the caps allow.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::marks::Mark;
use super::oracle::Oracle;
use super::world::SimClock;
use crate::command::Command;
use crate::id::TaskId;
use crate::ledger::{NotGranted, Payment, Spending};
use crate::money::{Micros, Usage};
use crate::name::{GoalId, ModelName};
use crate::port::executor::JobContext;
use crate::rng::Rng;
use crate::time::Span;

/// What a task may cost.
const TASK_CAP: u64 = 100;
/// What all tasks together may cost.
const GOAL_CAP: u64 = 1_500;

/// The goal that all tasks serve.
pub(super) fn goal() -> Option<GoalId> {
    GoalId::new("all").ok()
}

/// The commands that set the caps.
pub(super) fn caps() -> impl Iterator<Item = Command> {
    let caps = [("task", TASK_CAP), ("goal:*", GOAL_CAP)];
    caps.into_iter().filter_map(|(cap, limit)| {
        Some(Command::SetCap { cap: cap.parse().ok()?, limit: Some(Micros(limit)) })
    })
}

/// What was really spent.
#[derive(Debug, Default)]
pub(super) struct Purse {
    all: u64,
    tasks: BTreeMap<TaskId, u64>,
}

impl Purse {
    /// Money is spent. Says what is wrong with that.
    pub(super) fn spends(&mut self, task: TaskId, micros: u64) -> Option<String> {
        let of_task = self.tasks.entry(task).or_default();
        *of_task += micros;
        self.all += micros;
        let fine = *of_task <= TASK_CAP && self.all <= GOAL_CAP;
        let wrong = || {
            format!("{task} has cost {of_task} of {TASK_CAP}, and all {} of {GOAL_CAP}", self.all)
        };
        (!fine).then(wrong)
    }
}

/// Makes a few calls that cost money. Some cost nothing and need no leave.
pub(super) async fn pay(
    task: TaskId,
    rng: &mut Rng,
    ctx: &dyn JobContext,
    clock: &SimClock,
    oracle: &Oracle,
) {
    let Ok(model) = ModelName::new("m") else { return };
    let spending = |micros| {
        let usage = Usage { input_tokens: 1, ..Usage::default() };
        Spending { model: model.clone(), usage, micros: Some(Micros(micros)) }
    };
    for _ in 0..=rng.below(4) {
        let at_most = 1 + rng.below(50);
        if rng.below(5) == 0 {
            let _ = ctx.pay(Payment::CameTo(spending(0))).await;
            continue;
        }
        match ctx.pay(Payment::AtMost(spending(at_most))).await {
            Ok(_) => {
                let came_to = rng.below(at_most + 1);
                oracle.spends(task, came_to);
                clock.sleep(Span(rng.below(3_000))).await;
                let _ = ctx.pay(Payment::CameTo(spending(came_to))).await;
            }
            Err(NotGranted::Cap(_)) => return oracle.mark(Mark::CapHeld),
            Err(NotGranted::Superseded) => return oracle.mark(Mark::CallSuperseded),
            Err(NotGranted::NoPrice(_) | NotGranted::NoAccount | NotGranted::Unheard) => return,
        }
    }
}
