//! This file says how models of servers are asked: how long their context is, and, of Ollama servers, how
//! much they think before they answer and how they call tools.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many tokens a model reads and writes at once. The server loads the model anew for another
/// length, so there is one for each model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct ContextTokens(u64);

/// No length of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a context has {} to {} tokens", ContextTokens::MIN, ContextTokens::MAX)]
pub struct BadContextTokens;

impl ContextTokens {
    /// The fewest with which a model can work.
    pub const MIN: u64 = 2_048;
    /// More than any model has.
    pub const MAX: u64 = 1 << 24;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for ContextTokens {
    type Error = BadContextTokens;
    fn try_from(tokens: u64) -> Result<Self, BadContextTokens> {
        let is_one = (Self::MIN..=Self::MAX).contains(&tokens);
        if is_one { Ok(Self(tokens)) } else { Err(BadContextTokens) }
    }
}

impl From<ContextTokens> for u64 {
    fn from(tokens: ContextTokens) -> Self {
        tokens.0
    }
}

impl FromStr for ContextTokens {
    type Err = BadContextTokens;
    fn from_str(text: &str) -> Result<Self, BadContextTokens> {
        text.parse::<u64>().map_err(|_| BadContextTokens)?.try_into()
    }
}

/// How much a model thinks before it answers. Some know levels only, and some only on and off; the
/// server refuses it of models that do not think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Think {
    /// Not at all.
    Off,
    /// As much as is usual.
    On,
    /// Little.
    Low,
    /// A medium amount.
    Medium,
    /// Much.
    High,
}

/// Nothing that says how much a model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model thinks off, on, low, medium or high")]
pub struct BadThink;

impl Think {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Off, Self::On, Self::Low, Self::Medium, Self::High];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Think {
    type Err = BadThink;
    fn from_str(text: &str) -> Result<Self, BadThink> {
        Self::ALL.into_iter().find(|think| think.as_str() == text).ok_or(BadThink)
    }
}

/// How a model calls tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calls {
    /// As it was trained to; the server knows models that were not, and refuses them.
    #[default]
    Native,
    /// The server holds each of its answers to a JSON schema of all calls, so that any model can.
    Format,
}

/// Nothing that says how a model calls tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model calls tools in the way native or format")]
pub struct BadCalls;

impl Calls {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Native, Self::Format];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Format => "format",
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Calls {
    type Err = BadCalls;
    fn from_str(text: &str) -> Result<Self, BadCalls> {
        Self::ALL.into_iter().find(|calls| calls.as_str() == text).ok_or(BadCalls)
    }
}

/// How a model is asked; what is not said is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOptions {
    /// How many tokens it reads and writes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<ContextTokens>,
    /// How much it thinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// How it calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
}

impl ModelOptions {
    /// The same, with what `other` says where nothing is said.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            context_tokens: self.context_tokens.or(other.context_tokens),
            think: self.think.or(other.think),
            calls: self.calls.or(other.calls),
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How models are asked: all of them, and some in another way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// What holds for each that nothing else is said of.
    #[serde(flatten)]
    pub all: ModelOptions,
    /// What holds for a model, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<Box<str>, ModelOptions>,
}

impl Tuning {
    /// How the model of that name is asked.
    #[must_use]
    pub fn of(&self, model: &str) -> ModelOptions {
        self.models.get(model).copied().unwrap_or_default().or(self.all)
    }

    /// How models call tools, and nothing else of what is said.
    #[must_use]
    pub fn of_calls(&self) -> Self {
        let of = |options: &ModelOptions| ModelOptions {
            calls: options.calls,
            ..ModelOptions::default()
        };
        let models = self.models.iter().map(|(model, options)| (model.clone(), of(options)));
        let models = models.filter(|(_, options)| !options.is_default());
        Self { all: of(&self.all), models: models.collect() }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_model_stands_above_what_is_said_of_all() {
        let text = r#"{"context_tokens":8192,"models":{"a":{"context_tokens":4096},"b":{"think":"high"}}}"#;
        let tuning: Tuning = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&tuning).unwrap(), text);
        let of = |model| {
            let ModelOptions { context_tokens, think, calls: _ } = tuning.of(model);
            (context_tokens.map(ContextTokens::get), think)
        };
        assert_eq!(of("a"), (Some(4096), None));
        assert_eq!(of("b"), (Some(8192), Some(Think::High)));
        assert_eq!(of("c"), (Some(8192), None));
    }

    #[test]
    fn how_models_call_tools_is_told_apart_from_the_rest() {
        let text = r#"{"think":"off","models":{"a":{"calls":"format"},"b":{"think":"high"}}}"#;
        let tuning: Tuning = serde_json::from_str(text).unwrap();
        assert_eq!(
            (tuning.of("a").calls, tuning.of("b").calls.unwrap_or_default()),
            (Some(Calls::Format), Calls::Native)
        );
        let told = serde_json::to_string(&tuning.of_calls()).unwrap();
        assert_eq!(told, r#"{"models":{"a":{"calls":"format"}}}"#);
        for calls in Calls::ALL {
            assert_eq!(calls.as_str().parse(), Ok(calls));
            assert_eq!(serde_json::to_value(calls).unwrap(), calls.as_str());
        }
        assert_eq!("json".parse::<Calls>(), Err(BadCalls));
    }

    #[test]
    fn a_context_is_neither_too_short_to_work_with_nor_longer_than_any_is() {
        let read = |text: &str| text.parse().map(ContextTokens::get);
        assert_eq!((read("2048"), read("16777216")), (Ok(2048), Ok(1 << 24)));
        for bad in ["2047", "16777217", "-1", "8k", ""] {
            assert_eq!(read(bad), Err(BadContextTokens), "{bad}");
        }
        assert!(serde_json::from_str::<ContextTokens>("1").is_err());
        for think in Think::ALL {
            assert_eq!(think.as_str().parse(), Ok(think));
            assert_eq!(serde_json::to_value(think).unwrap(), think.as_str());
        }
        assert_eq!("maybe".parse::<Think>(), Err(BadThink));
    }
}
