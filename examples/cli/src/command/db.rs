//! This file looks after the hub's data: checks, backs up, restores, saves and compacts it.

use std::path::{Path, PathBuf};

use agentcom_core::port::store::{StoreError, StoreErrorKind};
use agentcom_hub::config::BackupPlan;
use agentcom_hub::local::{DATA_DIR, TOKEN_FILE_NAME};
use agentcom_hub::signals::Signals;
use agentcom_hub::upkeep::{self as hub, DATA_FILE, Restored, Salvaged};
use agentcom_store_redb::upkeep::{self, InTheWay, Stop, Told};
use serde_json::{Value, json};

use crate::args::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{BAD, CAUTION, FAINT, GOOD};

/// What to do with the hub's data.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Where the data is kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = DATA_DIR,
        env = "AGENTCOM_DATA_DIR",
        hide_env_values = true
    )]
    data: PathBuf,
}

/// What to do instead of copying a file in use.
const ASK_THE_HUB: &str =
    "`agentcom db backup` without a file has the running hub make one; or stop the hub first";

const EXAMPLES: &str = "\
Examples:
  agentcom db backup                       have the running hub make a backup, or make one of its file
  agentcom db verify                       check every row of the data; the hub must be stopped
  agentcom db verify backups/hub-….redb    check every row of a backup
  agentcom db restore --latest             go back to the newest good backup; the hub must be stopped
  agentcom db salvage --to saved.redb      save what is not damaged; the damaged file stays as it is

Ctrl-C ends each of them at any moment without harm; a second one does not wait for the disk.";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Read and check every row
    Verify {
        /// A file other than the data, such as a backup
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Make a backup, which is checked before it gets its name
    Backup {
        /// Copy the file of a stopped hub to here, instead of asking for a backup in the usual place
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Go back to a backup; what was acknowledged after it is lost
    Restore {
        /// The backup
        #[arg(value_name = "FILE", required_unless_present = "latest", conflicts_with = "latest")]
        from: Option<PathBuf>,
        /// The newest backup that is good; the data in the way is kept under another name
        #[arg(long)]
        latest: bool,
        /// Where backups are, from the data directory on
        #[arg(long, value_name = "DIR", default_value = "backups")]
        dir: PathBuf,
        /// If there is data already, keep it under another name and restore
        #[arg(long)]
        replace: bool,
    },
    /// Save what is not damaged to another file
    Salvage {
        /// A file other than the data
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Where the saved data goes
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Write the data anew without the room that removed rows left in it
    Compact,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> Outcome {
    let data = args.data.join(DATA_FILE);
    match args.verb {
        Verb::Verify { file } => {
            let file = file.unwrap_or(data);
            let told = work(move |stop| upkeep::verify(&file, stop)).await?;
            Ok(ctx.print.data(&shown(&told), || verified(&told))?)
        }
        Verb::Backup { to: Some(to) } => {
            let told = work_typed(move |stop| upkeep::backup(&data, &to, stop)).await?;
            let told = told.map_err(|error| match error.kind {
                StoreErrorKind::Fenced => failure(error).hint(ASK_THE_HUB),
                StoreErrorKind::Corrupt | StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {
                    failure(error)
                }
            })?;
            let text = || format!("{GOOD}backed up{GOOD:#} to {told}\n");
            Ok(ctx.print.data(&shown(&told), text)?)
        }
        Verb::Backup { to: None } => backup(&args.data, ctx).await,
        Verb::Restore { from, latest: _, dir, replace } => {
            let dir = args.data.join(dir);
            let in_the_way = if replace { InTheWay::IsKept } else { InTheWay::Stays };
            let restored = work(move |stop| match from {
                Some(from) => hub::restore(&from, &data, in_the_way, stop),
                None => hub::restore_latest(&dir, &data, stop),
            });
            let restored = restored.await.map_err(hint_replace)?;
            let data = args.data.join(DATA_FILE);
            let text = || render_restored(&restored) + &wanted_beside(&data);
            Ok(ctx.print.data(&shown_restored(&restored), text)?)
        }
        Verb::Salvage { file, to } => {
            let file = file.unwrap_or(data);
            let from = file.clone();
            let saved = work_typed(move |stop| hub::salvage(&file, &to, stop)).await?;
            let saved = saved.map_err(|error| not_saved(&from, error))?;
            let text = || render_salvaged(&saved) + &wanted_beside(&saved.path);
            Ok(ctx.print.data(&shown_salvaged(&saved), text)?)
        }
        Verb::Compact => {
            let (told, before) = work(move |stop| upkeep::compact(&data, stop)).await?;
            let value = json!({ "path": told.path, "bytes": told.bytes, "bytes_before": before });
            let text = || format!("{GOOD}compacted{GOOD:#} {told}; it had {before} bytes\n");
            Ok(ctx.print.data(&value, text)?)
        }
    }
}

/// Asks the running hub, or copies the file if none has it.
async fn backup(data_dir: &Path, ctx: &Context) -> Outcome {
    let file = data_dir.join(DATA_FILE);
    let target = agentcom_hub::backups::place(&BackupPlan::default().dir_in(data_dir));
    // What cannot be looked at is there.
    let is_there = file.try_exists().unwrap_or(true);
    let copied = work_typed(move |stop| upkeep::backup(&file, &target, stop)).await?;
    let made = match copied {
        Ok(told) => shown(&told),
        Err(error) if error.kind == StoreErrorKind::Fenced || !is_there => {
            ctx.client()?.post(&["api", "admin", "backup"], &Value::Null).await?
        }
        Err(error) => return Err(failure(error)),
    };
    let text = |name: &str| crate::text::field(&made, name);
    Ok(ctx.print.data(&made, || {
        let (path, rows, bytes) = (text("path"), text("rows"), text("bytes"));
        format!("{GOOD}backed up{GOOD:#} to {path}: {rows} rows in {bytes} bytes\n")
    })?)
}

async fn work<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    work_typed(work).await?.map_err(failure)
}

/// Does what blocks on a thread of its own. Ctrl-C or SIGTERM asks it to stop, and what it was
/// writing is removed before the process ends. A second one ends the process at once; what is left
/// then has a name that nobody takes for a good one, and is removed when its file is opened next.
async fn work_typed<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, StoreError> + Send + 'static,
) -> Result<Result<T, StoreError>, Failure> {
    let mut signals = Signals::listen()?;
    let stop = Stop::default();
    let asked = stop.clone();
    let mut at_work = tokio::task::spawn_blocking(move || work(&asked));
    let ended = tokio::select! {
        ended = &mut at_work => ended,
        _ = signals.next() => {
            stop.ask();
            tokio::select! {
                ended = &mut at_work => ended,
                // The thread may wait for a disk that does not answer, and returning waits for it.
                code = signals.next() => std::process::exit(code.into()),
            }
        }
    };
    let outcome = ended.map_err(|bug| Failure::new(Exit::Failure, bug))?;
    match outcome {
        Err(_) if stop.is_asked() => Err(Failure::silent(Exit::Interrupted)),
        outcome => Ok(outcome),
    }
}

fn failure(error: StoreError) -> Failure {
    let failure = Failure::new(Exit::Store, error.message);
    match error.kind {
        StoreErrorKind::Fenced => failure.hint("stop the hub first"),
        StoreErrorKind::Corrupt => failure.hint(
            "`agentcom db restore --latest` goes back to the newest good backup; \
             `agentcom db salvage` saves what is not damaged",
        ),
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown => failure,
    }
}

/// Too little is left for a hub to go on from.
fn not_saved(file: &Path, error: StoreError) -> Failure {
    match error.kind {
        StoreErrorKind::Corrupt => {
            let why = format!("{}: nothing can be saved of it: {}", file.display(), error.message);
            let hint = "`agentcom db restore --latest` goes back to the newest good backup";
            Failure::new(Exit::Store, why).hint(hint)
        }
        StoreErrorKind::Fenced | StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {
            failure(error)
        }
    }
}

/// What a hub needs beside its data, if it is missing.
fn wanted_beside(data: &Path) -> String {
    let token = data.with_file_name(TOKEN_FILE_NAME);
    if data.file_name() != Some(DATA_FILE.as_ref()) {
        return format!("a hub goes on from it under the name DIR/{DATA_FILE}\n");
    }
    if token.exists() {
        return String::new();
    }
    let token = token.display();
    format!(
        "{CAUTION}put the admin token of that hub to {token}; the data does not tell it{CAUTION:#}\n"
    )
}

fn hint_replace(failure: Failure) -> Failure {
    if failure.message.ends_with("it exists already") {
        return failure.hint("--replace keeps that file under another name");
    }
    failure
}

fn shown(told: &Told) -> Value {
    let tables: Vec<Value> = told
        .namespaces
        .iter()
        .flat_map(|(namespace, tables)| tables.iter().map(move |table| (namespace, table)))
        .filter(|(_, (_, rows))| *rows > 0)
        .map(|(namespace, (table, rows))| json!({ "namespace": namespace.as_str(), "table": table.as_str(), "rows": rows }))
        .collect();
    json!({ "path": told.path, "bytes": told.bytes, "rows": told.rows(), "tables": tables })
}

fn verified(told: &Told) -> String {
    let mut out = format!("{GOOD}good{GOOD:#} {told}\n");
    for (namespace, tables) in &told.namespaces {
        for (table, rows) in tables.iter().filter(|(_, rows)| *rows > 0) {
            out += &format!("  {FAINT}{namespace:<10}{FAINT:#}{:<14}{rows}\n", table.as_str());
        }
    }
    out
}

fn shown_restored(restored: &Restored) -> Value {
    json!({
        "from": restored.from,
        "rows": restored.told.rows(),
        "kept": restored.kept,
        "passed_over": restored.passed_over,
    })
}

fn render_restored(restored: &Restored) -> String {
    let mut out = String::new();
    for why in &restored.passed_over {
        out += &format!("{BAD}passed over:{BAD:#} {why}\n");
    }
    let (from, rows) = (restored.from.display(), restored.told.rows());
    out += &format!("{GOOD}restored{GOOD:#} {rows} rows from {from}\n");
    if let Some(kept) = &restored.kept {
        out += &format!("what was there is kept as {}\n", kept.display());
    }
    out + &format!("{CAUTION}whatever was acknowledged after that backup is lost{CAUTION:#}\n")
}

fn shown_salvaged(saved: &Salvaged) -> Value {
    json!({ "path": saved.path, "rows": saved.rows, "unlinked": saved.unlinked, "lost": saved.lost })
}

fn render_salvaged(saved: &Salvaged) -> String {
    let mut out: String =
        saved.lost.iter().map(|lost| format!("{BAD}lost:{BAD:#} {lost}\n")).collect();
    if saved.unlinked > 0 {
        let rows = saved.unlinked;
        out += &format!("{CAUTION}{rows} rows may be older than they should be{CAUTION:#}\n");
    }
    out + &format!("{GOOD}saved{GOOD:#} {} rows to {}\n", saved.rows, saved.path.display())
}
