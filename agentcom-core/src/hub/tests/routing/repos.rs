//! This file checks what repositories that operators know mean for tasks: which one a task is about,
//! what does it, and who has it.

use super::*;
use crate::command::{RepoCommand, Scope};
use crate::name::{Repo, RepoName};
use crate::repo::{Registered, Runs};
use crate::view::Reason;

fn name(name: &str) -> RepoName {
    RepoName::new(name).unwrap()
}

fn url(name: &str) -> Repo {
    Repo::new(&alloc::format!("https://host/own/{name}")).unwrap()
}

fn registered(at: &str) -> Registered {
    Registered::new(name(at), url(at))
}

fn tell(bench: &mut Bench, command: RepoCommand) -> Reply {
    bench.call(Command::Repo(command))
}

fn known(names: &[&str]) -> Bench {
    let mut bench = Bench::new();
    for name in names {
        let said = tell(&mut bench, RepoCommand::Set(registered(name).into()));
        assert_eq!(said, Reply::Done);
    }
    bench
}

fn of_kind(kind: &str) -> Draft {
    let description = "mend the parser".into();
    Draft { description, ..Draft::new(Kind::new(kind).unwrap(), Json::null()) }
}

/// What a task is about that is submitted.
fn about(bench: &mut Bench, draft: Draft) -> Option<Repo> {
    let id = bench.submit(draft);
    bench.task(id).spec.repo.clone()
}

fn order(bench: &Bench) -> Vec<&str> {
    bench.hub.state().settings().repos.iter().map(|repo| repo.name.as_str()).collect()
}

#[test]
fn a_task_of_a_model_is_about_the_first_repository_that_is_not_paused() {
    let mut bench = known(&["web", "api"]);
    assert_eq!(about(&mut bench, of_kind("code")), Some(url("web")));
    assert_eq!(about(&mut bench, of_kind("auto")), Some(url("web")));
    assert_eq!(about(&mut bench, of_kind("shell")), None, "a command is about nothing");
    tell(&mut bench, RepoCommand::Pause(name("web")));
    assert_eq!(about(&mut bench, of_kind("code")), Some(url("api")));
    tell(&mut bench, RepoCommand::Unpause(name("web")));
    tell(&mut bench, RepoCommand::Move(name("api"), 1));
    assert_eq!(about(&mut bench, of_kind("code")), Some(url("api")));
    for name in ["api", "web"].map(name) {
        tell(&mut bench, RepoCommand::Pause(name));
    }
    // Work on what is paused does not begin under another name, or under none.
    let id = bench.submit(of_kind("code"));
    assert_eq!(bench.task(id).spec.repo, Some(url("api")));
    assert!(matches!(bench.hub.why(id).unwrap().reason, Reason::Paused { .. }));
}

#[test]
fn a_registered_repository_has_one_address_whatever_it_is_called() {
    let mut bench = known(&["web"]);
    for text in ["web", "git@host:own/web.git", "https://HOST/own/web"] {
        let repo = Some(Repo::new(text).unwrap());
        assert_eq!(about(&mut bench, Draft { repo, ..draft() }), Some(url("web")), "{text}");
    }
    let repo = Some(Repo::new("https://host/own/other").unwrap());
    assert_eq!(about(&mut bench, Draft { repo: repo.clone(), ..draft() }), repo);
    let other = Scope::Repo(Repo::new("ssh://git@host/own/web").unwrap());
    bench.call(Command::Pause(other));
    let id = bench.submit(Draft { repo: Some(url("web")), ..draft() });
    assert_eq!(
        bench.hub.why(id).unwrap().reason,
        Reason::Paused { scope: Scope::Repo(url("web")) }
    );
    bench.call(Command::Unpause(Scope::Repo(Repo::new("web").unwrap())));
    let why = bench.hub.why(id).unwrap().reason;
    assert!(matches!(why, Reason::NoAgent { .. }), "{why:?}");
}

#[test]
fn what_a_task_does_not_say_its_repository_says_and_then_its_tier() {
    let mut bench = known(&[]);
    let kind = |word: &str| Kind::new(word).unwrap();
    let runs = |word: &str, tiers: &[Tier]| Runs {
        kind: kind(word),
        model: crate::name::ModelName::new("large").ok(),
        tiers: tiers.into(),
    };
    let web = Registered {
        executors: vec![runs("acp", &[Tier::Complex]), runs("code", &[Tier::Trivial])],
        ..registered("web")
    };
    tell(&mut bench, RepoCommand::Set(web.into()));
    let by_tier = EndpointCommand::Executor(Tier::Standard, Some(kind("claude-code")));
    bench.call(Command::Endpoint(by_tier));
    let run = |bench: &mut Bench, tier, op: &str| {
        let mut draft = of_kind(op);
        draft.coding.tier = Some(tier);
        let id = bench.submit(draft);
        let op = &bench.task(id).spec.op;
        alloc::format!("{} {}", op.kind, op.input.as_str())
    };
    let large = r#"{"model":"large"}"#;
    assert_eq!(run(&mut bench, Tier::Complex, "auto"), alloc::format!("acp {large}"));
    assert_eq!(run(&mut bench, Tier::Trivial, "auto"), "code null", "whose model would that be");
    assert_eq!(run(&mut bench, Tier::Standard, "auto"), "claude-code null");
    assert_eq!(run(&mut bench, Tier::Unknown, "auto"), "wake null", "what is usual");
    assert_eq!(run(&mut bench, Tier::Complex, "ollama"), "ollama null", "it said so");
    bench.call(Command::Endpoint(EndpointCommand::Executor(Tier::Standard, None)));
    assert_eq!(run(&mut bench, Tier::Standard, "auto"), "wake null");
    let id = EndpointId::new("gpu").unwrap();
    bench.call(Command::Endpoint(EndpointCommand::Set(id, local(&["large"]).into())));
    assert_eq!(run(&mut bench, Tier::Trivial, "auto"), alloc::format!("code {large}"));
    let auto = EndpointCommand::Executor(Tier::Complex, Some(kind("auto")));
    let said = bench.call(Command::Endpoint(auto));
    assert_eq!(said, Reply::Rejected(Rejected::BadExecutor(kind("auto"))));
    let own = Json::parse(r#"{"model":"small","max_rounds":2}"#).unwrap();
    let mut draft = of_kind("auto");
    (draft.op.input, draft.coding.tier) = (own.clone(), Some(Tier::Complex));
    let id = bench.submit(draft);
    assert_eq!(bench.task(id).spec.op.input.as_str(), own.as_str(), "the task's own model wins");
}

#[test]
fn a_task_of_a_model_goes_to_who_has_its_repository() {
    let mut fleet = Fleet::new();
    let web = fleet.join("web", 9, &["repo:host/own/web"]);
    let both = fleet.join("both", 1, &["repo:host/own/api", "repo:host/own/web"]);
    let submit = |fleet: &mut Fleet, repo: &str| {
        fleet.bench.submit(Draft { repo: Some(url(repo)), ..of_kind("code") })
    };
    let first = submit(&mut fleet, "api");
    assert_eq!(fleet.given(both), [(first, None)]);
    let second = submit(&mut fleet, "web");
    assert_eq!(fleet.given(web), [(second, None)]);
    let nobodys = submit(&mut fleet, "none");
    let Reason::NoAgent { nearest: Some(nearest) } = fleet.bench.hub.why(nobodys).unwrap().reason
    else {
        panic!("nobody has it")
    };
    assert_eq!(nearest.lacks, ["repo:host/own/none"]);
    // Who does not say what it has may have it.
    let any = fleet.join("any", 1, &[]);
    assert_eq!(fleet.given(any), [(nobodys, None)]);
}

#[test]
fn what_is_wrong_with_a_repository_is_said_and_nothing_changes() {
    let mut bench = known(&["web", "api"]);
    let twin = Registered::new(name("twin"), Repo::new("git@host:own/web").unwrap());
    let said = tell(&mut bench, RepoCommand::Set(twin.into()));
    assert_eq!(said, Reply::Rejected(Rejected::RepoExists(name("web"))));
    let secret = Registered::new(name("s"), Repo::new("https://me:word@host/s").unwrap());
    let said = tell(&mut bench, RepoCommand::Set(secret.into()));
    assert_eq!(said, Reply::Rejected(Rejected::RepoSecret));
    let kind = |word: &str| Kind::new(word).unwrap();
    let runs = |word: &str| Runs { kind: kind(word), model: None, tiers: Vec::new() };
    let max = Registered::EXECUTORS_MAX;
    let many = Registered { executors: vec![runs("acp"); max + 1], ..registered("web") };
    let said = tell(&mut bench, RepoCommand::Set(many.into()));
    assert_eq!(said, Reply::Rejected(Rejected::TooManyExecutors { max }));
    let looks = Registered { executors: vec![runs("probe")], ..registered("web") };
    let said = tell(&mut bench, RepoCommand::Set(looks.into()));
    assert_eq!(said, Reply::Rejected(Rejected::BadExecutor(kind("probe"))));
    let unknown = Reply::Rejected(Rejected::UnknownRepo(name("no")));
    for command in [
        RepoCommand::Remove(name("no")),
        RepoCommand::Move(name("no"), 1),
        RepoCommand::Pause(name("no")),
        RepoCommand::Unpause(name("no")),
    ] {
        assert_eq!(tell(&mut bench, command), unknown);
    }
    assert_eq!(order(&bench), ["web", "api"]);
    for n in 2..Registered::COUNT_MAX {
        let said = tell(&mut bench, RepoCommand::Set(registered(&alloc::format!("r{n}")).into()));
        assert_eq!(said, Reply::Done);
    }
    let said = tell(&mut bench, RepoCommand::Set(registered("one-more").into()));
    assert_eq!(said, Reply::Rejected(Rejected::TooManyRepos { max: Registered::COUNT_MAX }));
}

#[test]
fn the_order_is_what_operators_say_and_outlasts_a_replacement() {
    let mut bench = known(&["a", "b", "c"]);
    for (moved, place, then) in
        [("c", 1, ["c", "a", "b"]), ("c", 99, ["a", "b", "c"]), ("b", 0, ["b", "a", "c"])]
    {
        tell(&mut bench, RepoCommand::Move(name(moved), place));
        assert_eq!(order(&bench), then);
    }
    tell(&mut bench, RepoCommand::Pause(name("a")));
    tell(&mut bench, RepoCommand::Set(registered("a").into()));
    assert_eq!(order(&bench), ["b", "a", "c"]);
    assert!(bench.hub.state().settings().paused.contains(&Scope::Repo(url("a"))));
    tell(&mut bench, RepoCommand::Remove(name("a")));
    assert_eq!(order(&bench), ["b", "c"]);
    assert!(bench.hub.state().settings().paused.is_empty(), "its pause ends with it");
}

#[test]
fn a_pause_holds_by_whatever_address_and_ends_by_any() {
    let mut bench = Bench::new();
    let at = |text: &str| Scope::Repo(Repo::new(text).unwrap());
    bench.call(Command::Pause(at("git@host:own/web")));
    let before = bench.submit(Draft { repo: Some(url("web")), ..draft() });
    let is_paused =
        |bench: &Bench, id| matches!(bench.hub.why(id).unwrap().reason, Reason::Paused { .. });
    assert!(is_paused(&bench, before), "whatever it is called");
    tell(&mut bench, RepoCommand::Set(registered("web").into()));
    assert!(is_paused(&bench, before));
    let moved = Repo::new("https://elsewhere/own/web").unwrap();
    let moved = Registered { url: moved, ..registered("web") };
    tell(&mut bench, RepoCommand::Set(moved.into()));
    let after = bench.submit(Draft { repo: Repo::new("web").ok(), ..draft() });
    assert!(is_paused(&bench, after), "it stays paused where it is now");
    assert!(!is_paused(&bench, before), "and is paused there only");
    bench.call(Command::Unpause(at("ssh://git@elsewhere/own/web")));
    assert!(!is_paused(&bench, after));
    assert!(bench.hub.state().settings().paused.is_empty());
}

#[test]
fn a_model_that_nobody_can_ask_about_this_repository_is_passed_over() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("cc", Endpoint::new(Api::ClaudeCode, ""));
    let web = fleet.join("web", 9, &["repo:host/own/web"]);
    fleet.join_with("api", &["code", "claude-code"], 9, &["repo:host/own/api"]);
    let mut draft = Draft { repo: Some(url("web")), ..of_kind("code") };
    draft.coding.tier = Some(Tier::Complex);
    fleet.bench.submit(draft.clone());
    assert_eq!(fleet.names(web), ["gpu"], "who has the program does not have the repository");
    fleet.serve(web);
    draft.repo = None;
    draft.assign_to = Some(agent_id("web"));
    fleet.bench.submit(draft);
    assert_eq!(fleet.names(web), ["gpu"], "it is meant for one who does not have the program");
}
