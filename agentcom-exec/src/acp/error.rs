//! This file says what can go wrong with a foreign agent.

use std::time::Duration;

use crate::guard::{How, Refusal, RefusalKind};

/// Why a foreign agent did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcpError {
    /// Its program could not be started.
    #[error("the agent cannot be started: {}", .0.message)]
    NotStarted(Refusal),
    /// It ended in the middle of its work, or closed its output.
    #[error("the agent {}{}", ended(.how.as_ref()), after_colon(.words))]
    Gone {
        /// How its process ended, if it has.
        how: Option<How>,
        /// The last that it printed.
        words: String,
    },
    /// It speaks another version of the protocol.
    #[error("the agent speaks version {0} of the protocol, not 1")]
    Version(u64),
    /// It did not answer, or said nothing for too long.
    #[error("the agent has not answered `{to}` and said nothing for {after:?}")]
    Silent {
        /// What it was asked.
        to: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// It said no.
    #[error("the agent refuses `{to}`: {code} {message}")]
    Refused {
        /// What it was asked.
        to: &'static str,
        /// The code of the error.
        code: i64,
        /// What it says, for people.
        message: String,
    },
    /// Somebody has to log in first.
    #[error(
        "the agent wants somebody to log in first ({methods}); do so on this machine, hand its key on, or \
         name one of its ways to log in"
    )]
    LogIn {
        /// The ways that it offers.
        methods: String,
    },
    /// It cannot be logged in as was said.
    #[error("the agent has no way to log in called `{named}` ({methods})")]
    NoMethod {
        /// What was said.
        named: String,
        /// The ways that it offers.
        methods: String,
    },
    /// It has no model of that name, or lets nobody choose.
    #[error("the agent has no model `{0}`")]
    NoModel(String),
    /// It does not want to do the task.
    #[error("the agent declines")]
    Declined,
    /// It says that it was called off, which it was not.
    #[error("the agent stopped as if it were called off")]
    CalledOff,
    /// A line is longer than a message may be, in bytes.
    #[error("the agent sent a line of more than {0} bytes")]
    LongLine(usize),
    /// All that it said is more than anybody reads, in bytes.
    #[error("the agent sent more than {0} bytes")]
    TooMuch(u64),
    /// It does not read what it is told.
    #[error("the agent does not read what it is told")]
    Deaf,
    /// It says what is not in the protocol, over and over.
    #[error("the agent does not keep to the protocol: {0}")]
    Nonsense(String),
}

impl AcpError {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotStarted(refusal) => refusal.kind == RefusalKind::Machine,
            Self::Gone { .. }
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::CalledOff
            | Self::LongLine(_)
            | Self::TooMuch(_)
            | Self::Deaf
            | Self::Nonsense(_) => true,
            Self::Version(_)
            | Self::LogIn { .. }
            | Self::NoMethod { .. }
            | Self::NoModel(_)
            | Self::Declined => false,
        }
    }

    /// The code with which agents say that the quota of their model is used up, for a while: that of
    /// HTTP, as the Gemini CLI has it. The protocol has none.
    pub const QUOTA: i64 = 429;
    /// When to ask again after that, since nobody says.
    pub const QUOTA_AFTER: Duration = Duration::from_secs(60);

    /// Whether the quota of its model is used up.
    #[must_use]
    pub const fn is_quota(&self) -> bool {
        matches!(self, Self::Refused { code: Self::QUOTA, .. })
    }

    /// Whether its model was not asked anything yet.
    #[must_use]
    pub fn is_free(&self) -> bool {
        match self {
            Self::NotStarted(_)
            | Self::Version(_)
            | Self::LogIn { .. }
            | Self::NoMethod { .. }
            | Self::NoModel(_) => true,
            Self::Gone { .. }
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::Declined
            | Self::CalledOff
            | Self::LongLine(_)
            | Self::TooMuch(_)
            | Self::Deaf
            | Self::Nonsense(_) => false,
        }
    }
}

fn ended(how: Option<&How>) -> String {
    match how {
        Some(How::Exited(code)) => format!("ended with exit code {code}"),
        Some(How::Signalled(signal)) => format!("was killed by signal {signal}"),
        None => "closed its output".to_owned(),
    }
}

fn after_colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}
