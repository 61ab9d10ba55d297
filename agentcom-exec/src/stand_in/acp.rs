//! This file is an agent that speaks the Agent Client Protocol and does what its first argument says:
//! a process, as real agents are. It does coding tasks without any model, or it misbehaves.
//!
//! A program that is to be this agent calls [`dispatch`] before anything else, and is started with
//! [`ARG`] and the name of one of the [`WAYS`]. Tasks can name another of them as their model.

mod peer;
mod ways;

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::acp::AcpError;
use peer::{Message, Peer};
pub use ways::WAYS;

/// The first argument of a process that is to be this agent.
pub const ARG: &str = "__acp-stand-in";

/// Is the agent if this process was started as one, and does nothing otherwise.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    if args.next()? != ARG {
        return None;
    }
    let way = args.next().unwrap_or_else(|| "works".to_owned());
    // Whoever no longer reads ends it.
    let served = serve(way, &mut Peer::of_this_process());
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves one client to its end.
fn serve(mut way: String, peer: &mut Peer) -> io::Result<()> {
    if let Some(code) = ways::at_the_start(&way, peer)? {
        std::process::exit(code);
    }
    let mut logged_in = way != "logs-in" && way != "wants-login";
    while let Some(message) = peer.next()? {
        let Message { id: Some(id), method, params } = message else { continue };
        let result = match method.as_str() {
            "initialize" => {
                let files = &params["clientCapabilities"]["fs"];
                peer.files = files["readTextFile"] == true && files["writeTextFile"] == true;
                initialized(&way)
            }
            "authenticate" if params["methodId"] == "key" => {
                logged_in = way != "wants-login";
                Value::Null
            }
            "session/new" if !logged_in => {
                peer.refuse(&id, -32_000, "Authentication required")?;
                continue;
            }
            "session/new" => json!({
                "sessionId": peer::SESSION,
                "configOptions": [{
                    "id": "which", "name": "Model", "category": "model", "type": "select",
                    "currentValue": way,
                    "options": WAYS.iter().map(option).collect::<Vec<_>>(),
                }],
            }),
            "session/set_config_option" => {
                way = params["value"].as_str().unwrap_or_default().to_owned();
                json!({ "configOptions": [] })
            }
            "session/prompt" if way == "quota" => {
                peer.refuse(&id, AcpError::QUOTA, "Rate limit exceeded. Try again later.")?;
                continue;
            }
            "session/prompt" => {
                peer.prompt = id.clone();
                let reason = ways::at_work(&way, &params, peer)?;
                let usage = json!({ "totalTokens": 120, "inputTokens": 100, "outputTokens": 20 });
                json!({ "stopReason": reason, "usage": usage })
            }
            _ => {
                peer.refuse(&id, -32_601, "Method not found")?;
                continue;
            }
        };
        let id = if way == "wrong-ids" { json!(7_777) } else { id };
        peer.answer(&id, &result)?;
        if way == "answers-twice" {
            peer.answer(&id, &result)?;
        }
    }
    Ok(())
}

fn initialized(way: &str) -> Value {
    let version = if way == "other-version" { 7 } else { 1 };
    json!({
        "protocolVersion": version,
        "agentCapabilities": { "loadSession": false },
        "agentInfo": { "name": "stand-in", "version": "1" },
        "authMethods": [{ "id": "key", "name": "Log in with a key" }],
    })
}

fn option((name, does): &(&str, &str)) -> Value {
    json!({ "value": name, "name": does })
}
