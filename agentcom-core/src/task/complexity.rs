//! This file says how demanding a task is: what its submitter said of it, and what it looks like.
//!
//! **Invariant:** what the submitter said wins; what the task looks like is told beside it.

use crate::task::{Coding, Draft, Spec, Tier};

/// Words that make a task complex, whatever else it looks like.
const COMPLEX: [&str; 8] = [
    "refactor",
    "architect",
    "migration",
    "redesign",
    "migrate",
    "security",
    "overhaul",
    "rewrite",
];

/// Words without which nothing is taken for trivial.
const TRIVIAL: [&str; 8] = [
    "fix typo",
    "update readme",
    "bump version",
    "rename",
    "typo",
    "format",
    "lint",
    "version bump",
];

/// A task is large by words, by files or by checks if it has more of them than this.
const WORDS_LARGE: u32 = 50;
const FILES_LARGE: u32 = 3;
const STEPS_LARGE: u32 = 3;
/// A description with fewer words than this is short.
const WORDS_SHORT: u32 = 10;

/// How demanding a task is. Computed from what was asked for, stored nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complexity {
    /// What the submitter said.
    pub explicit: Option<Tier>,
    /// What it looks like.
    pub inferred: Inferred,
}

/// How demanding a task looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// The tier; [`Tier::Unknown`] if there is nothing to go by.
    pub tier: Tier,
    /// How sure that is, in per cent.
    pub confidence: u32,
    /// What it follows from.
    pub signals: Signals,
}

/// What a task is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Words in the description.
    pub words: u32,
    /// Files that are named.
    pub file_hints: u32,
    /// Checks that are named.
    pub verification_steps: u32,
    /// The word in the description that decides, with the tier that it speaks for: the first one
    /// for complex work, or else the first one for trivial work.
    pub keyword: Option<(Tier, &'static str)>,
}

impl Complexity {
    /// How demanding a task is.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self::judge(&spec.description, spec.coding.as_deref())
    }

    /// How demanding the task will be that a draft describes.
    #[must_use]
    pub fn of_draft(draft: &Draft) -> Self {
        Self::judge(&draft.description, Some(&draft.coding))
    }

    fn judge(description: &str, coding: Option<&Coding>) -> Self {
        let signals = Signals {
            words: count(description.split_whitespace()),
            file_hints: coding.map_or(0, |coding| count(coding.file_hints.iter())),
            verification_steps: coding.map_or(0, |coding| count(coding.verification_steps.iter())),
            keyword: keyword(description),
        };
        Self { explicit: coding.and_then(|coding| coding.tier), inferred: Inferred::from(signals) }
    }

    /// The tier that counts.
    #[must_use]
    pub fn effective(&self) -> Tier {
        self.explicit.unwrap_or(self.inferred.tier)
    }

    /// Where that comes from: `explicit` or `inferred`.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        if self.explicit.is_some() { "explicit" } else { "inferred" }
    }
}

impl From<Signals> for Inferred {
    /// The rules are those of the original, but for keywords being whole words, and a small task
    /// without one counting as standard with full weight.
    fn from(signals: Signals) -> Self {
        let Signals { words, file_hints, verification_steps, keyword } = signals;
        let is_large =
            [words > WORDS_LARGE, file_hints > FILES_LARGE, verification_steps > STEPS_LARGE];
        let large = count(is_large.iter().filter(|is_large| **is_large));
        let is_narrow = file_hints <= FILES_LARGE && verification_steps <= STEPS_LARGE;
        let (tier, confidence) = match keyword.map(|(tier, _)| tier) {
            _ if words == 0 && file_hints == 0 && verification_steps == 0 => (Tier::Unknown, 0),
            Some(Tier::Complex) => (Tier::Complex, 70 + 10 * large),
            Some(Tier::Trivial) if is_narrow => {
                (Tier::Trivial, if words < WORDS_SHORT { 90 } else { 75 })
            }
            _ if large >= 2 => (Tier::Complex, large * 100 / 3),
            _ => (Tier::Standard, (3 - large) * 100 / 3),
        };
        Self { tier, confidence, signals }
    }
}

/// The keyword that a description has, as whole words in whatever case.
fn keyword(description: &str) -> Option<(Tier, &'static str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = description.split(|c| !is_part(c)).filter(|word| !word.is_empty());
    let mut trivial = None;
    loop {
        let is_here = |phrase: &&&'static str| {
            let mut here = rest.clone();
            let is_next = |word: &str| here.next().is_some_and(|it| it.eq_ignore_ascii_case(word));
            phrase.split(' ').all(is_next)
        };
        if let Some(found) = COMPLEX.iter().find(is_here) {
            return Some((Tier::Complex, found));
        }
        trivial = trivial.or_else(|| TRIVIAL.iter().find(is_here));
        if rest.next().is_none() {
            return trivial.map(|found| (Tier::Trivial, *found));
        }
    }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
