//! This file runs a command in a sandbox, as agents do.

use std::collections::BTreeMap;
use std::io;

use agentcom_exec::guard::{GuardCommand, How, Leftovers, Running, Said, Spawner, TooMuch};
use agentcom_exec::sandbox::{Excess, Quota, Sandbox};

use crate::args::Context;
use crate::confine::{Confine, Grants};
use crate::exit::{Exit, Failure, Outcome};
use crate::print::Printer;

/// The command and its sandbox.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    confine: Confine,
    #[command(flatten)]
    grants: Grants,
    /// The command, which may change what is in this directory
    #[arg(value_name = "COMMAND", num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  agentcom sandbox make test                       in the strongest sandbox of this machine
  agentcom sandbox --sandbox L2 -- ls -la /        in one without namespaces
  agentcom sandbox --sandbox-read ~/.cargo cargo test
  agentcom sandbox --host registry.npmjs.org --write ~/.npm -- npm install

It ends with the exit code of the command, or 128 and the number of the signal that ended it; or 1 where
the command was stopped for what it took. What is in its way, `agentcom doctor` says.";

/// What a shell adds to the number of a signal.
const SIGNAL_BASE: i32 = 128;

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let spawner = Spawner::current_exe()?;
    let sandbox = args.confine.granting(&args.grants, &spawner)?.0;
    let how = confined(&spawner, &sandbox, args.command.clone(), ctx.print).await?;
    let code = match how {
        How::Exited(code) => code,
        How::Signalled(signal) => SIGNAL_BASE + signal,
    };
    // All that is left to say is how the command ended.
    if code == 0 { Ok(()) } else { std::process::exit(code) }
}

async fn confined(
    spawner: &Spawner,
    sandbox: &Sandbox,
    argv: Vec<String>,
    print: Printer,
) -> Result<How, Failure> {
    let cwd = std::env::current_dir()?;
    let cell = sandbox.clone().for_work_in(&cwd).await.around(&cwd)?;
    let command = GuardCommand {
        argv,
        env: std::env::vars().collect::<BTreeMap<_, _>>(),
        cwd,
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: Some(cell.policy()),
    };
    let quota = cell.quota_with_room();
    let mut running = spawner.spawn(&command).await?;
    let (mut out, mut err) = running.take_output();
    let (mut to_out, mut to_err) = (tokio::io::stdout(), tokio::io::stderr());
    let copying = async {
        tokio::try_join!(
            tokio::io::copy(&mut out, &mut to_out),
            tokio::io::copy(&mut err, &mut to_err)
        )
    };
    let (how, copied) = tokio::join!(within(&quota, &mut running, print), copying);
    copied?;
    how
}

/// How it ended, if its files are no more than they may be; it is stopped where they are.
async fn within(quota: &Quota, running: &mut Running, print: Printer) -> Result<How, Failure> {
    let held = quota.with_held_by(running);
    let ended = tokio::select! {
        ended = ending(running, print) => ended,
        excess = held.passed() => {
            running.stop();
            // What it is told then says nothing more.
            let _ = ending(running, print).await;
            return Err(too_much(&excess));
        }
    };
    let how = ended?;
    quota.excess().await.map_or(Ok(how), |excess| Err(too_much(&excess)))
}

fn too_much(excess: &Excess) -> Failure {
    Failure::new(Exit::Failure, excess).hint("--sandbox-disk MIB lets its files take more")
}

async fn ending(running: &mut Running, print: Printer) -> Result<How, Failure> {
    let mut ended = None;
    loop {
        match running.next().await {
            Ok(Said::Exited(how)) => ended = Some(how),
            Ok(Said::Refused(refusal)) => return Err(Failure::new(Exit::Failure, refusal.message)),
            Ok(Said::Contact(contact)) => print.note(&format!("network: {contact}")),
            Ok(Said::TooMuch(more @ TooMuch::Processes { .. })) => {
                return Err(Failure::new(Exit::Failure, more));
            }
            Ok(Said::TooMuch(TooMuch::Memory { most })) => {
                let what = format!("it took more than {} MiB of memory", most >> 20);
                return Err(Failure::new(Exit::Failure, what)
                    .hint("--sandbox-memory MIB lets it take more"));
            }
            Ok(Said::Started { .. }) => {}
            Ok(Said::Clear { .. }) | Err(_) => {
                return ended.ok_or_else(|| io::Error::other("its guard was killed").into());
            }
        }
    }
}
