//! This file tests the hub's binary as a service manager meets it.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const WITHIN: Duration = Duration::from_secs(30);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hub(dir: &Path, config: &str) -> Command {
    std::fs::write(dir.join("hub.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcom-hub"));
    command.args(["--config", "hub.toml"]).current_dir(dir).env_clear().stdin(Stdio::null());
    command
}

fn refused(config: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let Output { status, stderr, .. } = hub(dir.path(), config).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line_and_column() {
    let (code, said) = refused("bind = \"127.0.0.1:0\"\nbindd = 1\n");
    assert_eq!(code, Some(64));
    expect![[r#"
        error: hub.toml: TOML parse error at line 2, column 1
          |
        2 | bindd = 1
          | ^^^^^
        unknown field `bindd`, expected one of `bind`, `data_dir`, `trusted_network`, `public_hosts`, `trusted_proxies`, `backup`, `log`, `limits`
    "#]].assert_eq(&said);
}

#[test]
fn a_hub_that_strangers_could_reach_does_not_start() {
    let (code, said) = refused("bind = \"0.0.0.0:0\"\n");
    assert_eq!(code, Some(64));
    expect![[r#"
        error: 0.0.0.0:0 is reachable from other machines, and this hub speaks no TLS
        hint: listen on 127.0.0.1:0, or say that the network is trusted (WireGuard, Tailscale) with --trusted-network or `trusted_network = true`
    "#]].assert_eq(&said);
}

#[test]
fn a_hub_announces_itself_leaves_on_request_and_takes_its_announcement_back() {
    let dir = tempfile::tempdir().unwrap();
    let child = hub(dir.path(), "bind = \"127.0.0.1:0\"\ndata_dir = \"data\"\n").spawn().unwrap();
    let mut hub = Process(child);
    let announced = dir.path().join("data/hub.json");
    eventually("the hub announces itself", || announced.exists());
    let pid = Pid::from_raw(i32::try_from(hub.0.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let mut code = None;
    eventually("the hub leaves", || {
        code = hub.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(0));
    assert!(!announced.exists() && dir.path().join("data/admin.token").exists());
}

#[test]
fn data_whose_admin_token_is_gone_is_not_given_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = "bind = \"127.0.0.1:0\"\ndata_dir = \"data\"\n";
    let token = dir.path().join("data/admin.token");
    let first = Process(hub(dir.path(), config).stderr(Stdio::null()).spawn().unwrap());
    eventually("the hub is there", || dir.path().join("data/hub.json").exists());
    drop(first);
    std::fs::remove_file(&token).unwrap();
    let second = hub(dir.path(), config).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(74), "{said}");
    assert!(said.contains("it is missing, and there is data that was made with one"), "{said}");
    assert!(!token.exists());
}

#[test]
fn two_hubs_cannot_share_their_data() {
    let dir = tempfile::tempdir().unwrap();
    let config = "bind = \"127.0.0.1:0\"\ndata_dir = \"data\"\n";
    let _first = Process(hub(dir.path(), config).stderr(Stdio::null()).spawn().unwrap());
    eventually("the first is there", || dir.path().join("data/hub.json").exists());
    let second = hub(dir.path(), config).output().unwrap();
    assert_eq!(second.status.code(), Some(74));
    assert!(
        String::from_utf8(second.stderr)
            .unwrap()
            .contains("in use by the hub on http://127.0.0.1:")
    );
}
