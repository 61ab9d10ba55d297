//! This file is the stand-in for the Claude Code CLI: a program that behaves as its model is called.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentcom_exec::stand_in::claude_code::main(std::env::args())
}
