//! This file reads when branches are pushed.

use std::time::Duration;

use agentcom_exec::coding;
use agentcom_exec::github::Visibility;
use serde::Deserialize;

/// When branches are pushed; what is not said is as usual.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publishing {
    /// Who reads what is pushed.
    pub visibility: Option<Visibility>,
    /// How many seconds people have to say whether a branch is pushed that may have something private
    /// in it.
    pub ask_secs: Option<u64>,
}

impl Publishing {
    /// What is said, and else what is usual.
    #[must_use]
    pub fn settings(&self) -> coding::Publishing {
        let usual = coding::Publishing::default().ask_within;
        let ask_within = self.ask_secs.map_or(usual, Duration::from_secs);
        coding::Publishing { visibility: self.visibility, ask_within }
    }
}
