//! This file joins the figures of proofs with those that are published, into one file and one page.
//!
//! `cargo xtask reliability` runs the proofs and then this. A proof that was not run keeps its figures
//! and the commit that they are of.
#![expect(clippy::print_stderr, reason = "it says why it did not do what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
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
    ("mutants", "caught", "changes to the core that a test noticed"),
    ("mutants", "survived", "changes to the core that none did"),
    ("sandbox", "attempts", "attempts to break out of sandboxes, in six environments"),
    ("sandbox", "unexpected", "of them that ended otherwise than is declared"),
    ("sandbox", "races", "calls of file tools while their paths changed"),
    ("sandbox", "race_escapes", "of them that were led out of the workspace"),
    ("sandbox", "timeouts", "commands that were stopped with all that they started"),
    ("sandbox", "survivors", "processes that outlived them"),
    ("abuse", "slow_sockets", "slow sockets at once"),
    ("abuse", "herd_agents", "agents that came back at once"),
    ("abuse", "herd_back_after_ms", "ms until all of them were back"),
    ("abuse", "overload_goodput_percent_of_peak", "% of the peak done at ten times the load"),
];

/// The figures of the proofs by name; those of one proof include the commit that they are of.
type Proofs = BTreeMap<String, Map<String, Value>>;

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

fn join(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let published = to.join("reliability.json");
    let mut proofs = earlier(&published)?;
    let (commit, date) = (commit(), said("date", &["--utc", "+%Y-%m-%d"]));
    let processors = std::thread::available_parallelism()?.get();
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if let (Some(name), Some("json")) = (name, path.extension().and_then(|end| end.to_str())) {
            let mut figures: Map<String, Value> = serde_json::from_slice(&fs::read(&path)?)?;
            figures.insert("commit".into(), commit.clone().into());
            figures.insert("date".into(), date.clone().into());
            figures.insert("processors".into(), processors.into());
            proofs.insert(name, figures);
        }
    }
    let found =
        FOUND.iter().map(|found| json!({"by": found.by, "what": found.what, "test": found.test}));
    let all = json!({ "proofs": proofs, "found_and_fixed": found.collect::<Vec<_>>() });
    fs::write(published, format!("{all:#}\n"))?;
    fs::write(to.join("reliability.md"), page(&proofs))?;
    Ok(())
}

/// What is published so far.
fn earlier(published: &Path) -> Result<Proofs, Box<dyn Error>> {
    if !published.exists() {
        return Ok(Proofs::new());
    }
    let mut all: Map<String, Value> = serde_json::from_slice(&fs::read(published)?)?;
    Ok(serde_json::from_value(all.remove("proofs").unwrap_or_default())?)
}

/// The commit that was run, marked if anything but its documents differs from it.
fn commit() -> String {
    let changed = said("git", &["status", "--porcelain", "--", ".", ":!docs"]);
    said("git", &["rev-parse", "HEAD"]) + if changed.is_empty() { "" } else { " with changes" }
}

fn page(proofs: &Proofs) -> String {
    let mut text = String::from(
        "# Reliability\n\n\
         Written by `cargo xtask reliability`, which runs all proofs, or those that it is told; the\n\
         others keep the figures of the commit that they were run for. The same figures, and the rest\n\
         of them, are in [reliability.json](reliability.json).\n\n\
         | figure | | command | commit |\n|--:|---|---|---|\n",
    );
    for (proof, field, what) in HEADLINE {
        let Some(figures) = proofs.get(*proof) else { continue };
        let Some(figure) = figures.get(*field) else { continue };
        let commit: String =
            figures["commit"].as_str().unwrap_or_default().chars().take(10).collect();
        let figure = shown(figure);
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {figure} | {what} | `cargo xtask {proof}` | {commit} |");
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
