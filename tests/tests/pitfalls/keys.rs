//! This file holds pitfalls of submission: keys that race, schedules, work for later.

use agentcom_core::command::{Command, Reply};
use agentcom_core::driver::{CallError, Handle};
use agentcom_core::name::{Key, Principal};
use agentcom_core::task::Draft;
use agentcom_core::time::{Span, Wall};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, work};
use crate::scene::Scene;

fn keyed(key: &str) -> Draft {
    Draft { idempotency_key: Key::new(key).ok(), ..work("done") }
}

async fn submit(handle: &Handle, draft: Draft) -> Result<Reply, CallError> {
    handle.call(Principal::Admin, Command::Submit(draft.into())).await
}

#[test]
fn p14_of_a_thousand_submissions_with_one_key_at_once_one_makes_the_task() {
    let mut rig = Rig::new();
    let handle = rig.handle.clone();
    let racing = join_all((0..1_000).map(|_| submit(&handle, keyed("once"))));
    let replies = rig.ask(racing);
    let submitted: Vec<_> = replies
        .into_iter()
        .map(|reply| match reply {
            Ok(Reply::Submitted(submitted)) => submitted,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(submitted.iter().filter(|one| !one.existing).count(), 1);
    assert!(submitted.iter().all(|one| one.id == submitted[0].id));
}

#[test]
fn p14_nobody_is_told_of_a_task_that_was_not_stored() {
    let mut rig = Rig::new();
    let handle = rig.handle.clone();
    // The first and the second share a step's commit, or wait for each other; it fails.
    rig.faults.fail_before(rig.faults.commits() + 1);
    let replies = rig.ask(join_all((0..2).map(|_| submit(&handle, keyed("once")))));
    assert!(replies.iter().all(Result::is_err), "{replies:?}");
    rig.restart();
    let handle = rig.handle.clone();
    let again = [rig.ask(submit(&handle, keyed("once"))), rig.ask(submit(&handle, keyed("once")))];
    let existing = again.map(|reply| match reply {
        Ok(Reply::Submitted(submitted)) => submitted.existing,
        other => panic!("{other:?}"),
    });
    assert_eq!(existing, [false, true]);
}

#[test]
fn p14_a_late_repetition_gets_the_first_result() {
    let mut rig = Rig::new();
    let agent = rig.sidecar("a", 1);
    let first = rig.submit(keyed("once"));
    rig.pass(Span::from_secs(1));
    assert_eq!(rig.word(first), "completed");
    rig.kill_sidecar(agent);
    rig.restart();
    rig.pass(Span::from_mins(6 * 24 * 60));
    rig.boot(agent, "a");
    assert_eq!(rig.submit(keyed("once")), first);
    rig.pass(Span::from_secs(10));
    assert_eq!(rig.noted("started").len(), 1, "it is not done again");
}

#[tokio::test]
async fn p19_schedules_are_refused_by_name_as_long_as_there_are_none() {
    let scene = Scene::set().await;
    for field in ["cron", "schedule", "repeat_every_ms", "timezone"] {
        let body = json!({ "shell": "make", field: "0 2 * * *" });
        let (status, told) = scene.ask("POST", "/api/tasks", body).await;
        assert!(status == 400 || status == 422, "{status} {told:#}");
        assert!(told.to_string().contains(field), "{told:#}");
    }
    for path in ["/api/schedules", "/api/cron"] {
        assert_eq!(scene.ask("GET", path, Value::Null).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn p19_an_outside_clock_that_fires_twice_makes_one_task() {
    // What fires is named by its nominal instant in UTC: a clock that is set back, or an hour that
    // comes twice, names the same instant again.
    let scene = Scene::set().await;
    let fire = |at: &str| json!({ "shell": "report", "idempotency_key": format!("nightly/{at}") });
    let first = scene.submit(fire("2027-10-31T00:30:00Z")).await;
    let (status, again) = scene.ask("POST", "/api/tasks", fire("2027-10-31T00:30:00Z")).await;
    assert_eq!((status, &again["task_id"]), (200, &json!(first)), "{again:#}");
    assert_ne!(scene.submit(fire("2027-10-31T01:30:00Z")).await, first);
}

#[test]
fn p20_work_for_later_is_with_nobody_before_its_time() {
    let mut rig = Rig::new();
    let hour = Span::from_mins(60);
    let mut later = work("any");
    later.times.run_after = Some(Wall(1_700_000_000_000) + hour);
    let id = rig.submit(later);
    let mut agent = rig.join("a", 8);
    rig.pass(Span::from_mins(20));
    assert!(rig.assigned(&mut agent).is_empty());
    rig.restart();
    drop(agent);
    let mut agent = rig.connect("a", 8);
    rig.pass(Span(Span::from_mins(40).0 - 1));
    rig.beat(&agent, &[]);
    assert!(rig.assigned(&mut agent).is_empty());
    assert_eq!(rig.word(id), "delayed");
    rig.pass(Span(1));
    assert_eq!(rig.assigned(&mut agent).len(), 1, "to the millisecond, and once");
}
