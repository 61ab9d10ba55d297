//! This file makes sure that a hub that speaks to agents still owns its data.
//!
//! A hub that was taken over would notice with its next commit. One that has nothing to commit
//! would go on answering heartbeats, and keep its agents from the hub that took its place.

use super::HubDriver;
use crate::port::store::StoreError;
use crate::time::Span;

/// For how long a store that answered counts as this hub's.
const OWNED_FOR: Span = Span::from_secs(5);

impl HubDriver {
    /// Asks the store, unless it has answered lately. `always` it is asked before an agent is let in
    /// and before an answer that comes without a commit: that nothing is to be done may have been
    /// true only for as long as the hub owned its data.
    pub(super) async fn prove_owned(&mut self, always: bool) -> Result<(), StoreError> {
        let now = self.clock.now().mono;
        if always || now - self.owned_at >= OWNED_FOR {
            // No rows are wanted, but a store that was fenced refuses all the same.
            self.store.get(&[]).await?;
            self.owned_at = now;
        }
        Ok(())
    }
}
