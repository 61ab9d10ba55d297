//! This file hands 200 secrets to a hub and an agent in every way in which they take one, and looks for
//! them wherever something is told or kept: logs, answers, files, pull requests, command lines.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentcom_core::rng::Rng;
use agentcom_exec::stand_in::github::{StandIn as GitHub, TOKEN};
use agentcom_exec::stand_in::mcp::{Manner, StandIn as Mcp};
use agentcom_exec::stand_in::ollama::Turn;
use serde_json::{Value, json};

use crate::code::{MENDED, ground, started, writes};
use crate::support::{Up, run};

/// How many secrets there are.
const SECRETS: u64 = 200;
/// How many of them are variables of the environment,
const VARIABLES: usize = 100;
/// .. and how many are shown by whoever knocks at the door.
const KNOCKS: usize = 90;

/// What looks like no other text; each is of its own seed.
fn secret(seed: u64) -> String {
    let mut rng = Rng::new(seed);
    format!("c4nary{:016x}{:016x}", rng.next_u64(), rng.next_u64())
}

/// Sends bytes, and returns what comes until the other end says no more or waits.
fn knock(listen: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(bytes).unwrap();
    let (mut told, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(bytes) => told.extend_from_slice(&part[..bytes]),
        }
        // A web socket stays open when it has said what is wrong.
        if told.windows(7).any(|bytes| bytes == b"\"error\"") {
            break;
        }
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// A request with one more line in its head.
fn request(path: &str, line: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{line}\r\n\r\n").into()
}

/// A web socket on which somebody says this.
fn frame(text: &str) -> Vec<u8> {
    let mut bytes =
        b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
            .to_vec();
    let length = u16::try_from(text.len()).unwrap();
    bytes.extend([0x81, 0x80 | 126]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(text.as_bytes());
    bytes
}

/// The ways to show a secret that is none of the hub's.
fn ways(secret: &str) -> Vec<Vec<u8>> {
    vec![
        request("/api/tasks", &format!("authorization: Bearer {secret}")),
        request("/api/tasks", &format!("authorization: Bearer agc_{secret}")),
        request(
            "/api/tasks",
            &format!("authorization: Bearer agc_{}_{secret}_{}", &secret[..12], &secret[..6]),
        ),
        request("/api/tasks", &format!("authorization: Basic {secret}")),
        request("/api/tasks", &format!("authorization: {secret}")),
        request("/api/tasks", &format!("cookie: token={secret}\r\nx-api-key: {secret}")),
        request(&format!("/api/tasks?token={secret}"), "accept: */*"),
        request(&format!("/api/events?TOKEN={secret}&after=0"), "accept: */*"),
        frame(&json!({ "type": "identify", "agent_id": "a", "token": secret }).to_string()),
        frame(
            &json!({ "type": "identify", "agent_id": "a", "token": format!("agc_{secret}") })
                .to_string(),
        ),
        frame(&json!({ "type": "identify", "agent_id": 7, "token": secret }).to_string()),
        frame(&json!({ "type": "identify", "agent_id": "a", "token": [secret] }).to_string()),
    ]
}

/// All that the hub tells its administrator.
fn told(up: &Up, dir: &Path, task: &str) -> String {
    let api = up.api(dir);
    let schemas = api.get("/api/schemas");
    let routes = schemas["routes"].as_array().unwrap().iter();
    let routes = routes.filter(|route| route["method"] == "GET");
    let paths = routes.filter_map(|route| route["path"].as_str());
    let mut all = String::new();
    for path in paths {
        let path = match path {
            "/api/events" => "/api/events?format=json&after=0".to_owned(),
            _ => path.replace("/agents/{id}", "/agents/local-1").replace("{id}", task),
        };
        let (_, body) = api.ask("GET", &path, None).unwrap();
        all += &format!("{path}: {body}\n");
    }
    all
}

/// All files in a folder, with what is in them.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}

/// The command lines of all processes, as often as there is time, until it is enough.
fn command_lines(enough: &AtomicBool) -> BTreeSet<Vec<u8>> {
    let mut seen = BTreeSet::new();
    while !enough.load(Ordering::Relaxed) {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.map(|process| fs::read(process.path().join("cmdline")));
        seen.extend(lines.filter_map(Result::ok));
        std::thread::yield_now();
    }
    seen
}

/// Where something is told or kept, and what.
type Sink = (String, Vec<u8>);

/// Names of variables with secrets in them.
fn named<'a>(
    names: &'a [String],
    secrets: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    names.iter().map(String::as_str).zip(secrets.iter().map(String::as_str))
}

/// Writes a file of one server that is to have these variables.
fn servers_file(dir: &Path, url: &str, names: &[String]) {
    let header = |name: &String| (format!("X-{name}"), json!(format!("Bearer ${{{name}}}")));
    let headers: serde_json::Map<String, Value> = names.iter().map(header).collect();
    let entry = json!({
        "url": format!("{url}?key=${{{}}}", names[0]), "headers": headers,
        "agentcom": { "tools": ["look"], "reach": { "look": [], "send": [], "fields": [] } },
    });
    let file = json!({ "mcpServers": { "one": entry } });
    fs::write(dir.join("mcp.json"), file.to_string()).unwrap();
}

/// Has a task done by a hub and an agent that were handed secrets, and looks at all command lines
/// meanwhile.
fn at_work(dir: &Path, api: &str, env: &[(&str, &str)]) -> (Vec<Sink>, Value, Up) {
    let command = "env; cat /proc/*/environ; cat /proc/*/cmdline";
    let turns = vec![
        Turn::calls("one__look", json!({ "at": "this" })),
        Turn::calls("run_command", json!({ "command": command })),
        writes("add.sh", MENDED),
        Turn::says("It adds."),
    ];
    let enough = AtomicBool::new(false);
    let more = ["--github-api", api, "--mcp", "mcp.json"];
    let (seen, (ended, ollama, up)) = std::thread::scope(|threads| {
        let lines = threads.spawn(|| command_lines(&enough));
        let done = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(started(dir, turns, &more, env, &[]))
        });
        enough.store(true, Ordering::Relaxed);
        (lines.join().unwrap(), done)
    });
    assert_eq!(ended["state"], "completed", "{ended:#}");
    let mut sinks: Vec<Sink> =
        seen.into_iter().map(|line| ("a command line".to_owned(), line)).collect();
    let asked = json!(ollama.asked()).to_string().into_bytes();
    sinks.push(("what a model is asked".to_owned(), asked));
    sinks.push(("the ended task".to_owned(), ended.to_string().into_bytes()));
    (sinks, ended, up)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn none_of_200_secrets_is_told_or_kept_anywhere() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let secrets: Vec<String> = (1..=SECRETS).map(secret).collect();
    let (variables, rest) = secrets.split_at(VARIABLES);
    let (knocks, servers) = rest.split_at(KNOCKS);
    let names: Vec<String> = (0..VARIABLES).map(|at| format!("SECRET_{at}_KEY")).collect();
    let of_servers: Vec<String> = (0..servers.len()).map(|at| format!("SERVER_{at}")).collect();
    let (mcp, github) = (Mcp::of(Manner::Good).await, GitHub::start().await);
    servers_file(dir, &mcp.url(), &of_servers);
    let mut env: Vec<(&str, &str)> = named(&names, variables).collect();
    env.extend(named(&of_servers, servers));
    env.extend([("GITHUB_TOKEN", TOKEN), ("AGENTCOM_LOG", "debug,agentcom=trace")]);
    let (mut sinks, ended, up) = at_work(dir, &github.api(), &env);
    for (at, secret) in knocks.iter().enumerate() {
        let ways = ways(secret);
        let answer = knock(up.listen(), &ways[at % ways.len()]);
        assert!(answer.contains("error"), "{answer}");
        sinks.push((format!("the answer to knock {at}"), answer.into_bytes()));
    }
    let id = ended["id"].as_str().unwrap();
    sinks.push(("what the hub tells".to_owned(), told(&up, dir, id).into_bytes()));
    sinks.push(("a transcript".to_owned(), run(dir, &["transcript", id], 0).into_bytes()));
    sinks.push(("pull requests".to_owned(), json!(github.pulls()).to_string().into_bytes()));
    drop(up);
    files(dir, &mut sinks);
    let has = |place: &str, text: &str| {
        let mut places = sinks.iter().filter(|(name, _)| name.ends_with(place));
        places.any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(text))
    };
    // What is no secret is found where it is told and kept.
    for place in ["hub.redb", "what the hub tells", "a transcript", "what a model is asked"] {
        assert!(has(place, "Mend the sum"), "{place} was looked at");
    }
    assert!(has("up.log", " DEBUG ") && has("mcp.json", "SERVER_0") && has("a command line", "up"));
    // The server that is to have them has been asked.
    assert!(mcp.asked().len() > 1);
    let mut found = Vec::new();
    for (name, bytes) in &sinks {
        let text = String::from_utf8_lossy(bytes);
        let all = secrets.iter().map(String::as_str).chain([TOKEN]);
        found.extend(all.filter(|secret| text.contains(*secret)).map(|secret| (name, secret)));
    }
    assert!(found.is_empty(), "{found:#?}");
}
