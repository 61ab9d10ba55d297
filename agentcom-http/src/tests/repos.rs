//! This file tests what operators say about repositories.

use agentcom_core::command::{Command, RepoCommand};
use agentcom_core::name::{Repo, RepoName};
use agentcom_core::repo::Registered;

use crate::testing::client::{request, send};
use crate::testing::{ADMIN, Hub};

#[tokio::test]
async fn what_is_said_of_repositories_becomes_commands() {
    use RepoCommand as C;
    let web = || RepoName::new("web").unwrap();
    let repo = Registered::new(web(), Repo::new("https://host/a/web").unwrap());
    let body = r#"{"url":"https://host/a/web.git"}"#;
    for (method, path, body, said) in [
        ("PUT", "/api/repos/web", body, C::Set(repo.into())),
        ("DELETE", "/api/repos/web", "", C::Remove(web())),
        ("PUT", "/api/repos/web/place", r#"{"place":2}"#, C::Move(web(), 2)),
        ("POST", "/api/repos/web/pause", "", C::Pause(web())),
        ("POST", "/api/repos/web/unpause", "", C::Unpause(web())),
    ] {
        let hub = Hub::default();
        let answer = send(&hub, request(method, path, ADMIN, body)).await;
        assert_eq!(answer.status, 200, "{method} {path}");
        let (_, _, command) = hub.script(|script| script.heard.pop()).unwrap();
        assert_eq!(command, Command::Repo(said), "{method} {path}");
    }
}

#[tokio::test]
async fn repositories_are_listed_and_a_bad_field_is_named() {
    let hub = Hub::default();
    let listed = send(&hub, request("GET", "/api/repos", ADMIN, "")).await;
    assert_eq!((listed.status.as_u16(), listed.json()), (200, serde_json::json!({ "repos": [] })));
    let bad = send(&hub, request("PUT", "/api/repos/web", ADMIN, r#"{"url":"a b"}"#)).await;
    assert_eq!(bad.status, 422);
    assert!(hub.script(|script| script.heard.is_empty()));
}
