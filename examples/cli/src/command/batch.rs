//! This file queues a graph of tasks from a file, all of them or none.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::args::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::name::id_of;
use crate::text;

/// Which tasks to queue.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// File with a JSON array of tasks, or an object with `tasks`; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

const EXAMPLES: &str = "\
Tasks of a batch name each other by `ref`:
  [ {\"ref\": \"build\", \"shell\": \"make\"},
    {\"ref\": \"test\",  \"shell\": \"make test\", \"depends_on\": [\"build\"]} ]
With \"on_dependency_failure\": \"strict\" a task dies unless all that it depends on are completed; with
\"continue\" it runs whatever becomes of them; otherwise it dies if one of them dies or is cancelled.";

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let body = wrapped(read(&args.file)?)?;
    let answer = ctx.client()?.post(&["api", "tasks", "batch"], &body).await?;
    let tasks = answer["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    ctx.print.data(&answer, || tasks.iter().map(|task| format!("{}\n", id_of(task))).collect())?;
    ctx.print.note(&format!("{} queued", text::counted(tasks.len() as u64, "task")));
    Ok(())
}

fn read(file: &Path) -> Result<Value, Failure> {
    if file == Path::new("-") {
        return super::submit::read_stdin();
    }
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("cannot read {shown}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("{shown} is not JSON: {error}")))
}

fn wrapped(given: Value) -> Result<Value, Failure> {
    match given {
        Value::Array(tasks) => Ok(json!({ "tasks": tasks })),
        Value::Object(_) => Ok(given),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(Failure::new(
            Exit::Usage,
            "a batch is a JSON array of tasks, or an object with `tasks`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_list_is_a_batch() {
        assert_eq!(wrapped(json!([1])).unwrap(), json!({"tasks": [1]}));
        assert_eq!(wrapped(json!({"tasks": []})).unwrap(), json!({"tasks": []}));
        assert_eq!(wrapped(json!("x")).unwrap_err().exit, Exit::Usage);
    }
}
