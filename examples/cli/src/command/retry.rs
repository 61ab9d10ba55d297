//! This file gives dead tasks another life.

use serde_json::json;

use crate::args::Context;
use crate::client::Client;
use crate::exit::Outcome;
use crate::name::task_id;
use crate::text::{counted, plain};

/// Which tasks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of a dead task, or the end of it
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// All dead tasks
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let Some(given) = &args.id else { return retry_all(&client, ctx).await };
    let id = task_id(&client, given).await?;
    let answer = client.post(&["api", "tasks", &id, "retry"], &json!({})).await?;
    Ok(ctx.print.data(&answer, || format!("{id} lives again\n"))?)
}

async fn retry_all(client: &Client, ctx: &Context) -> Outcome {
    let answer =
        client.post(&["api", "tasks", "dead-letter", "retry"], &json!({ "all": true })).await?;
    let ids = answer["task_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    ctx.print.data(&answer, || ids.iter().map(|id| plain(id) + "\n").collect())?;
    let tasks = counted(ids.len() as u64, "task");
    let live = if ids.len() == 1 { "lives" } else { "live" };
    ctx.print.note(&format!("{tasks} {live} again"));
    if answer["more"] == true {
        ctx.print.note("there are more: run this again");
    }
    Ok(())
}
