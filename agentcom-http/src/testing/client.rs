//! This file asks a router in tests, and shows its answers as text.

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::name::{Kind, Principal};
use agentcom_core::task::{Draft, Life, Task, TaskState};
use agentcom_core::time::Wall;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::Hub;
use crate::{Options, router};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as a value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The status and the body, laid out for reading.
    pub(crate) fn shown(&self) -> String {
        let body = serde_json::from_str::<Value>(&self.body)
            .map_or_else(|_| self.body.clone(), |value| format!("{value:#}"));
        format!("{}\n{body}", self.status.as_u16())
    }

    /// The word for the problem and the fields that are wrong.
    pub(crate) fn wrong(&self) -> String {
        let document = self.json();
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        let mut shown =
            format!("{} {}\n", self.status.as_u16(), document["error"].as_str().unwrap_or("-"));
        for error in errors {
            let text = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
            shown += &format!("{} {}: {}\n", text("error"), text("field"), text("detail"));
        }
        shown
    }
}

/// A request with the head that all of them have, and a body if it is not empty.
pub(crate) fn request(method: &str, address: &str, token: &str, body: &str) -> Request<Body> {
    let mut request =
        Request::builder().method(method).uri(address).header("host", "localhost:4000");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// Asks a router around `hub`.
pub(crate) async fn send(hub: &Hub, request: Request<Body>) -> Answer {
    send_with(hub, Options::default(), request).await
}

/// Asks a router around `hub` that has these options.
pub(crate) async fn send_with(hub: &Hub, options: Options, request: Request<Body>) -> Answer {
    let response = router(hub.clone(), options).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

/// A task in a state.
pub(crate) fn task(id: u64, state: TaskState) -> Task {
    let mut draft =
        Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"make"}"#).unwrap());
    draft.description = "build".into();
    let spec = draft.into_spec(Principal::Admin, Vec::new()).unwrap();
    Task { id: TaskId(id), spec: Box::new(spec), life: Life::new(state, Wall(1_000)) }
}
