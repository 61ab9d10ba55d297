//! This file holds the keys that an agent has, by the names under which the hub speaks of them.

use std::collections::BTreeMap;

use agentcom_core::config::Secret;
use agentcom_core::name::{Capability, Credential};

/// Keys to servers of models.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<Credential, Secret>);

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// It is not written as it should be.
    #[error("a key is given as NAME=VARIABLE, not as `{0}`")]
    Form(String),
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] agentcom_core::name::BadName),
    /// The environment does not have it.
    #[error("{0} is not set")]
    Unset(String),
}

impl Keys {
    /// The keys that are in the variables of the environment named in `NAME=VARIABLE`.
    ///
    /// # Errors
    ///
    /// The first that cannot be had.
    pub fn read<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadKey> {
        let mut keys = BTreeMap::new();
        for text in texts {
            let (name, variable) =
                text.split_once('=').ok_or_else(|| BadKey::Form(text.to_owned()))?;
            let key = env(variable).filter(|key| !key.trim().is_empty());
            let key = key.ok_or_else(|| BadKey::Unset(variable.to_owned()))?;
            keys.insert(Credential::new(name)?, Secret::new(key.trim()));
        }
        Ok(Self(keys))
    }

    /// And this one, unless there is one of that name.
    #[must_use]
    pub fn with(mut self, name: Credential, key: Secret) -> Self {
        self.0.entry(name).or_insert(key);
        self
    }

    /// The key of that name.
    #[must_use]
    pub fn of(&self, credential: &Credential) -> Option<&Secret> {
        self.0.get(credential)
    }

    /// What whoever has these keys can do.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        self.0.keys().map(Capability::key)
    }

    /// What is said where a key is not had.
    pub(crate) fn missing(credential: &Credential) -> String {
        format!("this agent has no key `{credential}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_the_environment_and_are_not_shown() {
        let env = |name: &str| (name == "KEY").then(|| " secret-word\n".to_owned());
        let keys = Keys::read(["me=KEY"], env).unwrap();
        let me = Credential::new("me").unwrap();
        assert_eq!(keys.of(&me).map(Secret::reveal), Some("secret-word"));
        let can: Vec<_> = keys.capabilities().collect();
        assert_eq!(can, [Capability::new("key-me").unwrap()]);
        assert!(!format!("{keys:?}").contains("secret-word"));
        for bad in ["me", "me=NONE", "a b=KEY"] {
            assert!(Keys::read([bad], env).is_err(), "{bad}");
        }
    }
}
