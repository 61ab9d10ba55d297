//! This file remembers what brought the hub down, so that nothing does so for ever.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;

use crate::command::Command;
use crate::rng::scramble;
use crate::time::{Mono, Span};
use crate::wire::Frame;

/// How often an input may bring the hub down, apart from the first panic of all, before it is not
/// tried again.
const TRIES: u32 = 2;
/// How many inputs are remembered.
const SUSPECTS_MAX: usize = 64;
/// How many panics within [`WINDOW`] end the hub: then it is not the inputs.
const PANICS_MAX: usize = 5;
const WINDOW: Span = Span::from_secs(60);

/// An input that somebody outside is to blame for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suspect(u64);

impl Suspect {
    pub(super) fn command(command: &Command) -> Self {
        Self::of(&format!("{command:?}"))
    }

    pub(super) fn frame(frame: &Frame) -> Self {
        Self::of(&frame.clone().into_text())
    }

    fn of(text: &str) -> Self {
        let mixed = |sum, byte| scramble(sum ^ u64::from(byte));
        Self(text.bytes().fold(text.len() as u64, mixed))
    }
}

/// What brought the hub down, and when.
#[derive(Debug, Default)]
pub(super) struct Panics {
    suspects: BTreeMap<Suspect, u32>,
    lately: VecDeque<Mono>,
}

impl Panics {
    /// What an input is remembered by. As long as nothing panicked nobody is suspected, and no
    /// input is looked at: the first panic may have been anything's fault.
    pub(super) fn suspect(&self, input: impl FnOnce() -> Suspect) -> Option<Suspect> {
        (!self.lately.is_empty()).then(input)
    }

    /// Whether an input brought the hub down too often to be tried again.
    pub(super) fn bar(&self, suspect: Option<Suspect>) -> bool {
        let count = suspect.and_then(|suspect| self.suspects.get(&suspect));
        count.is_some_and(|count| *count >= TRIES)
    }

    /// Remembers a panic, and says whether the hub may go on.
    pub(super) fn note(&mut self, suspect: Option<Suspect>, now: Mono) -> bool {
        if let Some(suspect) = suspect {
            if self.suspects.len() == SUSPECTS_MAX {
                self.suspects.pop_first();
            }
            *self.suspects.entry(suspect).or_default() += 1;
        }
        self.lately.push_back(now);
        while self.lately.front().is_some_and(|at| now - *at > WINDOW) {
            self.lately.pop_front();
        }
        self.lately.len() <= PANICS_MAX
    }
}
