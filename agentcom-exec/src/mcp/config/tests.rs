//! This file proves what of a file of servers is read, what is refused, and what is never shown.

use super::*;

fn env(name: &str) -> Option<String> {
    let set =
        [("TOKEN", "s3cret-token"), ("DIR", "/data"), ("HOME", "/home/somebody"), ("EMPTY", "")];
    set.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

fn read_entry(entry: &str) -> Result<Server, BadServers> {
    let servers = read(&format!(r#"{{"mcpServers": {{"one": {entry}}}}}"#), &env)?;
    Ok(servers.into_iter().next().unwrap())
}

#[track_caller]
fn refused(entry: &str, with: &str) {
    let error = read_entry(entry).unwrap_err().to_string();
    assert!(error.starts_with("the MCP server `one`: ") && error.contains(with), "{error}");
}

#[test]
fn an_entry_of_another_program_is_read_and_its_own_fields_are_not_heeded() {
    let entry = r#"{"command": "serve", "args": ["--dir", "${DIR}/a", "${env:TOKEN}", "${NONE:-x}"],
        "env": {"KEY": "${TOKEN}"}, "alwaysAllow": ["a"], "disabled": false}"#;
    let server = read_entry(entry).unwrap();
    let Way::Program { command, args, env, cwd } = &server.way else { panic!("{server:?}") };
    let args: Vec<&str> = args.iter().map(Secret::reveal).collect();
    assert_eq!((&**command, cwd), ("serve", &".".into()));
    assert_eq!(args, ["--dir", "/data/a", "s3cret-token", "x"]);
    assert_eq!(env["KEY"].reveal(), "s3cret-token");
    assert_eq!((server.within, server.tools), (Server::WITHIN, None));
    // Nobody said what its tools reach, so they reach everything.
    assert_eq!(server.reach.of("anything"), Reach::ALL);
}

#[test]
fn what_is_said_of_tools_is_read() {
    let entry = r#"{"type": "http", "url": "https://example.org/mcp?key=${TOKEN}",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "agentcom": {"tools": ["a", "b"], "timeout_ms": 50,
                     "reach": {"a": [], "b": ["outward"], "*": ["untrusted", "private"]}}}"#;
    let server = read_entry(entry).unwrap();
    assert_eq!(server.within, Duration::from_millis(50));
    assert_eq!(server.tools.as_ref().unwrap().len(), 2);
    let reach = |untrusted, private, outward| Reach { untrusted, private, outward };
    assert_eq!(server.reach.of("a"), reach(false, false, false));
    assert_eq!(server.reach.of("b"), reach(false, false, true));
    assert_eq!(server.reach.of("c"), reach(true, true, false));
    let all = read_entry(r#"{"url": "http://h", "agentcom": {"reach": ["private"]}}"#).unwrap();
    assert_eq!(all.reach.of("a"), reach(false, true, false));
}

#[test]
fn nothing_that_is_secret_is_shown() {
    let entry =
        r#"{"url": "https://example.org/mcp?key=${TOKEN}", "headers": {"A": "Bearer ${TOKEN}"}}"#;
    let server = read_entry(entry).unwrap();
    assert_eq!(server.place(), "https://example.org/mcp");
    assert!(!format!("{server:?}").contains("s3cret"), "{server:?}");
    let told = server.shown("no https://example.org/mcp?key=s3cret-token with s3cret-token here");
    assert_eq!(told, "no https://example.org/mcp with [secret] here");
    let program = read_entry(r#"{"command": "a", "args": ["${TOKEN}"], "env": {"K": "${TOKEN}"}}"#);
    let program = program.unwrap();
    assert!(!format!("{program:?}").contains("s3cret"), "{program:?}");
    assert_eq!(program.shown("bad s3cret-token"), "bad [secret]");
    // Wherever the environment says it.
    let program = read_entry(r#"{"command": "a", "args": ["--key=${TOKEN}"]}"#).unwrap();
    assert_eq!(program.shown("bad s3cret-token"), "bad [secret]");
    let service = read_entry(r#"{"url": "https://me:word@example.org/${TOKEN}/mcp"}"#).unwrap();
    assert_eq!(service.place(), "https://example.org/[secret]/mcp");
    assert_eq!(
        service.shown("no https://example.org/s3cret-token/mcp"),
        "no https://example.org/[secret]/mcp"
    );
}

#[test]
fn where_a_program_is_and_where_it_runs_is_shown_whatever_else_says_the_same() {
    for entry in [
        r#"{"command": "${HOME}/bin/serve", "args": ["${HOME}/data", "--key=${TOKEN}"],
            "env": {"KEPT": "${HOME}", "KEY": "${TOKEN}"}}"#,
        r#"{"command": "/home/somebody/bin/serve", "args": ["${HOME}", "${TOKEN}"]}"#,
        r#"{"command": "serve", "cwd": "${HOME}/data", "args": ["${HOME}", "${TOKEN}"]}"#,
    ] {
        let server = read_entry(entry).unwrap();
        let told = server.shown("no /home/somebody/data with s3cret-token");
        assert_eq!(told, "no /home/somebody/data with [secret]", "{entry}");
        assert!(server.place().ends_with("serve") && !server.place().contains("[secret]"));
    }
    let elsewhere = read_entry(r#"{"command": "serve", "args": ["${HOME}"]}"#).unwrap();
    assert_eq!(elsewhere.shown("no /home/somebody"), "no [secret]");
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    refused("{}", "either `command`, `url` or a preset");
    refused(r#"{"command": "a", "url": "http://h"}"#, "either");
    refused(r#"{"command": "a", "type": "http"}"#, "either");
    refused(r#"{"url": "http://h", "type": "sse"}"#, "`type` is `sse`");
    refused(r#"{"url": "ftp://h"}"#, "neither http");
    refused(r#"{"url": "http://h", "headers": {"a b": "c"}}"#, "`a b` is no name of a header");
    refused(r#"{"url": "http://h", "headers": {"A": "b\nc"}}"#, "cannot be sent");
    refused(r#"{"command": ["a"]}"#, "invalid type");
    refused(r#"{"command": "${NONE}"}"#, "NONE is not set");
    refused(r#"{"command": "${EMPTY}"}"#, "EMPTY is not set");
    refused(r#"{"command": "${a b}"}"#, "begins the name of a variable");
    refused(r#"{"command": "${TOKEN"}"#, "begins the name of a variable");
    let ours = |ours: &str| format!(r#"{{"command": "a", "agentcom": {ours}}}"#);
    refused(&ours(r#"{"tool": []}"#), "unknown field `tool`");
    refused(&ours(r#"{"reach": ["outwards"]}"#), "`untrusted`, `private` and `outward`");
    refused(&ours(r#"{"reach": {"a": "private"}}"#), "`untrusted`, `private` and `outward`");
    refused(&ours(r#"{"timeout_ms": 0}"#), "`timeout_ms` is 1 to 600000");
    refused(&ours(r#"{"timeout_ms": 600001}"#), "`timeout_ms` is 1 to 600000");
    refused(&ours(r#"{"preset": "github"}"#), "either");
    refused(
        r#"{"agentcom": {"preset": "gitea"}}"#,
        "no preset `gitea`; there are github, jira, supabase",
    );
    assert!(read("{}", &env).unwrap_err().to_string().contains("mcpServers"));
    assert!(read("mcpServers", &env).is_err());
}

#[test]
fn names_are_such_that_no_two_servers_have_a_tool_in_common() {
    let named =
        |name: &str| read(&format!(r#"{{"mcpServers": {{"{name}": {{"command": "a"}}}}}}"#), &env);
    for bad in ["", "a__b", "a_", "a.b", &"a".repeat(33)] {
        assert!(named(bad).unwrap_err().to_string().contains("a name is"), "{bad}");
    }
    for good in ["a", "_a", "a_b-c", &"a".repeat(32)] {
        assert!(named(good).is_ok(), "{good}");
    }
}

/// An environment in which everything is set.
fn full(name: &str) -> Option<String> {
    Some(name.to_lowercase())
}

#[test]
fn presets_are_files_that_can_be_used_and_their_tools_look_only() {
    let names = Preset::names();
    for name in names.split(", ") {
        let servers = read(Preset::of(name).unwrap().text(), &full).unwrap();
        let [server] = &*servers else { panic!("{servers:?}") };
        assert_eq!(server.name, name);
        for tool in server.tools.iter().flatten() {
            assert!(!server.reach.of(tool).outward, "{name}: {tool}");
        }
        assert!(server.reach.of("one that came later") == Reach::ALL, "{name}");
        let text =
            format!(r#"{{"mcpServers": {{"mine": {{"agentcom": {{"preset": "{name}"}}}}}}}}"#);
        let chosen = read(&text, &full).unwrap();
        assert_eq!((&*chosen[0].name, chosen[0].place()), ("mine", server.place()));
        assert_eq!((&chosen[0].tools, &chosen[0].reach), (&server.tools, &server.reach));
    }
}

#[test]
fn what_a_preset_says_of_tools_can_be_said_otherwise() {
    let entry = r#"{"agentcom": {"preset": "github", "tools": ["issue_read"], "timeout_ms": 9,
        "reach": {"issue_read": ["untrusted"]}}}"#;
    let servers = read(&format!(r#"{{"mcpServers": {{"one": {entry}}}}}"#), &full).unwrap();
    assert_eq!(servers[0].tools.as_ref().unwrap().len(), 1);
    assert!(!servers[0].reach.of("issue_read").private);
    assert!(servers[0].reach.of("list_issues").private);
    assert_eq!(servers[0].within, Duration::from_millis(9));
}
