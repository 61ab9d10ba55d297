//! This file holds the short texts that name things; a value that exists is valid.

use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use serde::{Deserialize, Serialize, Serializer};

/// Why a text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {why}")]
pub struct BadName {
    /// What the text was to name.
    pub what: &'static str,
    /// The rule that it breaks.
    pub why: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name($inner);

        impl $name {
            /// The longest text allowed, in bytes.
            pub const BYTES_MAX: usize = $max;

            /// Takes `text` if it is allowed.
            ///
            /// # Errors
            ///
            /// The rule that `text` breaks.
            pub fn new(text: &str) -> Result<Self, BadName> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }

            fn check(text: &str) -> Result<(), BadName> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(BadName { what: $what, why: "must not be empty" });
                }
                if text.len() > Self::BYTES_MAX {
                    return Err(BadName { what: $what, why: concat!("must be at most ", $max, " bytes") });
                }
                if !text.chars().all(allowed) {
                    return Err(BadName { what: $what, why: $rule });
                }
                Ok(())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                Self::from(&*name.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Names an agent. Clones share the text.
    AgentId(Arc<str>),
    "agent id",
    128,
    |c| c.is_ascii_alphanumeric() || "._:@-".contains(c),
    "may hold only ASCII letters, digits and ._:@-"
);
name!(
    /// Names an operator. Clones share the text.
    OperatorId(Arc<str>),
    "name of a token",
    64,
    |c| c.is_ascii_alphanumeric() || "._-".contains(c),
    "may hold only ASCII letters, digits and ._-"
);
name!(
    /// Something that an agent can do and a task can need; compared as exact text.
    Capability(Box<str>),
    "capability",
    128,
    |c| !c.is_control() && !c.is_whitespace(),
    "must not hold spaces or control characters"
);
name!(
    /// The kind of an operation, such as `shell`: which executor runs it.
    Kind(Box<str>),
    "kind",
    64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c),
    "may hold only lower-case ASCII letters, digits and ._-"
);
name!(
    /// What a limit, a rate, a fair share or an idempotent submission is keyed by.
    Key(Box<str>),
    "key",
    256,
    |c| !c.is_control(),
    "must not hold control characters"
);
name!(
    /// A free label that groups tasks.
    Tag(Box<str>),
    "tag",
    64,
    |c| !c.is_control() && !c.is_whitespace(),
    "must not hold spaces or control characters"
);
name!(
    /// The address of a repository.
    Repo(Box<str>),
    "repo",
    512,
    |c| !c.is_control() && !c.is_whitespace(),
    "must not hold spaces or control characters"
);
name!(
    /// What people call a repository.
    RepoName(Box<str>),
    "repository",
    64,
    |c| c.is_ascii_alphanumeric() || "._-".contains(c),
    "may hold only ASCII letters, digits and ._-"
);
name!(
    /// The goal that a task serves.
    GoalId(Box<str>),
    "goal id",
    64,
    |c| c.is_ascii_alphanumeric() || "._-".contains(c),
    "may hold only ASCII letters, digits and ._-"
);
name!(
    /// Names a language model, as its server does.
    ModelName(Box<str>),
    "model",
    128,
    |c| !c.is_control() && !c.is_whitespace(),
    "must not hold spaces or control characters"
);

name!(
    /// Names a server of models. Clones share the text.
    EndpointId(Arc<str>),
    "endpoint",
    64,
    |c| c.is_ascii_alphanumeric() || "._-".contains(c),
    "may hold only ASCII letters, digits and ._-"
);
name!(
    /// Names a key to servers of models; whoever has the key holds it under this name.
    Credential(Arc<str>),
    "credential",
    64,
    |c| c.is_ascii_alphanumeric() || "._-".contains(c),
    "may hold only ASCII letters, digits and ._-"
);

name!(
    /// Names what is too long for a record, such as all that a model said: the SHA-256 of its content, in
    /// hexadecimal digits. Whoever made it has it under this name.
    BlobId(Box<str>),
    "blob",
    64,
    |c| c.is_ascii_digit() || ('a'..='f').contains(&c),
    "may hold only the digits 0-9 and a-f"
);

impl From<&EndpointId> for Credential {
    /// What stands for the key of a server that wants none.
    fn from(id: &EndpointId) -> Self {
        Self(id.0.clone())
    }
}

/// What the capabilities of those who announced an endpoint begin with.
const OF_ENDPOINT: &str = "models:";

impl Capability {
    /// What an agent can do that has a key.
    #[must_use]
    pub fn key(credential: &Credential) -> Self {
        Self(alloc::format!("key-{credential}").into())
    }

    /// What an agent can do that announced an endpoint.
    #[must_use]
    pub fn of_endpoint(id: &EndpointId) -> Self {
        Self(alloc::format!("{OF_ENDPOINT}{id}").into())
    }

    /// Whether only who announced an endpoint can do it.
    #[must_use]
    pub fn is_of_endpoint(&self) -> bool {
        self.0.starts_with(OF_ENDPOINT)
    }

    /// What an agent can do that has an executor of a kind; none if there can be no such kind.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        Kind::new(kind).ok().map(|kind| Self(alloc::format!("exec:{kind}").into()))
    }
}

impl Repo {
    /// Takes an address in the one form in which addresses are compared: trimmed, without a
    /// trailing slash or `.git`.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn normalised(text: &str) -> Result<Self, BadName> {
        let text = text.trim().trim_end_matches('/');
        Self::new(text.strip_suffix(".git").unwrap_or(text))
    }
}

/// Who asked for something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Principal {
    /// The hub itself.
    System,
    /// Whoever holds the admin token.
    Admin,
    /// An agent.
    Agent(AgentId),
    /// Whoever holds a token of this name, with the rights that the hub has stored for it.
    Operator(OperatorId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Admin => f.write_str("admin"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
            Self::Operator(operator) => write!(f, "operator:{operator}"),
        }
    }
}

impl FromStr for Principal {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match (text, text.split_once(':')) {
            ("system", _) => Ok(Self::System),
            ("admin", _) => Ok(Self::Admin),
            (_, Some(("agent", agent))) => AgentId::new(agent).map(Self::Agent),
            (_, Some(("operator", operator))) => OperatorId::new(operator).map(Self::Operator),
            _ => Err(BadName {
                what: "principal",
                why: "must be system, admin, agent:NAME or operator:NAME",
            }),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        use alloc::string::ToString;
        principal.to_string()
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_say_which_rule_a_text_breaks() {
        let why = |text: &str| AgentId::new(text).map_err(|bad| bad.to_string());
        assert_eq!(why(""), Err("agent id must not be empty".to_string()));
        assert_eq!(
            why("a b"),
            Err("agent id may hold only ASCII letters, digits and ._:@-".to_string())
        );
        assert_eq!(why(&"x".repeat(129)), Err("agent id must be at most 128 bytes".to_string()));
        assert!(why("gcu-sleeper-service").is_ok());
    }

    #[test]
    fn one_repository_has_one_address() {
        let plain = Repo::new("https://host/a/b").ok();
        assert_eq!(Repo::normalised(" https://host/a/b.git/ ").ok(), plain);
        assert_eq!(Repo::normalised("https://host/a/b/").ok(), plain);
    }

    #[test]
    fn principals_read_what_they_write() {
        for text in ["system", "admin", "agent:a-1", "agent:a:1", "operator:ci"] {
            assert_eq!(text.parse::<Principal>().map(|p| p.to_string()), Ok(text.to_string()));
        }
        assert!("root".parse::<Principal>().is_err());
    }
}
