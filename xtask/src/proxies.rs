//! This file runs a hub behind the proxies that are installed, as the files in `contrib` set them up.

use std::time::Duration;

use crate::run::{Failure, Step, say, succeeds};

/// The proxies: what the proof calls them, and what they answer to if they are there.
const PROXIES: [(&str, &str); 2] = [("nginx", "-v"), ("caddy", "version")];

/// Runs the proof for all that are installed.
pub(crate) fn proxies() -> Result<Option<Duration>, Failure> {
    let (there, missing): (Vec<_>, Vec<_>) =
        PROXIES.into_iter().partition(|(name, flag)| succeeds(name, &[flag]));
    for (name, _) in missing {
        say(&format!("==> proxies: {name} is not installed, so no hub is reached behind it"));
    }
    if there.is_empty() {
        return Ok(None);
    }
    let proof = ["run", "--quiet", "--locked", "--package", "agentcom-tests", "--example"];
    let step = Step::cargo("proxies", proof).arg("proxies").arg("--");
    step.args(there.into_iter().map(|(name, _)| name.to_owned())).run().map(Some)
}
