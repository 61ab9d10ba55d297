//! This file tests how tasks are shown.

use agentcom_core::id::{Lease, QuestionId, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, BlobId};
use agentcom_core::task::{
    Attempt, Category, Death, Delay, Ended, Finish, Hold, Outcome, Place, TaskState, Traces, Wait,
};
use agentcom_core::time::{Span, Wall};
use expect_test::{expect, expect_file};
use serde_json::json;

use super::TaskView;
use crate::testing::client::task;

fn hold() -> Hold {
    Hold { agent: AgentId::new("a-1").unwrap(), lease: Lease(2), since: Wall(7) }
}

#[test]
fn a_finished_task_shows_its_whole_life() {
    let mut done = task(1, TaskState::Completed);
    let said = BlobId::new("0123abcd").unwrap();
    let failed = Ended {
        error: Some("exit code 2".into()),
        tokens: Some(10),
        left: Traces { transcripts: vec![said], survivors: 2, ..Traces::default() },
        ..Ended::new(Wall(1_200), Outcome::Failed(Category::Retryable))
    };
    let ended = Ended { tokens: Some(25), ..Ended::new(Wall(1_900), Outcome::Completed) };
    let attempt = |lease, at, ended| Attempt {
        lease: Lease(lease),
        agent: AgentId::new("a-1").unwrap(),
        assigned_at: Wall(at),
        accepted_at: Some(Wall(at + 1)),
        route: None,
        ended: Some(ended),
    };
    done.life.attempts = vec![attempt(1, 1_100, failed), attempt(2, 1_800, ended)];
    done.life.lease = Lease(2);
    done.life.failures = 1;
    let result = Json::parse(r#"{"exit_code":0}"#).unwrap();
    done.life.finish = Some(Box::new(Finish { result, tokens: Some(25), ..Finish::default() }));
    expect_file!["finished.json"].assert_eq(&format!("{:#}", json!(TaskView::from(done))));
}

#[test]
fn each_state_says_what_it_waits_for() {
    let states = [
        TaskState::Blocked { on: vec![TaskId(2)] },
        TaskState::Delayed(Delay::Until(Wall(5))),
        TaskState::Delayed(Delay::Backoff(Span(6))),
        TaskState::Ready { since: Wall(8), place: Place::default() },
        TaskState::Assigned(hold()),
        TaskState::Working(hold()),
        TaskState::Waiting { on: Wait::Quota, until: Wall(9) },
        TaskState::Waiting { on: Wait::Question(QuestionId(3)), until: Wall(9) },
        TaskState::Completed,
        TaskState::Partial,
        TaskState::Dead(Death::Expired),
        TaskState::Cancelled,
    ];
    let line = |state: TaskState| {
        let view = json!(TaskView::from(task(1, state)));
        let text = |name: &str| view[name].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {}\n",
            text("status"),
            text("state"),
            text("assigned_to"),
            view["state_detail"]
        )
    };
    let lines: String = states.into_iter().map(line).collect();
    expect![[r#"
        queued blocked - {"blocked_on":["task-0000000000000002"]}
        queued delayed - {"until":5}
        queued delayed - {"backoff_ms":6}
        queued ready - {"ready_since":8}
        assigned assigned a-1 {}
        assigned working a-1 {}
        queued waiting - {"until":9,"waits_for":"quota"}
        queued waiting - {"question_id":"question-0000000000000003","until":9,"waits_for":"question"}
        completed completed - {}
        completed partial - {}
        dead_letter dead_letter - {"death":"expired"}
        cancelled cancelled - {}
    "#]].assert_eq(&lines);
}
