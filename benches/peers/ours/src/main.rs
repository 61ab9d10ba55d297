//! This file is AgentCom: handlers in the same program, or sidecars in another process.

mod embedded;
mod remote;
mod tasks;

use std::process::ExitCode;

use peers_subject::{Arguments, failed, run};

fn main() -> ExitCode {
    if let Some(("sidecar", rest)) =
        words().split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return remote::sidecars(rest);
    }
    match Arguments::read() {
        Ok(arguments) => match arguments.peer.as_str() {
            "agentcom" => run::<embedded::Embedded>(arguments),
            "agentcom-ws" => run::<remote::Remote>(arguments),
            other => failed(&format!("there is no peer {other} here")),
        },
        Err(error) => failed(&error.to_string()),
    }
}

fn words() -> Vec<String> {
    std::env::args().skip(1).collect()
}
