//! This file keeps commands from a machine on which processes of earlier ones are left that could not be
//! ended: such a process may still change files, and holds what the next command may need.
//!
//! What runs goes on to its end. What has not begun is given back, the hub is told that there are no
//! executors of commands for the time being and why, and is told so again once nothing is left.

use alloc::string::String;
use alloc::vec::Vec;

use super::job::{Phase, Why};
use super::{Level, Sidecar};
use crate::guard::Guard;
use crate::name::Kind;
use crate::sandbox::{Level as Holds, Report};

/// What is left of earlier work, and who gets none because of that.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftover {
    /// The kinds of work that run commands.
    kinds: Vec<Kind>,
    /// How many processes there are that could not be ended.
    survivors: u32,
    /// Of how many the hub was told.
    told: u32,
}

impl Leftover {
    /// The hub is told of what is left.
    pub(super) const fn is_told(&mut self) {
        self.told = self.survivors;
    }

    /// Why no work of a kind may begin, if none may.
    pub(super) fn keeps_from(&self, kind: &Kind) -> Option<String> {
        (self.survivors > 0 && self.kinds.contains(kind)).then(|| self.why())
    }

    fn why(&self) -> String {
        let left = match self.survivors {
            1 => "1 process of an earlier command could not be ended".into(),
            many => alloc::format!("{many} processes of earlier commands could not be ended"),
        };
        alloc::format!(
            "{left}; commands are run again once none is left, or after a restart of the machine"
        )
    }
}

impl Sidecar {
    /// The same sidecar, of whose `kinds` these run commands.
    #[must_use]
    pub fn running_commands(mut self, kinds: Vec<Kind>) -> Self {
        self.leftover.kinds = kinds;
        self
    }

    /// So many processes are left.
    pub(super) fn survivors(&mut self, left: u32) {
        let known = self.leftover.survivors == left;
        if known || !self.on(Guard::Leftover) {
            return;
        }
        self.leftover.survivors = left;
        match left {
            0 => {
                self.out.log(Level::Info, None, "nothing is left of earlier commands; more are run")
            }
            _ => {
                let text = alloc::format!("no more commands are run: {}", self.leftover.why());
                self.out.log(Level::Warn, None, text);
            }
        }
        for claim in self.has_phase(Phase::Offered) {
            let kind = self.jobs.get(claim).map(|job| &job.kind);
            if kind.is_some_and(|kind| self.leftover.keeps_from(kind).is_some()) {
                self.stop(claim, Why::Drained);
            }
        }
        self.tell_leftover();
    }

    /// Tells the hub what is left if it was told otherwise.
    pub(super) fn tell_leftover(&mut self) {
        let known = self.leftover.told == self.leftover.survivors;
        if !known && self.session.online().is_some() {
            self.introduce();
        }
    }

    /// The kinds of work that may begin.
    pub(super) fn open_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().filter(|kind| self.leftover.keeps_from(kind).is_none())
    }

    /// What the sandbox is seen to hold.
    pub(super) fn sandbox(&self) -> Option<Report> {
        let proved = self.config.sandbox.clone();
        if self.leftover.survivors == 0 {
            return proved;
        }
        let proved = proved.unwrap_or_else(|| Report::of(Holds::L0));
        Some(proved.in_quarantine(self.leftover.why()))
    }
}
