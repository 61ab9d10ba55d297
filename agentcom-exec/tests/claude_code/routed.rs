//! This file tests tasks for which the hub, or the tier, chose the program among other models.

use agentcom_core::endpoint::{Api, Endpoint, Fault, ModelOptions, Tuning};
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::name::EndpointId;
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Route;
use agentcom_exec::coding::{Chain, Coding, OllamaModels};
use agentcom_exec::model::Patience;

use crate::{Claude, named, result};

fn route(api: Api, model: &str) -> Box<Route> {
    let endpoint = EndpointId::new("cc").unwrap();
    let options = ModelOptions::default();
    let (url, model) = (String::new(), model.to_owned());
    Box::new(Route { endpoint, api, url, credential: None, model, options })
}

/// How a task ends that is routed so.
async fn ended(coding: &Coding, task: u64, route: Option<Box<Route>>, input: Json) -> JobOutcome {
    let mut job = assignment(coding, TaskId(task), input);
    job.route = route;
    coding.run(&job, &Asking::default()).await
}

#[tokio::test]
async fn the_hub_may_choose_it_for_any_coding_task_and_hears_when_its_quota_is_spent() {
    let claude = Claude::new().await;
    let chain = Chain { programs: claude.programs(), ..Chain::default() };
    let code = Coding::with_chain(chain, claude.place.settings());
    for (task, coding) in [(1, &code), (2, &claude.coding())] {
        let outcome =
            ended(coding, task, Some(route(Api::ClaudeCode, "works")), Json::null()).await;
        assert_eq!(result(&outcome)["model"], "works");
        let spent = Some(route(Api::ClaudeCode, "idle quota"));
        let outcome = ended(coding, 10 + task, spent, Json::null()).await;
        let JobOutcome::Unserved { fault, retry_after, error, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((fault, retry_after), (Fault::Quota, Some(Span::from_secs(5400))), "{error}");
    }
    // A model that nobody knows is what the task says, and no fault of the program.
    let unknown = Some(route(Api::ClaudeCode, "idle no such model"));
    let outcome = ended(&code, 15, unknown, Json::null()).await;
    assert!(
        matches!(outcome, JobOutcome::Failed { category: Category::Permanent, .. }),
        "{outcome:?}"
    );
    let none = Coding::with_chain(Chain::default(), claude.place.settings());
    for api in [Api::ClaudeCode, Api::Acp] {
        let outcome = ended(&none, 20, Some(route(api, Endpoint::OWN)), Json::null()).await;
        let JobOutcome::Failed { category: Category::Retryable, error, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(error.contains("does not have the program"), "{error}");
    }
}

#[tokio::test]
async fn its_own_model_is_the_one_that_it_was_set_up_with() {
    let mut claude = Claude::new().await;
    claude.cli.model = Some("works".to_owned());
    let own = Some(route(Api::ClaudeCode, Endpoint::OWN));
    let outcome = ended(&claude.coding(), 1, own, Json::null()).await;
    assert_eq!(result(&outcome)["model"], "works");
}

#[tokio::test]
async fn in_a_chain_it_goes_on_where_a_model_before_it_cannot_be_asked() {
    let mut claude = Claude::new().await;
    claude.cli.model = Some("works".to_owned());
    let gone = OllamaModels {
        url: "http://127.0.0.1:1".to_owned(),
        model: "qwen".to_owned(),
        tuning: Tuning::default(),
        patience: Patience::default(),
    };
    let chain = Chain { local: Some(gone), cloud: None, programs: claude.programs() };
    let code = Coding::with_chain(chain, claude.place.settings());
    let outcome = ended(&code, 1, None, Json::null()).await;
    assert_eq!(result(&outcome)["model"], "works");
    assert_eq!(claude.pushed(1, "b.txt"), "two\n");
    let outcome = ended(&code, 2, None, named("works")).await;
    let JobOutcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.contains("`claude-code`"), "{error}");
}
