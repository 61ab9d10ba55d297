//! This file stops and starts the handing out of work.

use serde_json::{Value, json};

use crate::args::Context;
use crate::exit::Outcome;

/// Which work; all of it unless said otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only work on this repository
    #[arg(long, value_name = "ADDRESS", conflicts_with = "capability")]
    repo: Option<String>,
    /// Only work that needs this capability
    #[arg(long, value_name = "CAPABILITY")]
    capability: Option<String>,
}

const PATH: [&str; 3] = ["api", "admin", "pauses"];

pub(crate) async fn pause(args: &Args, ctx: &Context) -> Outcome {
    let answer = ctx.client()?.put(&PATH, &args.scope()).await?;
    Ok(ctx.print.data(&answer, || format!("{} is paused; running tasks go on\n", args.words()))?)
}

pub(crate) async fn unpause(args: &Args, ctx: &Context) -> Outcome {
    let answer = ctx.client()?.delete(&PATH, Some(&args.scope())).await?;
    Ok(ctx.print.data(&answer, || format!("{} goes on\n", args.words()))?)
}

impl Args {
    fn scope(&self) -> Value {
        match (&self.repo, &self.capability) {
            (Some(repo), _) => json!({ "repo": repo }),
            (None, Some(capability)) => json!({ "capability": capability }),
            (None, None) => json!({ "scope": "all" }),
        }
    }

    fn words(&self) -> String {
        super::why::scope(&self.scope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_all_or_a_repository_or_a_capability() {
        let args = |repo: Option<&str>, capability: Option<&str>| Args {
            repo: repo.map(String::from),
            capability: capability.map(String::from),
        };
        assert_eq!(args(None, None).scope(), json!({"scope": "all"}));
        assert_eq!(args(Some("r"), None).scope(), json!({"repo": "r"}));
        assert_eq!(args(None, Some("c")).scope(), json!({"capability": "c"}));
        assert_eq!(args(None, Some("gpu")).words(), "work that needs gpu");
    }
}
