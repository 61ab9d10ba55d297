//! This file compares what a hub knew with what the hub after it reads from the store.
//!
//! A picture of the durable part of a state is taken at the moment of a commit, and named by the
//! number of its last event. Whoever reads the store up to that event has to see the same.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;

use super::marks::Mark;
use super::oracle::Oracle;
use crate::driver::Handle;
use crate::port::store::{Store, StoreError};
use crate::rng::scramble;
use crate::state::{Loader, State};
use crate::testing::memory::MemoryDisk;

/// A digest of the durable part of a state, and its text where somebody will read it.
#[derive(Clone, Debug, Default)]
struct Picture {
    digest: u64,
    text: Option<String>,
}

impl Write for Picture {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.digest = scramble(self.digest ^ word);
        }
        if let Some(whole) = &mut self.text {
            whole.push_str(text);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether a hub may end soon, so that pictures are wanted.
    armed: bool,
    traced: bool,
    /// The hub that last read the store; pictures of older ones no longer count.
    hub: u64,
    pictures: BTreeMap<u64, Picture>,
    compared: u64,
    missed: u64,
}

/// Compares states before and after a restart.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    shared: Arc<Mutex<Shared>>,
    oracle: Oracle,
}

impl Replay {
    pub(super) fn new(oracle: Oracle, traced: bool) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { traced, ..Shared::default() })), oracle }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hub may end soon, or is not about to.
    pub(super) fn arm(&self, armed: bool) {
        self.shared().armed = armed;
    }

    /// Asks a hub for a picture, which it makes before it takes anything else in.
    pub(super) fn ask(&self, hub: u64, handle: &Handle) {
        if self.shared().armed {
            let replay = self.clone();
            // The picture is made when the hub looks at its inbox, whether anybody waits or not.
            let _ = handle.view(move |state| replay.lives(hub, state)).now_or_never();
        }
    }

    /// What a hub knows while it runs.
    fn lives(&self, hub: u64, state: &State) {
        let mut shared = self.shared();
        if hub == shared.hub {
            let picture = shared.picture(state);
            shared.pictures.insert(state.seq(), picture);
            if shared.pictures.len() > 16 {
                shared.pictures.pop_first();
            }
        }
    }

    /// What a hub that starts will read from its disk.
    pub(super) fn read(&self, hub: u64, disk: &MemoryDisk) {
        let state = match loaded(disk) {
            Ok(state) => state,
            Err(error) => return self.oracle.wrong(format!("hub {hub} could not start: {error}")),
        };
        let mut shared = self.shared();
        let (now, seq) = (shared.picture(&state), state.seq());
        shared.hub = hub;
        let before = shared.pictures.remove(&seq);
        shared.pictures.clear();
        shared.pictures.insert(seq, now.clone());
        match before {
            Some(before) if before.digest == now.digest => {
                shared.compared += 1;
                self.oracle.mark(Mark::Replayed);
            }
            Some(before) => {
                drop(shared);
                let text = |picture: Picture| picture.text.unwrap_or_default();
                let (before, now) = (text(before), text(now));
                self.oracle.wrong(format!(
                    "at event {seq} the store of hub {hub} is not what was known:\n{before}\n{now}"
                ));
            }
            None if hub > 1 => shared.missed += 1,
            None => {}
        }
    }

    /// How many restarts were compared, and how many could not be.
    pub(super) fn counts(&self) -> [u64; 2] {
        let shared = self.shared();
        [shared.compared, shared.missed]
    }
}

impl Shared {
    fn picture(&self, state: &State) -> Picture {
        let mut picture = Picture { digest: 0, text: self.traced.then(String::new) };
        // Writing into a picture never fails.
        let _ = write!(picture, "{:?}", state.durable());
        picture
    }
}

/// The state that the rows of a disk add up to.
fn loaded(disk: &MemoryDisk) -> Result<State, StoreError> {
    let mut state = State::default();
    let mut loader = Loader::default();
    // A copy is read, so that nobody is fenced by it.
    let store = disk.copy().open();
    let mut visit = |table, key: &[u8], row: &[u8]| {
        if let Some(change) = loader.row(&state, table, key, row)? {
            state.apply(change);
        }
        Ok(())
    };
    // A store in memory never waits.
    store.load(&mut visit).now_or_never().transpose()?;
    loader.finish()?;
    Ok(state)
}
