//! This file takes commands about repositories in.

use super::super::tx::Tx;
use super::settings::{self, change};
use super::settle;
use crate::command::{Rejected, Reply, RepoCommand, Scope};
use crate::name::{Repo, RepoName};
use crate::repo::{Registered, is_same};

pub(super) fn take(tx: &mut Tx<'_>, command: RepoCommand) -> Result<Reply, Rejected> {
    match command {
        RepoCommand::Set(repo) => set(tx, *repo),
        RepoCommand::Remove(name) => {
            let url = url_of(tx, &name)?;
            Ok(change(tx, "repo.removed", |settings| {
                settings.repos.retain(|known| known.name != name);
                settings.unpause(&url);
            }))
        }
        RepoCommand::Move(name, place) => {
            url_of(tx, &name)?;
            Ok(change(tx, "repo.moved", |settings| {
                let repos = &mut settings.repos;
                if let Some(from) = repos.iter().position(|known| known.name == name) {
                    let repo = repos.remove(from);
                    repos.insert((place.max(1) as usize - 1).min(repos.len()), repo);
                }
            }))
        }
        RepoCommand::Pause(name) => {
            let url = url_of(tx, &name)?;
            Ok(settings::pause(tx, Scope::Repo(url)))
        }
        RepoCommand::Unpause(name) => {
            let url = url_of(tx, &name)?;
            Ok(settings::unpause(tx, Scope::Repo(url)))
        }
    }
}

fn set(tx: &mut Tx<'_>, repo: Registered) -> Result<Reply, Rejected> {
    let (known, max) = (&tx.state.settings().repos, Registered::EXECUTORS_MAX);
    if repo.executors.len() > max {
        return Err(Rejected::TooManyExecutors { max });
    }
    for runs in &repo.executors {
        settle::check_executor(&runs.kind)?;
    }
    if repo.has_secret() {
        return Err(Rejected::RepoSecret);
    }
    let is_twin = |known: &&Registered| known.name != repo.name && is_same(&known.url, &repo.url);
    if let Some(twin) = known.iter().find(is_twin) {
        return Err(Rejected::RepoExists(twin.name.clone()));
    }
    let (max, place) =
        (Registered::COUNT_MAX, known.iter().position(|known| known.name == repo.name));
    if place.is_none() && known.len() >= max {
        return Err(Rejected::TooManyRepos { max });
    }
    Ok(change(tx, "repo.set", |settings| match place {
        Some(place) => {
            // It stays paused, at whatever address it is now.
            let before = settings.repos[place].url.clone();
            if settings.unpause(&before) {
                settings.paused.insert(Scope::Repo(repo.url.clone()));
            }
            settings.repos[place] = repo;
        }
        None => settings.repos.push(repo),
    }))
}

/// The address of a repository.
fn url_of(tx: &Tx<'_>, name: &RepoName) -> Result<Repo, Rejected> {
    let known = tx.state.settings().repos.iter().find(|known| known.name == *name);
    known.map(|known| known.url.clone()).ok_or_else(|| Rejected::UnknownRepo(name.clone()))
}
