//! This file finds out whether a model has read all of what it was asked.
//!
//! Some servers drop the beginning of what is too long for them, say nothing, and answer all the same.
//! What is left to see is that a request which begins like the one before and is longer took fewer
//! tokens, or that requests become longer and longer and take no more. Other servers count only what is
//! new to them; so what could be all of that is believed.

use crate::model::{ModelError, Reply};

/// What a model has read of the request before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    bytes: u64,
    tokens: u64,
    /// How long a request was when it last took more tokens than the one before.
    grown_at: u64,
}

impl Read {
    /// Hardly any text has more bytes in a token, and what is added to a request brings tokens of its own.
    const TOKEN_BYTES: u64 = 6;

    /// So little may be added and take nothing.
    const FEW_BYTES: u64 = 1_024;

    /// Believes an answer to a request of so many bytes, or not.
    ///
    /// # Errors
    ///
    /// [`ModelError::Truncated`] if the model cannot have read all of it.
    pub(super) fn check(&mut self, bytes: u64, reply: Reply) -> Result<Reply, ModelError> {
        let (before, tokens) = (*self, reply.usage.read());
        // No text has more tokens than bytes.
        let is_more_than_new = tokens > bytes.saturating_sub(before.bytes);
        let stands = bytes >= before.bytes && tokens <= before.tokens && is_more_than_new;
        let grown_at = if stands { before.grown_at } else { bytes };
        *self = Self { bytes, tokens, grown_at };
        // Nobody counts so exactly.
        let tolerance = before.tokens / 10;
        let is_less_than_before = tokens < before.tokens - tolerance;
        let has_stopped = bytes - grown_at > Self::FEW_BYTES.max(Self::TOKEN_BYTES * tolerance);
        if stands && (is_less_than_before || has_stopped) {
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
    fn requests_that_become_longer_do_not_take_the_same_for_ever() {
        let flat: Vec<_> = (0..12).map(|turn| (9_000 + 1_000 * turn, 3_000)).collect();
        assert!(believed(&flat[..2]) && !believed(&flat));
        let leap = [(9_000, 3_000), (60_000, 3_000), (60_500, 3_000), (62_500, 3_000)];
        assert!(
            believed(&leap[..3]) && !believed(&leap),
            "only what was new, or the most it reads"
        );
        let spaces: Vec<_> = (0..40).map(|turn| (9_000 + 1_000 * turn, 3_000 + turn)).collect();
        assert!(believed(&spaces), "few tokens are more tokens");
        assert!(believed(&[(9, 30), (20, 30), (40, 30)]), "so little tells nothing");
        let same: Vec<_> = (1..40).map(|turn| (1_000 * turn, 300)).collect();
        assert!(believed(&same), "the same is new each time");
    }

    #[test]
    fn who_counts_only_what_is_new_and_who_is_asked_for_less_is_believed() {
        assert!(believed(&[(9_000, 3_000), (9_600, 200), (10_800, 400)]));
        assert!(believed(&[(9_000, 3_000), (6_000, 2_000)]), "history was made shorter");
        assert!(believed(&[(9_000, 0), (9_600, 0)]), "who does not count at all");
    }
}
