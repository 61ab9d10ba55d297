//! This file tests the API over a real hub with a memory store and an agent in this process.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::sync::Arc;
use std::time::Duration;

use agentcom_core::change::Genesis;
use agentcom_core::driver::Handle;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::local::{LocalConnector, local};
use agentcom_core::driver::queue::Capacity;
use agentcom_core::driver::token::Token;
use agentcom_core::port::clock::Clock;
use agentcom_core::port::transport::{Connection, Transport as _};
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::{Mono, Now, Span, Wall};
use agentcom_http::{Options, router};
use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::Request;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub, its API, and a way in for agents.
struct Fixture {
    handle: Handle,
    router: Router,
    admin: String,
    agents: LocalConnector,
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct HandClock(watch::Sender<u64>);

impl HandClock {
    fn pass(&self, span: Span) {
        self.0.send_modify(|ms| *ms += span.0);
    }
}

#[async_trait::async_trait]
impl Clock for HandClock {
    fn now(&self) -> Now {
        let ms = *self.0.borrow();
        Now { mono: Mono(ms), wall: Wall(ms) }
    }

    async fn sleep_until(&self, at: Mono) {
        self.0.subscribe().wait_for(|ms| *ms >= at.0).await.unwrap();
    }
}

impl Fixture {
    async fn start() -> Self {
        Self::on(Arc::new(SystemClock::new())).await
    }

    async fn on(clock: Arc<dyn Clock>) -> Self {
        let admin = Token::generate().unwrap();
        let store = Arc::new(MemoryDisk::new().open());
        let (listener, agents) = local(Capacity::default());
        let builder = HubBuilder::new(store, clock);
        let genesis = Genesis::random(admin.hash()).unwrap();
        let (handle, hub) = builder.transport(Arc::new(listener)).open(genesis).await.unwrap();
        // It runs until the runtime of the test ends.
        tokio::spawn(hub.run());
        let router = router(handle.clone(), Options::default());
        Self { handle, router, admin: admin.reveal().to_owned(), agents }
    }

    async fn ask_as(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask_as(&self.admin, method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body:#}");
        body
    }

    /// Queues a task and returns its name.
    async fn submit(&self, body: Value) -> String {
        let (status, told) = self.ask("POST", "/api/tasks", body).await;
        assert_eq!((status, &told["status"]), (201, &json!("queued")), "{told:#}");
        told["task_id"].as_str().unwrap().to_owned()
    }

    /// Registers an agent and returns its token.
    async fn register(&self, agent: &str) -> String {
        let (status, told) = self.ask("POST", "/admin/tokens", json!({ "agent_id": agent })).await;
        assert_eq!(status, 201, "{told:#}");
        told["token"].as_str().unwrap().to_owned()
    }

    /// Makes a token of the operator `ci` that is valid for a minute, and returns it.
    async fn operator(&self) -> String {
        let body = json!({ "name": "ci", "rights": ["task:read"], "expires_after_ms": 60_000 });
        let (status, told) = self.ask("POST", "/api/tokens", body).await;
        assert_eq!(status, 201, "{told:#}");
        told["token"].as_str().unwrap().to_owned()
    }

    /// What the feed says to the holder of a token, once it has begun.
    async fn feed(&self, token: &str) -> BodyDataStream {
        let request = Request::builder()
            .uri("/api/events")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"));
        let response =
            self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    async fn ended(&self, id: &str) -> Value {
        let ended = self.handle.ended(id.parse().unwrap());
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
        self.get(&format!("/api/tasks/{id}")).await
    }
}

/// An agent that does what the test says.
struct Agent(Connection);

impl Agent {
    async fn connect(fixture: &Fixture, name: &str, token: &str) -> Self {
        let mut agent = Self(fixture.agents.open().await.unwrap());
        agent.say(json!({
            "type": "identify", "agent_id": name, "token": token, "boot": "boot-0000000000000001",
            "executors": ["shell"], "slots": 1,
        }));
        agent.hear("identified").await;
        agent
    }

    fn say(&self, frame: Value) {
        self.0.outgoing.send(frame.to_string()).unwrap();
    }

    /// The next frame of a type; others are passed over.
    async fn hear(&mut self, kind: &str) -> Value {
        let listening = async {
            loop {
                let text = self.0.incoming.recv().await.expect("the hub closed the connection");
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect(kind)
    }

    /// Takes the next task on and ends it with a frame of this type and these fields.
    async fn work(&mut self, kind: &str, fields: Value) -> Value {
        let work = self.hear("task_assign").await;
        let held = json!({ "task_id": work["task_id"], "generation": work["generation"] });
        let mut accepted = held.clone();
        accepted["type"] = json!("task_accepted");
        self.say(accepted);
        let mut result = held;
        result["type"] = json!(kind);
        result["incarnation"] = work["incarnation"].clone();
        for (name, value) in fields.as_object().unwrap() {
            result[name] = value.clone();
        }
        self.say(result);
        work
    }
}

#[tokio::test]
async fn a_task_travels_from_submission_to_its_result() {
    let fixture = Fixture::start().await;
    let id = fixture.submit(json!({ "shell": "make", "priority": "critical" })).await;
    let why = fixture.get(&format!("/api/tasks/{id}/why")).await;
    assert_eq!((&why["state"], &why["reason"]["code"]), (&json!("ready"), &json!("no_agent")));

    let token = fixture.register("a-1").await;
    let mut agent = Agent::connect(&fixture, "a-1", &token).await;
    let work = agent
        .work("task_complete", json!({ "result": { "exit_code": 0 }, "tokens_used": 7 }))
        .await;
    assert_eq!(
        (&work["task_id"], &work["op"]["input"]),
        (&json!(id), &json!({ "command": "make" }))
    );

    let task = fixture.ended(&id).await;
    assert_eq!((&task["status"], &task["state"]), (&json!("completed"), &json!("completed")));
    assert_eq!((&task["result"], &task["tokens_used"]), (&json!({ "exit_code": 0 }), &json!(7)));
    assert_eq!((&task["assigned_to"], &task["priority"]), (&json!("a-1"), &json!("urgent")));
    assert_eq!(task["attempts"][0]["outcome"], "completed");
    let list = fixture.get("/api/tasks?status=completed&assigned_to=a-1").await;
    assert_eq!((&list["count"], &list["tasks"][0]["id"]), (&json!(1), &json!(id)));
    let state = fixture.get("/api/agents/a-1/state").await;
    assert_eq!((&state["fsm_state"], &state["executors"]), (&json!("idle"), &json!(["shell"])));
    assert_eq!(fixture.get("/health").await["agents_connected"], 1);
}

#[tokio::test]
async fn a_repeated_submission_is_the_same_task() {
    let fixture = Fixture::start().await;
    let body = json!({ "shell": "make", "idempotency_key": "k" });
    let id = fixture.submit(body.clone()).await;
    let (status, again) = fixture.ask("POST", "/api/tasks", body).await;
    assert_eq!((status, &again["task_id"], &again["existing"]), (200, &json!(id), &json!(true)));
    let other = json!({ "shell": "make install", "idempotency_key": "k" });
    let (status, conflict) = fixture.ask("POST", "/api/tasks", other).await;
    assert_eq!((status, &conflict["error"]), (409, &json!("idempotency_conflict")));
}

#[tokio::test]
async fn a_batch_is_queued_with_its_dependencies_or_not_at_all() {
    let fixture = Fixture::start().await;
    let batch = json!({ "tasks": [
        { "ref": "build", "shell": "make" },
        { "ref": "test", "shell": "make test", "depends_on": ["build"] },
    ]});
    let (status, told) = fixture.ask("POST", "/api/tasks/batch", batch).await;
    assert_eq!((status, &told["tasks"][1]["ref"]), (201, &json!("test")));
    let second = told["tasks"][1]["task_id"].as_str().unwrap();
    let task = fixture.get(&format!("/api/tasks/{second}")).await;
    assert_eq!((&task["status"], &task["state"]), (&json!("queued"), &json!("blocked")));
    assert_eq!(task["depends_on"], json!([told["tasks"][0]["task_id"]]));

    let circle = json!({ "tasks": [
        { "ref": "a", "shell": "x", "depends_on": ["b"] },
        { "ref": "b", "shell": "x", "depends_on": ["a"] },
    ]});
    let (status, refused) = fixture.ask("POST", "/api/tasks/batch", circle).await;
    assert_eq!((status, &refused["error"]), (422, &json!("dependency_cycle")));
    let strange = json!({ "shell": "x", "depends_on": ["task-00000000000000ff"] });
    let (status, refused) = fixture.ask("POST", "/api/tasks", strange).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("depends_on")));
    assert_eq!(fixture.get("/api/tasks").await["count"], 2);
}

#[tokio::test]
async fn a_dead_letter_is_listed_and_lives_again() {
    let fixture = Fixture::start().await;
    let token = fixture.register("a-1").await;
    let mut agent = Agent::connect(&fixture, "a-1", &token).await;
    let id = fixture.submit(json!({ "shell": "false" })).await;
    agent.work("task_failed", json!({ "category": "permanent", "error": "no such command" })).await;
    let task = fixture.ended(&id).await;
    assert_eq!(
        (&task["status"], &task["last_error"]),
        (&json!("dead_letter"), &json!("no such command"))
    );
    assert_eq!(fixture.get("/api/tasks/dead-letter").await["tasks"][0]["id"], json!(id));

    let everything = json!({ "all": true });
    let (status, told) = fixture.ask("POST", "/api/tasks/dead-letter/retry", everything).await;
    assert_eq!((status, &told["task_ids"]), (200, &json!([id])));
    agent.work("task_complete", json!({ "result": "ok" })).await;
    assert_eq!(fixture.ended(&id).await["status"], "completed");
    let (status, refused) =
        fixture.ask("POST", &format!("/api/tasks/{id}/retry"), Value::Null).await;
    assert_eq!(status, 409, "{refused:#}");
}

#[tokio::test]
async fn a_task_is_cancelled_once() {
    let fixture = Fixture::start().await;
    let id = fixture.submit(json!({ "description": "wait" })).await;
    let path = format!("/api/tasks/{id}/cancel");
    let (status, told) = fixture.ask("POST", &path, Value::Null).await;
    assert_eq!(
        (status, &told["previous_status"], &told["previous_state"]),
        (200, &json!("queued"), &json!("ready"))
    );
    let (status, refused) = fixture.ask("POST", &path, Value::Null).await;
    assert_eq!((status, &refused["error"]), (409, &json!("task_over")));
    assert_eq!(fixture.get(&format!("/api/tasks/{id}")).await["status"], "cancelled");
}

#[tokio::test]
async fn a_token_is_worth_what_its_agent_may_do_until_it_is_revoked() {
    let fixture = Fixture::start().await;
    let first = fixture.register("a-1").await;
    let (status, _) = fixture.ask("POST", "/admin/tokens", json!({ "agent_id": "a-1" })).await;
    assert_eq!(status, 409);
    let (status, told) =
        fixture.ask("POST", "/api/admin/agents/a-1/reset-token", Value::Null).await;
    let second = told["token"].as_str().unwrap().to_owned();
    assert_eq!(status, 200);
    for token in [&first, &second] {
        assert_eq!(fixture.ask_as(token, "GET", "/api/tasks", Value::Null).await.0, 200);
        assert_eq!(fixture.ask_as(token, "GET", "/admin/tokens", Value::Null).await.0, 403);
    }
    assert_eq!(
        fixture.get("/admin/tokens").await["tokens"][0]["fingerprints"].as_array().unwrap().len(),
        2
    );
    assert_eq!(fixture.ask("DELETE", "/admin/tokens/a-1", Value::Null).await.0, 200);
    for token in [&first, &second] {
        assert_eq!(fixture.ask_as(token, "GET", "/api/tasks", Value::Null).await.0, 401);
    }
    assert_eq!(fixture.ask("DELETE", "/admin/tokens/a-1", Value::Null).await.0, 404);
}

/// All that a feed says until it ends.
async fn rest(mut chunks: BodyDataStream) -> String {
    let mut heard = String::new();
    while let Some(chunk) = tokio::time::timeout(PATIENCE, chunks.next()).await.unwrap() {
        heard += std::str::from_utf8(&chunk.unwrap()).unwrap();
    }
    heard
}

#[tokio::test]
async fn a_token_that_expires_ends_what_it_had_opened_and_says_so_from_then_on() {
    let clock = Arc::new(HandClock(watch::Sender::new(1_700_000_000_000)));
    let fixture = Fixture::on(clock.clone()).await;
    let token = fixture.operator().await;
    let feed = fixture.feed(&token).await;
    let ask = || fixture.ask_as(&token, "GET", "/api/tasks", Value::Null);
    clock.pass(Span(59_999));
    assert_eq!(ask().await.0, 200);
    clock.pass(Span(1));
    assert!(rest(feed).await.contains("event: token.expired\n"));
    let (status, told) = ask().await;
    assert_eq!((status, &told["error"]), (401, &json!("token_expired")));
    assert_eq!(told["detail"], "the token `ci` expired on 2023-11-14T22:14:20Z");
    assert_eq!(fixture.get("/api/tokens").await["tokens"][0]["tokens"][0]["expired"], true);
}

#[tokio::test]
async fn a_token_that_was_replaced_twice_or_removed_ends_what_it_had_opened() {
    let fixture = Fixture::start().await;
    let first = fixture.operator().await;
    let mut feed = fixture.feed(&first).await;
    let mut tokens = vec![first];
    for _ in 0..2 {
        let (status, told) = fixture.ask("POST", "/api/tokens/ci/rotate", json!({})).await;
        assert_eq!(status, 200, "{told:#}");
        tokens.push(told["token"].as_str().unwrap().to_owned());
        let chunk = tokio::time::timeout(PATIENCE, feed.next()).await.unwrap();
        assert!(chunk.unwrap().unwrap().starts_with(b"id: "), "two tokens are valid at once");
    }
    assert_eq!(rest(feed).await, "");
    let statuses = async || {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(fixture.ask_as(token, "GET", "/api/tasks", Value::Null).await.0);
        }
        statuses
    };
    assert_eq!(statuses().await, [401, 200, 200]);
    let feed = fixture.feed(&tokens[2]).await;
    assert_eq!(fixture.ask("DELETE", "/api/tokens/ci", Value::Null).await.0, 200);
    assert!(rest(feed).await.contains("event: token.removed\n"));
    assert_eq!(statuses().await, [401, 401, 401]);
}

#[tokio::test]
async fn the_feed_tells_what_happened_and_what_happens() {
    let fixture = Fixture::start().await;
    let request = Request::builder()
        .uri("/api/events?after=0")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", fixture.admin));
    let past = fixture.submit(json!({ "description": "past" })).await;
    let response =
        fixture.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut chunks = response.into_body().into_data_stream();
    let coming = fixture.submit(json!({ "description": "coming" })).await;
    let mut heard = String::new();
    while !heard.contains(&coming) {
        let chunk = tokio::time::timeout(PATIENCE, chunks.next()).await.unwrap();
        heard += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
    }
    assert!(heard.find(&past) < heard.find(&coming), "{heard}");
    assert!(heard.contains("event: task.submitted\n") && heard.contains("id: "), "{heard}");

    let page = fixture.get("/api/events?format=json&after=0").await;
    let last = page["next_after"].as_u64().unwrap();
    assert!(page["events"].as_array().unwrap().iter().any(|event| event["task_id"] == json!(past)));
    let rest = fixture.get(&format!("/api/events?format=json&after={last}")).await;
    assert_eq!(rest["count"], 0);
}

#[tokio::test]
async fn a_paused_hub_gives_nothing_out() {
    let fixture = Fixture::start().await;
    let all = json!({ "scope": "all" });
    assert_eq!(fixture.ask("PUT", "/api/admin/pauses", all.clone()).await.0, 200);
    let id = fixture.submit(json!({ "shell": "make" })).await;
    let why = fixture.get(&format!("/api/tasks/{id}/why")).await;
    assert_eq!(why["reason"], json!({ "code": "paused", "scope": "all" }));
    assert_eq!(fixture.get("/api/stats").await["paused"], json!([all]));
    assert_eq!(fixture.ask("DELETE", "/api/admin/pauses", all).await.0, 200);
    assert_eq!(fixture.get("/api/admin/pauses").await["count"], 0);
}

#[tokio::test]
async fn a_question_is_listed_and_answered() {
    let fixture = Fixture::start().await;
    let token = fixture.register("a-1").await;
    let mut agent = Agent::connect(&fixture, "a-1", &token).await;
    fixture.submit(json!({ "shell": "make" })).await;
    let work = agent.hear("task_assign").await;
    let (task, lease) = (&work["task_id"], &work["generation"]);
    agent.say(json!({ "type": "task_accepted", "task_id": task, "generation": lease }));
    agent.say(json!({
        "type": "task_question", "task_id": task, "generation": lease, "question": "merge?",
        "timeout_ms": 60_000, "default": "no", "choices": ["rebase"],
    }));
    let asked = async {
        loop {
            let open = fixture.get("/api/questions").await;
            if open["count"] == 1 {
                return open["questions"][0].clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let question = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    assert_eq!((&question["question"], &question["agent_id"]), (&json!("merge?"), &json!("a-1")));
    let path = format!("/api/questions/{}/answer", question["question_id"].as_str().unwrap());
    for unclear in [json!("maybe"), json!(""), json!(null)] {
        let (status, told) = fixture.ask("POST", &path, json!({ "answer": unclear })).await;
        assert_eq!((status, &told["error"]), (422, &json!("unclear_answer")));
        assert_eq!(told["takes"], json!(["yes", "no", "rebase"]));
    }
    assert_eq!(fixture.get("/api/questions").await["count"], 1);
    assert_eq!(fixture.ask("POST", &path, json!({ "answer": "yes" })).await.0, 200);
    assert_eq!(agent.hear("question_answered").await["answer"], "yes");
    assert_eq!(fixture.ask("POST", &path, json!({ "answer": "yes" })).await.0, 404);
}

#[tokio::test]
async fn a_stopped_hub_is_told_as_such() {
    let fixture = Fixture::start().await;
    fixture.handle.stop();
    let stopped = async {
        while fixture.ask("GET", "/readyz", Value::Null).await.0 == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.unwrap();
    let (status, told) = fixture.ask("POST", "/api/tasks", json!({})).await;
    assert_eq!((status, &told["error"]), (503, &json!("stopped")));
}
