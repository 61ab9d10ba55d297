//! This file remembers what brought the hub down, so that nothing does so for ever.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;

use crate::command::Command;
use crate::rng::scramble;
use crate::time::{Mono, Span};

/// How often an input may bring the hub down before it is not tried again.
const TRIES: u32 = 2;
/// How many inputs are remembered.
const SUSPECTS_MAX: usize = 64;
/// How many panics within [`WINDOW`] end the hub: then it is not the inputs.
const PANICS_MAX: usize = 5;
const WINDOW: Span = Span::from_secs(60);

/// An input that somebody outside is to blame for.
#[derive(Clone, Copy)]
pub(super) enum Suspect<'a> {
    Command(&'a Command),
    Frame(&'a str),
}

impl Suspect<'_> {
    fn digest(self) -> u64 {
        let sum = |text: &str| {
            text.bytes().fold(text.len() as u64, |sum, byte| scramble(sum ^ u64::from(byte)))
        };
        match self {
            Self::Command(command) => sum(&format!("{command:?}")),
            Self::Frame(text) => sum(text),
        }
    }
}

/// What brought the hub down, and when.
#[derive(Debug, Default)]
pub(super) struct Panics {
    suspects: BTreeMap<u64, u32>,
    lately: VecDeque<Mono>,
}

impl Panics {
    /// Whether an input brought the hub down too often to be tried again.
    pub(super) fn bar(&self, suspect: Suspect<'_>) -> bool {
        // As long as nothing panicked, nothing is looked at.
        !self.suspects.is_empty()
            && self.suspects.get(&suspect.digest()).is_some_and(|count| *count >= TRIES)
    }

    /// Remembers a panic, and says whether the hub may go on.
    pub(super) fn note(&mut self, suspect: Option<Suspect<'_>>, now: Mono) -> bool {
        if let Some(suspect) = suspect {
            if self.suspects.len() == SUSPECTS_MAX {
                self.suspects.pop_first();
            }
            *self.suspects.entry(suspect.digest()).or_default() += 1;
        }
        self.lately.push_back(now);
        while self.lately.front().is_some_and(|at| now - *at > WINDOW) {
            self.lately.pop_front();
        }
        self.lately.len() <= PANICS_MAX
    }
}
