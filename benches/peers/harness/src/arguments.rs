//! This file reads what the user asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::subjects::SUBJECTS;
use crate::{Outcome, plan};

const USAGE: &str = "peers [--runs N] [--only PEER,..] [--works NAME,..] [--scale PERCENT] \
                     [--patience SECONDS] [--dir DIR] [--json FILE] | --list";

/// What is to be done.
pub(crate) struct Asked {
    /// How often each measurement is made.
    pub(crate) runs: usize,
    /// Peers, in all their set-ups; all if there are none.
    pub(crate) only: Vec<String>,
    /// Works; all if there are none.
    pub(crate) works: Vec<String>,
    /// How many of the usual jobs, in percent.
    pub(crate) scale: u64,
    /// How long one process may take.
    pub(crate) patience: Duration,
    /// Where data is put: the disk that is measured.
    pub(crate) dir: PathBuf,
    /// Where all figures of all runs go, after each round.
    pub(crate) json: Option<PathBuf>,
}

/// Reads the command line; nothing if it only asked for something to be printed.
pub(crate) fn asked() -> Outcome<Option<Asked>> {
    let mut asked = Asked {
        runs: 5,
        only: Vec::new(),
        works: Vec::new(),
        scale: 100,
        patience: Duration::from_secs(240),
        dir: std::env::temp_dir(),
        json: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        match flag.as_str() {
            "--list" => {
                list();
                return Ok(None);
            }
            "--help" => {
                println!("{USAGE}");
                return Ok(None);
            }
            _ => {}
        }
        let value = words.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--runs" => asked.runs = value.parse()?,
            "--only" => asked.only = names(&value, SUBJECTS.iter().map(|subject| subject.peer))?,
            "--works" => asked.works = names(&value, plan::names())?,
            "--scale" => asked.scale = value.parse()?,
            "--patience" => asked.patience = Duration::from_secs(value.parse()?),
            "--dir" => asked.dir = value.into(),
            "--json" => asked.json = Some(value.into()),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(Some(asked))
}

fn list() {
    for subject in SUBJECTS {
        println!("{:<16} {:<28} {}", subject.peer, subject.name, subject.durability);
    }
    println!("\nworks: {}", plan::names().collect::<Vec<_>>().join(","));
}

/// Names that exist.
fn names(text: &str, known: impl Iterator<Item = &'static str> + Clone) -> Outcome<Vec<String>> {
    let wanted = text.split(',').map(|name| match known.clone().any(|known| known == name) {
        true => Ok(name.to_owned()),
        false => Err(format!("there is no {name}; --list says what there is").into()),
    });
    wanted.collect()
}
