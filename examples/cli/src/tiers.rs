//! This file reads from the command line what is for tasks of some tiers only: `WHAT`, or
//! `WHAT=TIER,…`.

use std::str::FromStr;

use agentcom_core::task::Tier;
use serde_json::{Value, json};

/// Something, and the tiers of tasks that it is for; none are all.
#[derive(Clone, Debug)]
pub(crate) struct ForTiers {
    pub(crate) what: String,
    tiers: Vec<Tier>,
}

impl FromStr for ForTiers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (what, tiers) = match text.rsplit_once('=') {
            Some((what, tiers)) => (what, tiers.split(',').map(tier).collect::<Result<_, _>>()?),
            None => (text, Vec::new()),
        };
        if what.is_empty() {
            return Err("it has no name".to_owned());
        }
        Ok(Self { what: what.to_owned(), tiers })
    }
}

fn tier(word: &str) -> Result<Tier, String> {
    serde_json::from_value(json!(word)).map_err(|_| {
        format!("`{word}` is no tier; those are trivial, standard, complex and unknown")
    })
}

impl ForTiers {
    /// What is said of it, with its tiers if there are any.
    pub(crate) fn told(&self, mut said: Value) -> Value {
        if !self.tiers.is_empty() {
            said["tiers"] = json!(self.tiers);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_some_tiers_names_them() {
        let told = |text: &str| {
            text.parse::<ForTiers>().map(|it| it.told(json!({ "what": it.what })).to_string())
        };
        assert_eq!(told("hf.co/a:Q4").unwrap(), r#"{"what":"hf.co/a:Q4"}"#);
        let tiers = r#"{"tiers":["complex","unknown"],"what":"m=1"}"#;
        assert_eq!(told("m=1=complex,unknown").unwrap(), tiers);
        for bad in ["", "m=", "m=complex,", "m=hard", "=complex"] {
            assert!(told(bad).is_err(), "{bad}");
        }
    }
}
