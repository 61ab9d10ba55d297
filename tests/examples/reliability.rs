//! This file joins the figures of all proofs into one file and one page.
//!
//! `cargo xtask reliability` runs the proofs and then this.
#![expect(clippy::print_stderr, reason = "it says why it did not do what it is for")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use agentcom_tests::found::FOUND;
use serde_json::{Map, Value, json};

/// What stands in the table of the page: the proof, its field, and what that is to a reader.
const HEADLINE: &[(&str, &str, &str)] = &[
    ("sim", "simulated_hours", "hours of simulated faults"),
    ("sim", "hub_crashes", "crashes of simulated hubs"),
    ("sim", "marks_reached", "named situations that were reached"),
    ("sim-disk", "losses", "power losses of the simulated disk"),
    ("sim-disk", "lost", "acknowledged changes lost in them"),
    ("sim-disk", "io_failures", "calls of the disk that failed"),
    ("sim-disk", "rot_files", "files that were damaged"),
    ("sim-disk", "wrong_values", "wrong values read from them"),
    ("kill", "kills", "rounds of SIGKILL of real hubs and sidecars"),
    ("kill", "tasks_lost", "acknowledged tasks lost in them"),
    ("model", "states_unique", "unique states explored"),
    ("ablation", "guards_caught", "guards that are missed when they are gone"),
    ("ablation", "plants_found", "planted bugs that were found"),
    ("models", "sequences", "random sequences compared with a model"),
    ("models", "differences", "differences found in them"),
    ("fuzz", "executions", "executions of fuzz targets"),
    ("mutants", "caught", "mutants of the core that a test noticed"),
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [from, to] = words.as_slice() else {
        eprintln!("FROM TO: the directory of the figures, and that of the documents");
        return ExitCode::from(64);
    };
    match join(Path::new(from), Path::new(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn join(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut proofs = BTreeMap::new();
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if let (Some(name), Some("json")) = (name, path.extension().and_then(|end| end.to_str())) {
            proofs.insert(name, serde_json::from_slice::<Map<String, Value>>(&fs::read(&path)?)?);
        }
    }
    let commit = said("git", &["rev-parse", "HEAD"]);
    let at = said("date", &["--utc", "+%Y-%m-%d"]);
    let machine = format!("{} processors", std::thread::available_parallelism()?);
    let found =
        FOUND.iter().map(|found| json!({"by": found.by, "what": found.what, "test": found.test}));
    let all = json!({
        "commit": commit,
        "date": at,
        "machine": machine,
        "proofs": proofs,
        "found_and_fixed": found.collect::<Vec<_>>(),
    });
    fs::write(to.join("reliability.json"), format!("{all:#}\n"))?;
    fs::write(to.join("reliability.md"), page(&proofs, &commit, &at, &machine))?;
    Ok(())
}

fn page(
    proofs: &BTreeMap<String, Map<String, Value>>,
    commit: &str,
    at: &str,
    machine: &str,
) -> String {
    let mut text = format!(
        "# Reliability\n\n\
         Written by `cargo xtask reliability` on {at} for commit `{commit}`, on {machine}. The same\n\
         figures, and the rest of them, are in [reliability.json](reliability.json).\n\n\
         | figure | | command |\n|--:|---|---|\n"
    );
    for (proof, field, what) in HEADLINE {
        let figure = proofs.get(*proof).and_then(|figures| figures.get(*field));
        if let Some(figure) = figure {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} | {what} | `cargo xtask {proof}` |", shown(figure));
        }
    }
    text.push_str("\n## What the proofs have found\n\nEach is mended, and held by the test.\n\n");
    text.push_str("| found by | what was wrong | test |\n|---|---|---|\n");
    for found in FOUND {
        let _ = writeln!(text, "| {} | {} | `{}` |", found.by, found.what, found.test);
    }
    text
}

/// A number with its thousands apart.
fn shown(figure: &Value) -> String {
    let Some(number) = figure.as_f64() else { return figure.to_string() };
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}
