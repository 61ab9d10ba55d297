//! This file holds the job to its move table.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use expect_test::expect;

use super::*;

const WHYS: [Why; 5] = [Why::Cancelled, Why::Lost, Why::LeaseOut, Why::TimedOut, Why::Drained];

fn name(phase: Phase) -> String {
    match phase {
        Phase::Offered => "offered".into(),
        Phase::Running => "running".into(),
        Phase::Stopping(why) => format!("stop {why:?}"),
        Phase::Over(verdict) => format!("! {verdict:?}"),
    }
}

#[test]
fn a_job_moves_by_this_table() {
    let mut phases = alloc::vec![Phase::Offered, Phase::Running];
    phases.extend(WHYS.map(Phase::Stopping));
    phases.push(Phase::Over(Verdict::Forget));
    let mut events = alloc::vec![JobEvent::Start];
    events.extend(WHYS.map(JobEvent::Stop));
    events.extend([JobEvent::Done, JobEvent::Fell]);
    let mut table = format!("{:14}", "");
    for event in &events {
        write!(table, " | {:14}", format!("{event:?}").replace("Stop(", "").replace(')', ""))
            .unwrap();
    }
    for phase in phases {
        table.truncate(table.trim_end().len());
        write!(table, "\n{:14}", name(phase)).unwrap();
        for &event in &events {
            write!(table, " | {:14}", phase.on(event).map_or("-".into(), name)).unwrap();
        }
    }
    table.push('\n');
    expect![[r#"
                       | Start          | Cancelled      | Lost           | LeaseOut       | TimedOut       | Drained        | Done           | Fell
        offered        | running        | ! Forget       | ! Forget       | ! Release      | -              | ! Release      | -              | -
        running        | -              | stop Cancelled | stop Lost      | stop LeaseOut  | stop TimedOut  | stop Drained   | ! Outcome      | ! Outcome
        stop Cancelled | -              | stop Cancelled | -              | -              | -              | -              | ! Forget       | ! Forget
        stop Lost      | -              | stop Cancelled | stop Lost      | -              | -              | -              | ! Outcome      | ! Forget
        stop LeaseOut  | -              | stop Cancelled | stop Lost      | -              | -              | -              | ! Outcome      | ! Release
        stop TimedOut  | -              | stop Cancelled | stop Lost      | -              | -              | -              | ! Outcome      | ! TimedOut
        stop Drained   | -              | stop Cancelled | stop Lost      | -              | -              | -              | ! Outcome      | ! Release
        ! Forget       | -              | -              | -              | -              | -              | -              | -              | -             
    "#]].assert_eq(&table);
}

#[test]
fn a_bucket_lets_through_so_many_a_second_and_no_more() {
    let mut bucket = Bucket::new(Mono(0), 10);
    let passed = |bucket: &mut Bucket, at| (0..100).filter(|_| bucket.take(Mono(at))).count();
    assert_eq!(passed(&mut bucket, 0), 10);
    assert_eq!(passed(&mut bucket, 99), 0);
    assert_eq!(passed(&mut bucket, 500), 5);
    assert_eq!(passed(&mut bucket, 1_000_000), 10);
}
