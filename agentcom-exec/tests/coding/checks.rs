//! This file has what a model did checked, and says what the checks find.

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use serde_json::Value;

use crate::fixture::Fixture;

/// A check.
pub(crate) fn step(kind: &str, target: &str) -> VerificationStep {
    VerificationStep { kind: kind.into(), target: target.into(), description: None }
}

/// What these checks find of what the model does in its first task.
pub(crate) async fn checks(
    fixture: &Fixture,
    steps: impl Into<Vec<VerificationStep>>,
) -> Vec<Value> {
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), fixture.succeed());
    job.verification_steps = steps.into();
    let outcome = executor.run(&job, &Asking::default()).await;
    let (JobOutcome::Done { verification, .. } | JobOutcome::Partial { verification, .. }) =
        outcome
    else {
        panic!("{outcome:?}")
    };
    let report: Value = verification.unwrap().read().unwrap();
    report["checks"].as_array().unwrap().clone()
}
