//! This file is the stand-in for agents that speak the Agent Client Protocol as a command of its own:
//! `agentcom-acp-stand-in __acp-stand-in WAY`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentcom_exec::stand_in::acp::dispatch().unwrap_or(ExitCode::FAILURE)
}
