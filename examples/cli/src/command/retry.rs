//! This file gives dead tasks another life.

use serde_json::{Value, json};

use crate::args::Context;
use crate::client::Client;
use crate::exit::{Failure, Outcome};
use crate::name::{id_of, task_id};

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

/// Tasks that die again meanwhile are left: each is given one more life, not endless ones.
async fn retry_all(client: &Client, ctx: &Context) -> Outcome {
    let dead = dead_ids(client).await?;
    let mut revived = Vec::new();
    for id in &dead {
        client.post(&["api", "tasks", id, "retry"], &json!({})).await?;
        revived.push(id);
    }
    let answer = json!({ "revived": revived });
    ctx.print.data(&answer, || revived.iter().map(|id| format!("{id}\n")).collect())?;
    ctx.print.note(&format!("{} tasks live again", revived.len()));
    Ok(())
}

async fn dead_ids(client: &Client) -> Result<Vec<String>, Failure> {
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("state", "dead_letter".to_owned()), ("limit", "200".into())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = client.get(&["api", "tasks"], &query).await?;
        let tasks = page["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        ids.extend(tasks.iter().map(|task: &Value| id_of(task).to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) if !tasks.is_empty() => cursor = Some(next.to_owned()),
            _ => return Ok(ids),
        }
    }
}
