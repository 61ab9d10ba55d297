//! This file proves a sandbox over and over, as long as work relies on it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::{Sandbox, TooWeak};
use crate::guard::Spawner;

/// A sandbox that is relied on: a kernel's settings change while programs run.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The sandbox, at the level that is relied on.
    pub sandbox: Sandbox,
    /// What starts its proofs.
    pub spawner: Spawner,
    /// How long one proof is believed.
    pub every: Duration,
}

impl Watch {
    /// How long a proof is believed unless said otherwise.
    pub const EVERY: Duration = Duration::from_secs(3600);

    /// Watches over `sandbox`, which was proved just now.
    #[must_use]
    pub fn over(sandbox: Sandbox, spawner: Spawner) -> Self {
        Self { sandbox, spawner, every: Self::EVERY }
    }

    /// Does `work`, and proves the sandbox meanwhile, on a thread for what blocks. Once it does not
    /// hold, `leave` is called, which has to bring the work to its end. What the work came to, and
    /// what the sandbox lacked.
    pub async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        leave: impl FnOnce(&TooWeak),
    ) -> (T, Option<TooWeak>) {
        let mut work = pin!(work);
        let weak = tokio::select! {
            done = &mut work => return (done, None),
            weak = self.too_weak() => weak,
        };
        leave(&weak);
        (work.await, Some(weak))
    }

    async fn too_weak(&self) -> TooWeak {
        loop {
            tokio::time::sleep(self.every).await;
            let Self { sandbox, spawner, every: _ } = self.clone();
            let level = Some(sandbox.level);
            let proof = tokio::task::spawn_blocking(move || sandbox.proved(level, &spawner));
            // A proof that was not made, since the program ends, has proved nothing.
            if let Ok(Err(weak)) = proof.await {
                return weak;
            }
        }
    }
}
