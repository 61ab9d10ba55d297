//! This file proves that what the program reads and knows leaves by its API at most, and its key by no
//! way, though it obeys every instruction that it finds in the repository.

use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_exec::coding::{Chain, Coding, OllamaModels};
use agentcom_exec::github::Visibility;
use agentcom_exec::mcp::{Reaches, Server, Way};
use agentcom_exec::model::Patience;
use agentcom_exec::sandbox::{Level, Network};
use agentcom_exec::stand_in::mcp::{Manner, StandIn as Mcp};
use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::json;

use crate::fixture::git;
use crate::ground::Ground;
use crate::support::Watched;
use crate::{Claude, SECRET, named, result};

async fn obeys(claude: &Claude) -> (JobOutcome, Watched) {
    let (coding, ctx) = (claude.coding(), Watched::new());
    let outcome = coding.run(&assignment(&coding, TaskId(1), named("obeys")), &ctx).await;
    (outcome, ctx)
}

#[tokio::test]
async fn what_it_reads_is_carried_nowhere_by_a_program_that_obeys_every_instruction() {
    let mut claude = Claude::new().await;
    let Some(ground) = Ground::at(claude.place.dir.path(), &Ground::PLACES) else { return };
    claude.cli.network = Network::of(vec![ground.service.into()]);
    let (outcome, ctx) = obeys(&claude).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    ground.assert_held(&claude.pushed(1, "went.txt"), &ctx.text_of("network"));
    let steps = result(&outcome)["steps"].to_string();
    assert!(steps.contains("network refused evil.example:443: it is not granted"), "{steps}");
}

#[tokio::test]
async fn a_login_that_it_can_read_goes_to_no_public_remote_without_a_person_who_says_so() {
    let mut claude = Claude::new().await;
    if claude.place.sandbox.level < Level::L3 {
        return;
    }
    claude.place.publishing.visibility = Some(Visibility::Public);
    // A variable it cannot read, so nobody has to be asked.
    let (outcome, _) = obeys(&claude).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let state = tempfile::tempdir().unwrap();
    claude.cli.state = Some(state.path().to_owned());
    let coding = claude.coding();
    let job = assignment(&coding, TaskId(2), named("works"));
    let outcome = coding.run(&job, &Watched::new()).await;
    let JobOutcome::Partial { .. } = &outcome else { panic!("{outcome:?}") };
    assert!(result(&outcome)["withheld"].as_str().unwrap().contains("nobody allowed it"));
    let remote = claude.place.dir.path().join("remote");
    let branch = format!("agentcom/{}*", TaskId(2));
    assert_eq!(git(&remote, &["branch", "--list", &branch]), "");
}

#[tokio::test]
async fn by_the_whole_network_much_is_carried_away_but_not_its_key() {
    let mut claude = Claude::new().await;
    let Some(ground) = Ground::at(claude.place.dir.path(), &Ground::PLACES[..1]) else { return };
    claude.cli.network = Network::Open;
    let (outcome, _) = obeys(&claude).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let stolen = ground.stolen().unwrap();
    assert!(stolen.contains("ANTHROPIC_API_KEY=sk-ant-of-one-round-"), "{stolen}");
    assert!(!stolen.contains(SECRET), "{stolen}");
}

#[tokio::test]
async fn behind_an_outer_proxy_it_goes_itself_and_has_its_key() {
    let mut claude = Claude::new().await;
    claude.cli.network = Network::Open;
    let proxy = Secret::new("http://127.0.0.1:9");
    claude.cli.env.insert("HTTPS_PROXY".to_owned(), proxy);
    let outcome = claude.done(1, "tells what it was told").await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let env = claude.pushed(1, "env.txt");
    assert!(env.contains(SECRET) && !env.contains("ANTHROPIC_BASE_URL"), "{env}");
}

/// How a task ends in which a model calls a tool that has to do with the world in some way, and then
/// cannot be asked any longer, so that the program is to go on.
async fn goes_on_after(reach: Reach, network: Network) -> JobOutcome {
    let mut claude = Claude::new().await;
    let state = tempfile::tempdir().unwrap();
    claude.cli.state = Some(state.path().to_owned());
    claude.cli.network = network;
    claude.cli.model = Some("works".to_owned());
    let service = Mcp::of(Manner::Good).await;
    let way = Way::Http { url: Secret::new(&service.url()), headers: Default::default() };
    let (name, within) = ("one".to_owned(), Duration::from_secs(30));
    let reach = Reaches::default().with("look", reach);
    claude.place.mcp = vec![Server { name, way, tools: None, reach, within, secrets: Vec::new() }];
    let mut turns = vec![
        Turn::calls("one__look", json!({ "at": "this" })),
        Turn::Status(404, "model not found".to_owned()),
    ]
    .into_iter();
    let model = Ollama::that(Box::new(move |_, _| turns.next().unwrap())).await;
    let local = OllamaModels {
        url: model.url(),
        model: "qwen".to_owned(),
        tuning: agentcom_core::endpoint::Tuning::default(),
        patience: Patience::default(),
    };
    let chain = Chain { local: Some(local), cloud: None, programs: claude.programs() };
    let coding = Coding::with_chain(chain, claude.place.settings());
    coding.run(&assignment(&coding, TaskId(1), Json::null()), &Asking::default()).await
}

#[tokio::test]
async fn it_is_not_put_to_work_where_with_it_all_three_things_would_come_together() {
    let outward = Reach { outward: true, ..Reach::default() };
    let private = Reach { private: true, ..Reach::default() };
    let held = Claude::new().await.cli.network;
    // It has a login, and reads what strangers wrote; where all of the network is granted, that
    // is an effect outside.
    for (reach, network) in [(outward, Network::None), (private, Network::Open)] {
        let outcome = goes_on_after(reach, network).await;
        let JobOutcome::Failed { category: Category::Permanent, error, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(error.contains("so this is for a person to do"), "{error}");
    }
    let outcome = goes_on_after(Reach::default(), held).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
}
