//! This file calls tasks off.

use serde_json::json;

use crate::args::Context;
use crate::exit::Outcome;
use crate::name::task_id;
use crate::text::field;

/// Which task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, or the end of it
    #[arg(value_name = "ID")]
    id: String,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let id = task_id(&client, &args.id).await?;
    let answer = client.post(&["api", "tasks", &id, "cancel"], &json!({})).await?;
    Ok(ctx.print.data(&answer, || {
        format!("{id} is cancelled; it was {}\n", field(&answer, "previous_state"))
    })?)
}
