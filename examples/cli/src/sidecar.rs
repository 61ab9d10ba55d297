//! This file builds a sidecar that runs commands for a hub, with its journal in a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver, SidecarError, SidecarHandle};
use agentcom_core::endpoint::Announced;
use agentcom_core::name::{AgentId, Capability};
use agentcom_core::port::executor::Executor;
use agentcom_core::port::store::StoreErrorKind;
use agentcom_core::sidecar::Exit as Left;
use agentcom_exec::git::{self, Checkout};
use agentcom_exec::guard::{Leaks, Spawner, close_memory};
use agentcom_exec::host::Host;
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_exec::sandbox::{Level, Report, Sandbox, Watch};
use agentcom_exec::shell::Shell;
use agentcom_exec::wake::{Wake, WakeConfig};
use agentcom_transport_ws::{ClientOptions, WsClient};

use crate::coder::Coder;
use crate::confine::{Confine, told};
use crate::exit::{Exit, Failure};

/// How an agent works.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Ways {
    /// Something that the agent can do, beside running commands (repeatable)
    #[arg(long = "capability", value_name = "CAPABILITY", value_delimiter = ',')]
    pub(crate) capabilities: Vec<Capability>,
    /// How many tasks it works on at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: u32,
    /// Where it runs commands
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) workdir: PathBuf,
    /// The program that wake tasks wake, with its arguments, ended by `;`
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true, value_terminator = ";")]
    pub(crate) wake: Option<Vec<String>>,
    #[command(flatten)]
    pub(crate) confine: Confine,
    /// Run commands of models and of checks without a sandbox, with all that this user may do; the agent
    /// gets only tasks that were submitted with `--sandbox l0`, or that want none
    #[arg(long = "i-accept-no-sandbox", conflicts_with = "level")]
    pub(crate) no_sandbox: bool,
    #[command(flatten)]
    pub(crate) coder: Coder,
}

/// The name of the journal in an agent's directory.
pub(crate) const JOURNAL: &str = "journal";

/// A sidecar that works, and the sandbox that it relies on.
#[derive(Debug)]
pub(crate) struct Sidecar {
    driver: SidecarDriver,
    watch: Option<Watch>,
    leaks: Leaks,
    report: Option<Report>,
}

impl Sidecar {
    /// What was proved of what it relies on, if it relies on a sandbox or was told to do without.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    pub(crate) fn handle(&self) -> SidecarHandle {
        self.driver.handle()
    }

    /// Works until it is told to stop, or the sandbox no longer holds. Then it takes no more work and
    /// asks to be started again, which says what holds instead. While something is left of earlier work
    /// that could not be ended, it runs no more commands.
    pub(crate) async fn run(self) -> Result<Left, SidecarError> {
        let handle = self.driver.handle();
        let work = self.leaks.during(self.driver.run(), |left| handle.survivors(left));
        let Some(watch) = self.watch else { return work.await };
        let (ended, weak) = watch
            .during(work, |weak| {
                tracing::error!(%weak, "the sandbox no longer holds; no more work is taken");
                handle.drain();
            })
            .await;
        if weak.is_some() { ended.map(|_| Left::Restart) } else { ended }
    }
}

/// A sidecar for the hub at `url` that keeps what it must not forget in `dir`. What is left of the commands
/// that `spawner` has started counts for it, too.
pub(crate) async fn sidecar(
    url: &str,
    name: AgentId,
    token: &str,
    dir: &Path,
    ways: &Ways,
    spawner: Spawner,
) -> Result<Sidecar, Failure> {
    close_memory()?;
    let url = format!("{}/ws", url.trim_end_matches('/').replacen("http", "ws", 1));
    let transport = WsClient::new(&url, ClientOptions::default())
        .map_err(|bad| Failure::new(Exit::Usage, bad))?;
    let demanded = match ways.no_sandbox {
        true => Some(ways.confine.none(&spawner)?),
        false => ways.confine.demanded(&spawner, ways.coder.is_wanted())?,
    };
    let (sandbox, report) = demanded.unzip();
    if let Some(report) = report.as_ref().filter(|report| report.level < Level::L2) {
        tracing::warn!(agent = %name, "the sandbox is {}", told(report));
    }
    let keys: Vec<Capability> = ways.coder.keys()?.capabilities().collect();
    let repository = match ways.coder.is_wanted() {
        true => repository(&name, &ways.workdir).await,
        false => None,
    };
    let can = ways.capabilities.iter().cloned().chain(keys).chain(repository);
    let watch = sandbox.clone().map(|sandbox| Watch::over(sandbox, spawner.clone()));
    let leaks = spawner.leaks();
    let (executors, models) = executors(dir, ways, spawner, sandbox)?;
    let config = SidecarConfig {
        version: Some(env!("CARGO_PKG_VERSION").into()),
        capabilities: can.collect(),
        models,
        slots: ways.slots,
        sandbox: report.clone(),
        ..SidecarConfig::new(name, Secret::new(token))
    };
    let clock = Arc::new(SystemClock::new());
    let entropy = Entropy::of_the_system().map_err(|error| Failure::new(Exit::Failure, error))?;
    let driver = SidecarDriver::new(
        config,
        Arc::new(transport),
        Box::new(journal(dir)?),
        executors,
        clock,
        entropy,
    );
    let driver = driver.map_err(|error| Failure::new(Exit::Failure, error))?;
    Ok(Sidecar { driver: driver.with_meter(Arc::new(Host::here())), watch, leaks, report })
}

/// The repository that coding tasks are about. Where there is no clone they fail, as is said.
async fn repository(name: &AgentId, workdir: &Path) -> Option<Capability> {
    if let Err(error) = Checkout::at(workdir).await {
        tracing::warn!(agent = %name, "coding tasks will fail: {error}");
    }
    git::capability(workdir).await
}

fn journal(dir: &Path) -> Result<FileJournal, Failure> {
    let made = std::fs::create_dir_all(dir).and_then(|()| agentcom_hub::local::keep_from_git(dir));
    made.map_err(|error| {
        Failure::new(Exit::Store, format_args!("cannot make {}: {error}", dir.display()))
    })?;
    let file = dir.join(JOURNAL);
    let journal = FileJournal::open(&file, JournalLimits::default())
        .map_err(|error| Failure::new(Exit::Store, &error.message).hint(remedy(error.kind)))?;
    for damage in journal.reports() {
        tracing::warn!(file = %file.display(), %damage, "the journal was damaged");
    }
    Ok(journal)
}

/// A failure of a sidecar, as this command reports it.
pub(crate) fn failure(error: &SidecarError) -> Failure {
    match error {
        SidecarError::Store(store) => Failure::new(Exit::Store, error).hint(remedy(store.kind)),
        SidecarError::TwoExecutors(_) => Failure::new(Exit::Failure, error),
    }
}

/// What to do about a journal that fails.
fn remedy(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Fenced => "one sidecar at a time can use a directory; choose another",
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown | StoreErrorKind::Corrupt => {
            "look at the disk (space, permissions), then start again"
        }
    }
}

fn executors(
    dir: &Path,
    ways: &Ways,
    spawner: Spawner,
    sandbox: Option<Sandbox>,
) -> Result<(Vec<Arc<dyn Executor>>, Announced), Failure> {
    let workdir = std::fs::canonicalize(&ways.workdir).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format_args!("cannot work in {}: {error}", ways.workdir.display()),
        )
    })?;
    let shell = Shell::new(spawner.clone())
        .in_directory(&workdir)
        .with_environment(ways.coder.environment());
    let shell = match sandbox.clone() {
        Some(sandbox) if sandbox.runs_commands().is_err() => None,
        Some(sandbox) if ways.confine.is_asked() => Some(shell.in_sandbox(sandbox)),
        Some(sandbox) => Some(shell.in_sandbox_on_demand(sandbox)),
        None => Some(shell),
    };
    let mut executors: Vec<Arc<dyn Executor>> = Vec::new();
    executors.extend(shell.map(|shell| Arc::new(shell) as Arc<dyn Executor>));
    let mut models = Announced::new();
    if let Some(sandbox) = sandbox {
        let (coders, own) = ways.coder.executors(&spawner, sandbox, &workdir, dir)?;
        executors.extend(coders);
        models = own;
    }
    if let Some(command) = &ways.wake {
        let config =
            WakeConfig { cwd: workdir, ..WakeConfig::new(command.clone(), dir.join("results")) };
        executors.push(Arc::new(Wake::new(spawner, config)));
    }
    Ok((executors, models))
}

#[cfg(test)]
mod tests {
    use agentcom_core::port::store::StoreError;

    use super::*;

    #[test]
    fn a_journal_without_room_says_what_to_do() {
        let full = StoreError::new(StoreErrorKind::Unavailable, "No space left on device");
        let failure = failure(&SidecarError::Store(full));
        assert_eq!(failure.exit, Exit::Store);
        assert!(failure.hint.is_some_and(|hint| hint.contains("look at the disk")));
    }
}
