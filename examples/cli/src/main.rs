//! The `agentcom` command: runs a hub, submits tasks to it and shows what becomes of them.

mod args;
mod client;
mod command;
mod exit;
mod name;
mod print;
mod table;
mod text;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(args::run() as u8)
}
