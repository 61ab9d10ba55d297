//! This file has tasks end as a whole and in part, and looks what is proposed as a draft.

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_core::wire::Assignment;
use agentcom_exec::coding::{Coding, Drafts, Settings};
use agentcom_exec::github::GitHub;
use agentcom_exec::stand_in::github::{Instead, REPOSITORY, StandIn, TOKEN};
use serde_json::{Value, json};

use crate::fixture::{Fixture, git};

/// A place whose remote is at GitHub.
struct Ground {
    fixture: Fixture,
    github: StandIn,
}

impl Ground {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let dir = fixture.dir.path();
        let remote = dir.join(REPOSITORY);
        std::fs::create_dir_all(remote.parent().unwrap()).unwrap();
        std::fs::rename(dir.join("remote"), &remote).unwrap();
        let remote = remote.to_str().unwrap();
        git(&dir.join("clone"), &["remote", "set-url", "origin", remote]);
        Self { fixture, github: StandIn::start().await }
    }

    /// The result of an attempt at a task that is good when a file is there.
    async fn done(&self, drafts: Drafts, attempt: u32, file: &str) -> Value {
        let github = GitHub::at(&self.github.api(), TOKEN.into()).unwrap();
        let settings = Settings { drafts, github: Some(github), ..self.fixture.settings() };
        let coding = Coding::with_ollama(self.fixture.models(), settings);
        let job = assignment(&coding, TaskId(1), self.fixture.succeed());
        let step = |target: &str| VerificationStep {
            kind: "file_exists".into(),
            target: target.into(),
            description: None,
        };
        let verification_steps = vec![step("b.txt"), step(file)];
        let job = Assignment { attempt, verification_steps, ..job };
        let outcome = coding.run(&job, &Asking::default()).await;
        let (JobOutcome::Done { result, .. } | JobOutcome::Partial { result, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        let result: Value = result.read().unwrap();
        assert_eq!(result["pull_request_error"], Value::Null);
        result
    }
}

#[tokio::test]
async fn what_is_done_in_part_is_proposed_as_a_draft_and_goes_on_as_the_same() {
    let ground = Ground::new().await;
    let part = ground.done(Drafts::default(), 1, "c.txt").await;
    assert_eq!(
        (&part["verdict"], &part["pull_request_draft"]),
        (&"partial_pass".into(), &true.into())
    );
    let [pull] = &ground.github.pulls()[..] else { panic!("there is one") };
    assert_eq!(pull["draft"], true);
    // The next attempt does it as a whole.
    let whole = ground.done(Drafts::default(), 2, "a.txt").await;
    assert_eq!(whole["verdict"], Value::Null, "{whole:#}");
    let [pull] = &ground.github.pulls()[..] else { panic!("there is still one") };
    let body = pull["body"].as_str().unwrap();
    assert!(body.contains("It is ready for review by now; a person has to mark it so."), "{body}");
    assert!(!body.contains("It is done in part"), "{body}");
}

#[tokio::test]
async fn what_is_done_as_a_whole_is_proposed_as_ready() {
    let ground = Ground::new().await;
    let whole = ground.done(Drafts::default(), 1, "a.txt").await;
    assert_eq!(whole.get("pull_request_draft"), None, "{whole:#}");
    assert_eq!(ground.github.pulls()[0]["draft"], json!(false));
}

#[tokio::test]
async fn where_no_drafts_are_wanted_what_is_done_in_part_is_proposed_as_ready() {
    let ground = Ground::new().await;
    let part = ground.done(Drafts::Never, 1, "c.txt").await;
    assert_eq!((&part["verdict"], part.get("pull_request_draft")), (&"partial_pass".into(), None));
    assert!(ground.github.pulls()[0]["body"].as_str().unwrap().contains("It is done in part"));
}

#[tokio::test]
async fn what_touches_what_is_protected_is_a_draft_where_that_is_wanted() {
    let mut ground = Ground::new().await;
    ground.fixture.risk.protected.push("b.txt".parse().unwrap());
    let whole = ground.done(Drafts::Risky, 1, "a.txt").await;
    assert_eq!((&whole["risk_tier"], &whole["pull_request_draft"]), (&3.into(), &true.into()));
}

#[tokio::test]
async fn a_moment_in_which_github_is_away_leaves_a_task_done_as_a_whole() {
    let ground = Ground::new().await;
    let instead = |status, headers, does_it| {
        Some(Instead { status, headers, body: "<html>".into(), does_it })
    };
    // It does not say so, but it has opened it.
    let answers =
        [instead(403, vec![("retry-after", "1")], false), None, instead(502, vec![], true)];
    ground.github.next(answers);
    let whole = ground.done(Drafts::default(), 1, "a.txt").await;
    assert_eq!(whole["verdict"], Value::Null, "{whole:#}");
    assert_eq!(ground.github.pulls().len(), 1);
    assert!(whole["pull_request"].is_string(), "{whole:#}");
}
