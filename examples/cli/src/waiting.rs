//! This file waits for tasks to end, over connections that may break.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::command::why;
use crate::exit::{Exit, Failure};
use crate::print::Printer;
use crate::text;

/// States that are never left by themselves.
pub(crate) const OVER: [&str; 4] = ["completed", "partial", "dead_letter", "cancelled"];
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How often it is asked what a task waits for.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// What needs no word: that it is tried again, and that somebody is at work on it.
const USUAL: [&str; 4] = ["backoff", "accepting", "working", "ended"];

/// Whether a task in an answer has ended.
pub(crate) fn is_over(task: &Value) -> bool {
    OVER.contains(&state_of(task))
}

/// The word for the state of a task in an answer.
pub(crate) fn state_of(task: &Value) -> &str {
    task["state"].as_str().or_else(|| task["status"].as_str()).unwrap_or_default()
}

/// Waits until a task that the hub acknowledged has ended, at most until `deadline`, and returns it.
/// Says when there is no hub.
pub(crate) async fn ended(
    client: &Client,
    id: &str,
    deadline: Option<Instant>,
    print: Printer,
) -> Result<Value, Failure> {
    let late = || {
        Failure::new(Exit::TryAgain, format_args!("task {} has not ended yet", text::short(id)))
            .hint(format_args!("it goes on; see `agentcom why {}`", text::short(id)))
    };
    let ended = async {
        tokio::select! {
            ended = ended_some_time(client, id, print) => ended,
            never = tell_why_it_waits(client, id, print) => match never {},
        }
    };
    match deadline {
        None => ended.await,
        Some(deadline) => {
            tokio::time::timeout_at(deadline, ended).await.unwrap_or_else(|_| Err(late()))
        }
    }
}

/// Says what a task waits for, once for each thing. Cancel safe.
async fn tell_why_it_waits(client: &Client, id: &str, print: Printer) -> Infallible {
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Who waits for the end says whether there is a hub.
        let Ok(why) = client.get(&["api", "tasks", id, "why"], &[]).await else { continue };
        let code = text::field(&why["reason"], "code");
        if !USUAL.contains(&code.as_str()) && code != told {
            let there = why::there(client, &why["reason"]).await;
            print.note(&format!("it waits: {}{there}", why::sentence(&why["reason"])));
        }
        told = code;
    }
}

async fn ended_some_time(client: &Client, id: &str, print: Printer) -> Result<Value, Failure> {
    let (mut pause, mut is_told) = (PAUSE_MIN, false);
    loop {
        match ended_on_one_connection(client, id).await {
            Ok(Some(task)) => return Ok(task),
            Ok(None) => (pause, is_told) = (PAUSE_MIN, false),
            // The hub was there a moment ago, so it is given time to come back.
            Err(failure) if is_passing(failure.exit) => {
                if !is_told {
                    print.note(&format!("{}; waiting for it to come back", failure.message));
                }
                is_told = true;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The task once it has ended, or nothing if the connection ended first. It follows the feed
/// before it looks, so that no end falls between.
async fn ended_on_one_connection(client: &Client, id: &str) -> Result<Option<Value>, Failure> {
    let mut feed = std::pin::pin!(client.feed(None).await?);
    let path = ["api", "tasks", id];
    let task = client.get(&path, &[]).await?;
    if is_over(&task) {
        return Ok(Some(task));
    }
    while let Some(event) = feed.next().await {
        let Ok(event) = event else { break };
        if event.data["task_id"].as_str() != Some(id) || event.data["type"].is_null() {
            continue;
        }
        let task = client.get(&path, &[]).await?;
        if is_over(&task) {
            return Ok(Some(task));
        }
    }
    Ok(None)
}

fn is_passing(exit: Exit) -> bool {
    match exit {
        Exit::Unavailable | Exit::TryAgain => true,
        Exit::Ok
        | Exit::Failure
        | Exit::Unsuccessful
        | Exit::NotAllowed
        | Exit::NotFound
        | Exit::Conflict
        | Exit::Usage
        | Exit::Store
        | Exit::TokenRefused
        | Exit::Interrupted => false,
    }
}
