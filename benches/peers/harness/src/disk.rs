//! This file says what machine this is, and how fast its disk syncs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;

/// How many syncs a second are done at a pace: as many as the work `latency` submits jobs.
const PACE: u32 = 50;
const PACED: u32 = 100;

/// How fast the disk is, at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syncs {
    /// Appends of a page with `fdatasync` in a second, one after the other.
    pub(crate) rate: f64,
    /// The median of what one takes when there are 50 a second, in microseconds.
    pub(crate) paced_us: f64,
}

impl Syncs {
    pub(crate) fn json(self) -> Value {
        json!({"per_s": self.rate, "paced_us": self.paced_us})
    }
}

/// The machine, in a line.
pub(crate) fn describe(dir: &Path) -> Outcome<String> {
    let said = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output();
        output.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpus = std::thread::available_parallelism()?;
    let kernel = said("uname", &["-sr"]);
    let dir = dir.to_string_lossy();
    let file_system = said("stat", &["--file-system", "--format", "%T", &dir]);
    Ok(format!("{cpus} processors, {kernel}, {file_system}"))
}

/// Measures the disk for some 2.5 s.
pub(crate) fn syncs(dir: &Path) -> Outcome<Syncs> {
    let path = dir.join("fdatasync");
    let mut file = File::create(&path)?;
    let rate = rate(&mut file)?;
    let paced_us = paced(&mut file)?.as_secs_f64() * 1e6;
    std::fs::remove_file(path)?;
    Ok(Syncs { rate, paced_us })
}

fn rate(file: &mut File) -> Outcome<f64> {
    const SPAN: Duration = Duration::from_millis(500);
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < SPAN {
        append(file)?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn paced(file: &mut File) -> Outcome<Duration> {
    let began = Instant::now();
    let mut spans = Vec::new();
    for number in 0..PACED {
        let due = Duration::from_secs(1) * number / PACE;
        sleep(due.saturating_sub(began.elapsed()));
        spans.push(append(file)?);
    }
    spans.sort_unstable();
    Ok(spans[spans.len() / 2])
}

fn append(file: &mut File) -> Outcome<Duration> {
    let began = Instant::now();
    file.write_all(&[7; 4_096])?;
    file.sync_data()?;
    Ok(began.elapsed())
}
