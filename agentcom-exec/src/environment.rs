//! This file decides which environment variables a job sees.

use std::collections::BTreeMap;

use agentcom_core::wire::Assignment;

/// Which variables of the sidecar's environment are handed to jobs; all others, the sidecar's token
/// and keys among them, are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    inherited: BTreeMap<String, String>,
}

impl Environment {
    /// What is handed on without being asked for.
    pub const ALLOWED: [&str; 6] = ["PATH", "HOME", "LANG", "USER", "TMPDIR", "TZ"];

    /// [`Environment::ALLOWED`] and `more`, as they are in this process's environment.
    #[must_use]
    pub fn inherit<'a>(more: impl IntoIterator<Item = &'a str>) -> Self {
        let names = Self::ALLOWED.into_iter().chain(more);
        let inherited =
            names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
        Self { inherited }
    }

    /// What is handed on to whatever is not one job's alone.
    #[must_use]
    pub const fn variables(&self) -> &BTreeMap<String, String> {
        &self.inherited
    }

    /// The environment of one job: what is inherited, what the task asks for, and which assignment
    /// it is. The latter lets a command fence its effects outside with the lease number.
    #[must_use]
    pub fn of(
        &self,
        job: &Assignment,
        asked: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = self.inherited.clone();
        all.extend(asked.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.extend([
            ("AGENTCOM_TASK_ID".to_owned(), job.task_id.to_string()),
            ("AGENTCOM_LEASE".to_owned(), job.generation.to_string()),
            ("AGENTCOM_ATTEMPT".to_owned(), job.attempt.to_string()),
            ("AGENTCOM_INCARNATION".to_owned(), job.incarnation.to_string()),
        ]);
        all
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::inherit([])
    }
}
