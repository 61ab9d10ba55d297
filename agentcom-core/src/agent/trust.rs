//! This file is the state machine of trust: whether an agent is given work, and how much.
//!
//! Repeated crashes quarantine an agent; after a while it gets one task as a probe, and a probe
//! that goes well restores trust. An agent that misses an acceptance is only flagged: it is chosen
//! last until it accepts again.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// How far an agent is trusted with work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Fully.
    #[default]
    Good,
    /// It missed an acceptance: chosen last, one task at a time.
    Flagged,
    /// It crashed this many times in a row, fewer than quarantine takes.
    Shaken {
        /// Crashes in a row.
        crashes: u32,
    },
    /// It gets no work before this time.
    Quarantined {
        /// Since when.
        since: Wall,
        /// When it may be probed.
        until: Wall,
    },
    /// It gets one task, and trust hangs on how that goes.
    Probing,
}

/// What bears on trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustEvent {
    /// An assignment was accepted.
    Accepted,
    /// An assignment was not accepted in time.
    Missed,
    /// An attempt ended, well or not, with the agent alive.
    Ended,
    /// The agent lost a task's lease, or said that the task took it down.
    Crashed {
        /// The crashes in a row that quarantine it.
        limit: u32,
        /// When.
        since: Wall,
        /// Until when.
        until: Wall,
    },
    /// The quarantine is over.
    Served,
    /// An operator trusts it again.
    Pardoned,
}

impl Trust {
    /// The trust after `event`.
    #[must_use]
    pub fn on(self, event: TrustEvent) -> Self {
        use TrustEvent as E;
        match self {
            Self::Good => match event {
                E::Missed => Self::Flagged,
                E::Crashed { limit, since, until } => Self::crashed(1, limit, since, until),
                E::Accepted | E::Ended | E::Served | E::Pardoned => self,
            },
            Self::Flagged => match event {
                E::Accepted | E::Pardoned => Self::Good,
                E::Crashed { limit, since, until } => Self::crashed(1, limit, since, until),
                E::Missed | E::Ended | E::Served => self,
            },
            Self::Shaken { crashes } => match event {
                E::Ended | E::Pardoned => Self::Good,
                E::Crashed { limit, since, until } => {
                    Self::crashed(crashes + 1, limit, since, until)
                }
                E::Accepted | E::Missed | E::Served => self,
            },
            Self::Quarantined { .. } => match event {
                E::Served => Self::Probing,
                E::Ended | E::Pardoned => Self::Good,
                E::Accepted | E::Missed | E::Crashed { .. } => self,
            },
            Self::Probing => match event {
                E::Ended | E::Pardoned => Self::Good,
                E::Missed => Self::Flagged,
                E::Crashed { since, until, .. } => Self::Quarantined { since, until },
                E::Accepted | E::Served => self,
            },
        }
    }

    fn crashed(crashes: u32, limit: u32, since: Wall, until: Wall) -> Self {
        if crashes >= limit { Self::Quarantined { since, until } } else { Self::Shaken { crashes } }
    }

    /// Whether the agent gets one task at a time at most.
    #[must_use]
    pub const fn is_on_probation(self) -> bool {
        match self {
            Self::Flagged | Self::Probing => true,
            Self::Good | Self::Shaken { .. } | Self::Quarantined { .. } => false,
        }
    }

    /// Whether the agent gets no task at all.
    #[must_use]
    pub const fn is_quarantined(self) -> bool {
        match self {
            Self::Quarantined { .. } => true,
            Self::Good | Self::Flagged | Self::Shaken { .. } | Self::Probing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::fmt::Write;
    use expect_test::expect;

    #[test]
    fn golden_move_table() {
        let (since, until) = (Wall(4), Wall(9));
        let states = [
            ("good", Trust::Good),
            ("flagged", Trust::Flagged),
            ("shaken", Trust::Shaken { crashes: 2 }),
            ("quarantined", Trust::Quarantined { since, until }),
            ("probing", Trust::Probing),
        ];
        let events = [
            ("accepted", TrustEvent::Accepted),
            ("missed", TrustEvent::Missed),
            ("ended", TrustEvent::Ended),
            ("crashed", TrustEvent::Crashed { limit: 3, since, until }),
            ("served", TrustEvent::Served),
            ("pardoned", TrustEvent::Pardoned),
        ];
        let mut table = String::new();
        for (word, event) in events {
            write!(table, "{word:<10}").unwrap();
            for (_, state) in states {
                let next = state.on(event);
                let name = states
                    .iter()
                    .find(|(_, s)| core::mem::discriminant(s) == core::mem::discriminant(&next));
                write!(table, "{:<13}", if next == state { "." } else { name.unwrap().0 }).unwrap();
            }
            table = table.trim_end().into();
            table.push('\n');
        }
        expect![[r#"
            accepted  .            good         .            .            .
            missed    flagged      .            .            .            flagged
            ended     .            .            good         good         good
            crashed   shaken       shaken       quarantined  .            quarantined
            served    .            .            .            probing      .
            pardoned  .            good         good         good         good
        "#]]
        .assert_eq(&table);
    }
}
