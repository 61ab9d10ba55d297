//! This file tests the tools that a model is given: what they do, what they refuse, and that no path
//! leads out of the workspace.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "tools/odd.rs"]
mod odd;
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use agentcom_exec::sandbox::{Level, Network, Sandbox};
use agentcom_exec::tool::{
    RunCommand, Spec, Tool, ToolError, ToolErrorKind, Toolbox, Workspace, observation,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use support::{Watched, level_here, spawner};

struct Desk {
    dir: tempfile::TempDir,
    tools: Toolbox,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("work/src")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        let workspace = Arc::new(Workspace::open(dir.path().join("work")).unwrap());
        Self { tools: Toolbox::of_files(&workspace), dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("work").join(path)
    }

    async fn call(&self, tool: &str, input: Value) -> Result<Value, ToolError> {
        self.tools.call(tool, input, &Watched::new()).await
    }

    async fn refused(&self, tool: &str, input: Value) -> ToolErrorKind {
        self.call(tool, input.clone()).await.expect_err(&input.to_string()).kind
    }
}

#[tokio::test]
async fn why_an_input_cannot_be_read_is_said_and_not_all_of_the_input() {
    let desk = Desk::new();
    let long = "x".repeat(100_000);
    let said = async |input| {
        let error = desk.call("read_file", input).await.unwrap_err();
        assert!(error.kind == ToolErrorKind::BadInput && error.message.len() < 1_000);
        error.message
    };
    let broken = said(json!(format!("{{\"path\": \"{long}\" \"b\"}}"))).await;
    assert!(broken.contains("no JSON object: expected `,` or `}`"), "{broken}");
    let unknown = said(json!({ "path": "a", long.clone(): 1 })).await;
    assert!(unknown.contains("unknown field") && unknown.contains("the fields of"), "{unknown}");
    let wrong = said(json!({ "path": "a", "start_line": long })).await;
    assert!(wrong.contains("invalid type"), "{wrong}");
}

#[tokio::test]
async fn a_file_is_written_and_read_as_a_whole_or_by_lines() {
    let desk = Desk::new();
    let written =
        desk.call("write_file", json!({ "path": "a/b/c.txt", "content": "one\ntwo\nthree" })).await;
    assert_eq!(
        written.unwrap(),
        json!({ "path": "a/b/c.txt", "bytes_written": 13, "created": true })
    );
    assert_eq!(
        desk.call("read_file", json!({ "path": "./a/b/c.txt" })).await.unwrap(),
        json!({ "path": "a/b/c.txt", "content": "one\ntwo\nthree", "lines": 3, "truncated": false })
    );
    let whole_path = desk.at("a/b/c.txt").canonicalize().unwrap();
    let lines = json!({ "file_path": whole_path, "start_line": 2, "end_line": 2 });
    assert_eq!(
        desk.call("read_file", lines).await.unwrap(),
        json!({
            "path": "a/b/c.txt", "content": "two\n", "lines": 3, "from_line": 2, "truncated": false,
        })
    );
    for (from, to, content) in [(0, 1, "one\n"), (3, 99, "three"), (4, 4, ""), (3, 2, "")] {
        let input = json!({ "path": "a/b/c.txt", "start_line": from, "end_line": to });
        assert_eq!(desk.call("read_file", input).await.unwrap()["content"], content, "{from} {to}");
    }
}

#[tokio::test]
async fn what_is_long_is_cut_and_the_rest_can_be_read() {
    let desk = Desk::new();
    let line = "x".repeat(99) + "\n";
    fs::write(desk.at("long"), line.repeat(1000)).unwrap();
    let first = desk.call("read_file", json!({ "path": "long" })).await.unwrap();
    let told = first["content"].as_str().unwrap().lines().count();
    assert_eq!((&first["truncated"], &first["lines"]), (&true.into(), &1000.into()));
    assert!((100..1000).contains(&told), "{told}");
    let rest = json!({ "path": "long", "start_line": told + 1, "end_line": told + 10 });
    let rest = desk.call("read_file", rest).await.unwrap();
    assert_eq!(rest["content"], line.repeat(10));
    fs::write(desk.at("wide"), "é".repeat(100_000)).unwrap();
    let wide = desk.call("read_file", json!({ "path": "wide" })).await.unwrap();
    assert!(wide["content"].as_str().unwrap().len() > 1000 && wide["truncated"] == true);
}

#[tokio::test]
async fn what_is_no_text_file_is_refused_by_its_kind() {
    let desk = Desk::new();
    fs::write(desk.at("binary"), b"\x7fELF\0\0").unwrap();
    fs::File::create(desk.at("huge")).unwrap().set_len(11 << 20).unwrap();
    nix::unistd::mkfifo(&desk.at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (path, kind) in [
        ("binary", ToolErrorKind::Binary),
        ("huge", ToolErrorKind::TooLarge),
        ("pipe", ToolErrorKind::WrongKind),
        ("src", ToolErrorKind::WrongKind),
        ("nowhere", ToolErrorKind::NotFound),
        ("binary/x", ToolErrorKind::WrongKind),
    ] {
        assert_eq!(desk.refused("read_file", json!({ "path": path })).await, kind, "{path}");
    }
    let write = |path: &str| json!({ "path": path, "content": "", "create_dirs": false });
    for (path, kind) in [
        ("pipe", ToolErrorKind::WrongKind),
        ("src", ToolErrorKind::WrongKind),
        ("no/such/folder", ToolErrorKind::NotFound),
        ("src/..", ToolErrorKind::BadInput),
        ("", ToolErrorKind::BadInput),
    ] {
        assert_eq!(desk.refused("write_file", write(path)).await, kind, "{path}");
    }
}

#[tokio::test]
async fn b31_no_path_and_no_link_leads_out_of_the_workspace() {
    let desk = Desk::new();
    let outside = desk.dir.path().join("outside").canonicalize().unwrap();
    symlink(&outside, desk.at("absolute")).unwrap();
    symlink("../outside", desk.at("relative")).unwrap();
    symlink("../outside/secret", desk.at("file")).unwrap();
    symlink("/proc/self/root", desk.at("magic")).unwrap();
    let secret = outside.join("secret").display().to_string();
    for path in [
        &*secret,
        "../outside/secret",
        "src/../../outside/secret",
        "absolute/secret",
        "relative/secret",
        "file",
        "magic/etc/passwd",
        "/etc/passwd",
    ] {
        let read = desk.refused("read_file", json!({ "path": path })).await;
        assert_eq!(read, ToolErrorKind::Refused, "{path}");
        let folder = path.trim_end_matches("/secret");
        if folder != path {
            let listed = desk.refused("list_directory", json!({ "path": folder })).await;
            assert_eq!(listed, ToolErrorKind::Refused, "{folder}");
            let search = json!({ "pattern": "secret", "path": folder });
            assert_eq!(desk.refused("search_files", search).await, ToolErrorKind::Refused);
        }
        if path != "file" {
            let write = json!({ "path": path, "content": "gone" });
            assert!(desk.call("write_file", write).await.is_err(), "{path}");
        }
    }
    // A link that is written to is replaced by a file, and what it led to is untouched.
    desk.call("write_file", json!({ "path": "file", "content": "mine" })).await.unwrap();
    assert_eq!(fs::read_to_string(desk.at("file")).unwrap(), "mine");
    let found = desk.call("search_files", json!({ "pattern": "secret" })).await.unwrap();
    assert_eq!(found["matches"], json!([]));
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_with_another_name_outside_keeps_its_content_there() {
    let desk = Desk::new();
    let outside = desk.dir.path().join("outside/secret");
    fs::hard_link(&outside, desk.at("linked")).unwrap();
    desk.call("write_file", json!({ "path": "linked", "content": "mine" })).await.unwrap();
    assert_eq!(fs::read_to_string(outside).unwrap(), "secret");
    assert_eq!(fs::read_to_string(desk.at("linked")).unwrap(), "mine");
}

#[tokio::test]
async fn scripts_stay_executable_and_nothing_else_is_left_behind() {
    let desk = Desk::new();
    fs::write(desk.at("run.sh"), "").unwrap();
    fs::set_permissions(desk.at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let written = desk.call("write_file", json!({ "path": "run.sh", "content": "true" })).await;
    assert_eq!(written.unwrap()["created"], false);
    assert_eq!(fs::metadata(desk.at("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    let names: Vec<_> =
        fs::read_dir(desk.at("")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn all_files_together_take_no_more_than_they_may() {
    let mut desk = Desk::new();
    let workspace = Workspace::open(desk.dir.path().join("work")).unwrap().at_most(10_000);
    desk.tools = Toolbox::of_files(&Arc::new(workspace));
    let file = |path: &str, bytes| json!({ "path": path, "content": "x".repeat(bytes) });
    // Each name takes 512 bytes, that of the folder `src` among them.
    desk.call("write_file", file("a", 4_000)).await.unwrap();
    desk.call("write_file", file("b", 4_464)).await.unwrap();
    assert_eq!(desk.refused("write_file", file("c", 1)).await, ToolErrorKind::DiskFull);
    assert_eq!(desk.refused("write_file", file("a", 4_001)).await, ToolErrorKind::DiskFull);
    assert_eq!(fs::read(desk.at("a")).unwrap().len(), 4_000);
    desk.call("write_file", file("a", 3_000)).await.unwrap();
    fs::remove_file(desk.at("b")).unwrap();
    desk.call("write_file", file("c", 5_464)).await.unwrap();
}

#[tokio::test]
async fn what_git_follows_is_not_for_tools_to_write() {
    let desk = Desk::new();
    fs::create_dir(desk.at(".git")).unwrap();
    symlink(".git", desk.at("link")).unwrap();
    for path in [".git", ".git/config", ".GIT/hooks/pre-push", "link/config", "src/../.git/config"]
    {
        let write = json!({ "path": path, "content": "[core]" });
        let kind = desk.refused("write_file", write).await;
        assert!(
            matches!(kind, ToolErrorKind::Refused | ToolErrorKind::WrongKind),
            "{path} {kind:?}"
        );
    }
    assert_eq!(fs::read_dir(desk.at(".git")).unwrap().count(), 0);
}

#[tokio::test]
async fn folders_are_listed_without_what_git_ignores() {
    let desk = Desk::new();
    fs::create_dir_all(desk.at("target/debug")).unwrap();
    fs::create_dir_all(desk.at("src/gen")).unwrap();
    fs::write(desk.at(".gitignore"), "/target\n*.log\n").unwrap();
    fs::write(desk.at("src/.gitignore"), "!keep.log\ngen/\n").unwrap();
    for file in ["a.rs", "b.log", "src/keep.log", "src/c.log", "src/d.rs", "src/gen/e.rs"] {
        fs::write(desk.at(file), "x").unwrap();
    }
    let names = |told: &Value| {
        let entries = told["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let told = desk.call("list_directory", json!({ "path": "." })).await.unwrap();
    assert_eq!(names(&told), [".gitignore", "a.rs", "src"]);
    assert_eq!(told["entries"][1], json!({ "name": "a.rs", "type": "file", "size": 1 }));
    let told = desk.call("list_directory", json!({ "path": "", "recursive": true })).await.unwrap();
    assert_eq!(
        names(&told),
        [".gitignore", "a.rs", "src", "src/.gitignore", "src/d.rs", "src/keep.log"]
    );
    let told = desk.call("list_directory", json!({ "path": "src", "pattern": "*.rs" })).await;
    assert_eq!(names(&told.unwrap()), ["src/d.rs"]);
    let bad = json!({ "path": "src", "pattern": "[" });
    assert_eq!(desk.refused("list_directory", bad).await, ToolErrorKind::BadInput);
    for number in 0..600 {
        fs::write(desk.at(&format!("src/n{number}")), "").unwrap();
    }
    let told = desk.call("list_directory", json!({ "path": "src" })).await.unwrap();
    assert_eq!((names(&told).len(), &told["truncated"]), (500, &true.into()));
}

#[tokio::test]
async fn files_are_searched_line_by_line() {
    let desk = Desk::new();
    fs::write(desk.at(".gitignore"), "*.log\n").unwrap();
    fs::write(desk.at("src/a.rs"), "fn one() {}\nfn two() {}\n").unwrap();
    fs::write(desk.at("src/b.txt"), "fn three() {}\n").unwrap();
    fs::write(desk.at("c.log"), "fn four() {}\n").unwrap();
    fs::write(desk.at("d.bin"), "fn five() {}\0\n").unwrap();
    let found = desk.call("search_files", json!({ "pattern": r"^fn (t\w+)" })).await.unwrap();
    assert_eq!(
        found,
        json!({
            "matches": [
                { "file": "src/a.rs", "line": 2, "text": "fn two() {}" },
                { "file": "src/b.txt", "line": 1, "text": "fn three() {}" },
            ],
            "files_searched": 3, "truncated": false,
        })
    );
    let input = json!({ "pattern": "fn", "file_pattern": "*.rs", "max_results": 1 });
    let found = desk.call("search_files", input).await.unwrap();
    assert_eq!(
        (&found["truncated"], found["matches"].as_array().unwrap().len()),
        (&true.into(), 1)
    );
    for pattern in ["(", "(a{1000}){1000}"] {
        let bad = desk.refused("search_files", json!({ "pattern": pattern })).await;
        assert_eq!(bad, ToolErrorKind::BadInput);
    }
}

#[tokio::test]
async fn a_command_runs_in_the_sandbox_and_its_end_is_told() {
    let desk = Desk::new();
    let level = level_here();
    if level < Level::L2 {
        return;
    }
    let workspace = desk.at("").canonicalize().unwrap();
    let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
    let commands = RunCommand::new(spawner(), Sandbox::new(level), &workspace, env);
    let tools = Toolbox::default().with(commands.clone());
    let ctx = Watched::new();
    let run = async |input: Value| {
        let told = tools.call("run_command", input, &ctx).await;
        let mut told = tools.observation("run_command", &told);
        assert_eq!(told["ok"], true, "{told}");
        assert!(told["duration_ms"].take().is_u64());
        told
    };
    let told = run(json!({ "command": "pwd; echo no >&2; cat ../outside/secret; exit 3" })).await;
    assert_eq!(told["exit_code"], 3);
    assert_eq!(told["stdout"], format!("{}\n", workspace.display()));
    let err = told["stderr"].as_str().unwrap();
    assert!(err.starts_with("no\n") && err.contains("../outside/secret"), "{err}");
    assert_eq!(told["sandbox"], level.as_str());
    // It is told live as well.
    assert_eq!(ctx.text_of("stdout"), told["stdout"]);
    let told = run(json!({ "cmd": "echo begun; sleep 1000", "timeout_ms": 300 })).await;
    assert_eq!((&told["exit_code"], &told["timed_out"]), (&Value::Null, &true.into()));
    assert_eq!(told["stdout"], "begun\n");
    let told = run(json!({ "command": "yes | head -c 1000000" })).await;
    assert!(told["stdout"].as_str().unwrap().len() < 20_000);
    assert_eq!((&told["truncated"], &told["exit_code"]), (&true.into(), &0.into()));
    for command in ["", " ", "a\0b"] {
        let refused = commands.call(json!({ "command": command }), &ctx).await.unwrap_err();
        assert_eq!(refused.kind, ToolErrorKind::BadInput);
    }
}

#[derive(Debug)]
struct Add;

#[async_trait]
impl Tool for Add {
    fn spec(&self) -> Spec {
        let input = json!({ "type": "object", "properties": {} });
        Spec { name: "add".to_owned(), description: "Adds".to_owned(), input }
    }

    fn reach(&self) -> Reach {
        Reach::default()
    }

    async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
        Ok((input["a"].as_i64().unwrap() + input["b"].as_i64().unwrap()).into())
    }
}

#[tokio::test]
async fn whoever_embeds_it_adds_tools_and_a_model_learns_which_there_are() {
    let desk = Desk::new();
    let tools = desk.tools.clone().with(Add);
    let ctx = Watched::new();
    let added = tools.call("add", json!({ "a": 1, "b": 2 }), &ctx).await;
    assert_eq!(observation(&added), json!({ "ok": true, "result": 3 }));
    let unknown = tools.call("subtract", json!({}), &ctx).await;
    assert_eq!(
        observation(&unknown),
        json!({
            "ok": false, "error": "unknown_tool",
            "message": "there is no tool `subtract`; there are add, list_directory, read_file, \
                        search_files, write_file",
        })
    );
    let bad = observation(&tools.call("read_file", json!({ "pth": "a" }), &ctx).await);
    assert_eq!(bad["error"], "bad_input");
    let message = bad["message"].as_str().unwrap();
    assert!(message.contains("pth") && message.contains("path, start_line"), "{message}");
    for input in [json!(null), json!([1]), json!("a"), json!({ "path": 1 })] {
        let bad = tools.call("read_file", input, &ctx).await.unwrap_err();
        assert_eq!(bad.kind, ToolErrorKind::BadInput);
    }
}

#[tokio::test]
async fn every_result_says_which_sandbox_held_the_call() {
    let desk = Desk::new();
    let tools = desk.tools.clone().with(Add);
    let ctx = Watched::new();
    let told = async |name: &str, input: Value| {
        let told = tools.call(name, input, &ctx).await;
        let told = tools.observation(name, &told);
        (told["ok"].as_bool().unwrap(), told["sandbox"].clone())
    };
    let path = |path: &str| json!({ "path": path });
    assert_eq!(
        told("write_file", json!({ "path": "n", "content": "" })).await,
        (true, "L1".into())
    );
    assert_eq!(told("read_file", path("n")).await, (true, "L1".into()));
    assert_eq!(told("read_file", path("../outside/secret")).await, (false, "L1".into()));
    assert_eq!(told("list_directory", path(".")).await, (true, "L1".into()));
    assert_eq!(told("search_files", json!({ "pattern": "x" })).await, (true, "L1".into()));
    assert_eq!(told("add", json!({ "a": 1, "b": 2 })).await, (true, "outside".into()));
    // What there is not runs nowhere.
    assert_eq!(told("subtract", json!({})).await, (false, Value::Null));
}

#[test]
fn tools_are_described_in_both_forms() {
    let desk = Desk::new();
    for spec in desk.tools.specs() {
        let (ollama, messages) = (spec.for_ollama(), spec.for_messages());
        assert_eq!(ollama["function"]["parameters"], messages["input_schema"]);
        assert_eq!(ollama["function"]["name"], messages["name"]);
        for required in spec.input["required"].as_array().unwrap() {
            assert!(!spec.input["properties"][required.as_str().unwrap()].is_null());
        }
    }
}

#[test]
fn a_command_that_reaches_the_network_has_an_effect_outside() {
    let commands = |network| {
        let sandbox = Sandbox { network, ..Sandbox::new(Level::L2) };
        RunCommand::new(spawner(), sandbox, std::path::Path::new("/work"), Default::default())
    };
    assert!(!commands(Network::None).reach().outward);
    for network in [Network::Open, Network::of(vec!["a.example".parse().unwrap()])] {
        assert!(commands(network.clone()).reach().outward);
        assert!(commands(network).spec().description.contains("with network"));
    }
}
