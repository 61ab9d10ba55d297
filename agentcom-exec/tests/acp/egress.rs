//! This file proves that an agent reaches the hosts that are granted to it and no others, though it obeys
//! every instruction that it finds in the repository.

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::testing::executor_suite::{ExecutorFixture as _, assignment};
use agentcom_exec::sandbox::Network;
use serde_json::Value;

use crate::fixture::{Fixture, going};
use crate::ground::Ground;
use crate::support::Watched;

#[tokio::test]
async fn a_secret_is_carried_nowhere_by_an_agent_that_obeys_every_instruction() {
    let mut fixture = Fixture::going("works");
    let Some(ground) = Ground::at(fixture.dir.path(), &Ground::PLACES) else { return };
    let home = tempfile::tempdir().unwrap();
    fixture.acp.home = Some(home.path().canonicalize().unwrap());
    fixture.acp.network = Network::of(vec![ground.service.into()]);
    let (executor, ctx) = (fixture.executor(), Watched::new());
    let outcome = executor.run(&assignment(&*executor, TaskId(1), going("obeys")), &ctx).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    let went = fixture.pushed(result["branch"].as_str().unwrap(), "went.txt");
    ground.assert_held(&went, &ctx.text_of("network"));
    let steps = result["steps"].to_string();
    assert!(steps.contains("network refused evil.example:443: it is not granted"), "{steps}");
}
