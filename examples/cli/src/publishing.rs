//! This file reads from the command line when the branches of an agent are pushed.

use std::time::Duration;

use agentcom_exec::coding::Publishing;
use agentcom_exec::github::Visibility;

use crate::command::submit::span;

/// When branches are pushed, where that is not as usual.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Push {
    /// Who reads what is pushed: `public` for anybody, `private` for those who were let in. Unless it is
    /// said, a remote on this machine is private, GitHub is asked about its own, and others are public
    #[arg(long, value_name = "VISIBILITY", value_parser = visibility)]
    remote_visibility: Option<Visibility>,
    /// How long people have to say whether a branch goes to a public remote that may have something
    /// private in it; nobody's answer is no [default: 10m]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    push_ask_within: Option<Duration>,
}

impl Push {
    pub(crate) fn publishing(&self) -> Publishing {
        let ask_within = self.push_ask_within.unwrap_or(Publishing::default().ask_within);
        Publishing { visibility: self.remote_visibility, ask_within }
    }
}

fn visibility(text: &str) -> Result<Visibility, &'static str> {
    match text {
        "public" => Ok(Visibility::Public),
        "private" => Ok(Visibility::Private),
        _ => Err("it is `public` or `private`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_how_long_people_have() {
        assert_eq!(Push::default().publishing(), Publishing::default());
        assert_eq!(Publishing::default().ask_within, Duration::from_secs(10 * 60));
    }
}
