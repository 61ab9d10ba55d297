//! This file stands in for GitHub: as much of its REST API as pull requests need, with one token.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::Server;

/// The token that it knows.
pub const TOKEN: &str = "token-of-the-stand-in";
/// The repository that it has.
pub const REPOSITORY: &str = "owner/name";

/// An answer that is given in place of the right one.
#[derive(Clone, Debug)]
pub struct Instead {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Its body.
    pub body: String,
    /// Whether what was asked for is done all the same.
    pub does_it: bool,
}

#[derive(Debug, Default)]
struct Seen {
    pulls: Vec<Value>,
    asked: Vec<String>,
    instead: VecDeque<Option<Instead>>,
    is_public: bool,
    has_no_drafts: bool,
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct StandIn {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandIn {
    /// Starts on a free port of loopback.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new().fallback(answer).with_state(seen.clone());
        Self { server: Server::start(router).await, seen }
    }

    /// Where its API is.
    #[must_use]
    pub fn api(&self) -> String {
        self.server.url()
    }

    /// The pull requests that it has.
    #[must_use]
    pub fn pulls(&self) -> Vec<Value> {
        lock(&self.seen).pulls.clone()
    }

    /// What it was asked, as method and path, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.seen).asked.clone()
    }

    /// Has its repository be one that anybody reads; at first it is a private one.
    pub fn open_to_all(&self) {
        lock(&self.seen).is_public = true;
    }

    /// Has the next requests answered otherwise; `None` is the right answer.
    pub fn next(&self, answers: impl IntoIterator<Item = Option<Instead>>) {
        lock(&self.seen).instead.extend(answers);
    }

    /// Has no drafts any more, as private repositories of some plans.
    pub fn take_no_drafts(&self) {
        lock(&self.seen).has_no_drafts = true;
    }

    /// Changes what a pull request says, as a person does.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    pub fn edit(&self, number: usize, body: &str) {
        lock(&self.seen).pulls[number - 1]["body"] = json!(body);
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut seen = lock(&seen);
    seen.asked.push(format!("{} {}", parts.method, parts.uri.path()));
    let instead = seen.instead.pop_front().flatten();
    let does_it = instead.as_ref().is_none_or(|instead| instead.does_it);
    let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let right = if token != Some(&format!("Bearer {TOKEN}")) {
        (401, json!({ "message": "Bad credentials" }))
    } else if does_it {
        serve(&mut seen, &parts.method, &parts.uri.to_string(), &body)
    } else {
        (500, Value::Null)
    };
    if let Some(Instead { status, headers, body, .. }) = instead {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        return response.body(Body::from(body)).expect("the test says what can be said");
    }
    let status = StatusCode::from_u16(right.0).unwrap_or_default();
    (status, right.1.to_string()).into_response()
}

fn serve(seen: &mut Seen, method: &Method, uri: &str, body: &Value) -> (u16, Value) {
    let repository = format!("/repos/{REPOSITORY}");
    if *method == Method::GET && uri == repository {
        return (200, json!({ "full_name": REPOSITORY, "private": !seen.is_public }));
    }
    let pulls = format!("{repository}/pulls");
    let Some(rest) = uri.strip_prefix(&pulls) else {
        return (404, json!({ "message": "Not Found" }));
    };
    let is_of = |pull: &Value, head: &str| pull["head"] == head;
    if method == Method::GET {
        let head = rest.split("head=owner%3A").nth(1).unwrap_or_default();
        let head = head.split('&').next().unwrap_or_default().replace("%2F", "/");
        let found = seen.pulls.iter().filter(|pull| is_of(pull, &head));
        return (200, found.cloned().collect());
    }
    if method == Method::POST {
        let head = body["head"].as_str().unwrap_or_default();
        if seen.pulls.iter().any(|pull| is_of(pull, head)) {
            let message = format!("A pull request already exists for owner:{head}.");
            let errors = json!([{ "message": message }]);
            return (422, json!({ "message": "Validation Failed", "errors": errors }));
        }
        if seen.has_no_drafts && body["draft"] == true {
            let message = "Draft pull requests are not supported in this repository.";
            return (422, json!({ "message": message }));
        }
        let number = seen.pulls.len() + 1;
        let mut pull = body.clone();
        pull["number"] = json!(number);
        pull["html_url"] = json!(format!("https://github.com/{REPOSITORY}/pull/{number}"));
        seen.pulls.push(pull.clone());
        return (201, pull);
    }
    let number = rest.trim_start_matches('/').parse::<usize>().unwrap_or_default();
    match number.checked_sub(1).and_then(|at| seen.pulls.get_mut(at)) {
        Some(pull) if method == Method::PATCH => {
            pull["body"] = body["body"].clone();
            (200, pull.clone())
        }
        Some(_) | None => (404, json!({ "message": "Not Found" })),
    }
}
