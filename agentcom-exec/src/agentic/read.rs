//! This file finds out whether a model has read all of what it was asked.
//!
//! Some servers drop the beginning of what is too long for them, say nothing, and answer all the same.
//! What is left to see is that a request which begins like the one before and is longer took fewer
//! tokens. Other servers count only what is new to them; so what could be all of that is believed.

use crate::model::{ModelError, Reply};

/// What a model has read of the request before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    bytes: u64,
    tokens: u64,
}

impl Read {
    /// Believes an answer to a request of so many bytes, or not.
    ///
    /// # Errors
    ///
    /// [`ModelError::Truncated`] if the model cannot have read all of it.
    pub(super) fn check(&mut self, bytes: u64, reply: Reply) -> Result<Reply, ModelError> {
        let (before, tokens) = (*self, reply.usage.read());
        *self = Self { bytes, tokens };
        // No text has more tokens than bytes.
        let is_more_than_new = tokens > bytes.saturating_sub(before.bytes);
        let is_less_than_before = tokens < before.tokens - before.tokens / 10;
        if bytes >= before.bytes && is_less_than_before && is_more_than_new {
            return Err(ModelError::Truncated { read: tokens, sent: before.tokens });
        }
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Usage;

    /// Whether all answers are believed to requests of so many bytes that took so many tokens.
    fn believed(turns: &[(u64, u64)]) -> bool {
        let mut read = Read::default();
        turns.iter().all(|&(bytes, input_tokens)| {
            let usage = Usage { input_tokens, ..Usage::default() };
            read.check(bytes, Reply { usage, ..Reply::default() }).is_ok()
        })
    }

    #[test]
    fn a_longer_request_takes_no_fewer_tokens() {
        assert!(believed(&[(9_000, 3_000), (9_600, 3_200), (12_000, 4_000)]));
        assert!(!believed(&[(9_000, 3_000), (9_600, 1_500)]), "half of it was dropped");
        assert!(believed(&[(9_000, 3_000), (9_600, 2_900)]), "nobody counts so exactly");
    }

    #[test]
    fn who_counts_only_what_is_new_and_who_is_asked_for_less_is_believed() {
        assert!(believed(&[(9_000, 3_000), (9_600, 200), (10_800, 400)]));
        assert!(believed(&[(9_000, 3_000), (6_000, 2_000)]), "history was made shorter");
        assert!(believed(&[(9_000, 0), (9_600, 0)]), "who does not count at all");
    }
}
