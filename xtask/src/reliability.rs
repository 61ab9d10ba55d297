//! This file runs all proofs in full, and has their figures joined into `docs/`.

use std::fs;

use crate::proof::PROOFS;
use crate::run::{Failure, Step, root, say};

/// Runs the proofs that `only` names, or all, and joins their figures with those of earlier runs. A
/// proof that finds something does not keep the others from running.
pub(crate) fn reliability(only: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = only.iter().find(|name| !PROOFS.iter().any(|p| p.command == *name)) {
        return Err(Failure::usage(&format!("there is no proof {unknown}")));
    }
    let dir = root().join("target/reliability");
    fs::create_dir_all(&dir).map_err(|error| Failure::other(&error.to_string()))?;
    let mut failed = Vec::new();
    for proof in PROOFS.iter().filter(|p| only.is_empty() || only.iter().any(|o| o == p.command)) {
        let file = dir.join(proof.command).with_extension("json");
        let file = file.to_string_lossy().into_owned();
        if let Err(failure) = proof.run(["--figures".into(), file]) {
            say(&failure.to_string());
            failed.push(proof.command);
        }
    }
    let join = ["run", "--quiet", "--locked", "--release", "--package", "agentcom-tests"];
    let (from, to) = (dir.to_string_lossy().into_owned(), "docs".into());
    Step::cargo("join", join)
        .arg("--example")
        .arg("reliability")
        .arg("--")
        .args([from, to])
        .run()?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::other(&format!("something was found by {}", failed.join(", "))))
}
