//! This file says how the command ends: its exit codes, and what a failure tells people and scripts.

use std::fmt;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::json;

/// How the command ends. Scripts may rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Failure = 1,
    Unsuccessful = 3,
    NotAllowed = 4,
    NotFound = 5,
    Conflict = 6,
    Usage = 64,
    Unavailable = 69,
    Store = 74,
    TryAgain = 75,
    TokenRefused = 77,
    Interrupted = 130,
}

impl Exit {
    /// All codes with what they mean.
    pub(crate) const ALL: [(Self, &'static str); 12] = [
        (Self::Ok, "it is done"),
        (Self::Failure, "something else failed; the message says what"),
        (Self::Unsuccessful, "the task that was waited for ended without success"),
        (Self::NotAllowed, "a token is needed and none was found, or it does not allow this"),
        (Self::NotFound, "there is no such task, agent or question"),
        (Self::Conflict, "the request does not fit the state of things"),
        (Self::Usage, "the command line, a file or a field of the request breaks a rule"),
        (Self::Unavailable, "no hub answers, or it cannot listen where it should"),
        (Self::Store, "the data of the hub cannot be opened, read or written"),
        (Self::TryAgain, "it took too long, or the hub is busy: try again"),
        (Self::TokenRefused, "the hub does not know the token, or it has expired"),
        (Self::Interrupted, "it was interrupted by Ctrl-C"),
    ];

    /// The code for an answer of the hub that is no success.
    pub(crate) fn of_status(status: u16, had_token: bool) -> Self {
        match status {
            400 | 405 | 411 | 413 | 414 | 415 | 422 | 431 => Self::Usage,
            401 if had_token => Self::TokenRefused,
            401 | 403 => Self::NotAllowed,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            408 | 425 | 429 | 503 | 504 => Self::TryAgain,
            507 => Self::Store,
            _ => Self::Failure,
        }
    }
}

/// Why the command did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty if everything was said.
    pub(crate) message: String,
    /// One line for each field or item that is wrong.
    pub(crate) details: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), details: Vec::new(), hint: None }
    }

    /// An end that needs no words.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// Tells people, or a script if `json`, on the error stream.
    pub(crate) fn report(&self, json: bool) {
        if self.message.is_empty() {
            return;
        }
        let mut text = Vec::new();
        let written = if json { self.write_json(&mut text) } else { self.write_text(&mut text) };
        if written.is_ok() {
            // Nobody can be told that the error stream is closed.
            let _ = anstream::stderr().write_all(&text);
        }
    }

    fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{ERROR}error:{ERROR:#} {}", self.message)?;
        for detail in &self.details {
            writeln!(out, "  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "{HINT}hint:{HINT:#} {hint}")?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let error = json!({
            "error": self.message,
            "details": self.details,
            "hint": self.hint,
            "exit_code": self.exit as u8,
        });
        writeln!(out, "{error}")
    }
}

impl From<io::Error> for Failure {
    /// A reader that went away, as `head` does, has seen all it wanted.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Ok);
        }
        Self::new(Exit::Failure, error)
    }
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn answers_of_the_hub_have_exit_codes() {
        let codes = |had_token| {
            let statuses = [400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503, 507];
            statuses
                .map(|status| format!("{status}:{}", Exit::of_status(status, had_token) as u8))
                .join(" ")
        };
        expect!["400:64 401:77 403:4 404:5 409:6 410:5 413:64 422:64 429:75 500:1 503:75 507:74"]
            .assert_eq(&codes(true));
        expect!["400:64 401:4 403:4 404:5 409:6 410:5 413:64 422:64 429:75 500:1 503:75 507:74"]
            .assert_eq(&codes(false));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure, Failure::silent(Exit::Ok));
    }

    #[test]
    fn failures_speak_to_people_and_to_scripts() {
        let mut failure = Failure::new(Exit::Usage, "the task breaks a rule").hint("see --help");
        failure.details.push("priority: unknown".into());
        let (mut text, mut json) = (Vec::new(), Vec::new());
        failure.write_text(&mut text).unwrap();
        failure.write_json(&mut json).unwrap();
        expect![[r"
            error: the task breaks a rule
              priority: unknown
            hint: see --help
        "]]
        .assert_eq(&anstream::adapter::strip_str(&String::from_utf8(text).unwrap()).to_string());
        expect![[r#"
            {"details":["priority: unknown"],"error":"the task breaks a rule","exit_code":64,"hint":"see --help"}
        "#]]
        .assert_eq(&String::from_utf8(json).unwrap());
    }
}
