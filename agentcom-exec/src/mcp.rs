//! This file introduces the tools of MCP servers: of any program or service that speaks the [Model
//! Context Protocol](https://modelcontextprotocol.io), over standard input and output or over
//! streamable HTTP.
//!
//! ```text
//! file ──read──▶ Server ──open──▶ Connection ──tools──▶ RemoteTool: a Tool like any other
//! ```
//!
//! A server is trusted as far as its configuration goes: a program is *not* in the
//! [sandbox](crate::sandbox), since it is there to reach what models cannot. It runs under a
//! [guard](crate::guard) and sees [`Environment::ALLOWED`](crate::environment::Environment::ALLOWED) and
//! what its entry says, and nothing else of the environment.
//!
//! What a server says of itself is not believed where it matters: what its tools have to do with the
//! world ([`Reach`]) its entry says, and where nobody says it, they are refused.
//!
//! **Invariant:** whatever a server does, opening a connection and calling a tool end within
//! [`Server::within`], and what they give is bounded.

mod answer;
mod config;
mod connection;
mod http;
mod link;
mod paced;
mod preset;
mod program;
mod remote_tool;
mod schema;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use reqwest::Url;

pub use config::{BadEntry, BadServers, read};
pub use connection::Connection;
pub use preset::Preset;
pub use remote_tool::RemoteTool;

/// An MCP server, and what models may do with it.
#[derive(Clone, Debug)]
pub struct Server {
    /// What the names of its tools begin with.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// Those of its tools that there are for models; all of them if it is not said.
    pub tools: Option<BTreeSet<String>>,
    /// What its tools have to do with the world.
    pub reach: Reaches,
    /// How long it may take until its tools are known, and then to answer each call.
    pub within: Duration,
    /// What of all this is secret wherever it stands, such as what the environment said: never shown, but
    /// for what is part of the program's place as well.
    pub secrets: Vec<Secret>,
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub enum Way {
    /// It is a program that is started, and spoken with over its standard input and output.
    Program {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<Secret>,
        /// What it sees of the environment beside what all programs see.
        env: BTreeMap<String, Secret>,
        /// Where it runs.
        cwd: PathBuf,
    },
    /// It is a service that speaks streamable HTTP.
    Http {
        /// Where it is. What is behind a `?` is never shown.
        url: Secret,
        /// What is sent along with each request, such as `Authorization`.
        headers: BTreeMap<String, Secret>,
    },
}

impl Server {
    /// How long a server may take unless it is said.
    pub const WITHIN: Duration = Duration::from_secs(60);

    /// The most that can be said.
    pub const WITHIN_MAX: Duration = Duration::from_secs(600);

    /// Where it is, for people: nothing that may be secret.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.way {
            Way::Program { command, .. } => self.masked(command.clone()),
            Way::Http { url, .. } => self.masked(place_of(url.reveal())),
        }
    }

    fn is_program(&self) -> bool {
        matches!(self.way, Way::Program { .. })
    }

    fn error(&self, why: Why) -> McpError {
        McpError { server: self.name.clone(), why }
    }

    /// `text` of elsewhere as it may be shown: not too long, and without what is secret.
    fn shown(&self, text: &str) -> String {
        const BYTES_MAX: usize = 600;
        let mut text = text.to_owned();
        if let Way::Http { url, .. } = &self.way {
            // Errors have it as it is sent.
            let sent = Url::parse(url.reveal()).ok().map(without_user);
            for url in sent.iter().map(Url::as_str).chain([url.reveal()]) {
                text = text.replace(url, &place_of(url));
            }
        }
        let mut text = self.masked(text);
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        text.trim().to_owned()
    }

    /// `text` with what is secret made out.
    fn masked(&self, mut text: String) -> String {
        // What is shorter is no secret, but a word that may stand anywhere.
        const SECRET_BYTES_MIN: usize = 8;
        let (Way::Program { env: secrets, .. } | Way::Http { headers: secrets, .. }) = &self.way;
        let secrets = secrets.values().chain(&self.secrets);
        let mut words: Vec<&str> = secrets
            .filter_map(|secret| secret.reveal().split_ascii_whitespace().last())
            .filter(|word| word.len() >= SECRET_BYTES_MIN && !self.is_shown_anyway(word))
            .collect();
        // One may be part of another.
        words.sort_unstable_by_key(|word| Reverse(word.len()));
        for word in words {
            text = text.replace(word, "[secret]");
        }
        text
    }

    /// Whether `word` is part of which program the server is or of where it runs, as a home is. Everybody
    /// may know that.
    fn is_shown_anyway(&self, word: &str) -> bool {
        match &self.way {
            Way::Program { command, cwd, .. } => {
                command.contains(word) || cwd.to_string_lossy().contains(word)
            }
            Way::Http { .. } => false,
        }
    }
}

/// An address without what is behind a `?`, and without who asks there.
fn place_of(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn without_user(mut url: Url) -> Url {
    let _ = (url.set_username(""), url.set_password(None));
    url
}

/// What the tools of a server have to do with the world: [`Reach::ALL`] unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaches {
    tools: BTreeMap<String, Reach>,
    others: Option<Reach>,
}

impl Reaches {
    /// The same for all tools.
    #[must_use]
    pub const fn all(reach: Reach) -> Self {
        Self { tools: BTreeMap::new(), others: Some(reach) }
    }

    /// Says it of one tool.
    #[must_use]
    pub fn with(mut self, tool: &str, reach: Reach) -> Self {
        self.tools.insert(tool.to_owned(), reach);
        self
    }

    /// What a tool has to do with the world.
    #[must_use]
    pub fn of(&self, tool: &str) -> Reach {
        self.tools.get(tool).copied().or(self.others).unwrap_or(Reach::ALL)
    }

    /// What is said here, and above it what `more` says.
    fn and(mut self, more: Self) -> Self {
        if more.others.is_some() {
            self.others = more.others;
        }
        self.tools.extend(more.tools);
        self
    }
}

/// Why the tools of a server cannot be had. It may pass: a server is started anew for each task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MCP server `{server}` {why}")]
pub struct McpError {
    /// The name of the server.
    pub server: String,
    /// What it did.
    pub why: Why,
}

/// What a server did in place of telling its tools.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It cannot be started at this time.
    #[error("cannot be started: {0}")]
    NotStarted(String),
    /// Its program is not there, or is none.
    #[error("cannot be started: {0}")]
    NoProgram(String),
    /// It said nothing.
    #[error("did not answer within {} ms{}", within.as_millis(), behind(words))]
    Silent {
        /// How long it had.
        within: Duration,
        /// What it wrote to its standard error.
        words: String,
    },
    /// It has ended, or closed the connection.
    #[error("has ended{}", behind(.0))]
    Ended(String),
    /// It refused, cannot be reached, or speaks another protocol.
    #[error("cannot be used: {0}")]
    Unusable(String),
    /// It is a service that wants to be shown a token, or another one.
    #[error(
        "does not let us in; its entry needs a token that it knows, as `\"headers\": {{ \"Authorization\": \
         \"Bearer ${{NAME}}\" }}` says it, where NAME is a variable of the environment; nobody signs in \
         with a browser (OAuth){}",
        behind(.0)
    )]
    NotLetIn(String),
    /// It has more tools than are taken in.
    #[error("has more than {0} tools; an offer of that many helps no model")]
    TooManyTools(usize),
    /// It has a tool that no model can be told of.
    #[error("has a tool `{tool}` that cannot be used, as {why}; leave it out with `tools`")]
    BadTool {
        /// The name of the tool.
        tool: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It has two tools that models could not tell apart.
    #[error("has two tools that would both be called `{0}`; leave one out with `tools`")]
    SameName(String),
    /// It has no tools, or none of those that it is there for.
    #[error("has none of the tools that it is there for")]
    NoTools,
}

impl Why {
    /// Whether asking again later may help, with the entry of the server as it is.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::NotStarted(_) | Self::Silent { .. } | Self::Ended(_) | Self::Unusable(_) => true,
            Self::NoProgram(_)
            | Self::NotLetIn(_)
            | Self::TooManyTools(_)
            | Self::BadTool { .. }
            | Self::SameName(_)
            | Self::NoTools => false,
        }
    }
}

fn behind(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}
