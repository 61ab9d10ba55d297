//! This file makes this process an agent that works for a hub elsewhere.

use std::path::PathBuf;

use agentcom_core::name::AgentId;
use agentcom_core::sidecar::Exit as Left;
use agentcom_exec::guard::Spawner;
use agentcom_hub::signals::Signals;

use crate::args::Context;
use crate::confine::told;
use crate::exit::{Exit, Failure, Outcome};
use crate::sidecar::{self, Ways};

/// Which agent, and how it works.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The agent
    #[arg(value_name = "NAME")]
    name: AgentId,
    /// Where it keeps its journal [default: ./agentcom-agents/NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    ways: Ways,
}

const EXAMPLES: &str = "\
Example:
  agentcom agent add builder-2 > builder-2.token
  agentcom agent run builder-2 --token-file builder-2.token --capability rust --slots 2";

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    agentcom_hub::logs::from_environment("warn").map_err(|bad| Failure::new(Exit::Usage, bad))?;
    let mut signals = Signals::listen()?;
    let client = ctx.client()?;
    let dir = args.dir.clone();
    let dir = dir.unwrap_or_else(|| PathBuf::from("agentcom-agents").join(args.name.as_str()));
    let token = client.token().ok_or_else(|| {
        Failure::new(Exit::NotAllowed, "an agent needs a token of its own")
            .hint(format_args!("make it with `agentcom agent add {}`", args.name))
    })?;
    let name = args.name.clone();
    args.ways.coder.warnings().for_each(|warning| ctx.print.note(&warning));
    let spawner = Spawner::current_exe()?;
    let sidecar =
        sidecar::sidecar(client.address(), name, token, &dir, &args.ways, spawner).await?;
    let handle = sidecar.handle();
    ctx.print.note(&format!("agent {} works for {}; Ctrl-C ends it", args.name, client.address()));
    if let Some(sandbox) = sidecar.report().map(told) {
        ctx.print.note(&format!("its sandbox is {sandbox}"));
    }
    let mut running = std::pin::pin!(sidecar.run());
    let ended = tokio::select! {
        ended = &mut running => ended,
        never = args.ways.coder.warn(ctx.print) => match never {},
        _ = signals.next() => {
            handle.drain();
            ctx.print.note("finishing what runs; Ctrl-C again ends it at once");
            tokio::select! {
                ended = &mut running => ended,
                _ = signals.next() => return Err(Failure::silent(Exit::Interrupted)),
            }
        }
    };
    match ended.map_err(|error| sidecar::failure(&error))? {
        Left::Clean => Ok(()),
        Left::Restart => Err(Failure::new(Exit::TryAgain, "it is to be started again")),
    }
}
