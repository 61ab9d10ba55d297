//! This file is the command line of `agentcom`.

use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::client::{Client, Target};
use crate::command;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::Printer;

/// Runs an AgentCom hub, submits tasks to it and shows what becomes of them.
#[derive(Debug, Parser)]
#[command(name = "agentcom", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, propagate_version = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  agentcom demo                                 see it at work: no setup, no network, 30 seconds
  agentcom up                                   run a hub with one agent on this machine
  agentcom submit --shell 'cargo test' --wait   run a command and wait for its end
  agentcom tasks                                list the tasks
  agentcom why 89abcdef                         why a task is where it is
  agentcom watch                                follow what happens

A task is named by the end of its id. See `agentcom help exit-codes` for use in scripts.";

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Global {
    #[command(flatten)]
    target: Target,
    /// Print JSON, with fields that stay as they are
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Print data only, no messages
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
}

/// What a command is run with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) print: Printer,
    target: Target,
}

impl Context {
    /// The hub that the command line, the environment or this machine names.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::find(&self.target)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a hub and agents on this machine
    Up(Box<command::up::Args>),
    /// Watch a hub at work on twelve real tasks, then clean up
    Demo(command::demo::Args),
    /// Queue a task
    Submit(Box<command::submit::Args>),
    /// Queue tasks that may depend on each other, all or none
    Batch(command::batch::Args),
    /// List tasks
    Tasks(command::tasks::Args),
    /// Show one task
    Task(command::task::Args),
    /// Say why a task is where it is, and what would move it on
    Why(command::why::Args),
    /// Show all that a model said in a coding task
    Transcript(command::transcript::Args),
    /// List what agents ask people, with what counts if nobody answers
    Questions,
    /// Answer what an agent asks
    Answer(command::questions::Args),
    /// Call a task off
    Cancel(command::cancel::Args),
    /// Give dead tasks another life
    Retry(command::retry::Args),
    /// List agents, or show what is known of one
    Agents(command::agent::ListArgs),
    /// Add, run, remove, drain, resume or restart an agent
    Agent(command::agent::Args),
    /// Add, list, rotate or remove tokens with rights and an end, for people and programs
    Token(command::token::Args),
    /// Add, list, remove or park servers of models
    Endpoint(command::endpoint::Args),
    /// Register, list, order, pause or forget repositories
    Repo(command::repo::Args),
    /// Start no more work
    Pause(command::pause::Args),
    /// Start work again
    Unpause(command::pause::Args),
    /// Show or set how much may be spent
    Budget(command::money::BudgetArgs),
    /// Show or set what models cost
    Price(command::money::PriceArgs),
    /// Show what was spent, and by whom
    Ledger(command::money::LedgerArgs),
    /// Stop all spending at once
    Estop(command::money::EstopArgs),
    /// Work on a task in a clone of its repository
    Git(command::git::Args),
    /// Run a command in a sandbox, as agents do
    Sandbox(command::sandbox::Args),
    /// Say what agents can rely on here, and what to do about the rest
    Doctor(command::doctor::Args),
    /// Connect to MCP servers, and list the tools that models would have
    Mcp(command::mcp::Args),
    /// Follow what happens, live
    Watch(command::watch::Args),
    /// Show figures about the hub
    Stats,
    /// Show what a sidecar's journal holds
    Journal(command::journal::Args),
    /// Check, back up, restore, save or compact the hub's data
    Db(command::db::Args),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Explain a command, or `exit-codes`
    Help {
        /// What to explain
        topic: Vec<String>,
    },
}

/// Runs the command line of this process.
pub(crate) fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody can be told that the stream is closed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let Cli { global, command } = cli;
    let print = Printer { json: global.json, quiet: global.quiet };
    match run_command(command, &Context { print, target: global.target }) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            failure.report(print.json);
            failure.exit
        }
    }
}

fn run_command(command: Command, ctx: &Context) -> Outcome {
    match command {
        Command::Up(args) => command::up::run(&args, ctx),
        Command::Demo(args) => command::demo::run(&args, ctx),
        Command::Journal(args) => command::journal::run(&args, ctx),
        Command::Completions { shell } => completions(shell, ctx),
        Command::Help { topic } => help(&topic, ctx),
        Command::Submit(args) => asking(command::submit::run(&args, ctx)),
        Command::Batch(args) => asking(command::batch::run(&args, ctx)),
        Command::Tasks(args) => asking(command::tasks::run(&args, ctx)),
        Command::Task(args) => asking(command::task::run(&args, ctx)),
        Command::Why(args) => asking(command::why::run(&args, ctx)),
        Command::Transcript(args) => asking(command::transcript::run(&args, ctx)),
        Command::Questions => asking(command::questions::list(ctx)),
        Command::Answer(args) => asking(command::questions::answer(&args, ctx)),
        Command::Cancel(args) => asking(command::cancel::run(&args, ctx)),
        Command::Retry(args) => asking(command::retry::run(&args, ctx)),
        Command::Agents(args) => asking(command::agent::list(&args, ctx)),
        Command::Agent(args) if args.is_work() => working(command::agent::run(&args, ctx)),
        Command::Agent(args) => asking(command::agent::run(&args, ctx)),
        Command::Token(args) => asking(command::token::run(&args, ctx)),
        Command::Endpoint(args) => asking(command::endpoint::run(&args, ctx)),
        Command::Repo(args) => asking(command::repo::run(&args, ctx)),
        Command::Pause(args) => asking(command::pause::pause(&args, ctx)),
        Command::Unpause(args) => asking(command::pause::unpause(&args, ctx)),
        Command::Budget(args) => asking(command::money::budget(&args, ctx)),
        Command::Price(args) => asking(command::money::price(&args, ctx)),
        Command::Ledger(args) => asking(command::money::ledger(&args, ctx)),
        Command::Estop(args) => asking(command::money::estop(&args, ctx)),
        Command::Git(args) => asking(command::git::run(&args, ctx)),
        Command::Sandbox(args) => asking(command::sandbox::run(&args, ctx)),
        Command::Doctor(args) => asking(command::doctor::run(&args, ctx)),
        Command::Mcp(args) => asking(command::mcp::run(&args, ctx)),
        Command::Watch(args) => asking(command::watch::run(&args, ctx)),
        Command::Db(args) => heeding(command::db::run(args, ctx)),
        Command::Stats => asking(command::stats::run(ctx)),
    }
}

/// Runs a command that heeds signals itself.
fn working(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// As [`working`], for a command that does not need more than one thread.
fn heeding(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Runs a command that asks a hub, until it is done or interrupted.
fn asking(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            pressed = tokio::signal::ctrl_c() => match pressed {
                Ok(()) => Err(Failure::silent(Exit::Interrupted)),
                Err(error) => Err(error.into()),
            },
        }
    });
    // A thread that still reads standard input would hold the process up.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

fn completions(shell: clap_complete::Shell, ctx: &Context) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "agentcom", &mut text);
    Ok(ctx.print.text(&String::from_utf8_lossy(&text))?)
}

fn help(topic: &[String], ctx: &Context) -> Outcome {
    if topic == ["exit-codes"] {
        return Ok(ctx.print.text(&exit_codes())?);
    }
    let mut root = Cli::command();
    root.build();
    let mut found = &mut root;
    for word in topic {
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            Failure::new(Exit::Usage, format_args!("there is no command `{}`", topic.join(" ")))
                .hint(
                    "`agentcom help` lists the commands; `agentcom help exit-codes` the exit codes",
                )
        })?;
    }
    Ok(found.print_help()?)
}

fn exit_codes() -> String {
    let lines = Exit::ALL.map(|(exit, meaning)| format!("  {:>3}  {meaning}\n", exit as u8));
    format!("agentcom ends with one of these exit codes:\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_are_explained() {
        expect![[r#"
            agentcom ends with one of these exit codes:
                0  it is done
                1  something else failed; the message says what
                3  the task that was waited for ended without success
                4  a token is needed and none was found, or it does not allow this
                5  there is no such task, agent or question
                6  the request does not fit the state of things
               64  the command line, a file or a field of the request breaks a rule
               69  no hub answers, or it cannot listen where it should
               74  the data of the hub cannot be opened, read or written
               75  it took too long, or the hub is busy: try again
               77  the hub does not know the token, or it has expired
              130  it was interrupted by Ctrl-C
        "#]]
        .assert_eq(&exit_codes());
    }
}
