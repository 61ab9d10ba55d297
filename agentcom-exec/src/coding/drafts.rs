//! This file says which changes are proposed as drafts, which GitHub shows as not ready for review.

use std::str::FromStr;

use agentcom_core::risk::RiskTier;
use serde::Deserialize;

/// Which changes are proposed as drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drafts {
    /// None.
    Never,
    /// Those of tasks that were not done to their end.
    #[default]
    Partial,
    /// Those as well that a person has to look at closely: tier 3.
    Risky,
    /// All.
    Always,
}

impl Drafts {
    /// Whether a change of `tier` is proposed as a draft.
    pub(super) const fn hold(self, is_partial: bool, tier: RiskTier) -> bool {
        match self {
            Self::Never => false,
            Self::Partial => is_partial,
            Self::Risky => is_partial || matches!(tier, RiskTier::High),
            Self::Always => true,
        }
    }
}

/// Says which words there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("drafts are `never`, `partial`, `risky` or `always`")]
pub struct BadDrafts;

impl FromStr for Drafts {
    type Err = BadDrafts;

    fn from_str(word: &str) -> Result<Self, BadDrafts> {
        match word {
            "never" => Ok(Self::Never),
            "partial" => Ok(Self::Partial),
            "risky" => Ok(Self::Risky),
            "always" => Ok(Self::Always),
            _ => Err(BadDrafts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_part_is_a_draft_and_more_where_that_is_wanted() {
        let words = ["never", "partial", "risky", "always"];
        let of = |is_partial, tier| {
            words.map(|word| word.parse::<Drafts>().unwrap().hold(is_partial, tier))
        };
        assert_eq!(of(false, RiskTier::Usual), [false, false, false, true]);
        assert_eq!(of(false, RiskTier::High), [false, false, true, true]);
        assert_eq!(of(true, RiskTier::Low), [false, true, true, true]);
        assert_eq!((Drafts::default(), "all".parse::<Drafts>()), (Drafts::Partial, Err(BadDrafts)));
    }
}
