//! This file reads which servers there are, from a file of the form that most programs share:
//!
//! ```json
//! { "mcpServers": {
//!     "files": { "command": "mcp-files", "args": ["/data"], "env": { "KEY": "${FILES_KEY}" } },
//!     "wiki": {
//!       "type": "http", "url": "https://wiki.example.org/mcp",
//!       "headers": { "Authorization": "Bearer ${WIKI_TOKEN}" },
//!       "agentcom": {
//!         "tools": ["search", "page"], "timeout_ms": 20000,
//!         "reach": { "search": ["untrusted"], "*": ["untrusted", "private"] }
//!       }
//!     },
//!     "github": { "agentcom": { "preset": "github" } }
//! } }
//! ```
//!
//! `${NAME}` (also `${env:NAME}`, and `${NAME:-otherwise}`) is what the environment says, so that no
//! secret has to be in the file. What other programs write there for themselves is not heeded; what is
//! written for this one, in `agentcom`, has to be known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::{Preset, Reaches, Server, Way, http};

/// Why servers cannot be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum BadServers {
    /// It is no JSON, or has no object `mcpServers`.
    #[error("it is no file of MCP servers: {0}")]
    File(#[from] serde_json::Error),
    /// An entry cannot be used.
    #[error("the MCP server `{name}`: {why}")]
    Entry {
        /// The name of the entry.
        name: String,
        /// What is wrong with it.
        why: BadEntry,
    },
}

/// Why an entry of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadEntry {
    /// A field is of another type, or one of ours is unknown.
    #[error("{0}")]
    Field(#[from] serde_json::Error),
    /// Its name cannot be the beginning of a tool's.
    #[error("a name is 1 to 32 letters, digits, `-` and single `_`, of which none is the last")]
    Name,
    /// It says nothing of where the server is, or more than one thing.
    #[error("it needs either `command`, `url` or a preset")]
    Way,
    /// It is a server that speaks as nobody does any more.
    #[error(
        "`type` is `{0}`; it can be `stdio` or `http`, and servers that had `sse` have `http` as well"
    )]
    Type(String),
    /// Its address is none.
    #[error("`url` begins with neither http:// nor https://")]
    Url,
    /// A header cannot be sent.
    #[error("{0}")]
    Header(String),
    /// A variable of the environment is not set.
    #[error("{0} is not set in the environment")]
    NotSet(String),
    /// What is between `${` and `}` is no name of a variable.
    #[error(
        "`${{` begins the name of a variable, which is letters, digits and `_`, and ends with `}}`"
    )]
    Variable,
    /// There is no such preset.
    #[error("there is no preset `{0}`; there are {names}", names = Preset::names())]
    Preset(String),
    /// What its tools have to do with the world is none of the three things.
    #[error(
        "`reach` is a list of `untrusted`, `private` and `outward`, or such a list for each tool and `*`"
    )]
    Reach,
    /// How long it may take is too short or too long.
    #[error("`timeout_ms` is 1 to {}", Server::WITHIN_MAX.as_millis())]
    Timeout,
}

/// Looks a variable of the environment up.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the servers of a file, in the order of their names.
///
/// # Errors
///
/// The first that is wrong, and where.
pub fn read(text: &str, env: Env<'_>) -> Result<Vec<Server>, BadServers> {
    let file: File = serde_json::from_str(text)?;
    let server = |(name, entry): (String, Value)| {
        let read = serde_json::from_value(entry).map_err(BadEntry::from);
        let read = read.and_then(|entry: Entry| entry.server(&name, env));
        read.map_err(|why| BadServers::Entry { name, why })
    };
    file.servers.into_iter().map(server).collect()
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    r#type: Option<String>,
    command: Option<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<String>,
    url: Option<String>,
    headers: BTreeMap<String, String>,
    agentcom: Ours,
}

/// What is written for this program.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ours {
    preset: Option<String>,
    tools: Option<BTreeSet<String>>,
    reach: Option<Value>,
    timeout_ms: Option<u64>,
}

impl Entry {
    fn server(self, name: &str, env: Env<'_>) -> Result<Server, BadEntry> {
        if !is_name(name) {
            return Err(BadEntry::Name);
        }
        let reach = self.agentcom.reach.as_ref().map(reaches).transpose()?.unwrap_or_default();
        let server = match &self.agentcom.preset {
            Some(_) if self.command.is_some() || self.url.is_some() => return Err(BadEntry::Way),
            Some(preset) => {
                let known = Preset::of(preset).ok_or_else(|| BadEntry::Preset(preset.clone()))?;
                let preset: File = serde_json::from_str(known.text())?;
                let entry = preset.servers.into_values().next().ok_or(BadEntry::Way)?;
                serde_json::from_value::<Self>(entry)?.server(name, env)?
            }
            None => {
                let (way, secrets) = self.way(env)?;
                let (name, tools, reach) = (name.to_owned(), None, Reaches::default());
                Server { name, way, tools, reach, within: Server::WITHIN, secrets }
            }
        };
        let within = self.agentcom.timeout_ms.map(Duration::from_millis);
        if within.is_some_and(|within| within.is_zero() || within > Server::WITHIN_MAX) {
            return Err(BadEntry::Timeout);
        }
        Ok(Server {
            tools: self.agentcom.tools.or(server.tools),
            reach: server.reach.and(reach),
            within: within.unwrap_or(server.within),
            ..server
        })
    }

    /// How the server is reached, and what the environment says for what may be secret.
    fn way(&self, env: Env<'_>) -> Result<(Way, Vec<Secret>), BadEntry> {
        let shown = |text: &String| filled(text, env, &mut Vec::new());
        let mut said = Vec::new();
        let mut secret =
            |text: &String| filled(text, env, &mut said).map(|text| Secret::new(&text));
        let way = match (self.r#type.as_deref(), &self.command, &self.url) {
            (None | Some("stdio"), Some(command), None) => Way::Program {
                command: shown(command)?,
                args: self.args.iter().map(&mut secret).collect::<Result<_, _>>()?,
                env: each(&self.env, secret)?,
                cwd: self.cwd.as_ref().map_or(Ok(".".to_owned()), shown)?.into(),
            },
            (None | Some("http" | "streamable-http"), None, Some(url)) => {
                let url = secret(url)?;
                if !["http://", "https://"].iter().any(|begin| url.reveal().starts_with(begin)) {
                    return Err(BadEntry::Url);
                }
                let headers = each(&self.headers, secret)?;
                for (name, value) in &headers {
                    http::header(name, value).map_err(BadEntry::Header)?;
                }
                Way::Http { url, headers }
            }
            (Some(other), ..) if !matches!(other, "stdio" | "http" | "streamable-http") => {
                return Err(BadEntry::Type(other.to_owned()));
            }
            _ => return Err(BadEntry::Way),
        };
        Ok((way, said))
    }
}

/// What `secret` makes of each value.
fn each(
    map: &BTreeMap<String, String>,
    mut secret: impl FnMut(&String) -> Result<Secret, BadEntry>,
) -> Result<BTreeMap<String, Secret>, BadEntry> {
    map.iter().map(|(name, value)| Ok((name.clone(), secret(value)?))).collect()
}

/// Whether the first `__` of a tool's name always ends that of its server.
fn is_name(name: &str) -> bool {
    const BYTES_MAX: usize = 32;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=BYTES_MAX).contains(&name.len())
        && name.chars().all(is_fine)
        && !name.contains("__")
        && !name.ends_with('_')
}

fn reaches(said: &Value) -> Result<Reaches, BadEntry> {
    const OTHERS: &str = "*";
    let Value::Object(each) = said else { return Ok(Reaches::all(reach(said)?)) };
    let mut reaches =
        each.get(OTHERS).map(reach).transpose()?.map(Reaches::all).unwrap_or_default();
    for (tool, said) in each.iter().filter(|(tool, _)| *tool != OTHERS) {
        reaches = reaches.with(tool, reach(said)?);
    }
    Ok(reaches)
}

fn reach(said: &Value) -> Result<Reach, BadEntry> {
    let mut reach = Reach::default();
    for word in said.as_array().ok_or(BadEntry::Reach)? {
        match word.as_str() {
            Some("untrusted") => reach.untrusted = true,
            Some("private") => reach.private = true,
            Some("outward") => reach.outward = true,
            Some(_) | None => return Err(BadEntry::Reach),
        }
    }
    Ok(reach)
}

/// `text` with what the environment says in place of the names of its variables; that is put to `said`.
fn filled(text: &str, env: Env<'_>, said: &mut Vec<Secret>) -> Result<String, BadEntry> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (inside, after) = behind.split_once('}').ok_or(BadEntry::Variable)?;
        let inside = inside.strip_prefix("env:").unwrap_or(inside);
        let (name, otherwise) = match inside.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
            None => (inside, None),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(BadEntry::Variable);
        }
        let value = env(name).filter(|value| !value.is_empty());
        said.extend(value.as_deref().map(|value| Secret::new(value.trim())));
        let value = value.or(otherwise);
        filled.push_str(before);
        filled.push_str(value.ok_or_else(|| BadEntry::NotSet(name.to_owned()))?.trim());
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests;
