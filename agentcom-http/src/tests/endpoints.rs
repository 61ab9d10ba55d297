//! This file tests what operators say about endpoints.

use agentcom_core::command::{Command, EndpointCommand, Parking};
use agentcom_core::endpoint::{Api, Endpoint};
use agentcom_core::name::{EndpointId, Kind};
use agentcom_core::route::Class;
use agentcom_core::task::Tier;
use agentcom_core::time::Span;

use crate::testing::client::{request, send};
use crate::testing::{ADMIN, Hub};

#[tokio::test]
async fn what_is_said_of_endpoints_becomes_commands() {
    use EndpointCommand as C;
    let gpu = || EndpointId::new("gpu").unwrap();
    let endpoint = Endpoint { slots: 2, ..Endpoint::new(Api::Ollama, "http://gpu:11434") };
    let body = r#"{"api":"ollama","url":"http://gpu:11434","slots":2}"#;
    let chain = r#"{"tier":"complex","classes":["cloud"]}"#;
    let executor = r#"{"tier":"complex","kind":"acp"}"#;
    let acp = || Kind::new("acp").unwrap();
    for (method, path, body, said) in [
        ("PUT", "/api/endpoints/gpu", body, C::Set(gpu(), endpoint.into())),
        ("DELETE", "/api/endpoints/gpu", "", C::Remove(gpu())),
        ("POST", "/api/endpoints/gpu/park", r#"{"for_ms":5}"#, C::Park(gpu(), Span(5))),
        ("POST", "/api/endpoints/gpu/unpark", "", C::Unpark(gpu())),
        ("PUT", "/api/admin/chain", chain, C::Chain(Tier::Complex, vec![Class::Cloud])),
        ("PUT", "/api/admin/executor", executor, C::Executor(Tier::Complex, Some(acp()))),
        ("PUT", "/api/admin/parking", r#"{"parking":"off"}"#, C::Parking(Parking::Off)),
    ] {
        let hub = Hub::default();
        let answer = send(&hub, request(method, path, ADMIN, body)).await;
        assert_eq!(answer.status, 200, "{method} {path}");
        let (_, _, command) = hub.script(|script| script.heard.pop()).unwrap();
        assert_eq!(command, Command::Endpoint(said), "{method} {path}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_not_found_and_a_bad_field_is_named() {
    let hub = Hub::default();
    let unknown = send(&hub, request("DELETE", "/api/endpoints/a%20b", ADMIN, "")).await;
    assert_eq!(unknown.status, 404);
    let body = r#"{"api":"ollama","url":"http://gpu","credential":"a b"}"#;
    let bad = send(&hub, request("PUT", "/api/endpoints/gpu", ADMIN, body)).await;
    assert_eq!(bad.status, 422);
    assert!(hub.script(|script| script.heard.is_empty()));
}
