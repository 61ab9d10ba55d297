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
    assert_eq!(about(&mut bench, of_kind("code")), None);
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
    let runs = |word: &str, tiers: &[Tier]| Runs { kind: kind(word), tiers: tiers.into() };
    let large = Meant { model: "large".into(), tiers: Vec::new() };
    let web = Registered {
        executors: vec![runs("acp", &[Tier::Complex]), runs("code", &[Tier::Trivial])],
        models: vec![large],
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
    assert_eq!(run(&mut bench, Tier::Trivial, "auto"), alloc::format!("code {large}"));
    assert_eq!(run(&mut bench, Tier::Standard, "auto"), alloc::format!("claude-code {large}"));
    assert_eq!(run(&mut bench, Tier::Unknown, "auto"), "wake null", "what is usual");
    assert_eq!(run(&mut bench, Tier::Complex, "ollama"), "ollama null", "it said so");
    bench.call(Command::Endpoint(EndpointCommand::Executor(Tier::Standard, None)));
    assert_eq!(run(&mut bench, Tier::Standard, "auto"), "wake null");
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
    let many = vec![Meant { model: "m".into(), tiers: Vec::new() }; Registered::CHOICES_MAX + 1];
    let many = Registered { models: many, ..registered("web") };
    let said = tell(&mut bench, RepoCommand::Set(many.into()));
    assert_eq!(said, Reply::Rejected(Rejected::TooManyChoices { max: Registered::CHOICES_MAX }));
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
