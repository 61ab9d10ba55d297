//! This file reads by what it is judged how closely a person should look at a change.

use agentcom_core::risk::{Pattern, Rules};
use serde::Deserialize;

/// By what the risk of changes is judged; what is not said is as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Risk {
    /// A change of low risk has fewer lines than this.
    pub lines_max: Option<u64>,
    /// It touches no more files than this.
    pub files_max: Option<usize>,
    /// What a person has to look at, in place of the usual names.
    pub protected: Option<Vec<Pattern>>,
    /// What a person has to look at beside those.
    pub protect: Vec<Pattern>,
}

impl Risk {
    /// The rules.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let usual = Rules::default();
        let mut protected = self.protected.clone().unwrap_or(usual.protected);
        protected.extend(self.protect.iter().cloned());
        Rules {
            lines_max: self.lines_max.unwrap_or(usual.lines_max),
            files_max: self.files_max.unwrap_or(usual.files_max),
            protected,
        }
    }
}
