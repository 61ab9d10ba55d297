//! This file is what a model knows of limits and portions: caps, rates, pauses, fair shares.

use super::{Model, ModelTask};
use crate::command::Scope;
use crate::hub::schedule::TaskFacts;
use crate::task::{Place, Rate};
use crate::time::Wall;

/// What a task of cost 1 adds to the finish tag of a tenant of weight 1.
const UNIT: u64 = 1 << 20;

impl Model {
    /// Whether nothing but a lack of agents keeps a task from starting.
    pub(super) fn may_start(&self, task: &ModelTask) -> bool {
        !self.is_paused(task) && self.is_below_its_cap(task) && self.is_within_its_rates(task)
    }

    fn is_paused(&self, task: &ModelTask) -> bool {
        self.paused.iter().any(|scope| match scope {
            Scope::All => true,
            Scope::Repo(repo) => task.spec.repo.as_ref() == Some(repo),
            Scope::Capability(capability) => task.spec.needs.contains(capability),
        })
    }

    /// A slot is a task that is held: it may start while fewer than its own maximum are.
    fn is_below_its_cap(&self, task: &ModelTask) -> bool {
        let Some(limit) = task.spec.concurrency() else { return true };
        let counts = |other: &&ModelTask| {
            let keyed = other.spec.concurrency().is_some_and(|other| other.key == limit.key);
            keyed && other.state.hold().is_some()
        };
        self.tasks.iter().filter(counts).count() < limit.max as usize
    }

    /// One start costs as many milliseconds as the span of the rate has, and each millisecond
    /// brings as many as the limit says.
    fn is_within_its_rates(&self, task: &ModelTask) -> bool {
        task.spec.rates().iter().all(|rate| self.level(rate) >= rate.per.0)
    }

    fn level(&self, rate: &Rate) -> u64 {
        let full = rate.per.0 * u64::from(rate.burst);
        let Some((level, at)) = self.buckets.get(&rate.key) else { return full };
        (level + (self.now - *at).0 * u64::from(rate.limit)).min(full)
    }

    /// When the first bucket that keeps a task from starting has enough for one start.
    pub(super) fn rate_opens(&self, task: &ModelTask) -> Option<Wall> {
        let wait = |rate: &Rate| {
            let missing = rate.per.0.saturating_sub(self.level(rate));
            missing.div_ceil(u64::from(rate.limit))
        };
        let waits = task.spec.rates().iter().map(wait).filter(|wait| *wait > 0);
        waits.min().map(|wait| self.now + crate::time::Span(wait))
    }

    pub(super) fn draw(&mut self, task: usize) {
        for rate in self.tasks[task].spec.rates().to_vec() {
            let level = self.level(&rate) - rate.per.0;
            self.buckets.insert(rate.key, (level, self.now));
        }
    }

    /// The place that a task gets that becomes ready. Start-time fair queueing: it starts where
    /// its tenant's last task of the lane ends, or where the lane is being served, if that is
    /// later; and it ends behind that by its cost, divided by the tenant's weight.
    pub(super) fn queue_up(&mut self, task: usize) -> Place {
        let ModelTask { id, ref spec, failures, .. } = self.tasks[task];
        let flow = (spec.priority.lane(), spec.fair_key().cloned());
        let ends = self.finish_tags.get(&flow).copied().unwrap_or(0);
        let tag = ends.max(self.virtual_time[flow.0]);
        let facts = TaskFacts { id, spec, failures, ready_at: self.now, start_tag: tag };
        // The front of a lane is kept for tasks that were given back.
        let order = self.policy.key(&facts).saturating_add(1).min(u64::MAX - 1);
        let weight = spec.fair_key().and_then(|key| self.weights.get(key)).copied().unwrap_or(100);
        let finish = tag + u64::from(spec.cost()) * UNIT / u64::from(weight);
        self.finish_tags.insert(flow, finish);
        Place { order, tag }
    }
}
