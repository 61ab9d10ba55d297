//! This file holds what readers get to see of a repository.

use serde::Serialize;

use crate::repo::Registered;

/// A registered repository, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepoView {
    /// What an operator says of it.
    #[serde(flatten)]
    pub repo: Registered,
    /// Whether work on it is paused.
    pub paused: bool,
    /// How many connected agents say that they have it.
    pub agents: usize,
}
