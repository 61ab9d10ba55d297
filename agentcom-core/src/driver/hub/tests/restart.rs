//! This file checks what a hub does about rates after a restart.

use super::*;
use crate::port::store::Table;
use crate::task::Rate;
use crate::time::Span;

fn rated() -> Draft {
    let mut draft = draft();
    draft.share.rates.push(Rate {
        key: Key::new("k").unwrap(),
        limit: 1,
        per: Span(1_000),
        burst: 1,
    });
    draft
}

fn again(rig: Rig) -> Rig {
    let disk = rig.disk.clone();
    drop(rig);
    Rig::over(Arc::new(disk.open()), disk, Faults::new(), |builder| builder)
}

#[test]
fn a_bucket_that_is_full_again_after_a_restart_is_forgotten() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    rig.submit(rated());
    let buckets =
        |rig: &Rig| rig.disk.rows().keys().filter(|key| key.table == Table::Bucket).count();
    assert_eq!(buckets(&rig), 1);
    let mut rig = again(rig);
    rig.pass(5_000);
    rig.submit(draft());
    assert_eq!(buckets(&rig), 0);
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_does_not_stop_a_rate() {
    let mut rig = Rig::new();
    rig.pass(3_600_000);
    let agent = rig.join("a");
    rig.submit(rated());
    drop(agent);
    let mut rig = again(rig);
    let (id, _) = rig.submit(rated());
    assert!(
        rig.call(Command::AddAgent { id: AgentId::new("b").unwrap(), token: token::hash_of("b") })
            .is_ok()
    );
    let _agent = rig.connect("b");
    for _ in 0..5 {
        rig.pass(1_000);
    }
    let handle = rig.handle.clone();
    let held = rig
        .ask(handle.view(move |state| {
            state.task(id).is_some_and(|task| task.life.state.hold().is_some())
        }));
    assert_eq!(held, Ok(true));
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_changes_nothing_that_is_durable() {
    let mut rig = Rig::new();
    rig.pass(3_600_000);
    let _agent = rig.join("a");
    rig.submit(rated());
    let durable = |rig: &mut Rig| {
        let handle = rig.handle.clone();
        rig.ask(handle.view(|state| alloc::format!("{:?}", state.durable())))
    };
    let before = durable(&mut rig);
    let mut rig = again(rig);
    assert_eq!(durable(&mut rig), before);
}
