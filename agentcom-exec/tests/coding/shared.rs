//! This file tests what becomes of a task that comes to an agent while it is checked out in the folder
//! of another one on the same clone, and of one whose branch has gone apart from the remote's.

use std::path::Path;

use agentcom_core::id::{Lease, TaskId};
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_core::wire::Assignment;
use agentcom_exec::coding::{Coding, Settings};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::json;

use crate::fixture::{Fixture, git};
use crate::support::eventually;

const TASK: TaskId = TaskId(0xab);

/// A model that begins, and then says nothing more; the one named `next` does all of its task.
async fn fixture() -> Fixture {
    let model = StandIn::that(Box::new(|asked, _| {
        let first = asked["messages"].as_array().unwrap().len() == 2;
        match (first, asked["model"] == "next") {
            (true, false) => {
                Turn::calls("write_file", json!({ "path": "half.txt", "content": "half" }))
            }
            (true, true) => Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" })),
            (false, true) => Turn::says("Done."),
            (false, false) => Turn::hangs(""),
        }
    }));
    Fixture::of(model.await)
}

/// An agent that has its worktrees in a folder of that name.
fn agent(fixture: &Fixture, worktrees: &str) -> Coding {
    let worktrees = fixture.dir.path().join(worktrees);
    Coding::with_ollama(fixture.models(), Settings { worktrees, ..fixture.settings() })
}

/// The next attempt at a task, which is done.
fn next(job: &Assignment) -> Assignment {
    let mut next = Assignment { attempt: 2, generation: Lease(2), ..job.clone() };
    next.op.input = Json::of(&json!({ "model": "next" })).unwrap();
    next
}

/// Waits until a model has written in a worktree that is in `worktrees`.
async fn until_at_work(worktrees: &Path) {
    let written = || {
        let entries = std::fs::read_dir(worktrees).ok()?.flatten();
        entries.map(|entry| entry.path().join("half.txt")).find(|path| path.exists())
    };
    eventually("it has written", written).await;
}

#[tokio::test]
async fn what_a_killed_agent_left_keeps_no_other_agent_on_the_clone_from_its_task() {
    let fixture = fixture().await;
    let (killed, other) = (agent(&fixture, "killed"), agent(&fixture, "other"));
    let job = assignment(&killed, TASK, fixture.succeed());
    let ctx = Asking::default();
    let left = fixture.dir.path().join("killed");
    tokio::select! {
        outcome = killed.run(&job, &ctx) => panic!("{outcome:?}"),
        () = until_at_work(&left) => {}
    }
    let outcome = other.run(&next(&job), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let kept = std::fs::read_dir(left).unwrap().map(|entry| entry.unwrap().path());
    let [patch] = &kept.collect::<Vec<_>>()[..] else { panic!("a patch is kept") };
    assert!(std::fs::read_to_string(patch).unwrap().contains("+half"));
}

#[tokio::test]
async fn a_worktree_in_which_somebody_works_is_left_alone_whosever_it_is() {
    let fixture = fixture().await;
    let busy = agent(&fixture, "busy");
    let job = assignment(&busy, TASK, fixture.succeed());
    let ctx = Asking::default();
    let worktrees = fixture.dir.path().join("busy");
    let meanwhile = async {
        until_at_work(&worktrees).await;
        for agent in [agent(&fixture, "other"), agent(&fixture, "busy")] {
            let outcome = agent.run(&next(&job), &ctx).await;
            let JobOutcome::Failed { category, error, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(category, Category::Retryable, "{error}");
            assert!(error.starts_with("another attempt still works on the task"), "{error}");
        }
        until_at_work(&worktrees).await;
    };
    tokio::select! {
        outcome = busy.run(&job, &ctx) => panic!("{outcome:?}"),
        () = meanwhile => {}
    }
    let outcome = agent(&fixture, "other").run(&next(&job), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn no_model_works_on_a_branch_that_has_gone_apart_from_the_remotes() {
    let asked = StandIn::of([]).await;
    let fixture = Fixture::of(asked);
    let agent = agent(&fixture, "worktrees");
    let clone = fixture.dir.path().join("clone");
    let branch = format!("agentcom/{TASK}");
    git(&clone, &["switch", "-q", "-c", &branch]);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let commit = |message| {
        git(&clone, &[&who[..], &["commit", "-q", "--allow-empty", "-m", message]].concat());
    };
    commit("theirs");
    git(&clone, &["push", "-q", "origin", &branch]);
    git(&clone, &["reset", "-q", "--hard", "HEAD^"]);
    commit("mine");
    git(&clone, &["switch", "-q", "-"]);
    let job = assignment(&agent, TASK, fixture.succeed());
    let JobOutcome::Failed { category, error, .. } = agent.run(&job, &Asking::default()).await
    else {
        panic!("it was worked on")
    };
    assert_eq!(category, Category::Retryable, "another agent may have a clone without those");
    assert!(error.contains("bring them together"), "{error}");
}
