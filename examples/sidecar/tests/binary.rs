//! This file runs the real binary against a scripted hub on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::{Connection, Transport as _};
use agentcom_transport_ws::{ServerLimits, WsTransport, listen};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(20);

/// A hub that says what the test says.
struct Hub {
    transport: WsTransport,
    address: SocketAddr,
    server: tokio::task::JoinSet<()>,
}

impl Hub {
    async fn start() -> Self {
        let (router, transport) = listen(ServerLimits::default(), AllowList::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await.unwrap();
        });
        Self { transport, address, server }
    }

    /// A connected sidecar that was told who it is.
    async fn meet(&mut self) -> Talk {
        self.introduced().await.0
    }

    /// As [`Hub::meet`], with what the sidecar says of itself.
    async fn introduced(&mut self) -> (Talk, Value) {
        assert_eq!(self.server.len(), 1);
        let mut talk = Talk(in_time(self.transport.open()).await.unwrap());
        let identify = talk.hear("identify").await;
        assert_eq!((&identify["agent_id"], &identify["token"]), (&json!("a-1"), &json!("t")));
        talk.say(&json!({
            "type": "identified", "agent_id": "a-1", "incarnation": "inc-0000000000000007",
            "heartbeat_ms": 500,
        }));
        (talk, identify)
    }
}

struct Talk(Connection);

impl Talk {
    fn say(&self, frame: &Value) {
        self.0.outgoing.send(frame.to_string()).unwrap();
    }

    /// The next frame of that type; pings on the way are answered.
    async fn hear(&mut self, wanted: &str) -> Value {
        loop {
            let text = in_time(self.0.incoming.recv()).await.expect("the sidecar hung up");
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "ping" {
                // The sidecar may have hung up behind what is still to be read.
                let pong = json!({ "type": "pong", "nonce": frame["nonce"] });
                let _ = self.0.outgoing.send(pong.to_string());
            }
            if frame["type"] == wanted {
                return frame;
            }
        }
    }

    fn assign(&self, task: u64, command: &str) {
        self.say(&json!({
            "type": "task_assign", "task_id": id(task), "generation": 1, "assigned_at": 0,
            "description": "", "op": { "kind": "shell", "input": { "command": command } },
            "attempt": 1, "incarnation": "inc-0000000000000007", "lease_ttl_ms": 30_000,
            "on_lease_loss": "stop",
        }));
    }

    fn ack(&self, task: u64, status: &str) {
        self.say(
            &json!({ "type": "task_ack", "task_id": id(task), "status": status, "generation": 1 }),
        );
    }
}

fn id(task: u64) -> String {
    format!("task-{task:016x}")
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn sidecar(hub: &Hub, dir: &Path, more: &[&str]) -> Child {
    sidecar_command(hub, dir, more).spawn().unwrap()
}

fn sidecar_command(hub: &Hub, dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcom-sidecar"));
    command
        .args(more)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("AGENTCOM_URL", format!("http://{}", hub.address))
        .env("AGENTCOM_AGENT_ID", "a-1")
        .env("AGENTCOM_TOKEN", "t")
        .env("AGENTCOM_SLOTS", "2")
        .kill_on_drop(true);
    command
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = Command::new("/bin/sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await;
    assert!(sent.unwrap().success());
}

async fn code(child: &mut Child) -> Option<i32> {
    in_time(child.wait()).await.unwrap().code()
}

#[tokio::test]
async fn the_hub_is_told_how_busy_the_machine_is() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let _child = sidecar(&hub, dir.path(), &[]);
    let figures = hub.meet().await.hear("resource_report").await;
    assert!(figures["cpu_percent"].as_f64().is_some_and(|it| (0.0..=100.0).contains(&it)));
    assert!(figures["ram_used_bytes"].as_u64() <= figures["ram_total_bytes"].as_u64());
    assert!(figures["ram_used_bytes"].is_u64() && figures["timestamp"].is_u64(), "{figures}");
}

#[tokio::test]
async fn a_shell_task_runs_and_a_signal_drains() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = sidecar(&hub, dir.path(), &[]);
    let mut talk = hub.meet().await;
    talk.assign(1, "echo hello > made && echo done");
    talk.hear("task_accepted").await;
    let complete = talk.hear("task_complete").await;
    assert!(complete["result"].to_string().contains("done"), "{complete}");
    assert_eq!(std::fs::read_to_string(dir.path().join("made")).unwrap(), "hello\n");
    talk.ack(1, "complete");
    signal(&child, "TERM").await;
    talk.hear("agent_draining").await;
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_sidecar_that_confines_commands_says_what_it_has_proved() {
    const CONFIG: &str = "[sandbox]\nlevel = \"L2\"\n[shell]\nroot = \"work\"\n\
                          [coding]\nrepository = \".\"\nmodel = \"m\"\n";
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("work")).unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::fs::write(dir.path().join("sidecar.toml"), CONFIG).unwrap();
    let mut child = sidecar(&hub, dir.path(), &["--config", "sidecar.toml"]);
    let meeting = hub.introduced();
    let (mut talk, said) = tokio::select! {
        met = meeting => met,
        // Where commands cannot be confined it does not start.
        ended = child.wait() => {
            assert_eq!(ended.unwrap().code(), Some(64));
            let said = std::env::var("AGENTCOM_TEST_SANDBOX").unwrap_or_default();
            assert!(
                ["L0", "L1"].contains(&&*said),
                "this machine confines no commands, so that is not tested; if it cannot, say \
                 AGENTCOM_TEST_SANDBOX=L1"
            );
            return;
        }
    };
    let has = |list: &str, word: &str| said[list].as_array().unwrap().contains(&json!(word));
    assert!(has("executors", "ollama") && has("executors", "shell"), "{said}");
    assert!(has("capabilities", "sandbox-l2") && said["sandbox"]["level"] == "L2", "{said}");
    talk.assign(1, "echo hello > made; cat ../secret || echo no");
    let complete = talk.hear("task_complete").await;
    assert!(complete["result"]["stdout"] == "no\n", "{complete}");
    assert_eq!(std::fs::read_to_string(dir.path().join("work/made")).unwrap(), "hello\n");
}

#[tokio::test]
async fn a_sidecar_for_files_only_runs_no_commands_and_one_without_a_sandbox_says_so_or_does_not_start()
 {
    const CODING: &str = "[coding]\nrepository = \".\"\nmodel = \"m\"\n";
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let configure = |sandbox: &str| {
        let text = format!("[sandbox]\n{sandbox}\n{CODING}");
        std::fs::write(dir.path().join("sidecar.toml"), text).unwrap();
    };
    configure("level = \"L1\"");
    let mut child = sidecar(&hub, dir.path(), &["--config", "sidecar.toml"]);
    let (_talk, said) = hub.introduced().await;
    let executors = said["executors"].as_array().unwrap();
    assert!(executors.contains(&json!("ollama")) && !executors.contains(&json!("shell")), "{said}");
    assert_eq!(said["capabilities"], json!(["sandbox-l1"]), "{said}");
    signal(&child, "KILL").await;
    in_time(child.wait()).await.unwrap();
    configure("level = \"L0\"");
    let mut child = sidecar(&hub, dir.path(), &["--config", "sidecar.toml"]);
    assert_eq!(code(&mut child).await, Some(64));
    configure("level = \"L0\"\ni_accept_no_sandbox = true");
    let _child = sidecar(&hub, dir.path(), &["--config", "sidecar.toml"]);
    let (_talk, said) = hub.introduced().await;
    assert_eq!((&said["capabilities"], &said["sandbox"]["level"]), (&json!([]), &json!("L0")));
    assert!(said["executors"].as_array().unwrap().contains(&json!("shell")), "{said}");
}

#[tokio::test]
async fn a_killed_sidecar_reports_its_work_as_lost_when_it_comes_back() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = sidecar(&hub, dir.path(), &[]);
    let mut talk = hub.meet().await;
    talk.assign(1, "exec sleep 600");
    talk.hear("task_accepted").await;
    signal(&child, "KILL").await;
    in_time(child.wait()).await.unwrap();
    let mut child = sidecar(&hub, dir.path(), &[]);
    let mut talk = hub.meet().await;
    let failed = talk.hear("task_failed").await;
    assert_eq!((&failed["task_id"], &failed["category"]), (&json!(id(1)), &json!("crash")));
    talk.ack(1, "retried");
    signal(&child, "INT").await;
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = sidecar(&hub, dir.path(), &[]);
    let mut talk = hub.meet().await;
    talk.assign(1, "exec sleep 600");
    talk.hear("task_accepted").await;
    signal(&child, "TERM").await;
    talk.hear("agent_draining").await;
    signal(&child, "TERM").await;
    assert_eq!(code(&mut child).await, Some(1));
}

#[tokio::test]
async fn a_restart_that_the_hub_asks_for_ends_with_75() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = sidecar(&hub, dir.path(), &[]);
    let mut talk = hub.meet().await;
    talk.say(&json!({ "type": "restart_sidecar", "reason": "update" }));
    talk.hear("agent_restarting").await;
    assert_eq!(code(&mut child).await, Some(75));
}

/// Ends TLS for `localhost` before `hub`, with a certificate that is written to `file`; the port.
async fn tls_before(hub: SocketAddr, file: &Path) -> (u16, tokio::task::JoinSet<()>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut proxy = tokio::task::JoinSet::new();
    proxy.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away.
                let Ok(mut inner) = acceptor.accept(socket).await else { return };
                let mut outer = tokio::net::TcpStream::connect(hub).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    (port, proxy)
}

#[tokio::test]
async fn a_hub_behind_tls_is_reached_if_its_certificate_is_trusted() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let trusted = dir.path().join("trusted.pem");
    let (port, _proxy) = tls_before(hub.address, &trusted).await;
    let check = |file: &Path| {
        let mut command = sidecar_command(&hub, dir.path(), &["check"]);
        command.env("AGENTCOM_URL", format!("https://localhost:{port}"));
        command.env("SSL_CERT_FILE", file).spawn().unwrap()
    };
    let other = dir.path().join("other.pem");
    let (_, _other_proxy) = tls_before(hub.address, &other).await;
    let mut stranger = check(&other);
    assert_eq!(code(&mut stranger).await, Some(69));
    let mut child = check(&trusted);
    hub.meet().await;
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_check_says_whether_the_token_is_good() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut child = sidecar(&hub, dir.path(), &["check"]);
    hub.meet().await;
    assert_eq!(code(&mut child).await, Some(0));
    let mut child = sidecar(&hub, dir.path(), &["check"]);
    let mut talk = Talk(in_time(hub.transport.open()).await.unwrap());
    talk.hear("identify").await;
    talk.say(&json!({ "type": "error", "error": "invalid_token" }));
    assert_eq!(code(&mut child).await, Some(77));
}

/// Has a process neither end nor go on as long as this is there: it is traced, and what was killed is handed to
/// its parent only once its tracer has seen it end.
#[cfg(target_os = "linux")]
struct Traced {
    pid: nix::unistd::Pid,
    done: std::sync::mpsc::Sender<()>,
    tracer: std::thread::JoinHandle<()>,
}

#[cfg(target_os = "linux")]
impl Traced {
    fn process(pid: i32) -> Self {
        use nix::sys::{ptrace, wait};
        let pid = nix::unistd::Pid::from_raw(pid);
        let (done, is_done) = std::sync::mpsc::channel();
        let (held, is_held) = std::sync::mpsc::channel();
        // All that is asked of a process that is traced, the same thread has to ask.
        let tracer = std::thread::spawn(move || {
            held.send(ptrace::seize(pid, ptrace::Options::empty())).unwrap();
            is_done.recv().unwrap();
            while !matches!(wait::waitpid(pid, None).unwrap(), wait::WaitStatus::Signaled(..)) {}
        });
        is_held.recv().unwrap().unwrap();
        Self { pid, done, tracer }
    }

    /// Lets it end, which it was told to.
    fn end(self) {
        let kill = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
        kill.unwrap();
        self.done.send(()).unwrap();
        self.tracer.join().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_command_is_run_beside_a_process_that_cannot_be_ended_and_the_hub_is_told() {
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    let _child = sidecar(&hub, dir.path(), &[]);
    let (mut talk, identify) = hub.introduced().await;
    assert_eq!((&identify["executors"], &identify["sandbox"]), (&json!(["shell"]), &Value::Null));
    talk.assign(1, "echo $$ > pid.part; mv pid.part pid; exec sleep 1000");
    talk.hear("task_accepted").await;
    let pid = in_time(async {
        loop {
            match std::fs::read_to_string(dir.path().join("pid")) {
                Ok(pid) => break pid.trim().parse().unwrap(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let traced = Traced::process(pid.await);
    talk.say(&json!({ "type": "task_cancelled", "task_id": id(1), "generation": 1, "reason": "", "timestamp": 0 }));
    let again = talk.hear("identify").await;
    let why = again["sandbox"]["quarantine"].as_str().unwrap();
    assert!(why.starts_with("1 process of an earlier command could not be ended"), "{why}");
    assert_eq!(again["executors"], json!([]));
    talk.assign(2, "echo no");
    let reason = talk.hear("task_rejected").await["reason"].to_string();
    assert!(reason.contains("quarantine: 1 process"), "{reason}");
    traced.end();
    let again = talk.hear("identify").await;
    assert_eq!((&again["executors"], &again["sandbox"]), (&json!(["shell"]), &Value::Null));
    talk.assign(3, "echo yes");
    assert_eq!(talk.hear("task_complete").await["result"]["stdout"], "yes\n");
}

/// Another user than root for whoever is root, with a copy of the sidecar in a folder of its own: what root has in
/// `/proc` belongs to root in any case.
#[cfg(target_os = "linux")]
fn as_another_user(command: &Command, dir: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    let copy = dir.join("sidecar");
    std::fs::copy(command.as_std().get_program(), &copy).unwrap();
    let mut other = Command::new(copy);
    other.args(command.as_std().get_args()).current_dir(dir).env_clear().kill_on_drop(true);
    other.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    if nix::unistd::getuid().is_root() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        other.uid(NOBODY).gid(NOBODY);
    }
    other
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_sidecar_has_in_its_memory_is_closed_to_its_user_and_sandboxes_work_all_the_same() {
    use std::os::unix::fs::MetadataExt as _;
    let (mut hub, dir) = (Hub::start().await, tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("work")).unwrap();
    let coding = "[coding]\nrepository = \".\"\nmodel = \"m\"\n[shell]\n";
    let config = format!("{coding}root = {:?}\n", dir.path().join("work"));
    std::fs::write(dir.path().join("sidecar.toml"), config).unwrap();
    let command = sidecar_command(&hub, dir.path(), &["--config", "sidecar.toml"]);
    let mut child = as_another_user(&command, dir.path()).spawn().unwrap();
    let (mut talk, said) = hub.introduced().await;
    let proc = Path::new("/proc").join(child.id().unwrap().to_string());
    for file in ["mem", "environ", "maps"] {
        // Where a process may be looked into by its user, they belong to that user.
        assert_eq!(proc.join(file).metadata().unwrap().uid(), 0, "{file}");
    }
    let level = said["sandbox"]["level"].as_str().unwrap();
    if level >= "L2" {
        talk.say(&json!({
            "type": "task_assign", "task_id": id(1), "generation": 1, "assigned_at": 0,
            "description": "", "attempt": 1, "incarnation": "inc-0000000000000007",
            "lease_ttl_ms": 30_000, "on_lease_loss": "stop", "sandbox": level,
            "op": { "kind": "shell", "input": { "command": "id -u > out; cat out" } },
        }));
        let result = in_time(talk.hear("task_complete")).await["result"].clone();
        assert_eq!((&result["sandbox"], &result["exit_code"]), (&json!(level), &json!(0)));
    }
    signal(&child, "TERM").await;
    assert_eq!(code(&mut child).await, Some(0));
}
