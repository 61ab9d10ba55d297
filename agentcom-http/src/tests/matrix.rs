//! This file tests who may do what: each route with each kind of caller.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;

use crate::auth::Verb;
use crate::route::Method;
use crate::routes;
use crate::testing::client::{request, send, task};
use crate::testing::{ADMIN, AGENT, EXPIRED, Hub, OTHER};
use agentcom_core::command::Scope;
use agentcom_core::driver::token::Token;
use agentcom_core::id::TaskId;
use agentcom_core::operator::Right;
use agentcom_core::task::TaskState;
use agentcom_core::view::{Reason, Why};

const TASK: &str = "task-0000000000000001";

/// A request that goes through if the caller may make it.
fn sample(method: Method, path: &str) -> (String, &'static str) {
    let body = match (method, path) {
        (Method::Post, "/api/tasks") => r#"{"shell":"true"}"#,
        (Method::Post, "/api/tasks/batch") => r#"{"tasks":[{"shell":"true"}]}"#,
        (Method::Post, "/api/tasks/dead-letter/retry") => {
            r#"{"task_ids":["task-0000000000000001"]}"#
        }
        (Method::Post, "/api/admin/push-task") => r#"{"agent_id":"a-1","shell":"true"}"#,
        (Method::Post, "/admin/tokens") => r#"{"agent_id":"a-2"}"#,
        (Method::Put | Method::Delete, "/api/admin/pauses") => r#"{"scope":"all"}"#,
        (Method::Put, "/api/admin/weights/{key}") => r#"{"weight":200}"#,
        (Method::Put, "/api/admin/oldest-first") => r#"{"every":16}"#,
        (Method::Put, "/api/admin/caps") => r#"{"cap":"day","limit_micros":1}"#,
        (Method::Delete, "/api/admin/caps") => r#"{"cap":"day"}"#,
        (Method::Put, "/api/admin/prices") => r#"{"model":"m","input_micros":1,"output_micros":2}"#,
        (Method::Delete, "/api/admin/prices") => r#"{"model":"m"}"#,
        (Method::Put, "/api/endpoints/{name}") => r#"{"api":"ollama","url":"http://gpu"}"#,
        (Method::Post, "/api/endpoints/{name}/park") => r#"{"for_ms":1000}"#,
        (Method::Put, "/api/admin/chain") => r#"{"tier":"complex","classes":["cloud"]}"#,
        (Method::Put, "/api/admin/executor") => r#"{"tier":"complex","kind":"code"}"#,
        (Method::Put, "/api/admin/parking") => r#"{"parking":"off"}"#,
        (Method::Put, "/api/repos/{name}") => r#"{"url":"https://host.example/own/name"}"#,
        (Method::Put, "/api/repos/{name}/place") => r#"{"place":0}"#,
        (Method::Post, "/api/tokens") => r#"{"name":"ci","rights":["task:read"]}"#,
        (Method::Post, "/api/questions/{id}/answer") => r#"{"answer":"yes"}"#,
        _ => "",
    };
    let id = match path {
        path if path.starts_with("/api/tasks/") => TASK,
        path if path.starts_with("/api/questions/") => "question-0000000000000001",
        _ => "a-1",
    };
    (
        path.replace("{id}", id)
            .replace("{agent}", id)
            .replace("{key}", "k")
            .replace("{name}", "gpu"),
        body,
    )
}

fn hub() -> Hub {
    let hub = Hub::default();
    hub.script(|script| {
        let task_id = TaskId(1);
        script.tasks.insert(task_id, task(1, TaskState::Completed));
        let reason = Reason::Paused { scope: Scope::All };
        script.whys.insert(task_id, Why { task_id, state: "ready", reason, route: None });
        script.agents = vec![super::manage::agent("a-1")];
    });
    hub
}

/// Each kind of caller, by a word for the head of the table, with the token that it shows.
fn callers(gone: &Token) -> Vec<(&'static str, &str)> {
    let rest = [
        ("none", ""),
        ("bad", "wrong"),
        ("gone", gone.reveal()),
        ("expired", EXPIRED),
        ("agent", AGENT),
        ("other", OTHER),
    ];
    let rights = Right::ALL.map(|right| (right.as_str(), right.as_str()));
    rest.into_iter().chain(rights).chain([("admin", ADMIN)]).collect()
}

#[tokio::test]
async fn each_route_answers_each_kind_of_caller_as_the_table_says() {
    // One of a good form that is not known any more: its agent has another, or is gone.
    let gone = Token::generate().unwrap();
    let callers = callers(&gone);
    let mut table: String = callers.iter().map(|(name, _)| format!("{name} ")).collect();
    table = table.trim_end().to_owned() + "\n";
    for route in routes::all() {
        for (name, token) in &callers {
            let (token, width) = (*token, name.len());
            let (hub, (path, body)) = (hub(), sample(route.method, route.path));
            let status =
                send(&hub, request(route.method.as_str(), &path, token, body)).await.status;
            write!(table, "{:<width$} ", status.as_u16()).unwrap();
            // A route without a request here that goes through has not been tried.
            let is_tried = status.is_success() || route.path == "/api/admin/backup";
            assert!(token != ADMIN || is_tried, "{} {path}: {status}", route.method.as_str());
            let refused = status == 401 || status == 403;
            assert!(
                !refused
                    || hub.script(|script| script.heard.is_empty() && script.queries.is_empty())
            );
            // What the hub itself wants of an operator is what the route wants.
            if let Ok(right) = token.parse::<Right>() {
                let rights = hub.script(|script| {
                    script.heard.iter().map(|(_, _, command)| command.right()).collect::<Vec<_>>()
                });
                assert!(rights.iter().all(|needed| *needed == Some(right)), "{path}: {rights:?}");
            }
        }
        writeln!(table, "{:?}: {} {}", route.verb, route.method.as_str(), route.path).unwrap();
    }
    expect_file!["matrix.txt"].assert_eq(&table);
}

#[test]
fn the_documentation_lists_each_route() {
    let mut table = String::from("| method | path | needs |\n|---|---|---|\n");
    for route in crate::schema::document()["routes"].as_array().unwrap() {
        let text = |name: &str| route[name].as_str().unwrap().to_owned();
        writeln!(table, "| {} | `{}` | {} |", text("method"), text("path"), text("needs")).unwrap();
    }
    expect_file!["../routes.md"].assert_eq(&table);
}

#[test]
fn no_two_routes_are_the_same() {
    let routes = routes::all();
    let distinct: BTreeSet<_> = routes.iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(distinct.len(), routes.len());
}

#[test]
fn only_health_and_schemas_are_public() {
    let public: Vec<_> =
        routes::all().into_iter().filter(|route| route.verb == Verb::Look).collect();
    let paths: Vec<_> = public.iter().map(|route| route.path).collect();
    assert_eq!(paths, ["/api/schemas", "/livez", "/readyz", "/healthz", "/health"]);
}
