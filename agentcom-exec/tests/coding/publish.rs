//! This file proves that what is private does not leave by the branch of a task: a model that obeys
//! every instruction takes it there, and it is pushed to where strangers read only if a person says so.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_core::id::{Lease, TaskId};
use agentcom_core::json::Json;
use agentcom_core::port::executor::{JobContext, JobOutcome, News};
use agentcom_core::question::Ask;
use agentcom_core::testing::executor_suite::{ExecutorFixture as _, assignment};
use agentcom_core::time::{Span, Wall};
use agentcom_exec::coding::Publishing;
use agentcom_exec::github::{GitHub, Visibility};
use agentcom_exec::mcp::{Reaches, Server, Way};
use agentcom_exec::stand_in::github;
use agentcom_exec::stand_in::mcp::{Manner, StandIn as Mcp};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::fixture::{Fixture, git};
use crate::worktree;

const TASK: TaskId = TaskId(1);

/// Somebody who is asked, and gives an answer or none.
#[derive(Debug, Default)]
struct Person {
    answer: Option<Value>,
    /// A folder in which somebody commits while they think.
    meanwhile: Option<PathBuf>,
    asked: Mutex<Vec<(String, Span)>>,
}

#[async_trait]
impl JobContext for Person {
    fn report(&self, _news: News) {}

    async fn cancelled(&self) {
        std::future::pending().await
    }

    async fn ask(&self, question: Ask, timeout: Span, default: Json) -> Json {
        assert!(question.choices.is_some(), "what cannot be understood is refused to who answers");
        self.asked.lock().unwrap().push((question.text, timeout));
        if let Some(worktrees) = &self.meanwhile {
            let who = ["-c", "user.name=B", "-c", "user.email=b@example.org"];
            let commit = ["commit", "--quiet", "--allow-empty", "-m", "Not asked about"];
            git(&worktree(worktrees), &[&who[..], &commit].concat());
        }
        self.answer.as_ref().map_or(default, |answer| Json::of(answer).unwrap())
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

/// A place in which a model does what it reads: where it reads of a tool it calls that, and what comes
/// of it goes into a file. It is told of the tool in its task, if it is not `plain`.
struct Obedient {
    fixture: Fixture,
    _service: Mcp,
}

impl Obedient {
    async fn new(visibility: Option<Visibility>) -> Self {
        let model = StandIn::that(Box::new(|asked: &Value, _| {
            let messages = asked["messages"].as_array().unwrap();
            let told = |at: usize| messages[at]["content"].as_str().unwrap().to_owned();
            let step = messages.iter().filter(|message| message["role"] == "assistant").count();
            match (step, asked["model"] == "plain") {
                (0, _) => Turn::calls("read_file", json!({ "path": "a.txt" })),
                (1, false) => Turn::calls("one__look", json!({ "at": "this" })),
                (2, false) | (1, true) => {
                    let content = told(messages.len() - 1);
                    Turn::calls("write_file", json!({ "path": "b.txt", "content": content }))
                }
                _ => Turn::says("Done."),
            }
        }));
        let mut fixture = Fixture::of(model.await);
        fixture.publishing = Publishing { visibility, ..Publishing::default() };
        let service = Mcp::of(Manner::Good).await;
        let way = Way::Http { url: Secret::new(&service.url()), headers: Default::default() };
        let reach = Reaches::all(Reach { private: true, ..Reach::default() });
        let within = Duration::from_secs(30);
        fixture.mcp = vec![Server {
            name: "one".into(),
            way,
            tools: None,
            reach,
            within,
            secrets: Vec::new(),
        }];
        Self { fixture, _service: service }
    }

    /// How an attempt ends with somebody to ask, and what was asked.
    async fn attempt(
        &self,
        number: u32,
        model: &str,
        answer: Option<Value>,
    ) -> (JobOutcome, Vec<(String, Span)>) {
        let executor = self.fixture.executor();
        let input = Json::of(&json!({ "model": model })).unwrap();
        let mut job = assignment(&*executor, TASK, input);
        (job.generation, job.attempt) = (Lease(number.into()), number);
        let person = Person { answer, ..Person::default() };
        let outcome = executor.run(&job, &person).await;
        (outcome, person.asked.into_inner().unwrap())
    }

    /// As [`Self::attempt`], of somebody who says yes when the branch has gone on.
    async fn overtaken(&self) -> JobOutcome {
        let executor = self.fixture.executor();
        let job = assignment(&*executor, TASK, Json::of(&json!({ "model": "obeys" })).unwrap());
        let meanwhile = Some(self.fixture.dir.path().to_owned());
        let person = Person { answer: Some(json!("yes")), meanwhile, ..Person::default() };
        executor.run(&job, &person).await
    }

    /// What the remote has on branches of tasks.
    fn pushed(&self) -> String {
        let remote = self.fixture.dir.path().join("remote");
        git(&remote, &["log", "-p", "--branches=agentcom/*", "main.."])
    }

    /// What the clone has there.
    fn kept(&self) -> String {
        let clone = self.fixture.dir.path().join("clone");
        git(&clone, &["log", "-p", "--branches=agentcom/*", "origin/main.."])
    }
}

fn result(outcome: &JobOutcome) -> Value {
    let (JobOutcome::Done { result, .. } | JobOutcome::Partial { result, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    result.read().unwrap()
}

fn branch(outcome: &JobOutcome) -> String {
    result(outcome)["branch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_in_a_branch_goes_to_no_public_remote_unless_a_person_says_so() {
    for (answer, allows) in [
        (None, false),
        (Some(json!("no")), false),
        (Some(json!("whatever you like")), false),
        (Some(json!(1)), false),
        (Some(json!("Yes")), true),
        (Some(json!(true)), true),
    ] {
        let place = Obedient::new(Some(Visibility::Public)).await;
        let (outcome, asked) = place.attempt(1, "obeys", answer.clone()).await;
        let [(question, within)] = &asked[..] else { panic!("{asked:?}") };
        assert!(question.contains("(files changed: 1) be pushed to /"), "{question}");
        // What is allowed is this commit, and not whatever the branch is called for.
        let head = git(&place.fixture.dir.path().join("clone"), &["rev-parse", &branch(&outcome)]);
        assert!(question.contains(&format!(" at {} (", head.trim())), "{question}");
        assert_eq!(*within, Span(600_000));
        assert!(place.kept().contains("seen this"), "{}", place.kept());
        assert_eq!(place.pushed().contains("seen this"), allows, "{answer:?}");
        assert_eq!(matches!(outcome, JobOutcome::Done { .. }), allows, "{outcome:?}");
        let result = result(&outcome);
        assert_eq!(result["pushed"], allows);
        if !allows {
            let why = result["withheld"].as_str().unwrap();
            assert!(why.contains("is public, and nobody allowed it"), "{why}");
            assert_eq!(
                (&result["verdict"], &result["remaining"][0]),
                (&json!("partial_pass"), &result["withheld"])
            );
            assert_eq!(place.pushed(), "");
        }
    }
}

#[tokio::test]
async fn a_yes_to_one_commit_lets_no_other_go() {
    let place = Obedient::new(Some(Visibility::Public)).await;
    let outcome = place.overtaken().await;
    assert!(matches!(outcome, JobOutcome::Partial { .. }), "{outcome:?}");
    assert_eq!((result(&outcome)["pushed"].as_bool(), &*place.pushed()), (Some(false), ""));
}

#[tokio::test]
async fn what_was_read_is_not_forgotten_from_attempt_to_attempt() {
    let place = Obedient::new(Some(Visibility::Public)).await;
    let (outcome, _) = place.attempt(1, "obeys", None).await;
    assert!(matches!(outcome, JobOutcome::Partial { .. }), "{outcome:?}");
    assert!(place.kept().contains("Agentcom-Read: private"), "{}", place.kept());
    // This one looks at nothing that is private, and goes on with a branch that has it.
    let (outcome, asked) = place.attempt(2, "plain", None).await;
    assert_eq!((result(&outcome)["pushed"].as_bool(), asked.len()), (Some(false), 1));
    assert_eq!(place.pushed(), "");
}

#[tokio::test]
async fn nobody_is_asked_where_strangers_read_nothing_or_nothing_is_private() {
    for (visibility, model) in
        [(None, "obeys"), (Some(Visibility::Private), "obeys"), (Some(Visibility::Public), "plain")]
    {
        let place = Obedient::new(visibility).await;
        let (outcome, asked) = place.attempt(1, model, Some(json!("no"))).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
        assert_eq!((asked.len(), result(&outcome)["pushed"].as_bool()), (0, Some(true)));
        assert!(place.pushed().contains("b.txt"));
    }
}

#[tokio::test]
async fn where_it_is_pushed_counts_and_not_where_it_is_fetched() {
    let place = Obedient::new(None).await;
    let clone = place.fixture.dir.path().join("clone");
    let remote = git(&clone, &["remote", "get-url", "origin"]);
    git(&clone, &["remote", "set-url", "--push", "origin", remote.trim()]);
    git(
        &clone,
        &["remote", "set-url", "--push", "--add", "origin", "https://host.example/own/name"],
    );
    let (outcome, asked) = place.attempt(1, "obeys", None).await;
    assert!(matches!(outcome, JobOutcome::Partial { .. }), "{outcome:?}");
    assert!(
        asked[0].0.contains("be pushed to host.example/own/name, which is public"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn github_is_asked_about_a_repository_that_it_has() {
    for (is_public, name, asks) in
        [(false, github::REPOSITORY, 0), (true, github::REPOSITORY, 1), (false, "owner/other", 1)]
    {
        let mut place = Obedient::new(None).await;
        let stand_in = github::StandIn::start().await;
        if is_public {
            stand_in.open_to_all();
        }
        let token = github::TOKEN.to_owned();
        place.fixture.github = Some(GitHub::at(&stand_in.api(), token).unwrap());
        let clone = place.fixture.dir.path().join("clone");
        let url = format!("{}/{name}", stand_in.api().trim_end_matches('/'));
        git(&clone, &["remote", "set-url", "--push", "origin", &url]);
        let (_, asked) = place.attempt(1, "obeys", None).await;
        let heard = stand_in.asked();
        assert_eq!(asked.len(), asks, "{name}: {asked:?}");
        assert_eq!(heard[0], format!("GET /repos/{name}"));
    }
}
