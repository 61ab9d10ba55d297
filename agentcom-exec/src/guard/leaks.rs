//! This file watches over guards that were let go before it was known that nothing is left of their jobs.
//!
//! **Invariant:** that nothing is left is proved by a guard alone: it is the one to whom all processes of
//! its job are handed, and ends in good order only once the system knows of none. A guard that goes on, or
//! ends otherwise after it has told of survivors, has proved nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::serve::SWEEP_MAX;

/// How much longer than it may sweep a guard may take until what is left of its job counts as survivors.
const MARGIN: Duration = Duration::from_secs(1);

/// How long it is between two looks at guards that have not ended: ever longer, up to the second.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The most guards that are watched over. Of more nothing can be proved any more.
const GUARDS_MAX: usize = 256;

/// What is left of jobs that nobody listens to any more. Clones watch over the same.
#[derive(Clone, Debug, Default)]
pub struct Leaks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    guards: Mutex<Guards>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Guards {
    at_it: Vec<LetGo>,
    /// How many processes there were of which nobody can prove any more that they are gone.
    unproved: u32,
}

/// A guard that nobody listens to.
#[derive(Debug)]
struct LetGo {
    guard: Child,
    /// How many processes it could not end in time; none if it had time left when it last spoke.
    survivors: u32,
    /// When its time to sweep is over.
    until: Instant,
}

impl Leaks {
    /// Watches over a guard that has told of so many survivors, or not yet of the end of its job.
    pub(super) fn watch(&self, guard: Child, survivors: usize) {
        let survivors = u32::try_from(survivors).unwrap_or(u32::MAX);
        let until = Instant::now() + SWEEP_MAX + MARGIN;
        let mut guards = self.guards();
        guards.look();
        if guards.at_it.len() < GUARDS_MAX {
            guards.at_it.push(LetGo { guard, survivors, until });
        } else {
            guards.unproved = guards.unproved.saturating_add(survivors.max(1));
        }
        drop(guards);
        self.0.news.notify_one();
    }

    /// How many processes are left that could not be ended.
    #[must_use]
    pub fn survivors(&self) -> u32 {
        self.guards().look()
    }

    /// Waits until there are other than `known` survivors; how many. Cancel safe. One at a time may wait.
    pub async fn changed(&self, known: u32) -> u32 {
        let mut pause = PAUSE;
        loop {
            let (survivors, idle) = {
                let mut guards = self.guards();
                (guards.look(), guards.at_it.is_empty())
            };
            if survivors != known {
                return survivors;
            }
            let news = self.0.news.notified();
            if idle {
                news.await;
                pause = PAUSE;
            } else if timeout(pause, news).await.is_ok() {
                pause = PAUSE;
            } else {
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// Does `work`, and says to `tell` meanwhile how many survivors there are whenever that changes.
    pub async fn during<T, F: Future<Output = ()>>(
        &self,
        work: impl Future<Output = T>,
        tell: impl Fn(u32) -> F,
    ) -> T {
        let mut work = pin!(work);
        let telling = async {
            let mut known = 0;
            loop {
                known = self.changed(known).await;
                tell(known).await;
            }
        };
        tokio::select! {
            done = &mut work => done,
            never = telling => never,
        }
    }

    fn guards(&self) -> MutexGuard<'_, Guards> {
        self.0.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guards {
    /// Forgets the guards that have ended; how many survivors there are.
    fn look(&mut self) -> u32 {
        let now = Instant::now();
        let mut unproved = self.unproved;
        self.at_it.retain_mut(|let_go| {
            if let_go.until <= now {
                let_go.survivors = let_go.survivors.max(1);
            }
            match let_go.guard.try_wait() {
                Ok(None) => true,
                Ok(Some(status)) if status.success() => false,
                // Who had told of nothing was killed, as its job may do where nothing confines it.
                Ok(Some(_)) | Err(_) => {
                    unproved = unproved.saturating_add(let_go.survivors);
                    false
                }
            }
        });
        self.unproved = unproved;
        self.at_it.iter().fold(unproved, |sum, let_go| sum.saturating_add(let_go.survivors))
    }
}
