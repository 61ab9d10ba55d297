//! This file lets things happen to a model: the same happenings, with the same meaning, as a play.

use alloc::vec::Vec;

use super::{Model, ModelTask};
use crate::agent::TrustEvent;
use crate::id::{Lease, TaskId};
use crate::name::Principal;
use crate::task::{AfterDependency, Dependency, Outcome, TaskState};
use crate::testing::strategy::{Happening, Submission, pick};

impl Model {
    /// Lets `happening` happen, and everything that follows from it.
    pub fn make(&mut self, happening: &Happening) {
        match happening {
            Happening::Pass(span) => return self.pass(*span),
            Happening::Submit(submission) => self.submit(submission),
            Happening::Cancel(at) => {
                if let Some(task) = self.pick_task(*at).filter(|task| self.lives(*task)) {
                    self.call_off(task, TaskState::Cancelled);
                }
            }
            Happening::Revive(at) => {
                if let Some(task) = self.pick_task(*at) {
                    self.revive(task);
                }
            }
            Happening::Join(at) => self.join(*at % self.agents.len()),
            Happening::Leave(at) => self.agent_at(*at, |agent| agent.connected = false),
            Happening::Drain(at) => self.agent_at(*at, |agent| agent.draining = true),
            Happening::Resume(at) => self.agent_at(*at, |agent| {
                agent.draining = false;
                agent.trust = agent.trust.on(TrustEvent::Pardoned);
            }),
            Happening::Accept(at) => {
                if let Some(task) = self.pick_held(*at) {
                    self.accept(task);
                }
            }
            Happening::Complete(at) => {
                if let Some(task) = self.pick_held(*at) {
                    self.complete(task, TaskState::Completed);
                }
            }
            Happening::CompletePartly(at) => {
                if let Some(task) = self.pick_held(*at) {
                    self.complete(task, TaskState::Partial);
                }
            }
            Happening::Fail(at, category) => {
                if let Some(task) = self.pick_held(*at) {
                    self.end_attempt(task, Outcome::Failed(*category));
                }
            }
            Happening::Release(at) => {
                if let Some(task) = self.pick_held(*at) {
                    self.end_attempt(task, Outcome::Released);
                }
            }
            Happening::Pause(scope) => {
                self.paused.insert(scope.clone());
            }
            Happening::Unpause(scope) => {
                self.paused.remove(scope);
            }
            Happening::Weigh(key, weight) => {
                self.weights.insert(key.clone(), *weight);
            }
            Happening::OldestFirst(every) => self.oldest_first = *every,
        }
        self.settle();
    }

    /// What follows in the same instant: tasks that waited for ended ones move on, and whatever
    /// can start starts.
    pub(super) fn settle(&mut self) {
        self.move_dependents_on();
        while let Some((task, agent)) = self.next_start() {
            self.start(task, agent);
        }
    }

    fn submit(&mut self, submission: &Submission) {
        let draft = submission.draft(self.now, &self.ids());
        let then = draft.after_dependency;
        let mut depends_on: Vec<TaskId> = Vec::new();
        for dependency in &draft.depends_on {
            let Dependency::Known(id) = dependency else { continue };
            let other = self.tasks.iter().find(|task| task.id == *id);
            if other.is_some_and(|other| other.fails(then)) {
                // What depends on a task that ended without what it needs is refused.
                return;
            }
            depends_on.push(*id);
        }
        depends_on.sort();
        depends_on.dedup();
        let id = TaskId(self.ids.hide(self.tasks.len() as u64 + 1));
        let spec = draft.into_spec(Principal::Admin, depends_on.clone());
        let spec = spec.expect("the strategies make valid drafts");
        let open =
            |id: &TaskId| self.tasks.iter().any(|task| task.id == *id && !task.state.is_over());
        let on: Vec<TaskId> = depends_on.into_iter().filter(open).collect();
        let blocked = !on.is_empty();
        self.tasks.push(ModelTask {
            id,
            spec,
            state: TaskState::Blocked { on },
            lease: Lease(0),
            failures: 0,
            crashes: 0,
            backoff_ends: None,
            lease_ends: None,
            accept_by: None,
            times_out: None,
        });
        if !blocked {
            self.unblock(self.tasks.len() - 1);
        }
    }

    fn revive(&mut self, task: usize) {
        if !matches!(self.tasks[task].state, TaskState::Dead(_)) {
            return;
        }
        let now = self.now;
        let found = &mut self.tasks[task];
        (found.failures, found.crashes) = (0, 0);
        if let Some(times) = &mut found.spec.times
            && times.complete_by.is_some_and(|by| by <= now)
        {
            times.complete_by = None;
        }
        self.become_ready(task);
    }

    fn ids(&self) -> Vec<TaskId> {
        self.tasks.iter().map(|task| task.id).collect()
    }

    fn lives(&self, task: usize) -> bool {
        !self.tasks[task].state.is_over()
    }

    fn pick_task(&self, at: usize) -> Option<usize> {
        pick(&(0..self.tasks.len()).collect::<Vec<_>>(), at)
    }

    /// Who comes back is told again of what it has not accepted, and counts its leases from then.
    fn join(&mut self, agent: usize) {
        if self.agents[agent].connected {
            return;
        }
        self.agents[agent].connected = true;
        for task in self.held_by(agent) {
            if matches!(self.tasks[task].state, TaskState::Assigned(_)) {
                self.renew(task);
            }
        }
    }

    fn agent_at(&mut self, at: usize, change: impl FnOnce(&mut super::ModelAgent)) {
        let at = at % self.agents.len();
        change(&mut self.agents[at]);
    }

    /// A task that a connected agent holds: agent by agent, the longest held first.
    fn pick_held(&self, at: usize) -> Option<usize> {
        let mut all = Vec::new();
        for agent in (0..self.agents.len()).filter(|agent| self.agents[*agent].connected) {
            let mut held = self.held_by(agent);
            held.sort_by_key(|task| (self.tasks[*task].state.hold().map(|hold| hold.since), *task));
            all.extend(held);
        }
        pick(&all, at)
    }
}

impl ModelTask {
    /// Whether it ended with less than a task needs that depends on it.
    pub(super) fn fails(&self, dependent: AfterDependency) -> bool {
        match dependent {
            AfterDependency::Continue => false,
            AfterDependency::Fail => {
                matches!(self.state, TaskState::Dead(_) | TaskState::Cancelled)
            }
            AfterDependency::Strict => self.state.is_over() && self.state != TaskState::Completed,
        }
    }
}
