//! This file runs us and the peers on the same machine in the same run, by turns, and prints
//! medians.
//!
//! Each measurement is a process of its own on fresh data: all subjects once, then all again. The
//! servers that peers need are started on loopback, with every commit synced, and stopped after.

mod arguments;
mod build;
mod disk;
mod goals;
mod interrupt;
mod measure;
mod plan;
mod player;
mod processes;
mod report;
mod servers;
mod subjects;
mod tables;

use std::error::Error;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::Instant;

use arguments::Asked;
use measure::Bench;
use plan::{Measurement, plan};
use report::Report;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match arguments::asked().and_then(|asked| asked.map_or(Ok(()), |asked| run(&asked))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Outcome<()> {
    let built = build::all()?;
    interrupt::watch()?;
    std::fs::create_dir_all(&asked.dir)?;
    // Another user runs PostgreSQL, and has to get through.
    let mut own = tempfile::Builder::new();
    let dir =
        own.permissions(Permissions::from_mode(0o755)).prefix("peers-").tempdir_in(&asked.dir)?;
    let mut report = Report::new(disk::describe(dir.path())?, asked);
    let mut bench = Bench::new(dir.path(), built, asked.patience);
    let measured = measure(asked, &mut bench, &mut report);
    // What was measured counts, also if the rest could not be.
    println!("{}\n{}", report.tables(), report.goals());
    measured
}

fn measure(asked: &Asked, bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let measurements = plan(&asked.only, &asked.works, asked.scale);
    for work in plan::names() {
        let all: Vec<&Measurement> = measurements.iter().filter(|m| m.name == work).collect();
        if all.is_empty() {
            continue;
        }
        let began = Instant::now();
        for round in 1..=asked.runs {
            report.disk(disk::syncs(bench.dir())?);
            for measurement in &all {
                if report.is_late(measurement) {
                    continue;
                }
                eprint!("{work} {round}/{}: {} ", asked.runs, measurement.subject.name);
                let began = Instant::now();
                let measured = bench.measure(measurement);
                // What ends for that reason has not failed.
                interrupt::check()?;
                match measured {
                    Ok(figures) => report.add(measurement, figures),
                    Err(error) => report.failed(measurement, &*error),
                }
                eprintln!("({:.1} s)", began.elapsed().as_secs_f64());
            }
            if let Some(file) = &asked.json {
                std::fs::write(file, report.json())?;
            }
        }
        eprintln!("{work} took {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
