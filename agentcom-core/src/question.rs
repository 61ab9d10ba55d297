//! This file describes questions: things that an agent asks a person while it holds a task.
//!
//! A question has a deadline and a default answer, so that nobody waits for ever.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::{Breach, Call};
use crate::money::Micros;
use crate::name::AgentId;
use crate::time::Wall;

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name.
    pub id: QuestionId,
    /// The task that it is about.
    pub task: TaskId,
    /// The assignment in which it came up.
    pub lease: Lease,
    /// Who asks.
    pub asked_by: AgentId,
    /// The question.
    pub text: Box<str>,
    /// When it was asked.
    pub asked_at: Wall,
    /// When the default counts as the answer.
    pub deadline: Wall,
    /// The answer if nobody gives one.
    pub default: Json,
    /// What is an answer; anything is, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// The call that waits for it, if it is the hub that asks whether one may be paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Box<SpendAsk>>,
}

/// A call that would pass a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendAsk {
    /// The call.
    pub call: Call,
    /// The cap.
    pub breach: Breach,
}

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The question.
    pub text: String,
    /// What is an answer; anything is, unless it is said.
    pub choices: Option<Choices>,
}

/// What is an answer where not everything is: yes or no, or one of these options by its name, in
/// whatever case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Choices(Vec<Box<str>>);

/// The words that say yes, in whatever case.
pub const YES: [&str; 5] = ["yes", "y", "ok", "allow", "true"];

/// The words that say no, in whatever case.
pub const NO: [&str; 5] = ["no", "n", "reject", "deny", "false"];

/// What an answer says: yes, by `true` or one of [`YES`], or no, by `false` or one of [`NO`]; nothing if
/// it is anything else.
#[must_use]
pub fn yes_or_no(answer: &Json) -> Option<bool> {
    if let Ok(said) = answer.read::<bool>() {
        return Some(said);
    }
    let text = answer.read::<String>().ok()?;
    let is_one = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    if is_one(&YES) { Some(true) } else { is_one(&NO).then_some(false) }
}

/// Whether an answer says yes. What cannot be understood does not, and so allows nothing.
#[must_use]
pub fn is_yes(answer: &Json) -> bool {
    yes_or_no(answer) == Some(true)
}

/// The amount of dollars that an answer is, above 0.
#[must_use]
pub fn amount(answer: &Json) -> Option<Micros> {
    let text = answer.read::<String>().unwrap_or_else(|_| answer.as_str().into());
    text.trim().parse().ok().filter(|amount| *amount > Micros(0))
}

impl Question {
    /// What is an answer to it, in words; nothing if anything is.
    #[must_use]
    pub fn takes(&self) -> Option<Vec<String>> {
        let words = |more: &mut dyn Iterator<Item = String>| {
            [YES[0], NO[0]].into_iter().map(String::from).chain(more).collect()
        };
        if self.spend.is_some() {
            return Some(words(&mut core::iter::once("an amount of dollars".into())));
        }
        let Choices(options) = self.choices.as_ref()?;
        Some(words(&mut options.iter().map(|option| String::from(&**option))))
    }

    /// Whether this is an answer to it.
    #[must_use]
    pub fn is_answered_by(&self, answer: &Json) -> bool {
        if self.spend.is_some() {
            return yes_or_no(answer).is_some() || amount(answer).is_some();
        }
        self.choices.as_ref().is_none_or(|choices| choices.have(answer))
    }
}

impl Choices {
    /// The most options.
    pub const OPTIONS_MAX: usize = 16;
    /// The longest name of an option, in bytes.
    pub const NAME_BYTES_MAX: usize = 256;

    /// Yes and no, and these options.
    #[must_use]
    pub fn of<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        Self(options.into_iter().map(Box::from).collect())
    }

    /// Whether they are within their bounds.
    pub(crate) fn fit(&self) -> bool {
        self.0.len() <= Self::OPTIONS_MAX
            && self.0.iter().all(|name| name.len() <= Self::NAME_BYTES_MAX)
    }

    /// Whether an answer is one of them.
    fn have(&self, answer: &Json) -> bool {
        let is_named = |text: String| {
            let text = text.trim();
            let mut names = self.0.iter().map(|name| name.trim());
            !text.is_empty() && names.any(|name| name.eq_ignore_ascii_case(text))
        };
        yes_or_no(answer).is_some() || answer.read().is_ok_and(is_named)
    }
}

impl Ask {
    /// A question that is answered by yes or no.
    #[must_use]
    pub fn yes_or_no(text: impl Into<String>) -> Self {
        Self { text: text.into(), choices: Some(Choices::default()) }
    }

    /// A question that is answered by yes or no, or by the name of an option.
    #[must_use]
    pub fn one_of<'a>(text: impl Into<String>, options: impl IntoIterator<Item = &'a str>) -> Self {
        Self { text: text.into(), choices: Some(Choices::of(options)) }
    }
}

/// A question to which anything is an answer.
impl From<&str> for Ask {
    fn from(text: &str) -> Self {
        Self { text: text.into(), choices: None }
    }
}

/// A question to which anything is an answer.
impl From<String> for Ask {
    fn from(text: String) -> Self {
        Self { text, choices: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_is_said_by_a_word_for_it_and_by_nothing_else() {
        let said = |json: &str| is_yes(&Json::parse(json).unwrap());
        for yes in ["true", "\"yes\"", "\"Y\"", "\" OK \"", "\"allow\"", "\"true\""] {
            assert!(said(yes), "{yes}");
        }
        for no in ["false", "null", "1", "[true]", "{\"yes\":true}", "\"\"", "\"no\"", "\"yes!\""] {
            assert!(!said(no), "{no}");
        }
    }

    #[test]
    fn no_is_said_by_a_word_for_it_and_anything_else_says_nothing() {
        let said = |json: &str| yes_or_no(&Json::parse(json).unwrap());
        for no in ["false", "\"no\"", "\" N \"", "\"Reject\"", "\"deny\"", "\"false\""] {
            assert_eq!(said(no), Some(false), "{no}");
        }
        for unclear in ["null", "0", "\"\"", "\" \"", "\"maybe\"", "[false]", "{}"] {
            assert_eq!(said(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn an_option_is_chosen_by_its_name_and_there_are_only_so_many() {
        let choices = Choices::of(["Always", "Not now", ""]);
        let have = |text: &str| choices.have(&Json::text(text));
        assert!(have("always") && have(" NOT NOW ") && have("no") && have("y"));
        assert!(!have("never") && !have("") && !have(" "));
        assert!(choices.fit());
        assert!(!Choices::of(["x"; Choices::OPTIONS_MAX + 1]).fit());
        assert!(!Choices::of([&*"x".repeat(Choices::NAME_BYTES_MAX + 1)]).fit());
    }
}
