//! This file reads what a shell operation is to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agentcom_core::json::Json;
use serde::Deserialize;

use super::RESULT_BYTES_MAX;

/// The input of a shell operation: `{"command": "make test"}` for `/bin/sh -c`, or
/// `{"argv": ["make", "test"]}` for a program without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShellInput {
    /// A text for `/bin/sh -c`.
    #[serde(default)]
    pub command: Option<String>,
    /// A program and its arguments.
    #[serde(default)]
    pub argv: Option<Vec<String>>,
    /// Where it runs, relative to the executor's directory.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// Additional environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Exit codes after which no further attempt is made.
    #[serde(default)]
    pub permanent_exit_codes: Vec<i32>,
    /// How many bytes of each of its outputs are kept at most: as much as fits, unless said.
    #[serde(default)]
    pub output_bytes_max: Option<usize>,
    /// What it reads from standard input.
    #[serde(default)]
    pub stdin: Option<String>,
}

/// Why an input is no command.
#[derive(Debug, thiserror::Error)]
pub enum BadShellInput {
    /// It is not of the expected shape.
    #[error("bad shell input: {0}")]
    Shape(#[from] serde_json::Error),
    /// It names no command, or two.
    #[error("bad shell input: give either `command` or `argv`")]
    Command,
    /// The system cannot represent a text.
    #[error("bad shell input: {0} holds a NUL character, or is empty where it must not be")]
    Text(&'static str),
}

impl ShellInput {
    /// Reads an operation's input.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(input: &Json) -> Result<Self, BadShellInput> {
        let read: Self = input.read()?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), BadShellInput> {
        let words: &[String] = match (&self.command, &self.argv) {
            (Some(text), None) => std::slice::from_ref(text),
            (None, Some(argv)) => argv,
            (None, None) | (Some(_), Some(_)) => return Err(BadShellInput::Command),
        };
        if words.first().is_none_or(String::is_empty) || words.iter().any(|word| has_nul(word)) {
            return Err(BadShellInput::Text("the command"));
        }
        let bad_name = |name: &str| name.is_empty() || name.contains('=') || has_nul(name);
        if self.env.iter().any(|(name, value)| bad_name(name) || has_nul(value)) {
            return Err(BadShellInput::Text("`env`"));
        }
        if self.cwd.as_ref().is_some_and(|cwd| cwd.as_os_str().as_encoded_bytes().contains(&0)) {
            return Err(BadShellInput::Text("`cwd`"));
        }
        Ok(())
    }

    /// The program and its arguments.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        match (&self.command, &self.argv) {
            (Some(text), _) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
            (None, argv) => argv.clone().unwrap_or_default(),
        }
    }

    /// How many bytes of each output are kept.
    #[must_use]
    pub fn output_bytes_max(&self) -> usize {
        self.output_bytes_max.unwrap_or(RESULT_BYTES_MAX).min(RESULT_BYTES_MAX)
    }
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<String>> {
        let json = Json::parse(text).unwrap();
        ShellInput::read(&json).map(|input| input.argv()).ok()
    }

    #[test]
    fn a_command_goes_to_the_shell_and_an_argv_does_not() {
        assert_eq!(read(r#"{"command":"a | b"}"#).unwrap(), ["/bin/sh", "-c", "a | b"]);
        assert_eq!(read(r#"{"argv":["a", "|"]}"#).unwrap(), ["a", "|"]);
    }

    #[test]
    fn input_that_is_no_command_is_refused() {
        for text in [
            "null",
            "{}",
            "[]",
            r#""ls""#,
            r#"{"argv":[]}"#,
            r#"{"argv":[""]}"#,
            r#"{"command":""}"#,
            r#"{"command":"a","argv":["a"]}"#,
            r#"{"command":"a","comand":"b"}"#,
            r#"{"command":"a\u0000"}"#,
            r#"{"command":"a","env":{"A=B":"c"}}"#,
            r#"{"command":"a","env":{"":"c"}}"#,
            r#"{"command":"a","cwd":"\u0000"}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
