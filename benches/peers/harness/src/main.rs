//! This file runs us and the peers on the same machine in the same run, by turns, and prints
//! medians.
//!
//! ```text
//! peers [--runs N] [--only NAME,..] [--works NAME,..] [--scale PERCENT] [--dir DIR] [--json FILE]
//! ```
//!
//! Each measurement is a process of its own on fresh data: all subjects once, then all again. The
//! servers that peers need are started on loopback, with every commit synced, and stopped after.

mod build;
mod disk;
mod measure;
mod plan;
mod report;
mod servers;
mod subjects;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use measure::Bench;
use plan::{Measurement, plan};
use report::Report;

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "peers [--runs N] [--only NAME,..] [--works NAME,..] [--scale PERCENT] \
                     [--dir DIR] [--json FILE] [--list]";

struct Asked {
    runs: usize,
    only: Vec<String>,
    works: Vec<String>,
    scale: u64,
    dir: Option<PathBuf>,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match asked().and_then(|asked| asked.map_or(Ok(()), |asked| run(&asked))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Outcome<()> {
    let temporary = tempfile::tempdir()?;
    let dir = asked.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let built = build::all()?;
    let measurements = plan(&asked.only, &asked.works, asked.scale);
    let mut report = Report::new(disk::describe(&dir)?);
    let mut bench = Bench::new(&dir, built)?;
    let works: Vec<&str> = measurements.iter().map(|m| m.name).fold(Vec::new(), |mut names, name| {
        if !names.contains(&name) {
            names.push(name);
        }
        names
    });
    for work in works {
        let all: Vec<&Measurement> = measurements.iter().filter(|m| m.name == work).collect();
        for round in 0..asked.runs {
            report.fdatasync(disk::fdatasyncs(&dir)?);
            for measurement in &all {
                eprintln!("{work} {}/{}: {}", round + 1, asked.runs, measurement.subject.name);
                match bench.measure(measurement) {
                    Ok(figures) => report.add(measurement, figures),
                    Err(error) => report.failed(measurement, &error.to_string()),
                }
            }
        }
        println!("{}", report.table(work));
    }
    println!("{}", report.goals());
    if let Some(file) = &asked.json {
        std::fs::write(file, report.json())?;
    }
    Ok(())
}

fn asked() -> Outcome<Option<Asked>> {
    let mut asked = Asked {
        runs: 5,
        only: Vec::new(),
        works: Vec::new(),
        scale: 100,
        dir: None,
        json: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        if flag == "--list" {
            for subject in subjects::SUBJECTS {
                println!("{:<28} {}", subject.name, subject.durability);
            }
            return Ok(None);
        }
        let value = words.next().ok_or(USAGE)?;
        let names = || value.split(',').map(String::from).collect();
        match flag.as_str() {
            "--runs" => asked.runs = value.parse()?,
            "--only" => asked.only = names(),
            "--works" => asked.works = names(),
            "--scale" => asked.scale = value.parse()?,
            "--dir" => asked.dir = Some(value.into()),
            "--json" => asked.json = Some(value.into()),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(Some(asked))
}
