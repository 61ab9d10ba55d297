//! This file looks at endpoints for the hub: whether they answer, and which models they have.
//!
//! Where to look is never taken from what a task says, which anybody may have written, but from the
//! route that the hub gives it: a key goes to the address that an operator set.

mod ask;

use agentcom_core::json::Json;
use agentcom_core::name::Kind;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::state::PROBE;
use agentcom_core::wire::Assignment;
use async_trait::async_trait;

use crate::keys::Keys;

/// Looks at endpoints: tasks of the kind `probe`.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    keys: Keys,
}

impl Probe {
    /// Looks with these keys.
    #[must_use]
    pub const fn new(keys: Keys) -> Self {
        Self { keys }
    }
}

#[async_trait]
impl Executor for Probe {
    /// # Panics
    ///
    /// Never: the word is a valid kind.
    #[expect(clippy::expect_used, reason = "the word is a constant")]
    fn kind(&self) -> Kind {
        Kind::new(PROBE).expect("a valid kind")
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let Some(route) = &job.route else {
            return JobOutcome::permanent("only the hub asks for a look at an endpoint");
        };
        let seen = tokio::select! {
            biased;
            () = ctx.cancelled() => return JobOutcome::Stopped,
            seen = ask::look(route, &self.keys) => seen,
        };
        match Json::of(&seen) {
            Ok(seen) => JobOutcome::done(seen),
            Err(error) => JobOutcome::permanent(format_args!("what was seen {error}")),
        }
    }
}
