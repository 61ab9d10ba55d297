//! This file checks what becomes of submissions: graphs, keys, bounds.

use alloc::format;

use super::*;
use crate::command::Rejected;
use crate::hub::schedule::why_ended;
use crate::task::{AfterDependency, Death, Dependency, Shortfall};
use crate::view::Reason;

fn after(dependency: Dependency) -> Draft {
    Draft { depends_on: vec![dependency], ..draft() }
}

#[test]
fn a_task_travels_from_submission_to_its_result() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent);
    assert_eq!(held, [Held { task_id: id, generation: lease(1) }]);
    bench.accept(agent, held[0]);
    assert_eq!(bench.word(id), "working");
    bench.complete(agent, held[0]);
    assert_eq!(bench.word(id), "completed");
    assert_eq!(bench.task(id).life.finish.as_ref().unwrap().tokens, Some(12));
    let kinds: Vec<&str> = bench.events.iter().map(|event| &*event.kind).collect();
    assert_eq!(
        kinds,
        ["agent.added", "task.submitted", "task.assigned", "task.working", "task.completed"]
    );
    let seqs: Vec<u64> = bench.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6]);
}

#[test]
fn a_batch_runs_in_the_order_of_its_dependencies() {
    let mut bench = Bench::new();
    let batch = vec![after(Dependency::Sibling(1)), after(Dependency::Sibling(2)), draft()];
    let Reply::SubmittedBatch(submitted) = bench.call(Command::SubmitBatch(batch)) else {
        panic!()
    };
    let words =
        |bench: &Bench| submitted.iter().map(|task| bench.word(task.id)).collect::<Vec<_>>();
    assert_eq!(words(&bench), ["blocked", "blocked", "ready"]);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..3 {
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        bench.complete(agent, held);
    }
    assert_eq!(words(&bench), ["completed", "completed", "completed"]);
}

#[test]
fn a_cycle_is_refused_by_name_and_nothing_is_kept() {
    let mut bench = Bench::new();
    let batch = vec![draft(), after(Dependency::Sibling(2)), after(Dependency::Sibling(1))];
    let reply = bench.call(Command::SubmitBatch(batch));
    let Reply::Rejected(Rejected::Cycle(cycle)) = reply else { panic!("{reply:?}") };
    assert_eq!(cycle, [1, 2, 1]);
    let own = bench.call(Command::SubmitBatch(vec![after(Dependency::Sibling(0))]));
    assert_eq!(own, Reply::Rejected(Rejected::Cycle(vec![0, 0])));
    assert_eq!(bench.hub.state().task_count(), 0);
}

#[test]
fn unknown_dependencies_are_refused_by_name() {
    let mut bench = Bench::new();
    let id = TaskId(99);
    let reply = bench.call(Command::Submit(after(Dependency::Known(id)).into()));
    assert_eq!(reply, Reply::Rejected(Rejected::UnknownDependency { index: 0, id }));
}

#[test]
fn a_dependency_that_dies_ends_its_dependents_by_their_policy() {
    let mut bench = Bench::new();
    let first = bench.submit(draft());
    let strict = bench.submit(after(Dependency::Known(first)));
    let chained = bench.submit(after(Dependency::Known(strict)));
    let easy = bench.submit(Draft {
        after_dependency: AfterDependency::Continue,
        ..after(Dependency::Known(first))
    });
    assert_eq!(bench.call(Command::Cancel(first)), Reply::Cancelled { previous: "ready" });
    assert_eq!(
        [bench.word(strict), bench.word(chained), bench.word(easy)],
        ["dead_letter", "dead_letter", "ready"]
    );
    let late = bench.call(Command::Submit(after(Dependency::Known(first)).into()));
    let ended = Shortfall::Cancelled;
    assert_eq!(late, Reply::Rejected(Rejected::DeadDependency { index: 0, id: first, ended }));
}

#[test]
fn a_dependency_that_is_done_in_part_is_enough_unless_its_dependents_are_strict() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let first = bench.submit(draft());
    let policies = [AfterDependency::Fail, AfterDependency::Continue, AfterDependency::Strict];
    let of = |after_dependency| Draft { after_dependency, ..after(Dependency::Known(first)) };
    let [fail, go_on, strict] = policies.map(|policy| bench.submit(of(policy)));
    let chained = bench.submit(after(Dependency::Known(strict)));
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    bench.complete_partly(agent, held);
    assert_eq!(bench.word(first), "partial");
    assert_eq!(
        [fail, go_on, strict, chained].map(|id| bench.word(id)),
        ["assigned", "ready", "dead_letter", "dead_letter"]
    );
    let said = [strict, chained].map(|id| why_ended(bench.task(id)).reason);
    let ended = |error: String| Reason::Ended {
        death: Some(Death::Dependency.to_string()),
        error: Some(error),
    };
    assert_eq!(
        said,
        [
            ended(format!("{first}, which it depends on, is done only in part")),
            ended(format!("{strict}, which it depends on, died")),
        ]
    );
    let late = bench.call(Command::Submit(of(AfterDependency::Strict).into()));
    let ended = Shortfall::Partial;
    assert_eq!(late, Reply::Rejected(Rejected::DeadDependency { index: 0, id: first, ended }));
    assert!(matches!(
        bench.call(Command::Submit(of(AfterDependency::Fail).into())),
        Reply::Submitted(_)
    ));
}

#[test]
fn a_key_makes_a_repeated_submission_the_same_submission() {
    let mut bench = Bench::new();
    let keyed = Draft { idempotency_key: Key::new("k").ok(), ..draft() };
    let id = bench.submit(keyed.clone());
    let Reply::Submitted(again) = bench.call(Command::Submit(keyed.clone().into())) else {
        panic!()
    };
    assert_eq!((again.id, again.existing), (id, true));
    let other = Draft { description: "other".into(), ..keyed.clone() };
    let conflict = bench.call(Command::Submit(other.clone().into()));
    assert_eq!(conflict, Reply::Rejected(Rejected::KeyConflict { id }));
    bench.pass(Span::from_mins(8 * 24 * 60));
    assert_ne!(bench.submit(other), id);
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let mut bench = Bench::with(HubConfig { tasks_max: 1, ..HubConfig::default() });
    bench.submit(draft());
    let reply = bench.call(Command::Submit(draft().into()));
    assert_eq!(reply, Reply::Rejected(Rejected::QueueFull { retry_after: Span::from_secs(1) }));
}

#[test]
fn agents_may_submit_but_not_administer() {
    let mut bench = Bench::new();
    let by = Principal::Agent(agent_id("a"));
    assert!(matches!(
        bench.call_as(by.clone(), Command::Submit(draft().into())),
        Reply::Submitted(_)
    ));
    let reply = bench.call_as(by.clone(), Command::Pause(crate::command::Scope::All));
    assert_eq!(reply, Reply::Rejected(Rejected::NotAllowed(by)));
}

#[test]
fn dead_tasks_live_again_on_request() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.fail(agent, held, crate::task::Category::Permanent);
    assert_eq!(bench.word(id), "dead_letter");
    let reply = bench.call(Command::Revive(vec![id, TaskId(5)]));
    let skipped = vec![(TaskId(5), Rejected::UnknownTask(TaskId(5)))];
    assert_eq!(reply, Reply::Revived { revived: vec![id], skipped });
    assert_eq!(bench.task(id).life.revivals, 1);
    let said = bench.said(agent);
    let Some(ToAgent::TaskAssign(job)) = said.last() else { panic!("{said:?}") };
    assert_eq!(job.held(), Held { task_id: id, generation: lease(2) }, "leases never rewind");
    assert_eq!(job.revivals, 1, "its rounds count anew");
}

#[test]
fn a_task_that_may_not_start_yet_waits_for_its_time() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let mut later = draft();
    later.times.run_after = Some(bench.now.wall + Span::from_secs(5));
    let id = bench.submit(later);
    assert_eq!(bench.word(id), "delayed");
    bench.pass(Span(4_999));
    assert_eq!(bench.assigned(agent), []);
    bench.pass(Span(1));
    assert_eq!(bench.assigned(agent).len(), 1);
}

#[test]
fn a_task_whose_time_comes_as_what_it_needs_ends_starts_in_that_step() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let needed = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    let mut later = after(Dependency::Known(needed));
    later.times.run_after = Some(bench.now.wall + Span::from_secs(5));
    let id = bench.submit(later);
    bench.pass(Span::from_secs(5));
    assert_eq!(bench.word(id), "blocked");
    bench.complete(agent, held);
    assert_eq!(bench.word(id), "assigned");
}

#[test]
fn a_used_key_is_kept_until_the_event_that_it_is_told_with_is_durable() {
    let (mut state, key) = (State::default(), Key::new("k").unwrap());
    let used = crate::command::KeyUse { task: TaskId(1), body: 0, until: Wall(1) };
    state.apply(Change::KeyUsed(key.clone(), used));
    state.settle(state.seq());
    assert!(state.just_used(&key).is_some());
    state.settle(state.seq() + 1);
    assert!(state.just_used(&key).is_none());
}
