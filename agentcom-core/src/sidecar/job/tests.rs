use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use expect_test::expect;

use super::*;

const WHYS: [Why; 5] = [Why::Cancelled, Why::Lost, Why::LeaseOut, Why::TimedOut, Why::Drained];

#[test]
fn a_job_moves_by_this_table() {
    let mut phases = alloc::vec![Phase::Offered, Phase::Running];
    phases.extend(WHYS.map(Phase::Stopping));
    phases.push(Phase::Over(Verdict::Forget));
    let mut events = alloc::vec![JobEvent::Start];
    events.extend(WHYS.map(JobEvent::Stop));
    events.extend([JobEvent::Done, JobEvent::Fell]);
    let mut table = String::new();
    for phase in phases {
        writeln!(table, "{phase:?}").unwrap();
        for &event in &events {
            let next = phase.on(event).map_or("-".into(), |next| format!("{next:?}"));
            writeln!(table, "    {:16} {next}", format!("{event:?}")).unwrap();
        }
    }
    expect![[r#"
        Offered
            Start            Running
            Stop(Cancelled)  Over(Forget)
            Stop(Lost)       Over(Forget)
            Stop(LeaseOut)   Over(Release)
            Stop(TimedOut)   -
            Stop(Drained)    Over(Release)
            Done             -
            Fell             -
        Running
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       Stopping(Lost)
            Stop(LeaseOut)   Stopping(LeaseOut)
            Stop(TimedOut)   Stopping(TimedOut)
            Stop(Drained)    Stopping(Drained)
            Done             Over(Outcome)
            Fell             Over(Outcome)
        Stopping(Cancelled)
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       -
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             Over(Forget)
            Fell             Over(Forget)
        Stopping(Lost)
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       Stopping(Lost)
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             Over(Outcome)
            Fell             Over(Forget)
        Stopping(LeaseOut)
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       Stopping(Lost)
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             Over(Outcome)
            Fell             Over(LeaseOut)
        Stopping(TimedOut)
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       Stopping(Lost)
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             Over(Outcome)
            Fell             Over(TimedOut)
        Stopping(Drained)
            Start            -
            Stop(Cancelled)  Stopping(Cancelled)
            Stop(Lost)       Stopping(Lost)
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             Over(Outcome)
            Fell             Over(Release)
        Over(Forget)
            Start            -
            Stop(Cancelled)  -
            Stop(Lost)       -
            Stop(LeaseOut)   -
            Stop(TimedOut)   -
            Stop(Drained)    -
            Done             -
            Fell             -
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
