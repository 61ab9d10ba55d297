//! This file describes repositories that operators know, and tells addresses of one repository from
//! those of others.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::name::{BadName, Capability, Kind, ModelName, Repo, RepoName};
use crate::route::is_of_models;
use crate::task::Tier;

/// A repository, as an operator describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// What people call it.
    pub name: RepoName,
    /// Its address, for whatever address of it a task names.
    pub url: Repo,
    /// What does tasks about it that do not say what runs them; the first that is for the tier counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executors: Vec<Runs>,
}

/// A kind of operation, with which model, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// The kind.
    pub kind: Kind,
    /// The model, for tasks that name none; whoever runs the operation chooses unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// The tiers of tasks that it is for; none are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

impl Registered {
    /// The most repositories that can be registered.
    pub const COUNT_MAX: usize = 256;
    /// The most that can do tasks about one.
    pub const EXECUTORS_MAX: usize = 16;

    /// A repository of which nothing is said.
    #[must_use]
    pub const fn new(name: RepoName, url: Repo) -> Self {
        Self { name, url, executors: Vec::new() }
    }

    /// Whether it is meant by what a task says: its name, or an address of it.
    #[must_use]
    pub fn is_meant(&self, repo: &Repo) -> bool {
        repo.as_str() == self.name.as_str() || is_same(repo, &self.url)
    }

    /// Whether its address holds a secret, which would be told to whoever may look at repositories: a
    /// password, or anybody at all where names of users can be tokens.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        let Some((scheme, rest)) = self.url.as_str().split_once("://") else { return false };
        let before = rest.split('/').next().and_then(|host| host.rsplit_once('@'));
        before.is_some_and(|(who, _)| scheme != "ssh" || who.contains(':'))
    }

    /// What does tasks of a tier about it, if that was said.
    #[must_use]
    pub fn executor(&self, tier: Tier) -> Option<&Runs> {
        self.executors.iter().find(|runs| runs.tiers.is_empty() || runs.tiers.contains(&tier))
    }
}

/// Whether two addresses are of one repository.
#[must_use]
pub fn is_same(one: &Repo, other: &Repo) -> bool {
    one == other || place_of(one.as_str()) == place_of(other.as_str())
}

/// What an agent can do that has a clone of the repository at `address`: tasks of models about that
/// one, and about no other that it does not have as well.
///
/// # Errors
///
/// If the address holds what no [`Capability`] may.
pub fn capability_of(address: &str) -> Result<Capability, BadName> {
    let place = place_of(address);
    // Of what is too long the end tells more. Who has the clone looks at the whole address.
    let room = Capability::BYTES_MAX - PREFIX.len();
    let cut = place.ceil_char_boundary(place.len().saturating_sub(room));
    Capability::new(&alloc::format!("{PREFIX}{}", &place[cut..]))
}

/// What capabilities for repositories begin with.
const PREFIX: &str = "repo:";

/// The repository that an agent with these capabilities lacks for an operation of `kind`. An agent
/// that names no repository is believed to have them all, and says itself if it does not.
#[must_use]
pub fn lacking(
    capabilities: &[Capability],
    kind: &Kind,
    repo: Option<&Repo>,
) -> Option<Capability> {
    let repo = repo.filter(|_| is_of_models(kind))?;
    let mut named = capabilities.iter().filter(|it| it.as_str().starts_with(PREFIX)).peekable();
    named.peek()?;
    let wanted = capability_of(repo.as_str()).ok()?;
    named.all(|it| *it != wanted).then_some(wanted)
}

/// Host and path of an address, which are the same for all addresses of a repository, however it is
/// reached and by whom: `host/owner/name` for `https://host/owner/name.git` and `git@host:owner/name`.
#[must_use]
pub fn place_of(address: &str) -> String {
    let address = address.trim().trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    let (is_url, rest) = match address.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, address),
    };
    // Who reaches it, and with which secret, stands before the host.
    let end = rest.find('/').unwrap_or(rest.len());
    let rest = rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    let (host, path) = match rest.find(['/', ':']) {
        // A path on this machine.
        Some(0) | None => return rest.to_owned(),
        Some(end) => (&rest[..end], &rest[end + 1..]),
    };
    let port = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let path = match path.split_once('/') {
        Some((first, rest)) if is_url && port(first) => rest,
        _ => path,
    };
    alloc::format!("{}/{}", host.to_ascii_lowercase(), path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_has_is_the_repository_and_not_its_address() {
        let of = |address: &str| capability_of(address).unwrap();
        assert_eq!(of("git@host.org:owner/name.git").as_str(), "repo:host.org/owner/name");
        let long = alloc::format!("https://host.org/{}/name", "ü".repeat(100));
        assert_eq!(of(&long).as_str().len(), Capability::BYTES_MAX);
        assert!(of(&long).as_str().ends_with("ü/name"));
        assert!(capability_of("/srv/two words").is_err());
    }

    #[test]
    fn who_names_repositories_has_those_and_who_names_none_has_all() {
        let kind = |kind: &str| Kind::new(kind).unwrap();
        let repo = Repo::new("https://host.org/owner/name").unwrap();
        let own = capability_of("ssh://git@host.org/owner/name").unwrap();
        let other = capability_of("https://host.org/owner/other").unwrap();
        let lacks = |has: &[Capability], doing: &str| {
            lacking(has, &kind(doing), Some(&repo)).map(|it| String::from(it.as_str()))
        };
        assert_eq!(lacks(&[Capability::new("gpu").unwrap()], "code"), None);
        assert_eq!(lacks(&[other.clone(), own], "code"), None);
        let other_only = core::slice::from_ref(&other);
        assert_eq!(lacks(other_only, "acp").as_deref(), Some("repo:host.org/owner/name"));
        assert_eq!(lacks(other_only, "shell"), None);
        assert_eq!(lacking(other_only, &kind("code"), None), None);
    }

    #[test]
    fn the_first_choice_that_is_for_the_tier_counts_and_addresses_hold_no_secrets() {
        let name = RepoName::new("web").unwrap();
        let mut repo = Registered::new(name, Repo::new("https://host.org/owner/name").unwrap());
        assert_eq!(repo.executor(Tier::Complex), None);
        let runs = |kind: &str, tiers: &[Tier]| Runs {
            kind: Kind::new(kind).unwrap(),
            model: None,
            tiers: tiers.into(),
        };
        repo.executors = Vec::from([runs("acp", &[Tier::Complex]), runs("code", &[])]);
        let kinds =
            [Tier::Complex, Tier::Standard].map(|tier| repo.executor(tier).unwrap().kind.as_str());
        assert_eq!(kinds, ["acp", "code"]);
        let meant = |text: &str| repo.is_meant(&Repo::new(text).unwrap());
        assert!(!repo.has_secret());
        for (url, is_secret) in [
            ("https://me:word@host/own/name", true),
            ("https://token@host/own/name", true),
            ("ssh://git:word@host/own/name", true),
            ("ssh://git@host:22/own/name", false),
            ("git@host:own/na@me", false),
            ("https://host/own/a:b@c", false),
        ] {
            let repo = Registered { url: Repo::new(url).unwrap(), ..repo.clone() };
            assert_eq!(repo.has_secret(), is_secret, "{url}");
        }
        assert!(meant("web") && meant("git@host.org:owner/name") && !meant("webs"));
    }

    #[test]
    fn one_repository_has_many_addresses() {
        let known = "https://host.org/owner/name";
        for same in [
            "https://host.org/owner/name.git/",
            "http://Host.org:8080/owner/name",
            "git@host.org:owner/name.git",
            "ssh://git@host.org/owner/name",
            "ssh://git@host.org:22/owner/name.git",
            "https://who:secret@host.org/owner/name",
        ] {
            assert_eq!(place_of(same), place_of(known), "{same}");
        }
        for other in [
            "https://host.org/owner/names",
            "https://other.org/owner/name",
            "git@host.org:another/name",
            "/srv/host.org/owner/name",
            "name",
        ] {
            assert_ne!(place_of(other), place_of(known), "{other}");
        }
        assert_eq!(place_of("/srv/a.git"), "/srv/a");
    }
}
