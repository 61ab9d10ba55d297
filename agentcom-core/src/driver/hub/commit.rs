//! This file stores what was decided, and speaks of it when it is stored.

use alloc::boxed::Box;

use futures_util::future::{BoxFuture, FutureExt};

use super::group::Group;
use super::{HubDriver, trim};
use crate::driver::FeedItem;
use crate::guard::Guard;
use crate::hub::{Effect, Input};
use crate::port::store::StoreError;
use crate::time::Span;

/// How long a commit takes whose store stands still: well above what a slow disk needs, and below
/// what an agent notices.
const LONG: Span = Span::from_secs(1);

impl HubDriver {
    /// Begins the commit of what was decided, or says it at once if there is nothing to store.
    pub(super) async fn close_group(&mut self) -> Result<(), StoreError> {
        let next = core::mem::take(&mut self.said);
        let mut group = core::mem::replace(&mut self.open, next);
        match group.batch(self.hub.state()) {
            Some(batch) => {
                let store = self.store.clone();
                let commit: BoxFuture<'static, _> =
                    Box::pin(async move { store.commit(batch).await });
                if !self.hub.config().guards.on(Guard::CommitFirst) {
                    let seq = group.seq;
                    self.say(core::mem::take(&mut group));
                    group.seq = seq;
                }
                self.under_way = Some(group);
                self.commit_began = self.clock.now().mono;
                self.committing = Some(commit.fuse());
            }
            None => {
                if group.answers() {
                    self.prove_owned(true).await?;
                }
                self.say(group);
            }
        }
        Ok(())
    }

    /// Waits for the end of a commit that takes long, before anything else is decided. A hub whose
    /// store stands still stands still as well: nobody would hear what it decides, and what it
    /// hears may be the silence of those who got no answer.
    pub(super) async fn outlast(&mut self) -> Result<(), StoreError> {
        let Some(commit) = self.committing.as_mut() else { return Ok(()) };
        if self.clock.now().mono - self.commit_began <= LONG {
            return Ok(());
        }
        let result = commit.await;
        self.committed(result).await
    }

    /// The commit under way ended. If it is durable then now, and only now, is it spoken of.
    pub(super) async fn committed(
        &mut self,
        result: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.committing = None;
        result?;
        self.owned_at = self.clock.now().mono;
        let took = self.owned_at - self.commit_began;
        if took > LONG {
            tracing::warn!(%took, "the store stood still for a while; agents get time to be heard");
            self.step_once(Input::Stalled, None).await?;
        }
        if let Some(group) = self.under_way.take() {
            let seq = group.seq;
            self.say(group);
            self.hub.settle(seq);
        }
        self.commits += 1;
        if self.trimming || self.commits.is_multiple_of(trim::EVERY) {
            let Some(head) = self.hub.state().head() else { return Ok(()) };
            let now = self.clock.now().wall;
            let over = trim::look(&*self.store, self.hub.config(), now, head).await?;
            self.trimming = over.as_ref().is_some_and(trim::is_full);
            if let Some(input) = over {
                self.step_once(input, None).await?;
            }
        }
        Ok(())
    }

    pub(super) fn say(&mut self, mut group: Group) {
        self.tell_waiters(&group);
        for effect in group.effects.drain(..) {
            match effect {
                Effect::Reply(call, reply) => {
                    if let Some(sender) = self.calls.remove(&call) {
                        // Whoever asked may be gone.
                        let _ = sender.send(Ok(reply));
                    }
                }
                Effect::Send(session, frame) => self.links.send(session, frame),
                Effect::Close(session, reason) => self.links.close(session, reason),
            }
        }
        group.releases.drain(..).for_each(|release| release());
        if !self.listeners.is_empty() {
            let events = group.events.drain(..).map(FeedItem::Event);
            let progress = group.progress.drain(..).map(FeedItem::Progress);
            for item in events.chain(progress) {
                self.listeners.retain_mut(|listener| listener.hear(&item));
            }
        }
        self.said = group.emptied();
    }
}
