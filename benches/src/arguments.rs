//! This file reads the arguments of a bench: `--name value` pairs with defaults, and bare words.

use std::collections::BTreeMap;

use crate::Outcome;

/// The arguments of a bench.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    words: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    /// Those of this process. `--bench`, which cargo adds, is left out.
    ///
    /// # Errors
    ///
    /// If a name has no value.
    pub fn read() -> Outcome<Self> {
        let mut arguments = Self::default();
        let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = rest.next() {
            if let Some(name) = argument.strip_prefix("--") {
                let value = rest.next().ok_or_else(|| format!("--{name} needs a value"))?;
                arguments.named.insert(name.into(), value);
            } else {
                arguments.words.push(argument);
            }
        }
        Ok(arguments)
    }

    /// The number with a name, or `default`.
    ///
    /// # Errors
    ///
    /// If it is no number.
    pub fn number(&self, name: &str, default: usize) -> Outcome<usize> {
        let Some(text) = self.named.get(name) else { return Ok(default) };
        let number = text.replace('_', "").parse();
        number.map_err(|_| format!("--{name} needs a number, not `{text}`").into())
    }

    /// The text with a name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// A bare word, by its position.
    #[must_use]
    pub fn word(&self, position: usize) -> Option<&str> {
        self.words.get(position).map(String::as_str)
    }
}
