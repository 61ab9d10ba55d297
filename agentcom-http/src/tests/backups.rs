//! This file tests asking for backups and hearing how they went.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::testing::client::{request, send, send_with};
use crate::testing::{ADMIN, Hub};
use crate::{Backups, NoBackup, Options};

/// Backups that always or never succeed.
#[derive(Debug)]
struct Kept(Result<Value, NoBackup>);

#[async_trait]
impl Backups for Kept {
    async fn back_up(&self) -> Result<Value, NoBackup> {
        self.0.clone()
    }

    fn health(&self) -> Value {
        json!({ "age_ms": 5 })
    }
}

fn with(outcome: Result<Value, NoBackup>) -> Options {
    Options { backups: Some(Arc::new(Kept(outcome))), ..Options::default() }
}

#[tokio::test]
async fn a_backup_that_was_made_is_described() {
    let made = json!({ "path": "b.redb", "rows": 7 });
    let asked = request("POST", "/api/admin/backup", ADMIN, "");
    let answer = send_with(&Hub::default(), with(Ok(made.clone())), asked).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (201, made));
}

#[tokio::test]
async fn why_there_is_no_backup_is_said() {
    let asked = || request("POST", "/api/admin/backup", ADMIN, "");
    let full = with(Err(NoBackup("there is no room".into())));
    let answer = send_with(&Hub::default(), full, asked()).await;
    assert_eq!(answer.status, 507);
    assert_eq!(answer.json()["detail"], "there is no room");
    let answer = send(&Hub::default(), asked()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (404, &json!("no_backups")));
}

#[tokio::test]
async fn health_tells_how_backups_went_if_any_are_made() {
    let asked = || request("GET", "/health", "", "");
    let answer = send_with(&Hub::default(), with(Ok(json!({}))), asked()).await;
    assert_eq!(answer.json()["backups"], json!({ "age_ms": 5 }));
    let answer = send(&Hub::default(), asked()).await;
    assert_eq!(answer.json().get("backups"), None);
}
