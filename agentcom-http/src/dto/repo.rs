//! This file reads what operators say about repositories.

use agentcom_core::name::{Kind, ModelName, Repo, RepoName};
use agentcom_core::repo::{Registered, Runs};
use agentcom_core::task::Tier;
use serde::Deserialize;

use crate::error::FieldError;

/// A repository, and what does tasks about it that do not say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepoBody {
    url: String,
    executors: Option<Vec<RunsBody>>,
}

/// A kind of operation, and the tiers of tasks that it is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunsBody {
    kind: String,
    model: Option<String>,
    tiers: Option<Vec<Tier>>,
}

/// Says where in the order a repository stands.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceBody {
    pub(crate) place: u32,
}

impl RepoBody {
    /// The repository that is described.
    pub(crate) fn repo(self, name: RepoName) -> Result<Registered, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |field: String, why: &dyn ToString| {
            errors.push(FieldError::invalid(field, why.to_string()));
        };
        let url = Repo::normalised(&self.url).map_err(|bad| wrong("url".into(), &bad)).ok();
        let executors = self.executors.unwrap_or_default().into_iter().enumerate();
        let executors = executors.filter_map(|(n, RunsBody { kind, model, tiers })| {
            let model = model.map(|model| ModelName::new(&model)).transpose();
            let model = model.map_err(|bad| wrong(format!("executors[{n}].model"), &bad)).ok();
            let kind = Kind::new(&kind);
            let kind = kind.map_err(|bad| wrong(format!("executors[{n}].kind"), &bad)).ok()?;
            Some(Runs { kind, model: model?, tiers: tiers.unwrap_or_default() })
        });
        let executors = executors.collect();
        match url {
            Some(url) if errors.is_empty() => Ok(Registered { name, url, executors }),
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_says_its_address_and_perhaps_what_works_on_it() {
        let name = || RepoName::new("web").unwrap();
        let read = |text: &str| serde_json::from_str::<RepoBody>(text).unwrap().repo(name());
        let plain = read(r#"{"url":" https://host/a/b.git"}"#).unwrap();
        assert_eq!(plain, Registered::new(name(), Repo::new("https://host/a/b").unwrap()));
        let text = r#"{"url":"git@host:a/b","executors":
            [{"kind":"acp","model":"large","tiers":["complex"]}]}"#;
        let said = read(text).unwrap();
        let runs = said.executor(Tier::Complex).unwrap();
        let model = runs.model.as_ref().map(ModelName::as_str);
        assert_eq!((runs.kind.as_str(), model), ("acp", Some("large")));
        assert_eq!(said.executor(Tier::Trivial), None);
        let bad = read(r#"{"url":"a b","executors":[{"kind":"A B","model":"a b"}]}"#).unwrap_err();
        assert_eq!(bad.len(), 3);
    }
}
