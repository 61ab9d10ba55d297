//! This file reads from the command line by what it is judged how closely a person should look at a
//! change.

use agentcom_core::risk::{Pattern, Rules};

/// By what the risk of a change is judged, where that is not as usual.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Risk {
    /// A change is of low risk only if it has fewer lines than this [default: 20]
    #[arg(long, value_name = "N")]
    risk_lines: Option<u64>,
    /// A change is of low risk only if it touches no more files than this [default: 3]
    #[arg(long, value_name = "N")]
    risk_files: Option<usize>,
    /// Something that a person has to look at, beside the usual: `name/` for folders of that name, `name`
    /// for files, `name*` for files whose names begin so (repeatable)
    #[arg(long = "risk-protect", visible_alias = "protect", value_name = "PATTERN")]
    protect: Vec<Pattern>,
}

impl Risk {
    /// The rules.
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        rules.lines_max = self.risk_lines.unwrap_or(rules.lines_max);
        rules.files_max = self.risk_files.unwrap_or(rules.files_max);
        rules.protected.extend(self.protect.iter().cloned());
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_the_usual_limits() {
        let usual = Rules::default();
        assert_eq!((usual.lines_max, usual.files_max), (20, 3));
        assert_eq!(Risk::default().rules(), usual);
    }
}
