//! This file proves that the Claude Code CLI does coding tasks as every executor does its work, that it
//! is asked and answered as it has to be, and that however it behaves the task ends in good order. The
//! program is a stand-in, which is a real process in the real sandbox.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod egress;
#[path = "../coding/fixture.rs"]
mod fixture;
#[path = "../support/egress.rs"]
mod ground;
mod routed;
#[path = "../support/mod.rs"]
mod support;
mod ways;

use std::sync::Mutex;
use std::time::Duration;

use agentcom_core::config::Secret;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::ledger::{Granted, NotGranted, Payment, Spending};
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome, News};
use agentcom_core::task::{Category, Draft, VerificationStep};
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture, assignment};
use agentcom_core::time::{Span, Wall};
use agentcom_core::wire::Assignment;
use agentcom_exec::claude_code::{ClaudeCode, Program};
use agentcom_exec::coding::{Coding, Programs};
use agentcom_exec::model::Patience;
use agentcom_exec::sandbox::{Level, Network, Sandbox};
use async_trait::async_trait;
use fixture::{Fixture, git, said};
use serde_json::{Value, json};
use support::{CLAN_SIZE, Clans, level_here, spawner};

/// What only the program is to see.
const SECRET: &str = "sk-what-only-it-is-to-see";

/// The stand-in, in a place with a repository.
#[derive(Debug)]
pub(crate) struct Claude {
    pub(crate) place: Fixture,
    pub(crate) cli: ClaudeCode,
    clans: Clans,
}

impl Claude {
    pub(crate) async fn new() -> Self {
        let program = Program::find(env!("CARGO_BIN_EXE_agentcom-claude-stand-in")).unwrap();
        let clans = Clans::of("claude", CLAN_SIZE);
        let mut cli = ClaudeCode::new(program);
        cli.env = [("ANTHROPIC_API_KEY".to_owned(), Secret::new(SECRET))].into();
        let place = Fixture::new().await;
        cli.network = Self::network_at(place.sandbox.level);
        Self { place, cli, clans }
    }

    /// What is granted beside its API where its sandbox is that of a level.
    pub(crate) fn network_at(level: Level) -> Network {
        if level < Level::L3 { Network::Open } else { Network::None }
    }

    /// What an agent has that has this program.
    pub(crate) fn programs(&self) -> Programs {
        Programs { acp: None, claude_code: Some(self.cli.clone()) }
    }

    pub(crate) fn coding(&self) -> Coding {
        Coding::with_claude_code(self.cli.clone(), self.place.settings())
    }

    /// How a task ends that is done in some way.
    pub(crate) async fn done(&self, task: u64, way: &str) -> JobOutcome {
        let coding = self.coding();
        coding.run(&assignment(&coding, TaskId(task), named(way)), &Asking::default()).await
    }

    /// A file as it was pushed.
    fn pushed(&self, task: u64, file: &str) -> String {
        let remote = self.place.dir.path().join("remote");
        let pattern = format!("agentcom/{}*", TaskId(task));
        let branch = git(&remote, &["branch", "--list", "--format=%(refname:short)", &pattern]);
        git(&remote, &["show", &format!("{}:{file}", branch.trim())])
    }
}

pub(crate) fn named(model: &str) -> Json {
    Json::of(&json!({ "model": model })).unwrap()
}

#[track_caller]
pub(crate) fn result(outcome: &JobOutcome) -> Value {
    let (JobOutcome::Done { result, .. } | JobOutcome::Partial { result, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    result.read().unwrap()
}

#[async_trait]
impl ExecutorFixture for Claude {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(self.coding())
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        named(&format!("clan {}", self.clans.mark(task)))
    }

    fn print_much(&self) -> Json {
        named("prints much")
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

agentcom_core::executor_conformance!(
    #[tokio::test]
    Claude::new().await
);

#[tokio::test]
async fn b27_what_it_did_is_pushed_with_what_it_took_by_all_of_its_models() {
    let claude = Claude::new().await;
    let outcome = claude.done(1, "works").await;
    assert!(matches!(outcome, JobOutcome::Done { tokens: Some(6655), .. }), "{outcome:?}");
    let result = result(&outcome);
    let figures = ["tokens_in", "tokens_out", "cost_micros", "turns", "files_changed"];
    assert_eq!(figures.map(|name| result[name].as_u64().unwrap()), [6550, 105, 12_500, 1, 1]);
    assert_eq!(result["output"], "Done.");
    assert!(result["sandbox"].as_str().unwrap().starts_with('L'));
    assert_eq!(result["steps"], json!(["Write b.txt: ok"]));
    assert_eq!(claude.pushed(1, "b.txt"), "two\n");
}

#[tokio::test]
async fn a33_it_is_told_its_task_where_nobody_else_can_read_it_and_sees_nothing_but_what_is_for_it()
{
    let mut claude = Claude::new().await;
    let state = tempfile::tempdir().unwrap();
    claude.cli.state = Some(state.path().to_owned());
    let outcome = claude.done(1, "tells what it was told").await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let (args, told) = (claude.pushed(1, "args.txt"), claude.pushed(1, "told.txt"));
    let task = "a job of the conformance suite";
    assert!(told.contains(task) && !args.contains(task) && !args.contains(SECRET), "{args}");
    for words in [
        "-p\n",
        "--output-format\nstream-json\n",
        "--permission-prompt-tool\nstdio\n",
        "--max-turns\n10\n",
        "--max-budget-usd\n10.00\n",
        "--setting-sources\n\n",
    ] {
        assert!(args.contains(words), "{words:?} in {args}");
    }
    let env = claude.pushed(1, "env.txt");
    let names = env.lines().map(|line| line.split('=').next().unwrap()).collect::<Vec<_>>();
    let of_task =
        ["AGENTCOM_ATTEMPT", "AGENTCOM_INCARNATION", "AGENTCOM_LEASE", "AGENTCOM_TASK_ID"];
    let own = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "CLAUDE_CONFIG_DIR",
        "DISABLE_AUTOUPDATER",
    ];
    let usual = ["HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "TERM", "TMPDIR", "TZ", "USER"];
    let broker = [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NODE_USE_ENV_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    let allowed = [&of_task[..], &own, &usual, &broker].concat();
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert!(own.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(env.contains(state.path().to_str().unwrap()));
    // It asks its API by a word that holds for this round, at a gate, which has its key.
    assert!(
        !env.contains(SECRET) && env.contains("ANTHROPIC_API_KEY=sk-ant-of-one-round-"),
        "{env}"
    );
    assert!(env.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:"), "{env}");
}

/// What it was told of a task that is described so, and the files that it left.
async fn told(claude: &Claude, task: u64, description: &str) -> (String, String) {
    let coding = claude.coding();
    let job = assignment(&coding, TaskId(task), named("tells what it was told"));
    let job = Assignment { description: description.into(), ..job };
    let outcome = coding.run(&job, &Asking::default()).await;
    let branch = result(&outcome)["branch"].as_str().unwrap().to_owned();
    let remote = claude.place.dir.path().join("remote");
    (claude.pushed(task, "told.txt"), git(&remote, &["ls-tree", "-r", "--name-only", &branch]))
}

#[tokio::test]
async fn a33_the_longest_task_arrives_whole() {
    let words = (0..Draft::DESCRIPTION_CHARS_MAX / 5).map(|number| format!("{number:04} "));
    let description = words.collect::<String>().trim_end().to_owned();
    let claude = Claude::new().await;
    let (told, _) = told(&claude, 1, &description).await;
    assert!(told.contains(&description), "{} of {} bytes", told.len(), description.len());
}

#[tokio::test]
async fn b27_the_text_of_a_task_arrives_as_it_is_and_no_shell_reads_it() {
    let text =
        "Say \"a\" & 'b'; touch one | touch two\n$(touch three) `touch four` > five %PATH% $HOME";
    let claude = Claude::new().await;
    let (told, files) = told(&claude, 1, text).await;
    assert!(told.contains(text), "{told}");
    let files: Vec<_> = files.lines().collect();
    assert_eq!(files, ["a.txt", "args.txt", "b.txt", "env.txt", "tests/run.sh", "told.txt"]);
}

#[tokio::test]
async fn its_questions_are_answered_by_the_list_of_tools_and_at_once() {
    let claude = Claude::new().await;
    for (task, way, expected) in [
        (1, "asks for a tool that is allowed", json!("allow")),
        (2, "asks for a tool that is not allowed", json!("deny")),
        (3, "asks what nobody knows", Value::Null),
    ] {
        let outcome = claude.done(task, way).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{way}: {outcome:?}");
        let answer: Value = serde_json::from_str(&claude.pushed(task, "answer.txt")).unwrap();
        let response = &answer["response"];
        assert_eq!(response["request_id"], "r-1");
        assert_eq!(response["response"]["behavior"], expected, "{way}: {answer}");
        let ended = if expected.is_null() { "error" } else { "success" };
        assert_eq!(
            (response["subtype"].as_str(), &answer["type"]),
            (Some(ended), &json!("control_response"))
        );
        if expected == "allow" {
            assert_eq!(response["response"]["updatedInput"]["file_path"], "b.txt");
        }
    }
}

#[tokio::test]
async fn a_rule_for_some_uses_of_a_tool_allows_no_others() {
    let mut claude = Claude::new().await;
    claude.cli.tools = vec!["Read".into(), "Write(docs/**)".into()];
    let outcome = claude.done(1, "asks for a tool that is allowed").await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let answer: Value = serde_json::from_str(&claude.pushed(1, "answer.txt")).unwrap();
    assert_eq!(answer["response"]["response"]["behavior"], "deny");
}

#[tokio::test]
async fn a_correction_is_asked_of_the_program_with_what_does_not_hold() {
    let claude = Claude::new().await;
    let coding = claude.coding();
    let mut job = assignment(&coding, TaskId(1), named("tells what it was told"));
    job.max_verification_retries = 1;
    job.verification_steps = vec![VerificationStep {
        kind: "command_succeeds".into(),
        target: "grep -q 'Mend th[i]s' told.txt".into(),
        description: None,
    }];
    let outcome = coding.run(&job, &Asking::default()).await;
    let result = result(&outcome);
    assert_eq!(
        (&result["rounds"], &result["tokens_in"]),
        (&json!(2), &json!(13_100)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_a_task_for_good() {
    let mut claude = Claude::new().await;
    // A copy would be busy as long as another test has inherited the descriptor that wrote it.
    let program = claude.cli.program.path();
    let name = format!("claude-that-goes-away-{}", std::process::id());
    let copy = program.with_file_name(name);
    std::fs::hard_link(program, &copy).unwrap();
    claude.cli.program = Program::find(copy.to_str().unwrap()).unwrap();
    assert_eq!(claude.cli.program.version().await.unwrap(), "2.1.0 (stand-in for Claude Code)");
    std::fs::remove_file(&copy).unwrap();
    let outcome = claude.done(1, "works").await;
    let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("it cannot be run"), "{error}");
    assert!(claude.cli.program.version().await.is_err());
}

/// Counts what is spent, or lets nothing be.
#[derive(Debug, Default)]
struct Books {
    broke: bool,
    lines: Mutex<Vec<(&'static str, Spending)>>,
}

#[async_trait]
impl JobContext for Books {
    fn report(&self, _news: News) {}

    async fn cancelled(&self) {
        std::future::pending().await
    }

    async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
        let line = match payment {
            Payment::AtMost(at_most) => ("reserved", at_most),
            Payment::CameTo(came_to) => ("spent", came_to),
        };
        self.lines.lock().unwrap().push(line);
        if self.broke { Err(NotGranted::NoAccount) } else { Ok(Granted::default()) }
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

#[tokio::test]
async fn each_round_is_reserved_at_its_budget_and_booked_as_the_program_reckons() {
    let claude = Claude::new().await;
    let booked = async |task: u64, way: &str, broke: bool| {
        let (coding, books) = (claude.coding(), Books { broke, ..Books::default() });
        let job = assignment(&coding, TaskId(task), named(way));
        let outcome = coding.run(&job, &books).await;
        let lines = books.lines.into_inner().unwrap();
        let lines = lines.into_iter().map(|(what, spending)| {
            assert_eq!(spending.model.as_str(), way.replace(' ', "_"));
            (what, spending.micros.unwrap().0, spending.usage.total())
        });
        (outcome, lines.collect::<Vec<_>>())
    };
    let reserved = ("reserved", 10_000_000, 0);
    assert_eq!(booked(1, "works", false).await.1, [reserved, ("spent", 12_500, 6655)]);
    assert_eq!(booked(2, "too many turns", false).await.1, [reserved, ("spent", 12_500, 6655)]);
    // Nobody knows what it took that ended without a word.
    assert_eq!(booked(3, "no result", false).await.1, [reserved]);
    let (outcome, lines) = booked(4, "works", true).await;
    assert_eq!(lines, [reserved]);
    let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("no room to count"), "{error}");
}

#[tokio::test]
async fn what_it_said_until_it_was_stopped_is_kept() {
    let claude = Claude::new().await;
    let (coding, ctx) = (claude.coding(), Asking::default());
    let job = assignment(&coding, TaskId(1), claude.run_on(TaskId(1)));
    let dir = claude.place.dir.path();
    let stopping = async {
        // Its command is at work before what it says of that was read.
        let at_work =
            || Some(said(dir, TaskId(1))).filter(|(said, _)| said.contains("trap '' TERM"));
        support::eventually("it is at work", at_work).await;
        ctx.stop();
    };
    let (outcome, ()) = tokio::join!(coding.run(&job, &ctx), stopping);
    assert_eq!(outcome, JobOutcome::Stopped);
    let kept = || Some(said(dir, TaskId(1))).filter(|(_, drafts)| *drafts == 0);
    let (said, _) = support::eventually("it is kept", kept).await;
    assert!(said.contains("a job of the conformance suite"), "{said}");
    assert!(said.contains("trap '' TERM") && !said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn its_temporary_files_count_and_what_it_took_until_it_was_stopped_is_known() {
    let mut claude = Claude::new().await;
    claude.place.sandbox.limits.disk_bytes = 8 << 20;
    let outcome = claude.done(1, "fills the disk").await;
    let result = result(&outcome);
    assert_eq!(result["stopped"], "disk", "{result:#}");
    let figures = ["tokens_in", "tokens_out", "turns"].map(|name| result[name].as_u64().unwrap());
    assert_eq!(figures, [100, 10, 1]);
    assert_eq!(result["steps"], json!(["Write b.txt: ok"]));
    let (said, drafts) = said(claude.place.dir.path(), TaskId(1));
    assert!(said.contains("b.txt") && drafts == 0, "{said}");
    assert_eq!(claude.pushed(1, "b.txt"), "two\n");
}

/// A patience that a test can wait for.
pub(crate) fn short() -> Patience {
    let [first, next, whole] = [8, 5, 60].map(Duration::from_secs);
    Patience { first, next, whole }
}

/// The sandbox of a level for commands, in which the program finds its network all the same.
pub(crate) fn of(level: Level) -> Sandbox {
    Sandbox::new(level)
}

#[test]
fn its_sandbox_is_that_of_commands_with_what_it_needs_and_can_be_proved() {
    let program = Program::find(env!("CARGO_BIN_EXE_agentcom-claude-stand-in")).unwrap();
    let mut cli = ClaudeCode::new(program);
    cli.state = Some("/state".into());
    let level = level_here();
    if level < Level::L2 {
        return;
    }
    cli.network = Claude::network_at(level);
    let sandbox = cli.sandbox(&of(level));
    assert_eq!((&*sandbox.write, sandbox.level), (&["/state".into()][..], level));
    let (proved, report) = sandbox.clone().proved(Some(level), &spawner()).unwrap();
    assert_eq!((proved, report.network), (sandbox, true));
}

#[test]
fn it_reaches_its_api_where_its_login_is_renewed_and_what_was_granted_beside() {
    let program = Program::find(env!("CARGO_BIN_EXE_agentcom-claude-stand-in")).unwrap();
    let mut cli = ClaudeCode::new(program);
    cli.env.clear();
    let hosts = |cli: &ClaudeCode| match cli.sandbox(&of(Level::L2)) {
        Sandbox { level: Level::L3, network: Network::Hosts(hosts), .. } => {
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(hosts(&cli), ["api.anthropic.com:443"]);
    cli.state = Some("/state".into());
    cli.network = Network::of(vec!["registry.npmjs.org".parse().unwrap()]);
    let all = ["api.anthropic.com:443", "platform.claude.com:443", "registry.npmjs.org:443"];
    assert_eq!(hosts(&cli), all);
    let elsewhere = Secret::new("http://gate.example:4000/v1");
    cli.env.insert(ClaudeCode::BASE_URL.to_owned(), elsewhere);
    cli.state = None;
    assert_eq!(hosts(&cli), ["gate.example:4000", "registry.npmjs.org:443"]);
    cli.network = Network::Open;
    let open = cli.sandbox(&of(Level::L2));
    assert_eq!((open.level, open.network), (Level::L2, Network::Open));
}
