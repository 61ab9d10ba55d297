//! This file decides which attempts have to fail for a level to be proved, by what the kernel can forbid.

use agentcom_core::sandbox::{Attempt, Expected, User};

use super::Level;

/// What nothing but Landlock forbids to a process of the same user in the same process namespace.
pub(super) const SIGNAL: &str = "signal a process outside";

/// The first version of Landlock that forbids it, in Linux 6.12.
const SIGNALS: u32 = 6;

/// Where attempts were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ground {
    pub(super) level: Level,
    pub(super) user: User,
    /// The version of Landlock that the kernel has; 0 if it has none.
    pub(super) abi: u32,
}

impl Ground {
    /// Whether an attempt has to fail. A level is not withheld for what no kernel of that age can
    /// forbid; but it is said.
    fn demands(self, attempt: &str) -> bool {
        attempt != SIGNAL || self.level >= Level::L3 || self.abi >= SIGNALS
    }

    /// Takes out of `attempts` what succeeded and does not have to fail: what is left open.
    pub(super) fn residue(self, attempts: &mut Vec<Attempt>) -> Vec<String> {
        let is_open = |attempt: &mut Attempt| {
            let may_be = attempt.expected == Expected::Blocked && !self.demands(&attempt.what);
            may_be && !attempt.held
        };
        let (whose, or_else) = match self.user {
            User::Own => (", another command of the sandbox's user", ""),
            User::Same | User::MappedRoot | User::Unknown => (
                " that is of its user",
                "; with a user for its sandboxes, if the sidecar runs as root, it can signal other commands alone",
            ),
        };
        let open = attempts.extract_if(.., is_open);
        open.map(|attempt| {
            format!(
                "a command can {}{whose}: the kernel's Landlock, ABI {}, cannot forbid it, and that of Linux \
                 6.12, ABI {SIGNALS}, can{or_else}",
                attempt.what, self.abi
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "read a file outside";

    #[test]
    fn signals_have_to_be_blocked_where_anything_can_block_them_and_all_else_everywhere() {
        let rows = (0..=7).map(|abi| {
            let demands = |level, user| Ground { level, user, abi }.demands(SIGNAL);
            let on = [
                demands(Level::L2, User::Same),
                demands(Level::L2, User::Own),
                demands(Level::L3, User::Same),
                demands(Level::L3, User::MappedRoot),
                demands(Level::L3, User::Own),
            ];
            assert!(Ground { level: Level::L2, user: User::Same, abi }.demands(OTHER));
            (abi, on)
        });
        // Whoever is of the sandbox's user is of no other for being outside of it.
        let less = |abi| (abi, [false, false, true, true, true]);
        let all = |abi| (abi, [true; 5]);
        let expected = [less(0), less(1), less(2), less(3), less(4), less(5), all(6), all(7)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_left_open_is_told_apart_from_what_fails_the_proof() {
        let attempt =
            |what: &str, held| Attempt { what: what.to_owned(), expected: Expected::Blocked, held };
        let on = |abi, held| {
            let mut attempts = vec![attempt(OTHER, false), attempt(SIGNAL, held)];
            let ground = Ground { level: Level::L2, user: User::Same, abi };
            let residue = ground.residue(&mut attempts);
            (attempts.len(), residue)
        };
        let (left, residue) = on(4, false);
        assert_eq!((left, residue.len()), (1, 1));
        assert!(
            residue[0].starts_with("a command can signal a process outside that is of its user"),
            "{residue:?}"
        );
        assert!(residue[0].contains(" ABI 4,"), "{residue:?}");
        // What something else blocks is proved, and what has to be blocked is not passed over.
        assert_eq!(on(4, true), (2, Vec::new()));
        assert_eq!(on(6, false), (2, Vec::new()));
    }
}
