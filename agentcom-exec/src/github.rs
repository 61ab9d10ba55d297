//! This file opens pull requests at GitHub, once for each branch.
//!
//! **Invariant:** asking again for the same branch finds the pull request that is there, and changes in
//! it only what was written here before.

mod body;

use std::fmt;
use std::time::Duration;

use agentcom_core::repo::place_of;
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use body::{Checked, Evidence, body_of, title_of, with_evidence};

use crate::web;

/// Where GitHub's REST API is.
pub const API: &str = "https://api.github.com";
/// The version of the API that is spoken; see GitHub's "API versions".
const VERSION: &str = "2022-11-28";
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A repository, by its owner and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Whose it is.
    pub owner: String,
    /// What it is called.
    pub name: String,
}

/// Who reads a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Anybody.
    Public,
    /// Those who were let in.
    Private,
}

/// A pull request to open.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The branch with the change.
    pub head: &'a str,
    /// The branch that it is to go to.
    pub base: &'a str,
    /// Its first line.
    pub title: &'a str,
    /// What it is about and what speaks for it.
    pub body: &'a str,
    /// Whether it is not ready for review. One that is open already stays what it is: only people, and
    /// GitHub's GraphQL API, make one of the other.
    pub draft: bool,
}

/// A pull request that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Where people see it.
    pub url: String,
    /// Whether it was there already.
    pub existed: bool,
    /// Whether it is a draft.
    pub draft: bool,
}

/// Why there is no pull request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// Nobody answers, or not in time.
    #[error("{api} cannot be reached: {why}")]
    Unreachable {
        /// The address of the API.
        api: String,
        /// What was wrong.
        why: String,
    },
    /// The token is not known, or not allowed to do this.
    #[error("GitHub does not accept the token: {0}")]
    Token(String),
    /// There is no such repository, for this token at least.
    #[error("GitHub knows no repository {owner}/{name}, or does not show it to this token", owner = .0.owner, name = .0.name)]
    NoRepository(Repository),
    /// Too much was asked; try again later.
    #[error("GitHub asks to wait{}", after.map(|secs| format!(" for {secs} s")).unwrap_or_default())]
    Busy {
        /// In how many seconds, if it said so.
        after: Option<u64>,
    },
    /// It says no.
    #[error("GitHub refuses with status {status}: {why}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        why: String,
    },
}

impl GitHubError {
    /// How long to wait at the least before the same is asked again; nothing if that is of no use, or
    /// GitHub does not say.
    #[must_use]
    pub fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } | Self::Refused { status: 500.., .. } => Some(Duration::ZERO),
            Self::Busy { after } => after.map(Duration::from_secs),
            Self::Token(_) | Self::NoRepository(_) | Self::Refused { .. } => None,
        }
    }

    /// Whether the repository has no drafts, as private ones of some plans: GitHub has a text for that,
    /// and no code.
    fn is_for_want_of_drafts(&self) -> bool {
        matches!(self, Self::Refused { status: 422, why } if why.to_lowercase().contains("draft"))
    }
}

/// GitHub, or what speaks its protocol.
#[derive(Clone)]
pub struct GitHub {
    http: reqwest::Client,
    api: Url,
    token: String,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHub").field("api", &self.api.as_str()).finish_non_exhaustive()
    }
}

impl Repository {
    /// The repository that the address of a remote names: the last two parts of its path, as in
    /// `https://github.com/OWNER/NAME.git` or `git@github.com:OWNER/NAME`.
    #[must_use]
    pub fn of_remote(address: &str) -> Option<Self> {
        let path = address.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let mut parts = path.rsplit(['/', ':']);
        let (name, owner) = (parts.next()?, parts.next()?);
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        (is_word(owner) && is_word(name)).then(|| Self { owner: owner.into(), name: name.into() })
    }
}

impl GitHub {
    /// GitHub at `api`, for whoever has `token`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If that is no address of an API.
    pub fn at(api: &str, token: String) -> Result<Self, GitHubError> {
        let bad = |why: String| GitHubError::Unreachable { api: api.to_owned(), why };
        let url = Url::parse(api).map_err(|error| bad(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(bad("it takes no path".into()));
        }
        let http = web::client().timeout(ANSWER_WITHIN).build();
        Ok(Self { http: http.map_err(|error| bad(error.to_string()))?, api: url, token })
    }

    /// Opens a pull request for a branch, or finds the one that is open and brings what was written
    /// into it before up to date. What cannot be a draft in its repository is opened as ready, and a draft
    /// that is ready by now says so. Dropping the future may leave either done.
    ///
    /// # Errors
    ///
    /// If GitHub cannot be reached, or says no.
    pub async fn propose(
        &self,
        repository: &Repository,
        proposal: &Proposal<'_>,
    ) -> Result<Pull, GitHubError> {
        if let Some(found) = self.find(repository, proposal.head).await? {
            return self.renew(repository, &found, proposal).await;
        }
        let refused = match self.open(repository, proposal).await {
            Err(refused @ GitHubError::Refused { status: 422, .. }) => refused,
            opened => return opened,
        };
        // Somebody else was as quick.
        if let Some(found) = self.find(repository, proposal.head).await? {
            return self.renew(repository, &found, proposal).await;
        }
        if proposal.draft && refused.is_for_want_of_drafts() {
            return self.open(repository, &Proposal { draft: false, ..*proposal }).await;
        }
        Err(refused)
    }

    async fn open(
        &self,
        repository: &Repository,
        Proposal { head, base, title, body, draft }: &Proposal<'_>,
    ) -> Result<Pull, GitHubError> {
        let opened = json!({
            "head": head, "base": base, "title": title, "body": body, "draft": draft,
        });
        let pull = self.ask(Method::POST, repository, &["pulls"], Some(&opened)).await?;
        read(&pull, false)
    }

    /// Whether the repository at the address of a remote is one of its own, by the host.
    #[must_use]
    pub fn has(&self, remote: &str) -> bool {
        let host = match self.api.host_str().unwrap_or_default() {
            "api.github.com" => "github.com",
            other => other,
        };
        place_of(remote).split_once('/').is_some_and(|(of, _)| of == host)
    }

    /// Who reads a repository.
    ///
    /// # Errors
    ///
    /// If GitHub cannot be reached, or says no.
    pub async fn visibility(&self, repository: &Repository) -> Result<Visibility, GitHubError> {
        let answer = self.ask(Method::GET, repository, &[], None).await?;
        // Those of a whole company (`internal`) are private as well.
        let is_private = answer["private"].as_bool() == Some(true);
        Ok(if is_private { Visibility::Private } else { Visibility::Public })
    }

    /// The open pull request of a branch.
    async fn find(
        &self,
        repository: &Repository,
        head: &str,
    ) -> Result<Option<Value>, GitHubError> {
        let head = format!("{}:{head}", repository.owner);
        let mut url = self.url(repository, &["pulls"]);
        url.query_pairs_mut().extend_pairs([("state", "open"), ("head", &head)]);
        let answer = self.send(Method::GET, url, repository, None).await?;
        let found = answer.as_array().and_then(|pulls| pulls.first());
        Ok(found.cloned())
    }

    async fn renew(
        &self,
        repository: &Repository,
        found: &Value,
        Proposal { body, draft, .. }: &Proposal<'_>,
    ) -> Result<Pull, GitHubError> {
        let pull = read(found, true)?;
        let before = found["body"].as_str().unwrap_or_default();
        let after = match pull.draft && !draft {
            true => with_evidence(before, &body::ready(body)),
            false => with_evidence(before, body),
        };
        if after != before {
            let number = pull.number.to_string();
            let change = json!({ "body": after });
            self.ask(Method::PATCH, repository, &["pulls", &number], Some(&change)).await?;
        }
        Ok(pull)
    }

    async fn ask(
        &self,
        method: Method,
        repository: &Repository,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, GitHubError> {
        self.send(method, self.url(repository, path), repository, body).await
    }

    fn url(&self, Repository { owner, name }: &Repository, path: &[&str]) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["repos", owner, name]).extend(path);
        }
        url
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        repository: &Repository,
        body: Option<&Value>,
    ) -> Result<Value, GitHubError> {
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        request = request.header("accept", "application/vnd.github+json");
        request = request.header("x-github-api-version", VERSION);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| GitHubError::Unreachable {
            api: self.api.to_string(),
            why: error.without_url().to_string(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
        let (after, left) = (header("retry-after"), header("x-ratelimit-remaining"));
        let text = response.text().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let why = || said(&answer);
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS => GitHubError::Busy { after },
            // GitHub answers so as well to those who asked for too much.
            StatusCode::FORBIDDEN
                if after.is_some() || left == Some(0) || why().contains("rate limit") =>
            {
                GitHubError::Busy { after }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GitHubError::Token(why()),
            StatusCode::NOT_FOUND => GitHubError::NoRepository(repository.clone()),
            other => GitHubError::Refused { status: other.as_u16(), why: why() },
        })
    }
}

fn read(pull: &Value, existed: bool) -> Result<Pull, GitHubError> {
    let number = pull["number"].as_u64();
    let url = pull["html_url"].as_str().map(str::to_owned);
    let odd = || GitHubError::Refused { status: 200, why: "the answer is no pull request".into() };
    let (number, url) = number.zip(url).ok_or_else(odd)?;
    Ok(Pull { number, url, existed, draft: pull["draft"] == true })
}

/// What an answer says is wrong.
fn said(answer: &Value) -> String {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors = errors.filter_map(|error| error["message"].as_str().or(error.as_str()));
    let parts: Vec<&str> = answer["message"].as_str().into_iter().chain(errors).collect();
    if parts.is_empty() { "it does not say why".into() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_of_the_server_whose_api_it_is() {
        let has = |api: &str, remote: &str| GitHub::at(api, "token".into()).unwrap().has(remote);
        for of_github in ["git@github.com:own/name.git", "https://me:word@GitHub.com/own/name"] {
            assert!(has(API, of_github), "{of_github}");
            assert!(!has("https://git.example/api/v3", of_github), "{of_github}");
        }
        assert!(has("https://git.example/api/v3", "ssh://git@git.example:22/own/name"));
        for other in [
            "https://gitlab.com/own/name",
            "https://github.com.example/own/name",
            "https://example/github.com/own/name",
            "/srv/github.com/own/name",
            "name",
        ] {
            assert!(!has(API, other), "{other}");
        }
        assert!(!has("https://api.github.com.example", "https://github.com/own/name"));
    }
}
