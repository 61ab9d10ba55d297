//! This file draws reproducible random numbers from a seed, split by purpose.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number
//! Generators*, OOPSLA 2014). It is for jitter and ids, never for secrets.

use serde::{Deserialize, Serialize};

/// A random sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The sequence of `seed` for one purpose; sequences of different purposes are unrelated.
    #[must_use]
    pub fn for_purpose(seed: u64, purpose: &str, number: u64) -> Self {
        let named =
            purpose.bytes().fold(scramble(seed), |sum, byte| scramble(sum ^ u64::from(byte)));
        Self { state: scramble(named ^ number) }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        scramble(self.state)
    }

    /// A number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes all bits of `value` (the finalizer of SplitMix64).
#[must_use]
pub(crate) fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn draws_stay_below_their_bound() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn purposes_do_not_share_a_sequence() {
        let jitter = Rng::for_purpose(7, "jitter", 0).next_u64();
        assert_ne!(jitter, Rng::for_purpose(7, "id", 0).next_u64());
        assert_ne!(jitter, Rng::for_purpose(7, "jitter", 1).next_u64());
    }
}
