//! This file says what machine this is, and how fast its disk syncs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;

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

/// How many appends of a page with `fdatasync` the disk does in a second.
pub(crate) fn fdatasyncs(dir: &Path) -> Outcome<f64> {
    const SPAN: Duration = Duration::from_millis(500);
    let path = dir.join("fdatasync");
    let mut file = File::create(&path)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < SPAN {
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
