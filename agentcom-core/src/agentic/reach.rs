//! This file keeps a model from doing with what it knows what a stranger tells it to.
//!
//! A model does what it reads, whoever wrote it. As long as at most two of three things come together in
//! one task, that does little harm: it reads what strangers wrote, it reads what is private, it has an
//! effect outside. The third is refused, whichever it is. The rule is Meta's "Agents Rule of Two".

use core::fmt;

use serde::{Deserialize, Serialize};

/// What a tool has to do with the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reach {
    /// It reads what strangers may have written: files of a repository, issues, pages.
    pub untrusted: bool,
    /// It reads what is not for strangers: keys, letters, data of customers.
    pub private: bool,
    /// It has an effect outside of the workspace: it sends, publishes, orders, deletes.
    pub outward: bool,
}

impl Reach {
    /// All three.
    pub const ALL: Self = Self { untrusted: true, private: true, outward: true };

    /// What both together have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            untrusted: self.untrusted || other.untrusted,
            private: self.private || other.private,
            outward: self.outward || other.outward,
        }
    }
}

/// What has come together in a task so far.
///
/// **Invariant:** never all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    met: Reach,
}

/// A call that is refused, since it would be the third of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreeOfThree {
    met: Reach,
}

impl Exposure {
    /// Lets a call happen, and remembers what it has to do with the world.
    ///
    /// # Errors
    ///
    /// If all three would have come together; nothing is remembered then.
    pub fn admit(&mut self, reach: Reach) -> Result<(), ThreeOfThree> {
        let met = self.met.and(reach);
        if met == Reach::ALL {
            return Err(ThreeOfThree { met: self.met });
        }
        self.met = met;
        Ok(())
    }

    /// What has come together so far.
    #[must_use]
    pub const fn met(&self) -> Reach {
        self.met
    }
}

impl core::error::Error for ThreeOfThree {}

impl fmt::Display for ThreeOfThree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("in this task ")?;
        let met = [
            (self.met.untrusted, "what strangers wrote was read"),
            (self.met.private, "what is private was read"),
            (self.met.outward, "something was done outside"),
        ];
        let mut first = true;
        for (_, words) in met.into_iter().filter(|(met, _)| *met) {
            f.write_str(if first { "" } else { " and " })?;
            f.write_str(words)?;
            first = false;
        }
        f.write_str(if first { "a call" } else { ", so this" })?;
        f.write_str(" is for a person to do; go on without it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const UNTRUSTED: Reach = Reach { untrusted: true, private: false, outward: false };
    const PRIVATE: Reach = Reach { untrusted: false, private: true, outward: false };
    const OUTWARD: Reach = Reach { untrusted: false, private: false, outward: true };

    #[test]
    fn the_third_of_three_is_refused_whichever_it_is() {
        for order in [
            [UNTRUSTED, PRIVATE, OUTWARD],
            [UNTRUSTED, OUTWARD, PRIVATE],
            [PRIVATE, OUTWARD, UNTRUSTED],
            [OUTWARD, PRIVATE, UNTRUSTED],
        ] {
            let mut exposure = Exposure::default();
            let [first, second, third] = order.map(|reach| exposure.admit(reach));
            assert!(first.is_ok() && second.is_ok() && third.is_err(), "{order:?}");
            // What is refused does not count, and what was allowed stays so.
            assert!(exposure.admit(order[0]).is_ok() && exposure.admit(order[1]).is_ok());
        }
        assert!(Exposure::default().admit(Reach::ALL).is_err());
    }

    #[test]
    fn a_refusal_says_what_has_come_together() {
        let mut exposure = Exposure::default();
        exposure.admit(UNTRUSTED.and(PRIVATE)).unwrap();
        assert_eq!(
            exposure.admit(OUTWARD).unwrap_err().to_string(),
            "in this task what strangers wrote was read and what is private was read, so this is for a \
             person to do; go on without it"
        );
        assert_eq!(
            Exposure::default().admit(Reach::ALL).unwrap_err().to_string(),
            "in this task a call is for a person to do; go on without it"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_asked_never_all_three_come_together(
            asked in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..20),
        ) {
            let mut exposure = Exposure::default();
            let mut met = Reach::default();
            for (untrusted, private, outward) in asked {
                let reach = Reach { untrusted, private, outward };
                match exposure.admit(reach) {
                    Ok(()) => met = met.and(reach),
                    Err(_) => prop_assert_eq!(met.and(reach), Reach::ALL),
                }
                prop_assert_ne!(met, Reach::ALL);
            }
        }
    }
}
