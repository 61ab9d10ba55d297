//! This file runs all proofs in full, and has their figures joined into `docs/`.

use std::path::Path;
use std::{fs, io};

use crate::fuzz::fuzz;
use crate::mutants::mutants;
use crate::proof::{self, PROOFS};
use crate::run::{Failure, Step, root, say};

/// A command of ours with its arguments.
type Run = fn(Vec<String>) -> Result<(), Failure>;

/// What is run beside the proofs, and writes its figures as they do.
const MORE: [(&str, Run); 2] = [("fuzz", fuzz), ("mutants", mutants)];

/// Runs what `only` names, or all, and joins the figures with those that are published, which are
/// kept for what is not run. What finds something does not keep the others from running.
pub(crate) fn reliability(only: &[String]) -> Result<(), Failure> {
    let names = || PROOFS.iter().map(|proof| proof.command).chain(MORE.map(|(name, _)| name));
    if let Some(unknown) = only.iter().find(|word| !names().any(|name| name == *word)) {
        let known = names().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(&format!("there is no proof {unknown}, but {known}")));
    }
    let other = |error: io::Error| Failure::other(&error.to_string());
    let dir = root().join("target/reliability");
    fs::create_dir_all(&dir).map_err(other)?;
    let mut failed = Vec::new();
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|word| word == name);
    for name in names() {
        let file = dir.join(name).with_extension("json");
        // What an earlier run left is of another commit.
        if file.exists() {
            fs::remove_file(&file).map_err(other)?;
        }
        if is_wanted(name)
            && let Err(failure) = run(name, &file)
        {
            say(&failure.to_string());
            failed.push(name);
        }
    }
    let join = ["run", "--quiet", "--locked", "--release", "--package", "agentcom-tests"];
    let (from, to) = (dir.to_string_lossy().into_owned(), "docs".into());
    let join = Step::cargo("join", join).arg("--example").arg("reliability").arg("--");
    join.args([from, to]).run()?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::other(&format!("something was found, or missing, by {}", failed.join(", "))))
}

fn run(name: &str, file: &Path) -> Result<(), Failure> {
    let args = ["--figures".into(), file.to_string_lossy().into_owned()];
    match MORE.iter().find(|(more, _)| *more == name) {
        Some((_, run)) => run(args.into()),
        None => proof::find(name).map_or(Ok(()), |proof| proof.run(args).map(drop)),
    }
}
