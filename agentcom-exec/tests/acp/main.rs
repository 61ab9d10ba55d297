//! This file proves that coding tasks by foreign agents keep the contract of executors, and that agents
//! which speak the Agent Client Protocol are understood, asked about and held.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod bad_agents;
mod egress;
mod fixture;
#[path = "../support/egress.rs"]
mod ground;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Mutex;

use agentcom_core::endpoint::{Api, Endpoint, Fault, ModelOptions};
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::ledger::{Granted, NotGranted, Payment, Spending};
use agentcom_core::money::Micros;
use agentcom_core::name::{EndpointId, ModelName};
use agentcom_core::port::executor::{JobContext, JobOutcome, News};
use agentcom_core::question::Ask;
use agentcom_core::sandbox::Level;
use agentcom_core::task::{Category, VerificationStep};
use agentcom_core::testing::executor_suite::{ExecutorFixture as _, assignment};
use agentcom_core::time::{Span, Wall};
use agentcom_core::wire::Route;
use agentcom_exec::acp::Acp;
use agentcom_exec::sandbox::Sandbox;
use async_trait::async_trait;
use fixture::{Fixture, git, going, said};
use serde_json::{Value, json};
use support::Watched;

agentcom_core::executor_conformance!(
    #[tokio::test]
    Fixture::going("works")
);

/// Somebody who answers every question alike, and remembers what was asked and told.
#[derive(Debug, Default)]
struct Person {
    /// Nothing where nobody answers.
    answer: Option<Value>,
    asked: Mutex<Vec<(String, Span, Json)>>,
    /// Whether nothing may be spent.
    is_poor: bool,
    reserved: Mutex<Vec<Spending>>,
    spent: Mutex<Vec<Spending>>,
    news: Mutex<Vec<Value>>,
}

#[async_trait]
impl JobContext for Person {
    fn report(&self, news: News) {
        self.news.lock().unwrap().extend(news.event.map(|event| event.read().unwrap()));
    }

    async fn cancelled(&self) {
        std::future::pending().await
    }

    async fn ask(&self, question: Ask, timeout: Span, default: Json) -> Json {
        assert!(question.choices.is_some(), "what cannot be understood is refused to who answers");
        self.asked.lock().unwrap().push((question.text, timeout, default.clone()));
        self.answer.as_ref().map_or(default, |answer| Json::of(answer).unwrap())
    }

    async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
        match payment {
            Payment::AtMost(_) if self.is_poor => return Err(NotGranted::NoAccount),
            Payment::AtMost(at_most) => self.reserved.lock().unwrap().push(at_most),
            Payment::CameTo(came_to) => self.spent.lock().unwrap().push(came_to),
        }
        Ok(Granted::default())
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

#[tokio::test]
async fn an_agent_does_not_work_where_no_commands_are_run_and_does_where_none_are_confined() {
    let mut fixture = Fixture::going("works");
    fixture.sandbox.level = Level::L1;
    let executor = fixture.executor();
    let job = assignment(&*executor, TaskId(1), Json::null());
    let outcome = executor.run(&job, &Person::default()).await;
    let JobOutcome::Failed { error, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(error.contains("no commands are run here"), "{error}");
    fixture.sandbox.level = Level::L0;
    let result = done(&fixture, "works", &Person::default()).await;
    assert_eq!(result["sandbox"], "L0");
}

/// The result of a task whose agent goes `way`, for `person`.
async fn done(fixture: &Fixture, way: &str, person: &Person) -> Value {
    let executor = fixture.executor();
    let outcome = executor.run(&assignment(&*executor, TaskId(1), going(way)), person).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read().unwrap()
}

#[tokio::test]
async fn what_an_agent_does_is_told_live_kept_and_counted() {
    let fixture = Fixture::going("works");
    let person = Person::default();
    let result = done(&fixture, "works", &person).await;
    assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), "onetwo");
    assert_eq!(result["output"], "It is done: b.txt is there.");
    assert_eq!(result["sandbox"], fixture.sandbox.level.as_str());
    assert_eq!(result["steps"], json!(["read a.txt: ok"]));
    assert_eq!((&result["tokens_in"], &result["tokens_out"]), (&json!(100), &json!(20)));
    assert_eq!(result["cost_micros"], 250_000);
    assert_eq!((&result["model"], &result["turns"]), (&json!("works"), &json!(1)));
    // What stays in the worktree is not asked.
    assert!(person.asked.lock().unwrap().is_empty());
    let news = person.news.lock().unwrap();
    let of = |kind: &str| -> Vec<&str> {
        let found = news.iter().filter(|event| event["event_type"] == kind);
        found.map(|event| event["text"].as_str().unwrap()).collect()
    };
    assert_eq!(of("token").concat(), "I look at a.txt.It is done: b.txt is there.");
    assert_eq!(of("tool_call"), ["read a.txt: ok"]);
    let told = of("status").join("\n");
    for line in ["plan, 0 of 1 done: Write b.txt", "allowed by rule: edit Write b.txt"] {
        assert!(told.contains(line), "{told}");
    }
    let call = news.iter().find(|event| event["event_type"] == "tool_call").unwrap();
    assert_eq!((&call["tool_name"], &call["iteration"]), (&json!("read"), &json!(1)));
    assert_eq!(call["result_summary"], r#"{"content":"one\n","ok":true}"#);
    let kept = std::fs::read_dir(fixture.dir.path().join("transcripts")).unwrap().next().unwrap();
    let kept = std::fs::read_to_string(kept.unwrap().path()).unwrap();
    // Whose it is comes first.
    let kept = kept.lines().skip(1);
    let kept: Vec<Value> = kept.map(|line| serde_json::from_str(line).unwrap()).collect();
    let roles: Vec<&str> = kept.iter().filter_map(|line| line["role"].as_str()).collect();
    assert_eq!(roles, ["user", "model", "tool", "model"]);
    assert!(kept[0]["text"].as_str().unwrap().contains("a job of the conformance suite"));
    assert!(kept[1]["thinking"].as_str().unwrap().starts_with("I was told"));
}

#[tokio::test]
async fn an_agent_whose_files_are_its_own_affair_is_offered_none_and_served_none() {
    let mut fixture = Fixture::going("works");
    fixture.acp.files = false;
    let result = done(&fixture, "works", &Person::default()).await;
    assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), "onetwo");
}

#[tokio::test]
async fn an_agent_that_wants_a_login_is_logged_in_once_as_was_said() {
    let ended = async |way: &str, auth: Option<&str>| {
        let mut fixture = Fixture::going(way);
        fixture.acp.auth = auth.map(str::to_owned);
        let executor = fixture.executor();
        let job = assignment(&*executor, TaskId(1), fixture.succeed());
        let outcome = executor.run(&job, &Person::default()).await;
        if matches!(outcome, JobOutcome::Done { .. }) {
            return "done".to_owned();
        }
        let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
            panic!("{outcome:?}")
        };
        error
    };
    assert_eq!(ended("logs-in", Some("key")).await, "done");
    for (way, auth, says) in [
        ("logs-in", None, "log in first (key: Log in with a key)"),
        ("logs-in", Some("browser"), "no way to log in called `browser` (key: Log in with a key)"),
        // It was of no use.
        ("wants-login", Some("key"), "log in first (key: Log in with a key)"),
    ] {
        let error = ended(way, auth).await;
        assert!(error.contains(says), "{error}");
    }
}

/// What comes of a task of which an agent does a part.
async fn partial(fixture: &Fixture) -> Value {
    let executor = fixture.executor();
    let job = assignment(&*executor, TaskId(1), fixture.succeed());
    let outcome = executor.run(&job, &Person::default()).await;
    let JobOutcome::Partial { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read().unwrap()
}

#[tokio::test]
async fn an_agent_that_fills_the_disk_is_stopped_and_what_it_did_is_kept() {
    let mut fixture = Fixture::going("works");
    fixture.sandbox.limits.disk_bytes = 8 << 20;
    let fills = "n=0; while :; do head -c 500000 /dev/zero > f$n; n=$((n+1)); done";
    fixture.acp = Acp::new(["/bin/sh", "-c", fills]);
    let result = partial(&fixture).await;
    assert_eq!(result["stopped"], "disk", "{result:#}");
    let remaining = json!(["the model was stopped: its files take more than they may"]);
    assert_eq!((&result["remaining"], &result["pushed"]), (&remaining, &json!(true)));
}

#[tokio::test]
async fn an_agent_with_too_many_processes_is_stopped_and_what_it_did_is_kept() {
    let mut fixture = Fixture::going("works");
    fixture.sandbox = Sandbox::new(Level::L2);
    fixture.sandbox.limits.processes = 20;
    let forks = "echo two > b.txt; for i in $(seq 200); do sleep 10 & done; wait";
    fixture.acp = Acp::new(["/bin/sh", "-c", forks]);
    let result = partial(&fixture).await;
    assert_eq!(result["stopped"], "processes", "{result:#}");
    assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), "two\n");
}

#[tokio::test]
async fn temporary_files_count_and_what_it_took_until_it_was_stopped_is_known() {
    let mut fixture = Fixture::going("fills-the-disk");
    fixture.sandbox.limits.disk_bytes = 8 << 20;
    fixture.acp.cost_max = Some(Micros::DOLLAR);
    let (executor, person) = (fixture.executor(), Person::default());
    let mut job = assignment(&*executor, TaskId(1), fixture.succeed());
    job.max_verification_retries = 2;
    job.verification_steps = vec![VerificationStep {
        kind: "command_succeeds".into(),
        target: "test -e c.txt".into(),
        description: None,
    }];
    let outcome = executor.run(&job, &person).await;
    let JobOutcome::Partial { result, tokens, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    assert_eq!((&result["stopped"], tokens), (&json!("disk"), Some(53)), "{result:#}");
    assert_eq!((&result["cost_micros"], &result["turns"]), (&json!(250_000), &json!(1)));
    // It begins no other round, since it would begin where it was stopped.
    assert_eq!(result["rounds"], 1, "{result:#}");
    assert_eq!(person.spent.lock().unwrap()[0].micros, Some(Micros(250_000)));
    let (said, drafts) = said(fixture.dir.path(), TaskId(1));
    assert!(said.contains("I work.") && drafts == 0, "{said}");
    assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), "two");
}

#[tokio::test]
async fn what_reaches_beyond_the_sandbox_is_asked_and_the_answer_is_passed_on() {
    let fixture = Fixture::going("works");
    for (answer, expected) in [
        (Some(json!("allow")), "yes"),
        (Some(json!("allow_always")), "always"),
        (Some(json!("no")), "no"),
        (Some(json!(17)), "no"),
        (None, "no"),
    ] {
        let person = Person { answer: answer.clone(), ..Person::default() };
        let result = done(&fixture, "asks", &person).await;
        let written = fixture.pushed(result["branch"].as_str().unwrap(), "b.txt");
        assert_eq!(written, expected, "{answer:?}");
        let asked = person.asked.lock().unwrap();
        let [(question, timeout, default)] = &**asked else { panic!("{asked:?}") };
        assert_eq!(
            question,
            "May it fetch: Fetch https://example.org?\nAnswer allow or reject, or one of: allow_once, \
             allow_always, reject_once"
        );
        assert_eq!((timeout, default.as_str()), (&Span::from_secs(600), "\"reject\""));
        // The task keeps its branch, so the next begins anew.
        let remote = fixture.dir.path().join("remote");
        git(&remote, &["branch", "-D", result["branch"].as_str().unwrap()]);
        let clone = fixture.dir.path().join("clone");
        git(&clone, &["branch", "-D", result["branch"].as_str().unwrap()]);
    }
}

#[tokio::test]
async fn what_an_agent_may_cost_is_reserved_and_what_it_cost_is_booked() {
    let mut fixture = Fixture::going("works");
    fixture.acp.cost_max = Some(Micros::DOLLAR);
    let person = Person::default();
    done(&fixture, "works", &person).await;
    let model = ModelName::new("works").unwrap();
    let reserved = person.reserved.lock().unwrap().clone();
    let spent = person.spent.lock().unwrap().clone();
    let micros = |all: &[Spending]| -> Vec<_> {
        all.iter().map(|one| (one.model.clone(), one.micros)).collect()
    };
    assert_eq!(micros(&reserved), [(model.clone(), Some(Micros::DOLLAR))]);
    assert_eq!(micros(&spent), [(model, Some(Micros(250_000)))]);
    assert_eq!(spent[0].usage.total(), 120);
    // Nobody knows what one cost that does not say so: it is booked at the most.
    let mut silent = Fixture::going("does-nothing");
    silent.acp.cost_max = Some(Micros::DOLLAR);
    let (executor, person) = (silent.executor(), Person::default());
    executor.run(&assignment(&*executor, TaskId(1), silent.succeed()), &person).await;
    let spent = person.spent.lock().unwrap().clone();
    assert_eq!(spent.first().map(|one| one.micros), Some(Some(Micros::DOLLAR)));
    // What may not be paid for is not begun, and what costs too much is stopped.
    let executor = fixture.executor();
    let poor = Person { is_poor: true, ..Person::default() };
    let outcome = executor.run(&assignment(&*executor, TaskId(2), Json::null()), &poor).await;
    let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("no room to count") && poor.spent.lock().unwrap().is_empty(), "{error}");
    fixture.acp.cost_max = Some(Micros(100_000));
    let executor = fixture.executor();
    let rich = Person::default();
    let outcome = executor.run(&assignment(&*executor, TaskId(3), Json::null()), &rich).await;
    let JobOutcome::Partial { result, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.read::<Value>().unwrap()["stopped"], "money");
}

#[tokio::test]
async fn an_agent_has_a_fresh_home_or_one_that_it_keeps() {
    let mut fixture = Fixture::going("remembers");
    let home = tempfile::tempdir().unwrap();
    for (task, home, found) in [
        (1, None, "nothing"),
        (2, None, "nothing"),
        (3, Some(home.path().canonicalize().unwrap()), "nothing"),
        (4, Some(home.path().canonicalize().unwrap()), "something"),
    ] {
        fixture.acp.home = home;
        let executor = fixture.executor();
        let job = assignment(&*executor, TaskId(task), Json::null());
        let outcome = executor.run(&job, &Person::default()).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        let result: Value = result.read().unwrap();
        let written = fixture.pushed(result["branch"].as_str().unwrap(), "b.txt");
        assert_eq!(written, found, "task {task}");
    }
}

#[tokio::test]
async fn what_was_said_of_a_call_before_counts_when_permission_for_it_is_asked() {
    let fixture = Fixture::going("works");
    let person = Person::default();
    let result = done(&fixture, "asks-later", &person).await;
    assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), "no");
    let asked = person.asked.lock().unwrap();
    let [(question, ..)] = &**asked else { panic!("it is not in the worktree: {asked:?}") };
    let expected = "May it edit: Edit?\n{\"text\":\"two\"}\nFiles: /srv/b.txt\nAnswer";
    assert!(question.starts_with(expected), "{question}");
}

#[tokio::test]
async fn rules_decide_without_asking() {
    let mut fixture = Fixture::going("works");
    for (task, (rule, expected)) in
        [("fetch=allow", "yes"), ("fetch=reject", "no")].iter().enumerate()
    {
        fixture.acp.permissions = fixture.acp.permissions.clone().with(rule.parse().unwrap());
        let executor = fixture.executor();
        let person = Person { answer: Some(json!("always")), ..Person::default() };
        let job = assignment(&*executor, TaskId(10 + task as u64), going("asks"));
        let outcome = executor.run(&job, &person).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        let result: Value = result.read().unwrap();
        assert_eq!(fixture.pushed(result["branch"].as_str().unwrap(), "b.txt"), *expected);
        assert!(person.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_agent_that_is_asked_to_stop_hears_of_it_first() {
    let fixture = Fixture::going("works");
    let executor = fixture.executor();
    let ctx = Watched::new();
    let job = assignment(&*executor, TaskId(5), going("heeds"));
    let stopping = async {
        let works = || ctx.text_of("token").contains("I work.").then_some(());
        support::eventually("it works", works).await;
        ctx.cancel();
    };
    let (outcome, ()) = tokio::join!(executor.run(&job, &ctx), stopping);
    assert_eq!(outcome, JobOutcome::Stopped);
    let trees = std::fs::read_dir(fixture.dir.path().join("worktrees")).unwrap();
    let mut trees = trees.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let left = trees.next().unwrap().join("called-off.txt");
    assert_eq!(std::fs::read_to_string(left).unwrap(), "in good order");
    // What it said until then is kept, also what it had not ended.
    let (said, drafts) = said(fixture.dir.path(), TaskId(5));
    assert!(said.contains(r#""text":"I work.""#) && drafts == 0, "{said}");
    assert!(ctx.text_of("status").contains("what was said until then is kept as "));
}

#[tokio::test]
async fn where_the_hub_chose_it_a_quota_that_is_used_up_is_not_laid_on_the_task() {
    let fixture = Fixture::going("works");
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), Json::null());
    job.route = Some(Box::new(Route {
        options: ModelOptions::default(),
        endpoint: EndpointId::new("gemini").unwrap(),
        api: Api::Acp,
        url: String::new(),
        credential: None,
        model: "quota".to_owned(),
    }));
    let outcome = executor.run(&job, &Person::default()).await;
    let JobOutcome::Unserved { fault, retry_after, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((fault, retry_after), (Fault::Quota, Some(Span::from_secs(60))), "{error}");
    // That this agent cannot be let in says nothing of others.
    let stranger = Fixture::going("wants-login");
    job.route.as_mut().unwrap().model = Endpoint::OWN.to_owned();
    let outcome = stranger.executor().run(&job, &Person::default()).await;
    let JobOutcome::Failed { category, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(category, Category::Permanent);
}
