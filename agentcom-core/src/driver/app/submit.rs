//! This file submits tasks for handlers: what to run, and what else there is to say about it.

use alloc::vec::Vec;
use core::time::Duration;

use super::outcome::span;
use super::{App, AppError};
use crate::command::{Command, Rejected, Reply};
use crate::id::TaskId;
use crate::name::{AgentId, Key, Principal};
use crate::task::{Dependency, Draft, Priority};

/// A task that is about to be submitted; nothing happens before [`NewTask::submit`].
///
/// The methods say what is said most often; [`NewTask::with`] reaches the whole [`Draft`].
#[derive(Debug)]
#[must_use = "a task is queued by `submit`"]
pub struct NewTask<'a> {
    pub(super) app: &'a App,
    pub(super) draft: Result<Draft, AppError>,
}

impl App {
    /// Queues many tasks in one durable step, all of them or none, and returns their names in the
    /// same order.
    ///
    /// # Errors
    ///
    /// What is wrong with the first that is wrong, or why the hub did not take them.
    pub async fn submit_all<'a>(
        &self,
        tasks: impl IntoIterator<Item = NewTask<'a>>,
    ) -> Result<Vec<TaskId>, AppError> {
        let drafts: Result<Vec<Draft>, AppError> =
            tasks.into_iter().map(|task| task.draft).collect();
        let call = self.handle.call(Principal::Admin, Command::SubmitBatch(drafts?));
        match self.driven(call).await? {
            Reply::SubmittedBatch(submitted) => {
                Ok(submitted.into_iter().map(|submitted| submitted.id).collect())
            }
            Reply::Rejected(Rejected::Draft { bad, .. }) => Err(AppError::BadDraft(bad)),
            Reply::Rejected(rejected) => Err(AppError::Rejected(rejected)),
            Reply::Done | Reply::Submitted(_) | Reply::Cancelled { .. } | Reply::Revived { .. } => {
                unreachable!("a batch is answered by its tasks")
            }
        }
    }
}

impl NewTask<'_> {
    /// Changes whatever a draft can say.
    pub fn with(mut self, change: impl FnOnce(&mut Draft)) -> Self {
        if let Ok(draft) = &mut self.draft {
            change(draft);
        }
        self
    }

    /// In which lane it waits.
    pub fn priority(self, priority: Priority) -> Self {
        self.with(|draft| draft.priority = priority)
    }

    /// Only once that task has ended. If it dies or is cancelled, so does this one, unless its draft says
    /// otherwise ([`Draft::after_dependency`]).
    pub fn after(self, task: TaskId) -> Self {
        self.with(|draft| draft.depends_on.push(Dependency::Known(task)))
    }

    /// Not before this much time has passed.
    pub fn delayed(self, wait: Duration) -> Self {
        let at = self.app.clock.now().wall + span(wait);
        self.with(|draft| draft.times.run_after = Some(at))
    }

    /// Once only: submitting again with the same key and input gives the same task.
    pub fn key(self, key: &str) -> Self {
        self.try_with(|draft| {
            draft.idempotency_key = Some(Key::new(key)?);
            Ok(())
        })
    }

    /// On behalf of this tenant, who shares the fleet with others by weight.
    pub fn tenant(self, key: &str) -> Self {
        self.try_with(|draft| {
            draft.share.fair_key = Some(Key::new(key)?);
            Ok(())
        })
    }

    /// On this agent alone.
    pub fn on(self, agent: &str) -> Self {
        self.try_with(|draft| {
            draft.assign_to = Some(AgentId::new(agent)?);
            Ok(())
        })
    }

    /// Queues it, and returns its name once that is durable.
    ///
    /// # Errors
    ///
    /// What is wrong with what was said, or why the hub did not take the task.
    pub async fn submit(self) -> Result<TaskId, AppError> {
        let command = Command::Submit(self.draft?.into());
        let app = self.app;
        match app.driven(app.handle.call(Principal::Admin, command)).await? {
            Reply::Submitted(submitted) => Ok(submitted.id),
            Reply::Rejected(Rejected::Draft { bad, .. }) => Err(AppError::BadDraft(bad)),
            Reply::Rejected(rejected) => Err(AppError::Rejected(rejected)),
            Reply::Done
            | Reply::SubmittedBatch(_)
            | Reply::Cancelled { .. }
            | Reply::Revived { .. } => unreachable!("a submission is answered by its task"),
        }
    }

    fn try_with(mut self, change: impl FnOnce(&mut Draft) -> Result<(), AppError>) -> Self {
        self.draft = self.draft.and_then(|mut draft| {
            change(&mut draft)?;
            Ok(draft)
        });
        self
    }
}
