//! This file checks that what operators and limits say is as before after a restart.

use super::*;
use crate::command::{EndpointCommand, RepoCommand};
use crate::endpoint::{Api, Endpoint, Meant};
use crate::name::{EndpointId, Repo, RepoName};
use crate::port::store::Table;
use crate::repo::Registered;
use crate::task::{Rate, Tier};
use crate::time::Span;

fn rated() -> Draft {
    let mut draft = draft();
    draft.share.rates.push(Rate {
        key: Key::new("k").unwrap(),
        limit: 1,
        per: Span(1_000),
        burst: 1,
    });
    draft
}

fn again(rig: Rig) -> Rig {
    let disk = rig.disk.clone();
    drop(rig);
    Rig::over(Arc::new(disk.open()), disk, Faults::new(), |builder| builder)
}

#[test]
fn a_bucket_that_is_full_again_after_a_restart_is_forgotten() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    rig.submit(rated());
    let buckets =
        |rig: &Rig| rig.disk.rows().keys().filter(|key| key.table == Table::Bucket).count();
    assert_eq!(buckets(&rig), 1);
    let mut rig = again(rig);
    rig.pass(5_000);
    rig.submit(draft());
    assert_eq!(buckets(&rig), 0);
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_does_not_stop_a_rate() {
    let mut rig = Rig::new();
    rig.pass(3_600_000);
    let agent = rig.join("a");
    rig.submit(rated());
    drop(agent);
    let mut rig = again(rig);
    let (id, _) = rig.submit(rated());
    assert!(
        rig.call(Command::AddAgent { id: AgentId::new("b").unwrap(), token: token::hash_of("b") })
            .is_ok()
    );
    let _agent = rig.connect("b");
    for _ in 0..5 {
        rig.pass(1_000);
    }
    let handle = rig.handle.clone();
    let held = rig
        .ask(handle.view(move |state| {
            state.task(id).is_some_and(|task| task.life.state.hold().is_some())
        }));
    assert_eq!(held, Ok(true));
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_changes_nothing_that_is_durable() {
    let mut rig = Rig::new();
    rig.pass(3_600_000);
    let _agent = rig.join("a");
    rig.submit(rated());
    let before = durable(&mut rig);
    let mut rig = again(rig);
    assert_eq!(durable(&mut rig), before);
}

/// All that is durable, as text.
fn durable(rig: &mut Rig) -> String {
    let handle = rig.handle.clone();
    rig.ask(handle.view(|state| alloc::format!("{:?}", state.durable()))).unwrap()
}

/// The first of these frames that gives a task, as text.
fn given(frames: &[String]) -> Option<&String> {
    frames.iter().find(|frame| frame.contains("\"task_assign\""))
}

#[test]
fn endpoints_parked_keys_and_slots_in_use_are_as_before_after_a_restart() {
    let told = |command| Command::Endpoint(command);
    let (gpu, work) = (EndpointId::new("gpu").unwrap(), EndpointId::new("work").unwrap());
    let local = Endpoint {
        models: Vec::from([Meant { model: "qwen".into(), tiers: Vec::new() }]),
        ..Endpoint::new(Api::Ollama, "http://gpu:11434")
    };
    let elsewhere = Endpoint {
        models: local.models.clone(),
        ..Endpoint::new(Api::Messages, "https://api.example")
    };
    let code = || Draft::new(Kind::new("code").unwrap(), Json::null());
    let mut rig = Rig::new();
    rig.call(told(EndpointCommand::Set(gpu, local.into()))).unwrap();
    rig.call(told(EndpointCommand::Set(work.clone(), elsewhere.into()))).unwrap();
    rig.call(told(EndpointCommand::Park(work, Span::from_mins(10)))).unwrap();
    let mut agent = rig.join("a");
    let (first, _) = rig.submit(code());
    let (second, _) = rig.submit(code());
    let frames = heard(&mut agent);
    assert!(
        given(&frames).is_some_and(|frame| frame.contains(r#""endpoint":"gpu""#)),
        "{frames:?}"
    );
    let before = durable(&mut rig);
    let mut rig = again(rig);
    assert_eq!(durable(&mut rig), before);
    let endpoints = |rig: &mut Rig| {
        let handle = rig.handle.clone();
        rig.ask(async move { handle.routing().await }).unwrap().endpoints
    };
    let views = endpoints(&mut rig);
    assert_eq!(views[0].held.get("qwen"), Some(&1), "what was given is still under way");
    assert_eq!(views[1].parked_until, Some(Wall(1_600_000)));
    let _agent = rig.connect("a");
    let state = |rig: &mut Rig, id| {
        let handle = rig.handle.clone();
        rig.ask(handle.view(move |state| state.task(id).map(|it| it.life.state.as_str()))).unwrap()
    };
    assert_eq!(
        [state(&mut rig, first), state(&mut rig, second)],
        [Some("assigned"), Some("ready")]
    );
    rig.pass(600_000);
    assert_eq!(
        endpoints(&mut rig)[1].users_at_once,
        Some(1),
        "the quota is renewed, whoever was away"
    );
}

#[test]
fn repositories_and_what_does_their_tasks_are_as_before_after_a_restart() {
    let mut rig = Rig::new();
    for at in ["web", "api"] {
        let url = Repo::new(&alloc::format!("https://host/own/{at}")).unwrap();
        let repo = Registered::new(RepoName::new(at).unwrap(), url);
        rig.call(Command::Repo(RepoCommand::Set(repo.into()))).unwrap();
    }
    rig.call(Command::Repo(RepoCommand::Move(RepoName::new("api").unwrap(), 1))).unwrap();
    rig.call(Command::Repo(RepoCommand::Pause(RepoName::new("web").unwrap()))).unwrap();
    let acp = EndpointCommand::Executor(Tier::Complex, Some(Kind::new("acp").unwrap()));
    rig.call(Command::Endpoint(acp)).unwrap();
    let _agent = rig.join("a");
    let before = durable(&mut rig);
    let mut rig = again(rig);
    assert_eq!(durable(&mut rig), before);
    let handle = rig.handle.clone();
    let views = rig.ask(async move { handle.repos().await }).unwrap();
    let views: Vec<_> =
        views.iter().map(|it| (it.repo.name.as_str(), it.paused, it.agents)).collect();
    assert_eq!(views, [("api", false, 0), ("web", true, 0)]);
}
