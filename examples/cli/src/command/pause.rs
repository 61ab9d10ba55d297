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

pub(crate) async fn pause(args: &Args, ctx: &Context) -> Outcome {
    let answer = ctx.client()?.post(&["api", "pause"], &args.body()).await?;
    Ok(ctx.print.data(&answer, || format!("{} is paused; running tasks go on\n", args.words()))?)
}

pub(crate) async fn unpause(args: &Args, ctx: &Context) -> Outcome {
    let answer = ctx.client()?.post(&["api", "unpause"], &args.body()).await?;
    Ok(ctx.print.data(&answer, || format!("{} goes on\n", args.words()))?)
}

impl Args {
    fn scope(&self) -> Value {
        match (&self.repo, &self.capability) {
            (Some(repo), _) => json!({ "repo": repo }),
            (None, Some(capability)) => json!({ "capability": capability }),
            (None, None) => json!("all"),
        }
    }

    fn body(&self) -> Value {
        json!({ "scope": self.scope() })
    }

    fn words(&self) -> String {
        super::why::scope(&self.scope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::command::Scope;
    use agentcom_core::name::{Capability, Repo};

    #[test]
    fn scopes_are_those_of_the_hub() {
        let args = |repo: Option<&str>, capability: Option<&str>| Args {
            repo: repo.map(String::from),
            capability: capability.map(String::from),
        };
        let known = |scope: &Scope| serde_json::to_value(scope).unwrap();
        assert_eq!(args(None, None).scope(), known(&Scope::All));
        assert_eq!(args(Some("r"), None).scope(), known(&Scope::Repo(Repo::new("r").unwrap())));
        assert_eq!(
            args(None, Some("c")).scope(),
            known(&Scope::Capability(Capability::new("c").unwrap()))
        );
        assert_eq!(args(None, Some("gpu")).words(), "capability gpu");
    }
}
