//! This file says whose models a task is for, by how demanding it is, and in which order.
//!
//! What a model on one's own machine can do costs nothing; what it cannot do costs rounds. So it comes
//! first for what is trivial or usual, and last for what is complex. What cannot be asked is passed
//! over, whichever comes first.

use crate::task::Tier;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// On a machine of one's own.
    Local,
    /// Elsewhere, for money.
    Cloud,
}

/// The classes of models for a task, the one to ask first, first.
#[must_use]
pub fn order(tier: Tier) -> [Class; 2] {
    match tier {
        Tier::Trivial | Tier::Standard | Tier::Unknown => [Class::Local, Class::Cloud],
        Tier::Complex => [Class::Cloud, Class::Local],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_complex_goes_elsewhere_first() {
        for tier in [Tier::Trivial, Tier::Standard, Tier::Unknown, Tier::Complex] {
            let first = order(tier)[0];
            assert_eq!(first == Class::Cloud, tier == Tier::Complex, "{tier:?}");
            assert_ne!(order(tier)[0], order(tier)[1]);
        }
    }
}
