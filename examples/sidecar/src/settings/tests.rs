//! This file tests what the configuration may say.

use std::time::Duration;

use agentcom_exec::sandbox::Level;
use expect_test::expect;

use super::*;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sidecar.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn error_of(text: &str) -> String {
    let (_dir, path) = written(text);
    let error = Settings::load(Some(&path), &|_| None).unwrap_err();
    format!("{error:#}").replace(&path.display().to_string(), "sidecar.toml")
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_column() {
    expect![[r#"
        sidecar.toml: TOML parse error at line 4, column 1
          |
        4 | enable = true
          | ^^^^^^
        unknown field `enable`, expected `enabled` or `root`
    "#]]
    .assert_eq(&error_of("slots = 2\n\n[shell]\nenable = true\n"));
}

#[test]
fn the_environment_stands_above_the_file() {
    let (_dir, path) = written("agent_id = \"a\"\ntoken = \"from-file\"\nslots = 2\n");
    let env = |name: &str| match name {
        "AGENTCOM_AGENT_ID" => Some("b".to_owned()),
        "AGENTCOM_TOKEN" => Some("from-env".to_owned()),
        "AGENTCOM_URL" => Some("http://hub:4000/".to_owned()),
        "AGENTCOM_CAPABILITIES" => Some("rust, git,".to_owned()),
        "AGENTCOM_LOG_FORMAT" => Some("json".to_owned()),
        _ => None,
    };
    let settings = Settings::load(Some(&path), &env).unwrap();
    let config = settings.sidecar().unwrap();
    assert_eq!((config.agent.as_str(), config.token.reveal(), config.slots), ("b", "from-env", 2));
    assert_eq!(settings.url, "ws://hub:4000/ws");
    assert_eq!(settings.capabilities, ["rust", "git"]);
    assert_eq!(settings.log.format, Format::Json);
}

#[test]
fn a_token_comes_from_its_file_without_white_space() {
    let (dir, path) = written("agent_id = \"a\"\n");
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let env = |name: &str| (name == "AGENTCOM_TOKEN_FILE").then(|| token.display().to_string());
    let settings = Settings::load(Some(&path), &env).unwrap();
    assert_eq!(settings.sidecar().unwrap().token.reveal(), "s3cret");
}

#[test]
fn what_is_missing_is_named_with_the_ways_to_give_it() {
    let said = |settings: &Settings| format!("{:#}", settings.sidecar().unwrap_err());
    let mut settings = Settings::default();
    assert_eq!(said(&settings), "no agent id: set agent_id or AGENTCOM_AGENT_ID");
    settings.agent_id = Some("a".to_owned());
    assert!(said(&settings).starts_with("no token: set token_file"));
    settings.token = Some(Secret::new("t"));
    settings.slots = 0;
    assert_eq!(said(&settings), "slots must be at least 1");
}

#[test]
fn the_example_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sidecar.example.toml");
    let example = Settings::load(Some(&path), &|_| None).unwrap();
    let defaults = Settings {
        agent_id: Some("a-1".to_owned()),
        token_file: Some(PathBuf::from("sidecar.token")),
        ..Settings::default()
    };
    assert_eq!(format!("{example:?}"), format!("{defaults:?}"));
}

#[test]
fn mcp_servers_are_read_from_the_file_that_coding_tasks_name() {
    let (_dir, path) =
        written(r#"{"mcpServers": {"one": {"command": "serve", "args": ["${KEY}"]}}}"#);
    let servers = |more: &str, env: Env<'_>| {
        let coding = format!("[coding]\nrepository = \".\"\nmodel = \"m\"\n{more}");
        Settings::parse(&coding, env).unwrap().mcp(env)
    };
    let file = format!("mcp = {:?}", path.display().to_string());
    let found = servers(&file, &|name| (name == "KEY").then(|| "k".to_owned())).unwrap();
    assert_eq!((found.len(), &*found[0].name), (1, "one"));
    let error = format!("{:#}", servers(&file, &|_| None).unwrap_err());
    let told = "sidecar.toml: the MCP server `one`: KEY is not set in the environment";
    assert_eq!(error.replace(&path.display().to_string(), "sidecar.toml"), told);
    assert!(servers("mcp = \"/none\"", &|_| None).unwrap_err().to_string().contains("/none"));
    assert!(servers("", &|_| None).unwrap().is_empty());
}

#[test]
fn commands_are_confined_as_the_table_says_or_not_at_all() {
    let read = |text: &str| Settings::parse(text, &|_| None).unwrap().sandbox();
    assert_eq!(read("").unwrap(), None);
    let sandbox =
        read("[sandbox]\nlevel = \"L3\"\nread = [\"/opt\"]\nuser = 7\n").unwrap().unwrap();
    assert_eq!((sandbox.level, sandbox.user), (Level::L3, Some(7)));
    assert_eq!(sandbox.read, [PathBuf::from("/opt")]);
    assert_eq!(sandbox.limits.disk_bytes, 2 << 30);
    let small = read("[sandbox]\nlevel = \"L2\"\ndisk_mib = 3\n").unwrap().unwrap();
    assert_eq!(small.limits.disk_bytes, 3 << 20);
    assert!(read("[sandbox]\nlevel = \"L2\"\ndisk_mib = 0\n").is_err());
    assert_eq!(small.limits.memory_bytes, 4 << 30);
    let little = read("[sandbox]\nlevel = \"L2\"\nmemory_mib = 7\n").unwrap().unwrap();
    assert_eq!((little.limits.memory_bytes, little.limits.disk_bytes), (7 << 20, 2 << 30));
    assert!(read("[sandbox]\nlevel = \"L2\"\nmemory_mib = 0\n").is_err());
    assert_eq!(small.limits.processes, 2048);
    let few = read("[sandbox]\nlevel = \"L2\"\nprocesses = 9\n").unwrap().unwrap();
    assert_eq!((few.limits.processes, few.limits.disk_bytes), (9, 2 << 30));
    assert!(read("[sandbox]\nlevel = \"L2\"\nprocesses = 0\n").is_err());
    assert_eq!(read("[sandbox]\nlevel = \"L1\"\n").unwrap().unwrap().level, Level::L1);
    let none = read("[sandbox]\nlevel = \"L0\"\n").unwrap_err().to_string();
    assert!(none.contains("set sandbox.i_accept_no_sandbox = true"), "{none}");
    let accepted = read("[sandbox]\nlevel = \"L0\"\ni_accept_no_sandbox = true\n");
    assert_eq!(accepted.unwrap().unwrap().level, Level::L0);
    let both = read("[sandbox]\nlevel = \"L2\"\ni_accept_no_sandbox = true\n").unwrap_err();
    assert!(both.to_string().contains("sandbox.level is L2"), "{both}");
    assert!(
        read("[sandbox]\nlevel = \"L2\"\nuser = 0\n").unwrap_err().to_string().contains("root")
    );
}

#[test]
fn coding_tasks_are_done_by_a_model_or_by_a_foreign_agent() {
    let read = |text: &str| Settings::parse(text, &|_| None).unwrap();
    let nobody = read("[coding]\nrepository = \".\"\n");
    assert!(
        nobody
            .coding()
            .unwrap_err()
            .to_string()
            .contains("set coding.model, or one of the tables coding.acp")
    );
    assert!(read("[coding]\nrepository = \".\"\nmodel = \"m\"\n").coding().unwrap().is_some());
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let foreign = format!(
        "[coding]\nrepository = \".\"\n[coding.acp]\ncommand = [\"gemini\", \"--acp\"]\n\
         auth = \"gemini-api-key\"\nhosts = [\"api.example.org\", \"127.0.0.1:11434\"]\n\
         home = {home:?}\npermissions = [\"fetch=allow\"]\nask_secs = 5\n"
    );
    let settings = read(&foreign);
    let acp = settings.coding().unwrap().unwrap().acp.as_ref().unwrap().agent().unwrap();
    assert_eq!(acp.command, ["gemini", "--acp"]);
    let hosts = ["api.example.org", "127.0.0.1:11434"].map(|host| host.parse().unwrap());
    assert_eq!(acp.network, Network::of(hosts.into()));
    let granted = |text: &str| {
        let text = format!("[coding]\nrepository = \".\"\n[coding.acp]\ncommand = [\"x\"]\n{text}");
        let agent = read(&text).coding.unwrap().acp.unwrap().agent();
        agent.map(|acp| acp.network).map_err(|error| error.to_string())
    };
    assert_eq!(granted(""), Ok(Network::None));
    assert_eq!(granted("open_network = true"), Ok(Network::Open));
    let both = granted("open_network = true\nhosts = [\"a.example\"]").unwrap_err();
    assert!(both.starts_with("coding.acp has hosts and open_network"), "{both}");
    let error = error_of(
        "[coding]\nrepository = \".\"\n[coding.acp]\ncommand = [\"x\"]\nhosts = [\"https://a.example\"]\n",
    );
    assert!(error.contains("`https://a.example` is no host that can be granted"), "{error}");
    assert_eq!(acp.auth.as_deref(), Some("gemini-api-key"));
    assert_eq!(acp.home, Some(home.canonicalize().unwrap()));
    assert_eq!(acp.patience.answer, Duration::from_secs(5));
    expect![[r#"
        sidecar.toml: TOML parse error at line 5, column 15
          |
        5 | permissions = ["sing=allow"]
          |               ^^^^^^^^^^^^^^
        `sing=allow` is no rule; write KIND=allow, KIND=ask or KIND=reject, where KIND is one of read, edit, delete, move, search, execute, think, fetch, switch_mode and other
    "#]]
    .assert_eq(&error_of(
        "[coding]\nrepository = \".\"\n[coding.acp]\ncommand = [\"x\"]\npermissions = [\"sing=allow\"]\n",
    ));
    expect![[r#"
        sidecar.toml: TOML parse error at line 1, column 1
          |
        1 | [coding]
          | ^^^^^^^^
        missing field `repository`
    "#]]
    .assert_eq(&error_of("[coding]\nmodel = \"qwen3:8b\"\n"));
}

#[test]
fn models_are_asked_as_the_tables_say() {
    let coding = |more: &str| format!("[coding]\nrepository = \".\"\nmodel = \"m\"\n{more}");
    let text = coding(
        "context_tokens = 8192\n[coding.models.\"a:8b\"]\nthink = \"low\"\ncalls = \"format\"\n",
    );
    let tuning = Settings::parse(&text, &|_| None).unwrap().coding.unwrap().tuning();
    let told = |model| serde_json::to_string(&tuning.of(model)).unwrap();
    assert_eq!(told("m"), r#"{"context_tokens":8192}"#);
    assert_eq!(told("a:8b"), r#"{"context_tokens":8192,"think":"low","calls":"format"}"#);
    for (bad, why) in [
        ("context_tokens = 100\n", "a context has 2048 to 16777216 tokens"),
        ("think = \"much\"\n", "unknown variant `much`"),
        ("calls = \"json\"\n", "unknown variant `json`"),
        ("[coding.models.m]\nnum_ctx = 8192\n", "unknown field `num_ctx`"),
    ] {
        let error = error_of(&coding(bad));
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_claude_code_cli_is_as_the_table_says_and_has_to_be_let_in() {
    let read = |text: &str| {
        let text = format!("[coding]\nrepository = \".\"\n[coding.claude_code]\n{text}");
        let coding = Settings::parse(&text, &|_| None).unwrap().coding.unwrap();
        assert_eq!(coding.model, None);
        coding.claude_code.unwrap().cli().map_err(|error| format!("{error:#}"))
    };
    let claude = read("program = \"sh\"\nmodel = \"m\"\nstate = \"/tmp\"\ntools = [\"Read\"]\n");
    let claude = claude.unwrap();
    assert_eq!(claude.program.path(), std::fs::canonicalize("/bin/sh").unwrap());
    assert_eq!((claude.model.as_deref(), &*claude.tools), (Some("m"), &["Read".to_owned()][..]));
    assert_eq!(claude.state, Some(std::fs::canonicalize("/tmp").unwrap()));
    let reaches = |text: &str| {
        let claude = read(&format!("program = \"sh\"\nstate = \"/tmp\"\n{text}"));
        claude.map(|claude| claude.reaches())
    };
    let hosts = ["api.anthropic.com", "platform.claude.com", "a.example"];
    let hosts = hosts.map(|host| host.parse().unwrap());
    assert_eq!(reaches("hosts = [\"a.example\"]\n"), Ok(Network::of(hosts.into())));
    assert_eq!(reaches("open_network = true\n"), Ok(Network::Open));
    assert!(reaches("open_network = true\nhosts = [\"a.example\"]\n").is_err());
    assert_eq!(read("program = \"sh\"\nstate = \"/tmp\"\n").unwrap().tools.len(), 11);
    let budget = |text: &str| read(&format!("program = \"sh\"\nstate = \"/tmp\"\n{text}"));
    assert_eq!(budget("budget = \"2.50\"\n").unwrap().budget.0, 2_500_000);
    assert!(budget("budget = \"much\"\n").unwrap_err().starts_with("claude_code.budget: "));
    assert_eq!(read("program = \"no-such\"\n").unwrap_err(), "there is no program `no-such`");
    let missing = read("program = \"sh\"\nstate = \"/no-such\"\n").unwrap_err();
    assert!(missing.starts_with("claude_code.state: /no-such: "), "{missing}");
}

#[test]
fn a_key_that_the_environment_does_not_have_stops_the_sidecar() {
    let coding = "[coding]\nrepository = \".\"\nmodel = \"m\"\n";
    let keys = |more: &str| Settings::parse(&format!("{coding}{more}"), &|_| None).unwrap().keys();
    assert_eq!(keys("").unwrap().capabilities().count(), 0);
    let missing = keys("keys = { work = \"AGENTCOM_NO_SUCH_KEY\" }\n").unwrap_err().to_string();
    assert_eq!(missing, "AGENTCOM_NO_SUCH_KEY is not set");
}

#[test]
fn the_risk_of_changes_is_judged_as_the_table_says_and_else_as_usual() {
    use agentcom_core::risk::Rules;
    let risk = |text: &str| format!("[coding]\nrepository = \".\"\nmodel = \"m\"\n{text}");
    let rules =
        |text: &str| Settings::parse(&risk(text), &|_| None).unwrap().coding.unwrap().risk.rules();
    assert_eq!(rules(""), Rules::default());
    let more = rules("[coding.risk]\nlines_max = 100\nprotect = [\"billing/\"]\n");
    assert_eq!((more.lines_max, more.files_max), (100, Rules::default().files_max));
    let names = |rules: &Rules| rules.protected.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&more), [names(&Rules::default()), vec!["billing/".to_owned()]].concat());
    let own = rules("[coding.risk]\nfiles_max = 0\nprotected = [\"a*\"]\nprotect = [\"b\"]\n");
    assert_eq!((names(&own), own.files_max), (vec!["a*".to_owned(), "b".to_owned()], 0));
    for (bad, why) in [
        ("protect = [\"src/auth/\"]", "`src/auth/` is no name of files or folders"),
        ("lines = 3", "unknown field `lines`"),
        ("lines_max = -1", "lines_max = -1"),
    ] {
        let error = error_of(&risk(&format!("[coding.risk]\n{bad}\n")));
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn who_reads_what_is_pushed_is_as_the_table_says_and_else_as_is_found() {
    use agentcom_exec::coding::Publishing;
    use agentcom_exec::github::Visibility;
    let text = |text: &str| format!("[coding]\nrepository = \".\"\nmodel = \"m\"\n{text}");
    let read = |table: &str| {
        let settings = Settings::parse(&text(table), &|_| None).unwrap();
        settings.coding.unwrap().publishing.settings()
    };
    assert_eq!(read(""), Publishing::default());
    let said = read("[coding.publishing]\nvisibility = \"private\"\nask_secs = 5\n");
    assert_eq!(said.visibility, Some(Visibility::Private));
    assert_eq!(said.ask_within, Duration::from_secs(5));
    let error = error_of(&text("[coding.publishing]\nvisibility = \"mine\"\n"));
    assert!(error.contains("unknown variant `mine`, expected `public` or `private`"), "{error}");
}

#[test]
fn which_changes_are_drafts_is_said_in_a_word() {
    use agentcom_exec::coding::Drafts;
    let coding = |text: &str| format!("[coding]\nrepository = \".\"\nmodel = \"m\"\n{text}");
    let drafts =
        |text: &str| Settings::parse(&coding(text), &|_| None).unwrap().coding.unwrap().drafts;
    assert_eq!(drafts(""), Drafts::Partial);
    assert_eq!(drafts("drafts = \"risky\"\n"), Drafts::Risky);
    let error = error_of(&coding("drafts = \"some\"\n"));
    assert!(error.contains("`never`, `partial`, `risky`, `always`"), "{error}");
}
