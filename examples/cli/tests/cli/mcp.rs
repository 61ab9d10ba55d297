//! This file tests that the tools of MCP servers are shown, and reach models from the command line.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use agentcom_exec::stand_in::mcp::{Manner, StandIn};
use agentcom_exec::stand_in::ollama::Turn;
use agentcom_tests::real::process::Swept;
use serde_json::{Value, json};

use crate::code::{at_work_with, ground};
use crate::support::{Process, agentcom, eventually, processes_in, run};

/// Writes a file of servers at these addresses; of the tools of `good` it is said what they reach.
fn file(dir: &Path, servers: &[(&str, &str)]) {
    let entry = |(name, url): &(&str, &str)| {
        let reach = json!({ "look": ["untrusted", "private"], "send": ["outward"], "fields": [] });
        let tools = json!(["look", "send", "fields", "variables", "gone"]);
        let entry = json!({ "url": url, "agentcom": { "tools": tools, "reach": reach } });
        ((*name).to_owned(), entry)
    };
    let servers: serde_json::Map<String, Value> = servers.iter().map(entry).collect();
    fs::write(dir.join("mcp.json"), json!({ "mcpServers": servers }).to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_shown_with_their_tools_and_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (StandIn::of(Manner::Good).await, StandIn::of(Manner::Breaks).await);
    file(dir.path(), &[("good", &good.url())]);
    let text = run(dir.path(), &["mcp", "mcp.json"], 0);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            &*format!("good  {}", good.url()),
            "TOOL             REACH               WHAT FOR",
            "good__look       untrusted, private  Looks at something.",
            "good__send       outward",
            "good__fields     nothing",
            "good__variables  everything",
            "it has no gone",
            "",
        ]
    );
    file(dir.path(), &[("good", &good.url()), ("bad", &bad.url())]);
    let output = agentcom(dir.path(), &["mcp", "mcp.json", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [bad, good] = &**told["servers"].as_array().unwrap() else { panic!("{told}") };
    assert!(
        bad["error"].as_str().unwrap().contains("the MCP server `bad` cannot be used"),
        "{bad}"
    );
    assert_eq!((&good["tools"][0]["tool"], &good["missing"]), (&json!("look"), &json!(["gone"])));
    assert_eq!(good["tools"][1]["reach"]["outward"], true);
}

#[test]
fn a_server_dies_with_whoever_started_it() {
    let dir = Swept(tempfile::tempdir().unwrap());
    let dir = dir.0.path();
    let mute = json!({ "mcpServers": { "mute": { "command": "sleep", "args": ["1000"] } } });
    fs::write(dir.join("mcp.json"), mute.to_string()).unwrap();
    let mut command = agentcom(dir, &["mcp", "mcp.json"]);
    let mut owner = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let is_up = || processes_in(dir).iter().any(|process| process.ends_with("sleep 1000 "));
    eventually("the server is up", is_up);
    owner.kill();
    eventually("nothing is left", || processes_in(dir).is_empty());
}

#[test]
fn a_preset_is_a_file_to_begin_with() {
    let dir = tempfile::tempdir().unwrap();
    let text = run(dir.path(), &["mcp", "--preset", "supabase"], 0);
    fs::write(dir.path().join(".mcp.json"), text).unwrap();
    // Without a file one is looked for where many have it.
    let output = agentcom(dir.path(), &["mcp"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64));
    assert!(said.contains(".mcp.json: the MCP server `supabase`: SUPABASE_"), "{said}");
    run(dir.path(), &["mcp", "--preset", "gitea"], 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_an_agent_calls_a_tool_of_a_server() {
    let Some(dir) = ground() else { return };
    let server = StandIn::of(Manner::Good).await;
    file(dir.path(), &[("one", &server.url())]);
    let turns = vec![
        Turn::calls("one__look", json!({ "at": "this" })),
        Turn::calls("write_file", json!({ "path": "seen.txt", "content": "this" })),
        Turn::says("Seen."),
    ];
    let (told, ollama, _up) = at_work_with(dir.path(), turns, &["--mcp", "mcp.json"]).await;
    assert_eq!(told["state"], "completed", "{told:#}");
    let tools = ollama.asked()[0]["tools"].as_array().unwrap().clone();
    assert!(tools.iter().any(|tool| tool["function"]["name"] == "one__look"), "{tools:?}");
    let answered = ollama.asked()[1]["messages"].as_array().unwrap().last().unwrap().clone();
    assert!(answered["content"].as_str().unwrap().contains("seen this"), "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_of_a_server_is_told_or_logged() {
    let Some(dir) = ground() else { return };
    let gone = StandIn::of(Manner::Good).await.url();
    file(dir.path(), &[("one", &format!("{gone}?key=s3cret-word"))]);
    let (told, _ollama, _up) = at_work_with(dir.path(), vec![], &["--mcp", "mcp.json"]).await;
    assert_eq!(told["state"], "dead_letter", "{told:#}");
    let logged = fs::read_to_string(dir.path().join("up.log")).unwrap();
    assert!(!format!("{told} {logged}").contains("s3cret"), "{told:#}\n{logged}");
}
