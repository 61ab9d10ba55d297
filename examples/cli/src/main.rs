//! The `agentcom` command: runs a hub, submits tasks to it and shows what becomes of them.

mod acp;
mod args;
mod claude_code;
mod client;
mod coder;
mod command;
mod confine;
mod exit;
mod fleet;
mod name;
mod ollama;
mod print;
mod publishing;
mod risk;
mod route;
mod sidecar;
mod table;
mod text;
mod tiers;
mod tuning;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Jobs run under a guard, which is this very program.
    if let Some(code) = agentcom_exec::guard::dispatch() {
        return code;
    }
    if let Some(code) = agentcom_exec::stand_in::acp::dispatch() {
        return code;
    }
    ExitCode::from(args::run() as u8)
}
