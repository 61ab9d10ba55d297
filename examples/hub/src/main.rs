//! The `agentcom-hub` command: serves one hub as one TOML file and the environment say.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use agentcom_hub::config::Settings;
use agentcom_hub::error::HubError;
use agentcom_hub::local::{self, Announcement, LocalHub};
use agentcom_hub::serve::Hub;
use agentcom_hub::signals::Signals;
use agentcom_hub::upkeep;
use clap::Parser;

/// Serves an AgentCom hub until it is asked to leave by Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "agentcom-hub", version, max_term_width = 100, after_help = HELP)]
struct Line {
    /// File with the settings; without it the defaults count
    #[arg(long, value_name = "FILE", env = "AGENTCOM_CONFIG")]
    config: Option<PathBuf>,
    /// Read the settings, say what is wrong with them, and do nothing else
    #[arg(long)]
    check: bool,
    /// Before starting, go back to the newest good backup; what came after it is lost
    #[arg(long, conflicts_with = "check")]
    restore_latest: bool,
}

const HELP: &str = "\
The file, with its defaults; unknown keys are refused:
  bind = \"127.0.0.1:4000\"
  data_dir = \"agentcom-data\"
  trusted_network = false      # listen beyond this machine without TLS (WireGuard, Tailscale)
  public_hosts = []            # names under which clients reach the hub
  trusted_proxies = []         # addresses that are believed when they say for whom they ask
  [backup]
  every_minutes = 1440         # 0 is never
  dir = \"backups\"                  # from the data directory on
  keep = 3
  [log]
  filter = \"info\"
  format = \"text\"              # or \"json\"
  [limits]                     # tasks_max, bytes_max, agents_max, attempts_max, crashes_max,
                               # lease_ttl_ms, stuck_after_ms, timeout_ms, affinity_wait_ms,
                               # raise_within_ms

The environment goes over the file: AGENTCOM_BIND, AGENTCOM_DATA_DIR, AGENTCOM_TRUSTED_NETWORK,
AGENTCOM_PUBLIC_HOSTS and AGENTCOM_TRUSTED_PROXIES (with commas), AGENTCOM_BACKUP_EVERY_MINUTES,
AGENTCOM_BACKUP_DIR, AGENTCOM_BACKUP_KEEP, AGENTCOM_LOG, AGENTCOM_LOG_FORMAT.

Exit codes: 0 left as asked, 64 settings, 69 cannot listen, 74 data, 75 start me again.";

fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Nobody can be told that the stream is closed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = error.hint().map_or_else(String::new, |hint| format!("hint: {hint}\n"));
            let _ = write!(std::io::stderr(), "error: {error}\n{hint}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(line: &Line) -> Result<(), HubError> {
    let settings = Settings::read(line.config.as_deref(), |name| std::env::var(name).ok())?;
    agentcom_hub::logs::start(&settings.log)?;
    if line.check {
        return Ok(());
    }
    if line.restore_latest {
        upkeep::restore_loudly(&settings)?;
    }
    let runtime = tokio::runtime::Runtime::new().map_err(HubError::Serve)?;
    runtime.block_on(serve(&settings))
}

async fn serve(settings: &Settings) -> Result<(), HubError> {
    let mut signals = Signals::listen().map_err(HubError::Serve)?;
    let mut hub = Hub::start(settings).await?;
    let here = LocalHub::here(hub.address(), hub.data_dir());
    let user_dir = local::user_dir(local::env_path);
    let announced = Announcement::publish(&here, user_dir.as_deref());
    let _announced =
        announced.map_err(|error| HubError::DataDir { dir: hub.data_dir().into(), error })?;
    tracing::info!(url = %here.url, data = %here.data_dir.display(), "the hub is ready");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        failure = hub.failed() => return Err(failure),
        _ = signals.next() => {}
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("the hub finishes what it does; a second signal ends it at once");
    tokio::select! {
        stopped = hub.stop() => stopped,
        _ = signals.next() => Ok(()),
    }
}
