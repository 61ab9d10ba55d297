//! This file is an MCP server for tests: `agentcom-mcp-stand-in MANNER [LOG]`.

use std::process::ExitCode;

use agentcom_exec::stand_in::mcp;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let manner = args.next().and_then(|word| word.parse().ok());
    let Some(manner) = manner else { return ExitCode::from(64) };
    match mcp::serve(manner, args.next().as_ref().map(AsRef::as_ref)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
