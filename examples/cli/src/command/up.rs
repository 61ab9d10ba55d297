//! This file runs a hub and agents on this machine until it is interrupted.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use agentcom_hub::config::{Log, Settings};
use agentcom_hub::local::DATA_DIR;
use agentcom_hub::signals::Signals;
use serde_json::json;

use crate::args::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::fleet::{Announce, Fleet, Plan};
use crate::print::{FAINT, GOOD, STRONG};
use crate::sidecar::Ways;

/// Where the hub keeps its data and listens, and how many agents it gets.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "AGENTCOM_DATA_DIR", hide_env_values = true)]
    data: PathBuf,
    /// Where the hub listens; port 0 takes any free one
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:4000",
        env = "AGENTCOM_BIND",
        hide_env_values = true,
        value_parser = address
    )]
    listen: SocketAddr,
    /// How many agents run beside the hub
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    agents: u16,
    #[command(flatten)]
    ways: Ways,
    /// Listen beyond this machine without TLS, because the network is trusted (WireGuard, Tailscale)
    #[arg(long)]
    trusted_network: bool,
    /// A name under which clients reach the hub, beside its address (repeatable)
    #[arg(long = "public-host", value_name = "HOST", value_delimiter = ',')]
    public_hosts: Vec<String>,
    /// The address of a proxy that is believed when it says for whom it asks (repeatable)
    #[arg(long = "trusted-proxy", value_name = "IP", value_delimiter = ',')]
    trusted_proxies: Vec<IpAddr>,
    /// Before starting, go back to the newest good backup; what came after it is lost
    #[arg(long)]
    restore_latest: bool,
    /// What is logged, such as `info`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "warn",
        env = "AGENTCOM_LOG",
        hide_env_values = true
    )]
    log: String,
}

const EXAMPLES: &str = "\
Examples:
  agentcom up                                       a hub with one agent, data in ./agentcom-data
  agentcom up --listen 127.0.0.1:0 --agents 4       any free port, four agents
  agentcom up --listen 100.64.0.7:4000 --trusted-network --public-host hub.tail1.ts.net

The admin token is in DIR/admin.token. Clients of the same user find the hub by themselves.
Ctrl-C lets running work finish, for at most 30 s; a second Ctrl-C ends everything at once.";

pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let log = Log { filter: args.log.clone(), ..Log::default() };
    agentcom_hub::logs::start(&log).map_err(|bad| Failure::new(Exit::Usage, bad))?;
    if args.restore_latest {
        let restored = agentcom_hub::upkeep::restore_loudly(&args.plan().settings);
        restored.map_err(crate::fleet::failure)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, ctx))
}

async fn serve(args: &Args, ctx: &Context) -> Outcome {
    let mut signals = Signals::listen()?;
    let plan = args.plan();
    args.ways.coder.warnings().for_each(|warning| ctx.print.note(&warning));
    let mut fleet = tokio::select! {
        fleet = Fleet::start(&plan) => fleet?,
        _ = signals.next() => return Err(Failure::silent(Exit::Interrupted)),
    };
    tell(&fleet, ctx)?;
    tokio::select! {
        failure = fleet.failed() => return Err(failure),
        never = args.ways.coder.warn(ctx.print) => match never {},
        _ = signals.next() => {}
    }
    ctx.print.note("finishing what runs; Ctrl-C again ends it at once");
    tokio::select! {
        stopped = fleet.stop() => stopped?,
        _ = signals.next() => {
            ctx.print.note("ended at once; the next start goes on from here");
            return Err(Failure::silent(Exit::Interrupted));
        }
    }
    ctx.print.note("stopped in good order");
    Ok(())
}

/// A name would stand for any number of addresses.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:4000")
}

impl Args {
    fn plan(&self) -> Plan {
        let settings = Settings {
            bind: self.listen,
            data_dir: self.data.clone(),
            trusted_network: self.trusted_network,
            public_hosts: self.public_hosts.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            ..Settings::default()
        };
        Plan { settings, agents: self.agents, ways: self.ways.clone(), announce: Announce::User }
    }
}

fn tell(fleet: &Fleet, ctx: &Context) -> Outcome {
    let hub = fleet.hub();
    let token_file = hub.data_dir().join(agentcom_hub::local::TOKEN_FILE_NAME);
    let told = json!({
        "url": fleet.url(),
        "data_dir": hub.data_dir(),
        "token_file": token_file,
        "agents": fleet.agents(),
        "sandbox": fleet.sandbox(),
        "pid": std::process::id(),
    });
    ctx.print.data(&told, || {
        let made = if hub.admin().is_new { " (made now)" } else { "" };
        let agents: Vec<&str> =
            fleet.agents().iter().map(agentcom_core::name::AgentId::as_str).collect();
        let agents = if agents.is_empty() { "none".into() } else { agents.join(", ") };
        let line = |name: &str, value: &str| format!("  {FAINT}{name:<8}{FAINT:#}{value}\n");
        let url = fleet.url();
        format!("{GOOD}ready{GOOD:#} on {STRONG}{url}{STRONG:#}\n")
            + &line("data", &hub.data_dir().display().to_string())
            + &line("token", &format!("{}{made}", token_file.display()))
            + &line("agents", &agents)
            + &fleet.sandbox().map_or_else(String::new, |sandbox| line("sandbox", &sandbox))
    })?;
    // Where no commands are run, there is nothing to try.
    if fleet.runs_commands() {
        ctx.print.note("try: agentcom submit --shell 'echo hello' --wait");
    }
    Ok(())
}
