//! This file checks that a panic undoes what was not confirmed, hurts nobody else and does not
//! come back for ever.

use super::*;
use crate::hub::schedule::{AgentFacts, TaskFacts};

/// Panics where the description says so, and counts how often it was asked.
#[derive(Debug)]
struct Fragile(Arc<AtomicU64>);

impl Policy for Fragile {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(&*task.spec.description != "bad key", "asked to");
        task.start_tag
    }

    fn fit(&self, task: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(&*task.spec.description != "bad fit", "asked to");
        Some(1)
    }
}

fn fragile() -> (Rig, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let policy = Fragile(asked.clone());
    (Rig::with(|builder| builder.policy(policy)), asked)
}

fn named(name: &str) -> Draft {
    Draft { description: name.into(), ..draft() }
}

#[test]
fn a_call_that_panics_is_undone_and_the_fourth_time_not_tried() {
    let (mut rig, asked) = fragile();
    let (before, _) = rig.submit(named("good"));
    for _ in 0..3 {
        let reply = rig.call(Command::Submit(named("bad key").into()));
        assert_eq!(reply, Err(CallError::Internal));
    }
    let so_far = asked.load(Ordering::Relaxed);
    assert_eq!(rig.call(Command::Submit(named("bad key").into())), Err(CallError::Internal));
    assert_eq!(asked.load(Ordering::Relaxed), so_far);
    rig.submit(named("good"));
    let handle = rig.handle.clone();
    let tasks = rig
        .ask(handle.view(move |state| (state.task(before).is_some(), state.task_count())))
        .unwrap();
    assert_eq!(tasks, (true, 2));
}

#[test]
fn a_panic_that_comes_back_whatever_is_done_ends_the_hub() {
    let (mut rig, _) = fragile();
    // It is taken in while nobody has room, and panics whenever somebody has.
    rig.submit(named("bad fit"));
    for n in 0..20 {
        if rig.ended.is_none() {
            let _ = rig.join(&alloc::format!("a{n}"));
            rig.pass(1_000);
        }
    }
    assert!(
        matches!(&rig.ended, Some(Err(error)) if error.message.contains("panic")),
        "{:?}",
        rig.ended
    );
}

#[test]
fn a_reader_that_panics_hurts_only_itself() {
    let mut rig = Rig::new();
    let handle = rig.handle.clone();
    let seen: Result<(), CallError> = rig.ask(handle.view(|_| panic!("asked to")));
    assert_eq!(seen, Err(CallError::Internal));
    rig.submit(draft());
}
