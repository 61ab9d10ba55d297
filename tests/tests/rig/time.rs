//! This file is a clock that stands still until it is moved.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Poll, Waker};

use agentcom_core::port::clock::Clock;
use agentcom_core::time::{Mono, Now, Wall};
use async_trait::async_trait;

/// The time, and who is to be woken when.
#[derive(Debug, Default)]
pub(crate) struct StillClock(Mutex<Face>);

#[derive(Debug, Default)]
struct Face {
    ms: u64,
    alarms: BTreeMap<u64, Vec<Waker>>,
    naps: u64,
}

impl StillClock {
    /// How long it has gone.
    pub(crate) fn ms(&self) -> u64 {
        self.0.lock().unwrap().ms
    }

    /// Moves it to a time.
    pub(crate) fn set(&self, ms: u64) {
        let mut face = self.0.lock().unwrap();
        face.ms = ms;
        let later = face.alarms.split_off(&(ms + 1));
        let due = std::mem::replace(&mut face.alarms, later);
        drop(face);
        due.into_values().flatten().for_each(Waker::wake);
    }

    /// When somebody wants to be woken next.
    pub(crate) fn next_alarm(&self) -> Option<u64> {
        self.0.lock().unwrap().alarms.keys().next().copied()
    }

    /// How often somebody lay down to sleep.
    pub(crate) fn naps(&self) -> u64 {
        self.0.lock().unwrap().naps
    }
}

#[async_trait]
impl Clock for StillClock {
    fn now(&self) -> Now {
        let face = self.0.lock().unwrap();
        Now { mono: Mono(face.ms), wall: Wall(1_700_000_000_000 + face.ms) }
    }

    async fn sleep_until(&self, at: Mono) {
        let mut lies = false;
        poll_fn(|cx| {
            let mut face = self.0.lock().unwrap();
            if face.ms >= at.0 {
                return Poll::Ready(());
            }
            face.naps += u64::from(!std::mem::replace(&mut lies, true));
            face.alarms.entry(at.0).or_default().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
