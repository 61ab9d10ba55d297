//! This file shows what a sidecar's journal holds, also while the sidecar runs.

use std::fmt::Write as _;
use std::path::PathBuf;

use agentcom_core::port::store::{StoreError, StoreErrorKind};
use agentcom_core::sidecar::Journal;
use agentcom_exec::journal::{Description, describe};
use serde_json::{Value, json};

use crate::args::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{BAD, FAINT};

/// What to do with a journal.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the assignments and reports that it holds
    Show {
        /// The file
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let Verb::Show { path } = &args.verb;
    if !path.exists() {
        return Err(Failure::new(
            Exit::NotFound,
            format_args!("there is no file {}", path.display()),
        ));
    }
    let found = describe(path).map_err(failure)?;
    let lines = lines(&found).map_err(failure)?;
    let damage: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
    let shown = json!({
        "seq": found.seq,
        "file_bytes": found.file_bytes,
        "records": found.records,
        "jobs": lines,
        "damage": damage,
    });
    Ok(ctx.print.data(&shown, || render(&shown))?)
}

fn lines(found: &Description) -> Result<Vec<Value>, StoreError> {
    let mut journal = Journal::default();
    for (row, value) in &found.rows {
        journal
            .visit(row.table, &row.key, value)
            .map_err(|bad| StoreError::corrupt(row.table, &row.key, bad))?;
    }
    let line = |(claim, text): (agentcom_core::sidecar::Claim, String)| json!({ "task_id": claim.task, "generation": claim.lease, "incarnation": claim.incarnation, "state": text });
    Ok(journal.lines().map(line).collect())
}

fn render(shown: &Value) -> String {
    let mut out = format!(
        "{FAINT}{} records, {} bytes, last batch {}{FAINT:#}\n",
        shown["records"], shown["file_bytes"], shown["seq"]
    );
    for job in shown["jobs"].as_array().into_iter().flatten() {
        let text = |name: &str| crate::text::field(job, name);
        // Writing to a text cannot fail.
        let _ =
            writeln!(out, "{} (lease {}): {}", text("task_id"), text("generation"), text("state"));
    }
    for damage in shown["damage"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "{BAD}damage:{BAD:#} {}", crate::text::plain(damage));
    }
    if shown["jobs"].as_array().is_none_or(Vec::is_empty) {
        out.push_str("it holds no assignment and no report\n");
    }
    out
}

fn failure(error: StoreError) -> Failure {
    let exit = match error.kind {
        StoreErrorKind::Fenced
        | StoreErrorKind::Corrupt
        | StoreErrorKind::Unavailable
        | StoreErrorKind::Unknown => Exit::Store,
    };
    Failure::new(exit, error.message)
}
