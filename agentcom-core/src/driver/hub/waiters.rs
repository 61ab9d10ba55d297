//! This file tells those who wait for the end of a task.

use crate::driver::handle::Waiter;
use crate::id::TaskId;

use super::HubDriver;
use super::group::Group;

impl HubDriver {
    /// Somebody waits for the end of a task. If it does not live, the store knows of its end once
    /// the open group is durable.
    pub(super) fn wait_for(&mut self, id: TaskId, waiter: Waiter) {
        if self.hub.state().task(id).is_some() {
            let waiters = self.waiters.entry(id).or_default();
            waiters.retain(|waiter| !waiter.is_canceled());
            waiters.push(waiter);
        } else {
            self.open.releases.push(alloc::boxed::Box::new(move || {
                // Whoever waited may be gone.
                let _ = waiter.send(());
            }));
        }
    }

    /// Tells those who wait for a task that ended in `group`, which is durable.
    pub(super) fn tell_waiters(&mut self, group: &Group) {
        if self.waiters.is_empty() {
            return;
        }
        for id in group
            .events
            .iter()
            .filter(|event| is_end(&event.kind))
            .filter_map(|event| event.task_id)
        {
            for waiter in self.waiters.remove(&id).unwrap_or_default() {
                // Whoever waited may be gone.
                let _ = waiter.send(());
            }
        }
    }
}

/// Whether an event tells of the end of a task.
fn is_end(kind: &str) -> bool {
    matches!(kind, "task.completed" | "task.partial" | "task.dead_letter" | "task.cancelled")
}
