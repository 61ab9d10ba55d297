//! This file tests the way of a coding task from the queue to a pull request: a model that follows a
//! script, behind the wire of Ollama, works in a real repository with real tools in the sandbox.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use agentcom_core::sandbox::Level;
use agentcom_exec::stand_in::github::{Instead, StandIn as GitHub, TOKEN};
use agentcom_exec::stand_in::messages as claude;
use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Up, agentcom, git, has_sandbox, json, run};

const BROKEN: &str = "#!/bin/sh\necho $(($1 - $2))\n";
pub(crate) const MENDED: &str = "#!/bin/sh\necho $(($1 + $2))\n";
const TEST: &str = "test \"$(sh add.sh 2 3)\" = 5 || { echo '2 + 3 is not 5'; exit 1; }\n";

/// A remote of a program that adds wrongly, with a test that says so, and a clone of it.
pub(crate) fn repository(dir: &Path) {
    git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", "owner/name"]);
    git(dir, &["clone", "--quiet", "owner/name", "clone"]);
    let clone = dir.join("clone");
    fs::write(clone.join("add.sh"), BROKEN).unwrap();
    fs::create_dir(clone.join("tests")).unwrap();
    fs::write(clone.join("tests/add.sh"), TEST).unwrap();
    git(&clone, &["add", "--all"]);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    git(&clone, &[&who[..], &["commit", "--quiet", "-m", "Begin"]].concat());
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
}

/// A folder with the repository and its clone; nothing where commands cannot be confined.
pub(crate) fn ground() -> Option<TempDir> {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    has_sandbox(dir.path(), Level::L2).then_some(dir)
}

fn runs(command: &str) -> Turn {
    Turn::calls("run_command", json!({ "command": command }))
}

pub(crate) fn writes(path: &str, content: &str) -> Turn {
    Turn::calls("write_file", json!({ "path": path, "content": content }))
}

/// As [`at_work`], without the hub, which is gone then.
async fn done(
    dir: &Path,
    turns: Vec<Turn>,
    github: Option<&GitHub>,
    flags: &[&str],
) -> (Value, Ollama) {
    let (told, ollama, _) = at_work(dir, turns, github, flags).await;
    (told, ollama)
}

/// Has a hub and one agent do one task with a model, and tells how the task ended.
async fn at_work(
    dir: &Path,
    turns: Vec<Turn>,
    github: Option<&GitHub>,
    flags: &[&str],
) -> (Value, Ollama, Up) {
    let api = github.map(GitHub::api).unwrap_or_default();
    let more = ["--github-api", &api];
    let token = [("GITHUB_TOKEN", TOKEN)];
    match github {
        Some(_) => started(dir, turns, &more, &token, flags).await,
        None => started(dir, turns, &[], &[], flags).await,
    }
}

/// The same for a hub that is started with `more`.
pub(crate) async fn at_work_with(
    dir: &Path,
    turns: Vec<Turn>,
    more: &[&str],
) -> (Value, Ollama, Up) {
    started(dir, turns, more, &[], &[]).await
}

pub(crate) async fn started(
    dir: &Path,
    turns: Vec<Turn>,
    more: &[&str],
    env: &[(&str, &str)],
    flags: &[&str],
) -> (Value, Ollama, Up) {
    let ollama = Ollama::of(turns).await;
    let url = ollama.url();
    let up = ["--ollama", &url, "--workdir", "clone"];
    let usual: &[&str] = if more.contains(&"--model") { &[] } else { &["--model", "scripted"] };
    let up = Up::start_with(dir, &[&up, usual, more].concat(), env);
    let line =
        ["submit", "--code", "-d", "Mend the sum", "--wait", "--max-attempts", "1", "--json"];
    let mut command = agentcom(dir, &[&line[..], flags].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    (serde_json::from_slice(&output.stdout).expect(&said), ollama, up)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_asked_as_was_said_of_it() {
    let Some(dir) = ground() else { return };
    let more = ["--context", "4096", "--context", "scripted=8192", "--think", "off"];
    let (told, ollama, _up) = at_work_with(dir.path(), vec![writes("add.sh", MENDED)], &more).await;
    assert_eq!(told["state"], "completed", "{told:#}");
    for asked in ollama.asked() {
        assert_eq!((&asked["options"]["num_ctx"], &asked["think"]), (&json!(8192), &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_was_not_made_to_call_tools_mends_the_sum_by_a_format() {
    let Some(dir) = ground() else { return };
    let more = ["--model", "untrained", "--calls", "untrained=format"];
    let turns = vec![writes("add.sh", MENDED), Turn::says("It adds.")];
    let (told, ollama, _up) = at_work_with(dir.path(), turns, &more).await;
    assert_eq!(
        (&told["state"], &told["result"]["model"]),
        (&json!("completed"), &json!("untrained"))
    );
    assert_eq!(told["result"]["output"], "It adds.", "{told:#}");
    assert!(ollama.asked().iter().all(|asked| asked["format"].is_object()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b28_a_task_goes_from_the_queue_through_a_correction_to_a_pull_request() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let github = GitHub::start().await;
    let turns = vec![
        Turn::calls("list_directory", json!({ "path": ".", "recursive": true })),
        Turn::calls("read_file", json!({ "path": "add.sh" })),
        writes("add.sh", "#!/bin/sh\necho $(($1 * $2))\n"),
        Turn::says("It adds now."),
        runs("sh tests/add.sh"),
        writes("add.sh", MENDED),
        runs("sh tests/add.sh && echo good"),
        Turn::says("Now it does."),
    ];
    let flags = [
        "--check",
        "test_passes sh tests/add.sh",
        "--check",
        "tests_not_weakened",
        "--check",
        "diff_within 10 add.sh",
        "--check",
        "git_clean",
        "--corrections",
        "1",
        "--tier",
        "trivial",
    ];
    let (told, ollama, _up) = at_work(dir, turns, Some(&github), &flags).await;
    assert_eq!(
        (&told["state"], &told["result"]["rounds"]),
        (&json!("completed"), &json!(2)),
        "{told:#}"
    );
    let report = &told["verification_report"];
    assert_eq!(
        (&report["status"], report["checks"].as_array().unwrap().len()),
        (&json!("pass"), 4)
    );
    // The second round knew what the first had left to do.
    let corrected = ollama.asked()[4]["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(
        corrected.contains("2 + 3 is not 5") && corrected.contains("Keep it so"),
        "{corrected}"
    );
    // What the model saw of its last command came out of the sandbox.
    let last = ollama.asked().pop().unwrap();
    let seen = last["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
    assert!(seen.contains("good") && seen.contains(r#"\"sandbox\":\"L"#), "{seen}");
    // What is pushed is what was checked.
    let branch = told["result"]["branch"].as_str().unwrap();
    let remote = dir.join("owner/name");
    assert_eq!(git(&remote, &["show", &format!("{branch}:add.sh")]) + "\n", MENDED);
    assert_eq!(git(&remote, &["rev-parse", branch]), report["commit"]);
    let log = git(&remote, &["log", "--format=%(trailers:key=Agentcom-Round,valueonly)", branch]);
    assert_eq!(log.split_whitespace().collect::<Vec<_>>(), ["2", "1"]);
    let pull = &github.pulls()[0];
    assert_eq!((&pull["head"], &pull["title"]), (&json!(branch), &json!("Mend the sum")));
    let body = pull["body"].as_str().unwrap();
    let tree = git(&remote, &["rev-parse", &format!("{branch}^{{tree}}")]);
    assert!(body.contains("pass: test_passes sh tests/add.sh (exit code 0, "), "{body}");
    assert!(body.contains(&format!("with the tree `{tree}`")), "{body}");
    // All that was said in each round can be read.
    let id = told["id"].as_str().unwrap();
    let first = run(dir, &["transcript", id, "--round", "1"], 0);
    assert!(first.contains("It adds now.") && !first.contains("Now it does."), "{first}");
    let last = run(dir, &["transcript", id], 0);
    assert!(last.contains("2 + 3 is not 5") && last.contains("Now it does."), "{last}");
    run(dir, &["transcript", id, "--round", "3"], 5);
    // Nothing is left beside the clone.
    assert_eq!(git(&dir.join("clone"), &["worktree", "list"]).lines().count(), 1);
    assert_eq!(git(&dir.join("clone"), &["status", "--porcelain"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_is_done_by_a_model_that_speaks_the_messages_api() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let model = claude::StandIn::of([
        claude::Turn::calls("write_file", &json!({ "path": "add.sh", "content": MENDED })),
        claude::Turn::calls("run_command", &json!({ "command": "sh tests/add.sh && echo good" })),
        claude::Turn::says("It adds now."),
    ])
    .await;
    let url = model.url();
    let up = ["--claude", &url, "--claude-model", "scripted", "--workdir", "clone"];
    let _up = Up::start_with(dir, &up, &[("ANTHROPIC_API_KEY", claude::KEY)]);
    let line = ["submit", "--code", "--with", "claude", "-d", "Mend the sum", "--wait", "--json"];
    let checks = ["--check", "test_passes sh tests/add.sh"];
    let mut command = agentcom(dir, &[&line[..], &checks].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["verification_report"]["status"], "pass", "{told:#}");
    assert_eq!(
        (&told["result"]["turns"], &told["result"]["model"]),
        (&json!(3), &json!("scripted"))
    );
    let answered = &model.asked()[2]["messages"][4]["content"][0];
    assert_eq!((&answered["type"], &answered["is_error"]), (&json!("tool_result"), &json!(false)));
}

/// A program that speaks as the Claude Code CLI, and mends the sum.
const CLAUDE: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.0 (a script)'; exit; }
say() { printf '%s\n' "$1"; }
message() { say "{\"type\":\"$1\",\"message\":{\"id\":\"m\",\"content\":[$2]}}"; }
read -r told
say '{"type":"system","subtype":"init","model":"scripted","claude_code_version":"2.1.0"}'
message assistant '{"type":"tool_use","id":"t","name":"Edit","input":{"file_path":"add.sh"}}'
sed -i 's/-/+/' add.sh
printf '%s\n' "$told" > told.txt
message user '{"type":"tool_result","tool_use_id":"t","content":"mended"}'
say '{"type":"result","subtype":"success","is_error":false,"result":"It adds now.","num_turns":2,
"total_cost_usd":0.25,"modelUsage":{"m":{"inputTokens":30,"outputTokens":4}}}' | tr -d '\n'
echo; cat > /dev/null
"#;

/// Puts it there.
pub(crate) fn claude_code(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let program = dir.join("claude");
    fs::write(&program, CLAUDE).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_same_is_done_by_the_claude_code_cli() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    claude_code(dir);
    let up = ["--claude-code", "./claude", "--claude-code-model", "scripted", "--workdir", "clone"];
    let _up = Up::start_with(dir, &up, &[("ANTHROPIC_API_KEY", "sk-of-a-test")]);
    let line = ["submit", "--code", "--with", "claude-code", "-d", "Mend the sum", "--wait"];
    let checks = [
        "--check",
        "test_passes sh tests/add.sh",
        "--check",
        "file_contains told.txt: Mend the sum",
    ];
    let told = json(dir, &[&line[..], &checks].concat());
    assert_eq!(told["verification_report"]["status"], "pass", "{told:#}");
    let result = &told["result"];
    assert_eq!((&result["model"], &result["turns"]), (&json!("scripted"), &json!(2)));
    assert_eq!((&result["tokens_in"], &result["cost_micros"]), (&json!(30), &json!(250_000)));
    assert_eq!(result["steps"], json!(["Edit add.sh: ok"]));
    let said = run(dir, &["transcript", told["id"].as_str().unwrap()], 0);
    assert!(said.contains("Mend the sum") && !said.contains("sk-of-a-test"), "{said}");
    let seen = run(dir, &["doctor", "--claude-code", "./claude"], 0);
    assert!(seen.contains("2.1.0 (a script) at /"), "{seen}");
}

#[test]
fn a_claude_code_cli_that_cannot_work_is_refused_before_anything_starts() {
    const PLACE: [&str; 5] = ["up", "--listen", "127.0.0.1:0", "--workdir", "clone"];
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let refused = |more: &[&str], code: i32, words: &str| {
        let line = [&PLACE[..], &["--claude-code"], more].concat();
        let output = agentcom(dir, &line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(words), "{said}");
    };
    refused(&["./no-such-program"], 64, "there is no program `./no-such-program`");
    refused(&["sh"], 4, "neither ANTHROPIC_API_KEY nor CLAUDE_CODE_OAUTH_TOKEN is set");
    refused(&["sh", "--claude-code-state", "no-such-folder"], 64, "no-such-folder: ");
    assert!(run(dir, &["doctor", "--claude-code", "no-such"], 0).contains("no program `no-such`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_what_a_model_says_does_not_make_a_task_done() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    // It makes the test pass by changing the test.
    let turns = vec![writes("tests/add.sh", "exit 0\n"), Turn::says("All tests pass.")];
    let flags = ["--check", "test_passes sh tests/add.sh", "--check", "tests_not_weakened"];
    let (told, _) = done(dir, turns, None, &flags).await;
    assert_eq!(told["state"], "partial", "{told:#}");
    assert_eq!(told["verification_report"]["status"], "partial");
    let checks = &told["verification_report"]["checks"];
    assert_eq!((&checks[0]["status"], &checks[1]["status"]), (&json!("pass"), &json!("fail")));
    let output = checks[1]["output"].as_str().unwrap();
    assert!(output.ends_with("\n\ntests are changed: tests/add.sh"), "{output}");
    assert!(output.contains("\n+++ b/tests/add.sh\n") && output.contains("\n+exit 0"), "{output}");
    assert_eq!(told["result"]["risk_tier"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_not_lost_for_want_of_a_pull_request() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let github = GitHub::start().await;
    let gone = Instead {
        status: 401,
        headers: Vec::new(),
        body: r#"{"message":"Bad credentials"}"#.to_owned(),
        does_it: false,
    };
    github.next(vec![Some(gone); 9]);
    let turns = vec![writes("add.sh", MENDED), Turn::says("It adds now.")];
    let flags = ["--check", "test_passes sh tests/add.sh"];
    let (told, _) = done(dir, turns, Some(&github), &flags).await;
    assert_eq!((&told["state"], &told["result"]["pushed"]), (&json!("partial"), &json!(true)));
    let error = told["result"]["pull_request_error"].as_str().unwrap();
    assert!(error.contains("does not accept the token"), "{error}");
    assert_eq!(told["result"]["verdict"], "partial_pass");
    assert_eq!(told["result"]["remaining"], json!([format!("the pull request: {error}")]));
    assert_eq!(told["verification_report"]["status"], "pass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_does_nothing_fails_the_task_and_one_that_is_not_there_says_so() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let (told, _) = done(dir, vec![Turn::says("It is fine as it is.")], None, &[]).await;
    assert_eq!(told["state"], "dead_letter", "{told:#}");
    assert!(told["last_error"].as_str().unwrap().contains("it changed nothing"), "{told:#}");
    let missing = Turn::Status(404, "model 'scripted' not found, try pulling it first".into());
    let (told, _) = done(dir, vec![missing], None, &["--with", "ollama"]).await;
    assert!(told["last_error"].as_str().unwrap().contains("no model `scripted`"), "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_was_started_with_is_an_endpoint_and_a_task_waits_for_a_model_that_is_missing()
 {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let turns = vec![writes("add.sh", MENDED), Turn::says("It adds now.")];
    let (told, ollama, up) = at_work(dir, turns, None, &[]).await;
    assert_eq!(told["state"], "completed", "{told:#}");
    let chosen = told["attempts"][0]["route"]["chosen"].clone();
    assert!(chosen["endpoint"].as_str().unwrap().contains("-ollama-"), "{told:#}");
    let listed = json(dir, &["endpoint", "list"]);
    let endpoint = &listed["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["url"]), (&chosen["endpoint"], &json!(ollama.url())));
    assert_eq!(endpoint["announced_by"], json!(["local-1"]));
    let line = ["submit", "--code", "-d", "Mend it", "--model", "absent", "--wait"];
    let mut waiting = agentcom(dir, &line).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(waiting.stderr.take().unwrap()).lines().map_while(Result::ok);
    let waits = tokio::task::spawn_blocking(move || {
        said.map(|line| line + "\n").find(|line| line.contains("it waits")).unwrap()
    });
    let waits = waits.await.unwrap();
    assert!(waits.contains("no endpoint takes absent: absent at"), "{waits}");
    assert!(waits.contains("is not there"), "{waits}");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    drop(up);
    // An agent that no longer has it does not announce it any more.
    let _up = Up::start(dir, &["--workdir", "clone"]);
    assert_eq!(json(dir, &["endpoint", "list"])["endpoints"], json!([]));
}

#[test]
fn the_demonstration_of_a_model_ends_with_a_pull_request_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    if !has_sandbox(dir, Level::L2) {
        return;
    }
    let told = json(dir, &["demo", "--agentic"]);
    assert_eq!(told["task"]["result"]["rounds"], 2);
    assert_eq!(told["pull_requests"][0]["number"], 1);
    let left: Vec<_> = fs::read_dir(dir).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_sandbox_runs_a_command_in_this_directory_and_ends_as_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    if !has_sandbox(dir, Level::L2) {
        return;
    }
    let output =
        run(dir, &["sandbox", "--", "sh", "-c", "echo hi > here; cat /root/.profile; exit 7"], 7);
    assert_eq!(fs::read_to_string(dir.join("here")).unwrap(), "hi\n");
    assert_eq!(output, "");
    run(dir, &["sandbox", "--sandbox", "L1", "true"], 64);
    run(dir, &["submit", "--code", "-d", "x", "--check", "looks_good x"], 64);
    run(dir, &["sandbox", "no-such-program"], 1);
    // What it has made so far stays, and counts as what was there.
    for (script, code) in [
        ("head -c 3000000 /dev/zero > big", 1),
        ("cat big > /dev/null", 0),
        ("while :; do head -c 100000 /dev/zero >> big; sleep 0.01; done", 1),
        ("rm big", 0),
    ] {
        run(dir, &["sandbox", "--sandbox-disk", "1", "--", "sh", "-c", script], code);
    }
}

#[test]
fn a_command_in_a_sandbox_has_the_network_and_other_folders_only_where_they_are_granted() {
    let dir = tempfile::tempdir().unwrap();
    let (here, beside) = (dir.path().join("here"), dir.path().join("beside"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&beside).unwrap();
    if !has_sandbox(&here, Level::L2) {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = |grants: &[&'static str], script: &str, code: i32| {
        let words = [&["sandbox"], grants, &["--", "bash", "-c", script]].concat();
        run(&here, &words, code);
    };
    let reach = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    line(&[], &reach, 1);
    line(&["--write", "../beside"], &reach, 1);
    line(&["--open-network"], &reach, 0);
    let write = "echo x > ../beside/file";
    line(&["--open-network"], write, 1);
    line(&["--write", "../beside"], write, 0);
    assert_eq!(fs::read_to_string(beside.join("file")).unwrap(), "x\n");
    line(&["--write", "../not-there"], "true", 64);
    assert!(run(&here, &["doctor"], 0).contains("without a network unless it is granted"));
}

#[test]
fn a_command_in_a_sandbox_reaches_the_hosts_that_are_granted_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, &["sandbox", "--host", "https://a.example", "true"], 64);
    run(dir, &["sandbox", "--host", "a.example", "--open-network", "true"], 64);
    run(dir, &["up", "--acp", "true", ";", "--acp-host", "a..example"], 64);
    run(dir, &["up", "--claude-code", "true", "--claude-code-host", "0x7f.1"], 64);
    if !has_sandbox(dir, Level::L3) {
        return;
    }
    let told = run(dir, &["doctor", "--attempts"], 0);
    assert!(told.contains("held to the hosts that are named"), "{told}");
    assert!(told.contains("cannot  reach a host that is not granted, by the broker"), "{told}");
    assert!(told.contains("can     reach a host that is granted, by the broker"), "{told}");
    let listeners = [0; 2].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [to, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let ask = "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\n\\r\\n' $1 >&3; \
               read -r _ status _ <&3; echo $status";
    let host = to.to_string();
    let asked = |target: &str| {
        let line = ["sandbox", "--host", &host, "--", "bash", "-c", ask, "bash", target];
        let output = agentcom(dir, &line).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|all| String::from_utf8(all).unwrap());
        (out.trim().to_owned(), err)
    };
    let (status, told) = asked(&host);
    assert!(status == "200" && told.contains(&format!("network: reached {host}")), "{told}");
    let (status, told) = asked(&other.to_string());
    assert_eq!(status, "403");
    assert!(told.contains(&format!("network: refused {other}: it is not granted")), "{told}");
    // Whoever demands less gets what it takes.
    let words = ["sandbox", "--sandbox", "L2", "--host", &host, "--", "true"];
    assert_eq!(run(dir, &words, 0), "");
}

#[test]
fn whoever_starts_a_coding_agent_beside_a_clone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    if !has_sandbox(dir.path(), Level::L2) {
        return;
    }
    let _up = Up::start(dir.path(), &["--ollama", "http://127.0.0.1:1"]);
    let said = fs::read_to_string(dir.path().join("up.log")).unwrap();
    assert!(said.contains("coding tasks will fail") && said.contains("is no clone"), "{said}");
}
