//! This file proves that the shell, and what wakes other programs, keep the contract of executors.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::shell::Shell;
use agentcom_exec::wake::{Wake, WakeConfig};
use async_trait::async_trait;
use serde_json::json;
use support::{CLAN, CLAN_SIZE, Clans, spawner};

#[derive(Debug)]
struct Fixture {
    clans: Clans,
}

impl Fixture {
    fn new() -> Self {
        Self { clans: Clans::of("suite", CLAN_SIZE) }
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(Shell::new(spawner()))
    }

    fn succeed(&self) -> Json {
        Json::of(&json!({ "command": "echo done" })).unwrap()
    }

    fn run_on(&self, task: TaskId) -> Json {
        let command = format!("trap '' TERM; {CLAN}; {CLAN}");
        Json::of(&json!({ "command": command, "env": { "MARK": self.clans.mark(task) } })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(
            &json!({ "command": "head -c 1000000 /dev/urandom; head -c 9999999 /dev/zero >&2" }),
        )
        .unwrap()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        self.clans.is_up(task)
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        self.clans.is_alive(task)
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}

mod shell {
    use super::Fixture;

    agentcom_core::executor_conformance!(
        #[tokio::test]
        Fixture::new()
    );
}

/// Wakes a script that does what the input of its task says.
#[derive(Debug)]
struct Woken {
    dir: tempfile::TempDir,
    clans: Clans,
}

/// What is woken: `$0` is the task, `$1` all that is known of it.
const SCRIPT: &str = r#"
touch "results/$0.started"
case "$1" in
*'"mark":'*)
    MARK=$(printf %s "$1" | sed 's/.*"mark":"\([^"]*\)".*/\1/') sh clan.sh &
    exit 0 ;;
*'"print":'*)
    { printf '{"status":"success","output":"'; head -c 300000 /dev/zero | tr '\0' x; printf '"}'; } > "$0"
    head -c 9999999 /dev/zero
    mv "$0" "results/$0.json" ;;
*)
    printf '{"status":"success"}' > "results/$0.json" ;;
esac
"#;

impl Woken {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clan = format!("trap '' TERM; {CLAN}; {CLAN}");
        std::fs::write(dir.path().join("clan.sh"), clan).unwrap();
        Self { dir, clans: Clans::of("woken", CLAN_SIZE) }
    }
}

#[async_trait]
impl ExecutorFixture for Woken {
    fn executor(&self) -> Box<dyn Executor> {
        let argv = ["sh", "-c", SCRIPT, "${TASK_ID}", "${TASK_JSON}"];
        let config = WakeConfig {
            cwd: self.dir.path().into(),
            poll: Duration::from_millis(2),
            stable_for: Duration::from_millis(10),
            ..WakeConfig::new(argv.map(str::to_owned).into(), self.dir.path().join("results"))
        };
        Box::new(Wake::new(spawner(), config))
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        Json::of(&json!({ "mark": self.clans.mark(task) })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(&json!({ "print": "much" })).unwrap()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        self.clans.is_up(task)
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        self.clans.is_alive(task)
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}

mod wake {
    use super::Woken;

    agentcom_core::executor_conformance!(
        #[tokio::test]
        Woken::new()
    );
}
