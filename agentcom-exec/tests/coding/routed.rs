//! This file tests tasks whose model the hub chose, and looks at the servers of such models.

use std::time::Duration;

use agentcom_core::endpoint::{Api, Fault, ModelOptions, Seen, Tuning};
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::name::{Credential, EndpointId};
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Route;
use agentcom_exec::coding::{Chain, Coding};
use agentcom_exec::keys::Keys;
use agentcom_exec::probe::Probe;
use agentcom_exec::stand_in::{messages, ollama};
use serde_json::{Value, json};

use crate::fixture::{Fixture, git};

fn keys() -> Keys {
    Keys::read(["me=KEY"], |_| Some(messages::KEY.to_owned())).unwrap()
}

fn route(api: Api, url: &str, credential: Option<&str>) -> Route {
    Route {
        endpoint: EndpointId::new("e").unwrap(),
        api,
        url: url.to_owned(),
        credential: credential.map(|name| Credential::new(name).unwrap()),
        model: "chosen".to_owned(),
        options: ModelOptions::default(),
    }
}

/// How a task ends that is routed so; the agent has no models of its own.
async fn ended(route: Route) -> JobOutcome {
    ended_with(route, Tuning::default()).await
}

/// The same of an agent that asks models so.
async fn ended_with(route: Route, tuning: Tuning) -> JobOutcome {
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let coding = Coding::with_chain(Chain::default(), fixture.settings());
    let executor = coding.with_keys(keys(), tuning);
    let mut job = assignment(&executor, TaskId(1), Json::null());
    job.route = Some(route.into());
    executor.run(&job, &Asking::default()).await
}

#[tokio::test]
async fn b25_the_model_that_the_hub_chose_does_the_task() {
    let write = json!({ "path": "b.txt", "content": "b" });
    let near = ollama::StandIn::of([
        ollama::Turn::calls("write_file", write.clone()),
        ollama::Turn::says("Done."),
    ]);
    let far = messages::StandIn::of([
        messages::Turn::calls("write_file", &write),
        messages::Turn::says("Done."),
    ]);
    let (near, far) = (near.await, far.await);
    let routes =
        [route(Api::Ollama, &near.url(), None), route(Api::Messages, &far.url(), Some("me"))];
    for route in routes {
        let outcome = ended(route).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(result.read::<Value>().unwrap()["model"], "chosen");
    }
    assert_eq!((near.asked()[0]["model"].as_str(), far.asked().len()), (Some("chosen"), 2));
}

#[tokio::test]
async fn a_model_is_asked_as_the_hub_says_and_else_as_its_agent_says() {
    let read = |text: &str| serde_json::from_str::<Tuning>(text).unwrap();
    let own =
        r#"{"context_tokens":4096,"models":{"chosen":{"context_tokens":8192,"think":"low"}}}"#;
    for (said, own, num_ctx, think) in [
        (r#"{"think":"off"}"#, own, 8192, json!(false)),
        (r#"{"context_tokens":32768}"#, own, 32_768, json!("low")),
        (r#"{"think":"on"}"#, "{}", 16_384, json!(true)),
        ("{}", "{}", 16_384, Value::Null),
    ] {
        let server = ollama::StandIn::of([]).await;
        let options = read(said).all;
        let route = Route { options, ..route(Api::Ollama, &server.url(), None) };
        ended_with(route, read(own)).await;
        let asked = &server.asked()[0];
        assert_eq!((&asked["options"]["num_ctx"], &asked["think"]), (&json!(num_ctx), &think));
    }
    // A server of the Messages API is told no more than how long an answer may be.
    for (said, most) in [(r#"{"context_tokens":8192}"#, 2_048), ("{}", 8_192)] {
        let server = messages::StandIn::of([]).await;
        let options = read(said).all;
        let route = Route { options, ..route(Api::Messages, &server.url(), Some("me")) };
        ended_with(route, read(own)).await;
        assert_eq!(server.asked()[0]["max_tokens"], most);
    }
}

#[tokio::test]
async fn a_model_that_was_not_made_to_call_tools_calls_them_by_a_format() {
    let turns = || {
        [
            ollama::Turn::calls("write_file", json!({ "path": "b.txt", "content": "b" })),
            ollama::Turn::says("Done."),
        ]
    };
    let (refused, server) =
        (ollama::StandIn::of(turns()).await, ollama::StandIn::of(turns()).await);
    let plain =
        |url: &str| Route { model: "untrained".to_owned(), ..route(Api::Ollama, url, None) };
    let outcome = ended(plain(&refused.url())).await;
    let JobOutcome::Unserved { fault: Fault::NoModel, error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("call them by `format`"), "{error}");

    let by_format = serde_json::from_str(r#"{"models":{"untrained":{"calls":"format"}}}"#).unwrap();
    let outcome = ended_with(plain(&server.url()), by_format).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    assert_eq!((&result["output"], &result["model"]), (&json!("Done."), &json!("untrained")));
    let [first, second] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    assert_eq!((&first["tools"], &first["format"]), (&json!([]), &second["format"]));
    let ways = first["format"]["anyOf"].as_array().unwrap();
    assert!(ways.iter().any(|way| way["properties"]["function"]["const"] == "run_command"));
    let last = second["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["role"], "user", "its template knows no tools");
    assert!(last["content"].as_str().unwrap().starts_with("write_file found: {"), "{last}");
}

#[tokio::test]
async fn what_keeps_an_endpoint_from_serving_is_not_laid_on_the_task() {
    let messages = |status, after| async move {
        let turn = messages::Turn::Status(status, after, "no".into());
        let server = messages::StandIn::of([turn]).await;
        ended(route(Api::Messages, &server.url(), Some("me"))).await
    };
    let gone = ollama::StandIn::of([ollama::Turn::Status(404, "not found".into())]).await;
    let cases = [
        (messages(429, Some(900)).await, Fault::Quota, Some(Span::from_secs(900))),
        (messages(529, Some(900)).await, Fault::Busy, Some(Span::from_secs(900))),
        (messages(403, None).await, Fault::Unreachable, None),
        (ended(route(Api::Ollama, &gone.url(), None)).await, Fault::NoModel, None),
        (ended(route(Api::Ollama, "http://127.0.0.1:1", None)).await, Fault::Unreachable, None),
        (
            ended(route(Api::Messages, "http://127.0.0.1:1", Some("not-mine"))).await,
            Fault::Unreachable,
            None,
        ),
    ];
    for (outcome, expected, least) in cases {
        let JobOutcome::Unserved { fault, retry_after, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((fault, retry_after), (expected, least));
    }
    let refused = messages(400, None).await;
    let JobOutcome::Failed { category: Category::Permanent, .. } = refused else {
        panic!("{refused:?}")
    };
}

#[tokio::test]
async fn an_endpoint_that_ends_behind_a_change_is_told_of_and_whoever_goes_on_has_the_change() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let spent = messages::StandIn::of([
        messages::Turn::calls("write_file", &write),
        messages::Turn::Status(429, Some(900), "no".into()),
    ]);
    let half = || ollama::Turn::sends("{\"message\":{\"content\":\"I\"},\"done\":false}\n");
    // It is asked twice more.
    let changes = ollama::Turn::calls("write_file", write.clone());
    let dies = ollama::StandIn::of([changes, half(), half(), half()]);
    let (spent, dies) = (spent.await, dies.await);
    let quota = (Fault::Quota, Some(Span::from_secs(900)));
    for (route_there, expected) in [
        (route(Api::Messages, &spent.url(), Some("me")), quota),
        (route(Api::Ollama, &dies.url(), None), (Fault::Broken, None)),
    ] {
        let goes_on = ollama::StandIn::of([ollama::Turn::says("Done.")]).await;
        let goes_on_at = goes_on.url();
        let fixture = Fixture::of(goes_on);
        let coding = Coding::with_chain(Chain::default(), fixture.settings());
        let executor = coding.with_keys(keys(), Tuning::default());
        let mut job = assignment(&executor, TaskId(1), Json::null());
        job.route = Some(route_there.into());
        let outcome = executor.run(&job, &Asking::default()).await;
        let JobOutcome::Unserved { fault, retry_after, tokens, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((fault, retry_after), expected);
        assert!(tokens > Some(0), "what it took until then counts");
        job.route = Some(route(Api::Ollama, &goes_on_at, None).into());
        let outcome = executor.run(&job, &Asking::default()).await;
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        let branch = result.read::<Value>().unwrap()["branch"].as_str().unwrap().to_owned();
        let remote = fixture.dir.path().join("remote");
        assert_eq!(git(&remote, &["show", &format!("{branch}:b.txt")]), "two");
    }
}

/// What is seen of an endpoint.
async fn seen(route: Route) -> Seen {
    let probe = Probe::new(keys());
    let mut job = assignment(&probe, TaskId(1), Json::null());
    job.route = Some(route.into());
    let outcome = probe.run(&job, &Asking::default()).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read().unwrap()
}

#[tokio::test]
async fn a40_a_look_sees_the_models_of_a_server_and_which_are_loaded() {
    let near = ollama::StandIn::of([]).await;
    let found = seen(route(Api::Ollama, &near.url(), None)).await;
    assert_eq!((&found.error, found.version.as_deref()), (&None, Some("0.0.0")));
    let models: Vec<_> =
        found.models.iter().map(|it| (&*it.model, it.warm, it.context, it.tools)).collect();
    let plain = ("untrained", false, None, Some(false));
    assert_eq!(models, [("scripted", true, Some(16_384), Some(true)), plain]);
    assert!(found.machine.is_some_and(|machine| machine.ram_mib > 0), "it is this machine");
    let far = messages::StandIn::of([]).await;
    let found = seen(route(Api::Messages, &far.url(), Some("me"))).await;
    assert_eq!(found.error, None);
    assert_eq!(&*found.models[0].model, "scripted");
}

#[tokio::test]
async fn a_look_says_why_a_server_cannot_be_asked() {
    let far = messages::StandIn::of([]).await;
    for (route, says) in [
        (route(Api::Ollama, "http://127.0.0.1:1", None), "refused"),
        (route(Api::Ollama, &far.url(), None), "404"),
        (route(Api::Messages, &far.url(), Some("not-mine")), "no key `not-mine`"),
        (route(Api::Messages, &far.url(), None), "401"),
    ] {
        let error = seen(route).await.error.unwrap();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn b20_a_look_at_a_server_that_never_answers_ends_within_the_time_for_looks() {
    // It takes connections, and nobody reads what comes.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hole.local_addr().unwrap());
    let looks = [route(Api::Ollama, &url, None), route(Api::Messages, &url, Some("me"))].map(seen);
    let looks = futures_util::future::join_all(looks);
    let seen = tokio::time::timeout(Duration::from_secs(30), looks).await.unwrap();
    for seen in seen {
        assert!(seen.error.is_some() && seen.models.is_empty(), "{seen:?}");
    }
}

#[tokio::test]
async fn where_to_look_is_not_taken_from_a_task() {
    let probe = Probe::new(keys());
    let input = Json::of(&json!({ "endpoint": "e", "url": "http://127.0.0.1:1" })).unwrap();
    let job = assignment(&probe, TaskId(1), input);
    let outcome = probe.run(&job, &Asking::default()).await;
    let JobOutcome::Failed { category: Category::Permanent, .. } = outcome else {
        panic!("{outcome:?}")
    };
}
