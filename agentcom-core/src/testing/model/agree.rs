//! This file compares a hub with a model of it: every task, every agent, every start.

use alloc::format;
use alloc::vec::Vec;

use super::{Model, ModelStart, ModelTask, differs};
use crate::id::Lease;
use crate::task::{Task, TaskState};
use crate::testing::bench::{Bench, Start};
use crate::testing::strategy::Broken;

impl Model {
    /// Whether a hub that saw the same happenings did the same: gave the same tasks to the same
    /// agents in the same order at the same time, and left every task where the model has it.
    ///
    /// # Errors
    ///
    /// The first difference, in words.
    pub fn agrees_with(&self, bench: &Bench) -> Result<(), Broken> {
        let theirs: Vec<ModelStart> = bench.starts.iter().map(start).collect();
        for n in 0..self.starts.len().max(theirs.len()) {
            let (model, hub) = (self.starts.get(n), theirs.get(n));
            if model != hub {
                return Err(differs(&format!("start {n}"), &model, &hub));
            }
        }
        for (number, task) in self.tasks.iter().enumerate() {
            let (model, hub) = (facts(task), facts_of(bench.task(task.id)));
            if model != hub {
                return Err(differs(&format!("task {number}"), &model, &hub));
            }
        }
        for agent in &self.agents {
            let hub = bench.hub.state().agent(&agent.id).map(|agent| (agent.draining, agent.trust));
            let model = Some((agent.draining, agent.trust));
            if model != hub {
                return Err(differs(agent.id.as_str(), &model, &hub));
            }
        }
        let (model, hub) = (
            self.tasks.iter().filter(|task| !task.state.is_over()).count(),
            bench.hub.state().task_count(),
        );
        if model == hub { Ok(()) } else { Err(differs("living tasks", &model, &hub)) }
    }
}

fn start(start: &Start) -> ModelStart {
    let (task, lease) = (start.held.task_id, start.held.generation);
    ModelStart { at: start.at.wall, task, lease, agent: start.agent.clone() }
}

/// What has to be the same of a task.
type Facts<'a> = (&'a TaskState, Lease, u32, u32);

fn facts(task: &ModelTask) -> Facts<'_> {
    (&task.state, task.lease, task.failures, task.crashes)
}

fn facts_of(task: &Task) -> Facts<'_> {
    (&task.life.state, task.life.lease, task.life.failures, task.life.crashes)
}
