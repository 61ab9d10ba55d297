//! This file tests the operator's requests: agents, tokens, pauses, weights, questions, health.

use agentcom_core::agent::{Agent, Profile, TokenHash, Trust};
use agentcom_core::agent::{LastOutcome, Phase};
use agentcom_core::command::{Command, Rejected, Reply, Scope};
use agentcom_core::driver::CallError;
use agentcom_core::driver::token::Token;
use agentcom_core::id::{Boot, Lease, QuestionId, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Capability, Key, Kind};
use agentcom_core::question::{Choices, Question};
use agentcom_core::sandbox::{Attempt, Expected, Level, Report};
use agentcom_core::task::{Category, Outcome};
use agentcom_core::time::{Span, Wall};
use agentcom_core::view::AgentView;
use agentcom_core::wire::{Dialect, Held};
use expect_test::expect;

use crate::testing::client::{Answer, request, send};
use crate::testing::{ADMIN, Hub};

/// What such an agent has proved.
fn sandbox() -> Report {
    let attempt = Attempt { what: "read".into(), expected: Expected::Blocked, held: true };
    Report { attempts: vec![attempt], ..Report::of(Level::L2) }
}

/// An agent that works.
pub(super) fn agent(name: &str) -> AgentView {
    let id = AgentId::new(name).unwrap();
    let last_outcome =
        LastOutcome { task: TaskId(3), outcome: Outcome::Failed(Category::Crash), at: Wall(9) };
    AgentView {
        agent: Agent {
            id,
            tokens: vec![TokenHash([7; 32])],
            registered_at: Wall(1),
            draining: false,
            trust: Trust::Shaken { crashes: 2 },
            sandbox: Some(sandbox().into()),
        },
        phase: Phase::Working,
        profile: Some(Profile {
            name: Some("One".into()),
            capabilities: vec![Capability::new("gpu").unwrap()],
            kinds: vec![Kind::new("shell").unwrap()],
            slots: 2,
            labels: [("zone".into(), "a".into())].into(),
            version: Some("0.1.0".into()),
            boot: Boot(5),
        }),
        dialect: Some(Dialect::V1),
        connected_at: Some(Wall(2)),
        silent_for: Some(Span(1200)),
        status: Some("busy".into()),
        last_outcome: Some(last_outcome),
        resources: Some(Json::parse(r#"{"cpu_percent":7}"#).unwrap()),
        held: vec![Held { task_id: TaskId(4), generation: Lease(6) }],
    }
}

pub(super) async fn ask(hub: &Hub, method: &str, path: &str, body: &str) -> Answer {
    send(hub, request(method, path, ADMIN, body)).await
}

/// What a request makes the hub do.
pub(super) async fn commanded(method: &str, path: &str, body: &str) -> Command {
    let hub = Hub::default();
    let answer = ask(&hub, method, path, body).await;
    assert!(answer.status.is_success(), "{}", answer.shown());
    hub.script(|script| script.heard[0].2.clone())
}

#[tokio::test]
async fn requests_become_commands() {
    let id = AgentId::new("a-1").unwrap();
    let repo = agentcom_core::name::Repo::new("https://host/r").unwrap();
    for (method, path, body, command) in [
        ("POST", "/api/agents/a-1/drain", "", Command::Drain(id.clone())),
        ("POST", "/api/agents/a-1/resume", "", Command::Resume(id.clone())),
        ("DELETE", "/admin/tokens/a-1", "", Command::RemoveAgent(id.clone())),
        (
            "PUT",
            "/api/admin/pauses",
            r#"{"repo":"https://host/r.git"}"#,
            Command::Pause(Scope::Repo(repo)),
        ),
        ("DELETE", "/api/admin/pauses", r#"{"scope":"all"}"#, Command::Unpause(Scope::All)),
        (
            "PUT",
            "/api/admin/oldest-first",
            r#"{"every":16}"#,
            Command::SetOldestFirst { every: 16 },
        ),
        (
            "PUT",
            "/api/admin/weights/team%20a",
            r#"{"weight":50}"#,
            Command::SetWeight { key: Key::new("team a").unwrap(), weight: 50 },
        ),
        (
            "POST",
            "/api/admin/agents/a-1/restart",
            r#"{"reason":"update"}"#,
            Command::Restart { id: id.clone(), reason: "update".into() },
        ),
        (
            "POST",
            "/api/questions/question-0000000000000002/answer",
            r#"{"answer":{"ok":true}}"#,
            Command::Answer { id: QuestionId(2), answer: Json::parse(r#"{"ok":true}"#).unwrap() },
        ),
    ] {
        assert_eq!(commanded(method, path, body).await, command, "{method} {path}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_the_hub_gets_its_hash() {
    for (method, path, body) in [
        ("POST", "/admin/tokens", r#"{"agent_id":"a-2"}"#),
        ("POST", "/api/admin/agents/a-2/reset-token", ""),
    ] {
        let hub = Hub::default();
        let answer = ask(&hub, method, path, body).await;
        assert_eq!(answer.json()["agent_id"], "a-2");
        let shown = Token::parse(answer.json()["token"].as_str().unwrap()).unwrap();
        let command = hub.script(|script| script.heard[0].2.clone());
        let (Command::AddAgent { token: hash, .. } | Command::RotateToken { token: hash, .. }) =
            command
        else {
            panic!("{command:?}")
        };
        assert!(hash.matches(&shown.hash()));
    }
}

#[tokio::test]
async fn registering_twice_and_misnaming_are_refused() {
    let exists = Reply::Rejected(Rejected::AgentExists(AgentId::new("a-2").unwrap()));
    let answer =
        ask(&Hub::answering(Ok(exists)), "POST", "/admin/tokens", r#"{"agent_id":"a-2"}"#).await;
    expect![[r#"
        409
        {
          "detail": "agent `a-2` is registered",
          "error": "agent_exists",
          "hint": "POST /api/admin/agents/{id}/reset-token gives it another token",
          "status": 409,
          "title": "agent exists",
          "type": "urn:agentcom:problem:agent_exists"
        }"#]]
    .assert_eq(&answer.shown());
    let answer = ask(&Hub::default(), "POST", "/admin/tokens", r#"{"agent_id":"a b"}"#).await;
    expect![[r#"
        422 validation_failed
        invalid_value agent_id: agent id may hold only ASCII letters, digits and ._:@-
    "#]]
    .assert_eq(&answer.wrong());
}

#[tokio::test]
async fn listed_tokens_are_fingerprints() {
    let hub = Hub::default();
    hub.script(|script| script.agents = vec![agent("a-1")]);
    expect![[r#"
        200
        {
          "count": 1,
          "tokens": [
            {
              "agent_id": "a-1",
              "fingerprints": [
                "sha256:07070707"
              ],
              "registered_at": 1
            }
          ]
        }"#]]
    .assert_eq(&ask(&hub, "GET", "/admin/tokens", "").await.shown());
}

#[tokio::test]
async fn an_agent_is_shown_with_all_that_is_known_of_it() {
    let hub = Hub::default();
    hub.script(|script| script.agents = vec![agent("a-1")]);
    expect![[r#"
        200
        {
          "agent_id": "a-1",
          "boot": "boot-0000000000000005",
          "capabilities": [
            "gpu"
          ],
          "connected": true,
          "connected_at": 2,
          "current_task_id": "task-0000000000000004",
          "draining": false,
          "executors": [
            "shell"
          ],
          "flags": [],
          "fsm_state": "working",
          "held": [
            {
              "generation": 6,
              "task_id": "task-0000000000000004"
            }
          ],
          "labels": {
            "zone": "a"
          },
          "last_outcome": {
            "at": 9,
            "category": "crash",
            "outcome": "failed",
            "task_id": "task-0000000000000003"
          },
          "name": "One",
          "protocol": "agentcom.v1",
          "registered_at": 1,
          "resources": {
            "cpu_percent": 7
          },
          "sandbox": {
            "attempts": [
              {
                "expected": "Blocked",
                "held": true,
                "what": "read"
              }
            ],
            "level": "L2",
            "missing": [],
            "network": false
          },
          "silent_for_ms": 1200,
          "slots": 2,
          "status": "busy",
          "trust": {
            "crashes": 2,
            "level": "shaken"
          },
          "version": "0.1.0"
        }"#]]
    .assert_eq(&ask(&hub, "GET", "/api/agents/a-1/state", "").await.shown());
    assert_eq!(
        ask(&hub, "GET", "/api/agents/a-9/state", "").await.wrong(),
        "404 agent_not_found\n"
    );
    assert_eq!(ask(&hub, "GET", "/api/agents", "").await.json()["count"], 1);
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_cannot_restart() {
    let away = Reply::Rejected(Rejected::NotConnected(AgentId::new("a-1").unwrap()));
    let answer = ask(&Hub::answering(Ok(away)), "POST", "/api/admin/agents/a-1/restart", "").await;
    assert_eq!(answer.wrong(), "404 agent_not_connected\n");
}

#[tokio::test]
async fn pauses_are_listed() {
    let answer = ask(&Hub::default(), "GET", "/api/admin/pauses", "").await;
    assert_eq!(answer.json(), serde_json::json!({"count": 1, "paused": [{"scope": "all"}]}));
}

#[tokio::test]
async fn open_questions_are_listed() {
    let hub = Hub::default();
    hub.script(|script| {
        script.questions = vec![Question {
            choices: Some(Choices::of(["rebase"])),
            id: QuestionId(1),
            task: TaskId(2),
            lease: Lease(3),
            asked_by: AgentId::new("a-1").unwrap(),
            text: "merge?".into(),
            asked_at: Wall(4),
            deadline: Wall(5),
            default: Json::null(),
            spend: None,
        }];
    });
    expect![[r#"
        200
        {
          "count": 1,
          "questions": [
            {
              "agent_id": "a-1",
              "asked_at": 4,
              "deadline": 5,
              "default": null,
              "generation": 3,
              "question": "merge?",
              "question_id": "question-0000000000000001",
              "takes": [
                "yes",
                "no",
                "rebase"
              ],
              "task_id": "task-0000000000000002"
            }
          ]
        }"#]]
    .assert_eq(&ask(&hub, "GET", "/api/questions", "").await.shown());
}

#[tokio::test]
async fn health_says_how_many_agents_are_connected_and_how_late_the_hub_is() {
    let answer = ask(&Hub::default(), "GET", "/health", "").await;
    let lag = serde_json::json!({"samples": 9, "p50_ms": 1, "p99_ms": 20, "max_ms": 33});
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "status": "ok", "service": "agentcom", "agents_connected": 4, "lag": lag
        })
    );
}

#[tokio::test]
async fn a_stopped_hub_lives_but_is_not_ready() {
    let hub = Hub::default();
    hub.script(|script| script.stats = Err(CallError::Stopped));
    let mut statuses = Vec::new();
    for path in ["/livez", "/readyz", "/healthz", "/health"] {
        statuses.push(ask(&hub, "GET", path, "").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 503, 503, 503]);
}
