//! This file says how many tokens a model can be billed at most for what it is sent, before it is sent.
//!
//! A byte-level tokenizer (BPE, as of all models that are paid for by the token) writes no text in more
//! tokens than it has bytes. Servers write something of their own around each message, each call and
//! each tool, and before all of it. So the bound is
//!
//! ```text
//! [`REQUEST`] + bytes + [`PART`] × parts                    of a request of which nothing is known
//! told + bytes added since + [`PART`] × parts added since   of one that begins like the one before
//! ```
//!
//! where `told` is what the server told of the request before. Text mostly takes a third of that or
//! less, so the second is much the closer one: a long conversation is reserved at what it takes, and only
//! what is new to it at its worst.
//!
//! **Invariant:** a server that tells no more than one token for each byte, and counts the same text
//! the same way twice, never tells more than the bound.

/// What a server writes of its own before all of it, in tokens: how tools are called, for the most part
/// (Anthropic, *Tool use*, lists some hundreds for each model).
const REQUEST: u64 = 1_024;

/// What it writes around a message, a call or a tool, in tokens: roles, names of fields, ids.
const PART: u64 = 64;

/// How much a model is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The bytes of all texts.
    pub bytes: u64,
    /// Messages, calls and tools.
    pub parts: u64,
}

/// The most that requests can be billed, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputBound {
    /// What the request before was, and how many tokens the server told of it.
    told: Option<(Sent, u64)>,
}

impl InputBound {
    /// How many tokens a request can be billed for what it sends. Unless [`InputBound::forget`] was
    /// called since, it begins like the one before.
    #[must_use]
    pub fn at_most(&self, sent: Sent) -> u64 {
        let (before, told) = self.told.unwrap_or((Sent::default(), REQUEST));
        let bytes = sent.bytes.saturating_sub(before.bytes);
        let parts = sent.parts.saturating_sub(before.parts);
        told.saturating_add(bytes).saturating_add(parts.saturating_mul(PART))
    }

    /// The server has told how many tokens that request took to read.
    pub const fn told(&mut self, sent: Sent, tokens: u64) {
        self.told = Some((sent, tokens));
    }

    /// The next request does not begin like the one before, or that was not counted.
    pub const fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn what_was_told_stands_for_what_was_sent_before_and_bytes_for_the_rest() {
        let mut bound = InputBound::default();
        let first = Sent { bytes: 3_000, parts: 2 };
        assert_eq!(bound.at_most(first), 1_024 + 3_000 + 128);
        bound.told(first, 900);
        assert_eq!(bound.at_most(Sent { bytes: 3_500, parts: 4 }), 900 + 500 + 128);
        bound.forget();
        assert_eq!(bound.at_most(first), 1_024 + 3_000 + 128);
    }

    proptest! {
        /// A server counts each part of a conversation as it likes, up to a token for each byte and what
        /// it writes around it, and always the same. At times history is left out, and at times it does
        /// not tell.
        #[test]
        fn no_server_that_tells_at_most_a_token_for_each_byte_bills_more(
            turns in proptest::collection::vec(
                (0_u64..20_000, 0_u64..=1_000, 0..=PART, 0_u8..8, any::<bool>()), 1..40),
            own in 0..=REQUEST,
        ) {
            let mut bound = InputBound::default();
            let mut kept: Vec<(u64, u64)> = Vec::new();
            for (bytes, share, around, left_out, tells) in turns {
                if left_out == 0 && kept.len() > 1 {
                    kept.remove(1);
                    bound.forget();
                }
                kept.push((bytes, bytes * share / 1_000 + around));
                let sent = Sent {
                    bytes: kept.iter().map(|(bytes, _)| bytes).sum(),
                    parts: kept.len() as u64,
                };
                let billed = own + kept.iter().map(|(_, tokens)| tokens).sum::<u64>();
                prop_assert!(billed <= bound.at_most(sent));
                if tells {
                    bound.told(sent, billed);
                }
            }
        }
    }
}
