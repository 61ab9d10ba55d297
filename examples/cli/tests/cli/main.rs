//! This file gathers the tests of the real command.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod abuse;
mod acp;
mod canaries;
mod code;
mod command_line;
mod db;
mod end_to_end;
mod git;
mod kill;
mod levels;
mod mcp;
mod money;
mod repo;
mod routing;
mod servers;
mod smoke;
mod stopped;
mod support;
mod upkeep;
