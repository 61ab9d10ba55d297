//! This file tests that what became of work reaches the hub, once and for all.

use expect_test::expect;

use super::*;
use crate::port::executor::News;
use crate::task::Trace;

const COMPLETE: &str = "> {task_complete,t1,generation:1,result:1}";

/// What is said of a job that ends so.
fn said_of(outcome: JobOutcome) -> String {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ends(1, 1, outcome).pop().unwrap()
}

#[test]
fn each_outcome_has_its_frame() {
    let failed = JobOutcome::Failed {
        category: Category::Permanent,
        error: "no such file".into(),
        retry_after: Some(Span(10)),
        tokens: Some(3),
    };
    let outcomes = [
        done(),
        JobOutcome::Partial {
            result: Json::null(),
            tokens: Some(9),
            verification: Some(Json::parse(r#"{"status":"partial"}"#).unwrap()),
        },
        failed,
        JobOutcome::Snooze { wait: Span(60_000) },
        JobOutcome::Cancel { reason: "no need".into() },
        JobOutcome::Stopped,
    ];
    let lines: Vec<String> = outcomes.into_iter().map(said_of).collect();
    expect![[r#"
        > {task_complete,t1,generation:1,result:1}
        > {task_complete,t1,generation:1,result:null,partial:true,tokens_used:9,verification_report:{status:partial}}
        > {task_failed,t1,generation:1,error:no such file,category:permanent,retry_after_ms:10,tokens_used:3}
        > {task_failed,t1,generation:1,error:asked to run again in 1 min,category:quota,retry_after_ms:60000}
        > {task_withdrawn,t1,generation:1,reason:no need}
        > {task_failed,t1,generation:1,error:it stopped without being asked,category:retryable}"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn a_result_is_stored_before_it_is_sent_and_sent_until_the_hub_has_it() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    assert_eq!(rig.ends(1, 1, done()), ["store 1/1 waits to be reported as complete", COMPLETE]);
    let sent = rig.ms;
    let again = loop {
        let (wake, said) = rig.next();
        rig.pong();
        if wake == Some(Wake::Resend) || said.contains(&COMPLETE.into()) {
            break rig.ms;
        }
    };
    assert_eq!(again - sent, 10_000);
    assert!(rig.ack(1, 1, Acked::Accepted).is_empty());
    assert_eq!(rig.ack(1, 1, Acked::Complete), ["erase row"]);
    assert!(rig.rows.is_empty() && rig.sidecar.outbox.is_empty());
}

#[test]
fn a_result_of_work_that_ended_offline_goes_out_first_after_the_reconnect() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.step(Input::Disconnected);
    assert_eq!(rig.ends(1, 1, done()), ["store 1/1 waits to be reported as complete"]);
    assert_eq!(rig.identify(), [COMPLETE, "> ping []"]);
}

#[test]
fn an_assignment_whose_result_is_known_is_answered_with_it() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ends(1, 1, done());
    assert_eq!(rig.assign(assignment(1, 1)), [COMPLETE]);
}

#[test]
fn every_answer_about_a_report_settles_it() {
    for status in
        [Acked::Complete, Acked::Retried, Acked::DeadLetter, Acked::Released, Acked::Superseded]
    {
        let mut rig = Rig::online(1);
        rig.assign(assignment(1, 1));
        rig.ends(1, 1, done());
        let said = rig.ack(1, 1, status);
        assert!(said.contains(&"erase row".into()), "{status:?}: {said:?}");
        let warns = said.iter().any(|said| said.starts_with("warn"));
        assert_eq!(warns, status == Acked::Superseded, "people hear that it was in vain: {said:?}");
        assert!(rig.ack(1, 1, status).is_empty());
    }
}

#[test]
fn a_report_that_the_hub_cannot_take_is_dropped_and_one_that_it_could_not_take_yet_is_kept() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ends(1, 1, done());
    rig.error("internal", Some(("task_complete", 1)));
    assert_eq!(rig.sidecar.outbox.len(), 1);
    assert!(rig.error("unknown_task", Some(("task_complete", 1))).contains(&"erase row".into()));
    assert!(rig.sidecar.outbox.is_empty());
}

#[test]
fn a_restarted_sidecar_sends_stored_results_and_reports_unfinished_work_as_lost() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    rig.assign(assignment(2, 4));
    rig.ends(1, 1, done());
    let mut next = rig.restarted();
    let said = next.wake();
    assert_eq!(
        said,
        [
            "store 2/4 waits to be reported as failed",
            "warn 2/4 was at work when the sidecar last stopped; reported as lost",
            "connect"
        ]
    );
    assert_eq!(
        next.identify(),
        [
            COMPLETE,
            "> {task_failed,t2,generation:4,error:the sidecar restarted while it worked,category:crash}",
            "> ping []"
        ]
    );
    assert!(next.ack(2, 4, Acked::Retried).contains(&"erase row".into()));
}

#[test]
fn a_report_about_another_life_of_the_data_is_never_sent() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    rig.assign(assignment(2, 1));
    rig.step(Input::Disconnected);
    rig.ends(1, 1, done());
    let said = rig.identify_to(Incarnation(8));
    assert_eq!(
        said,
        [
            "erase row",
            "warn 1/1 the hub's data was replaced since; its report is dropped",
            "stop 2/1",
            "> ping []"
        ]
    );
    assert_eq!(rig.ends(2, 1, done()), ["erase row"]);
}

#[test]
fn what_a_job_leaves_behind_is_told_however_it_ends_and_outlives_a_restart() {
    const NAME: &str = "00ab";
    let left = |rig: &mut Rig| {
        let trace = Trace::Transcript(NAME.parse().unwrap());
        let said = rig.step(Input::JobNews { claim: claim(1, 1), news: News::of_trace(trace) });
        assert!(said.is_empty(), "it is told with the end: {said:?}");
    };
    for outcome in [done(), JobOutcome::retryable("no"), JobOutcome::Stopped] {
        let mut rig = Rig::online(1);
        let mut timed = assignment(1, 1);
        timed.timeout_ms = Some(Span(2000));
        rig.assign(timed);
        if outcome == JobOutcome::Stopped {
            while !rig.next().1.contains(&"stop 1/1".into()) {}
        }
        // It may be kept when it is asked to stop.
        left(&mut rig);
        let said = rig.ends(1, 1, outcome).pop().unwrap();
        assert!(said.ends_with(",left:{transcripts:[00ab]}}"), "{said}");
        let again = rig.restarted().identify();
        assert!(again.contains(&said), "{again:?} without {said}");
    }
    left(&mut Rig::online(1));
}

#[test]
fn a_result_that_beats_its_own_timeout_counts() {
    let mut rig = Rig::online(1);
    let mut timed = assignment(1, 1);
    timed.timeout_ms = Some(Span(2000));
    rig.assign(timed);
    rig.next();
    assert_eq!(rig.ends(1, 1, done())[1], COMPLETE);
}

#[test]
fn the_journal_is_written_like_this() {
    let mut rig = Rig::online(4);
    rig.assign(assignment(1, 1));
    for (task, outcome) in [
        (2, done()),
        (3, JobOutcome::retryable("exit code 1")),
        (4, JobOutcome::Cancel { reason: "no need".into() }),
    ] {
        rig.assign(assignment(task, 1));
        rig.ends(task, 1, outcome);
    }
    let line = |(key, value): (&RowKey, &Vec<u8>)| {
        let key: Vec<String> = key.key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {}", key.concat(), core::str::from_utf8(value).unwrap())
    };
    let lines: Vec<String> = rig.rows.iter().map(line).collect();
    expect![[r#"
        000000000000000700000000000000010000000000000001 {"format":1,"job":{"taken":{"kind":"shell","at":1000000}}}
        000000000000000700000000000000020000000000000001 {"format":1,"job":{"report":{"complete":{"partial":false,"result":1}}}}
        000000000000000700000000000000030000000000000001 {"format":1,"job":{"report":{"failed":{"category":"retryable","error":"exit code 1"}}}}
        000000000000000700000000000000040000000000000001 {"format":1,"job":{"report":{"withdrawn":{"reason":"no need"}}}}"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn a_journal_of_a_newer_release_is_refused_by_name() {
    let key = record::key(claim(1, 1)).key;
    let read = |key: &[u8], value: &[u8]| Journal::default().visit(Table::Job, key, value);
    assert_eq!(read(&key, br#"{"format":2,"job":"?"}"#), Err(BadRecord::Newer(2)));
    assert_eq!(read(&key[1..], br#"{"format":1}"#), Err(BadRecord::Key));
    assert!(matches!(read(&key, br#"{"format":1,"job":{}}"#), Err(BadRecord::Value(_))));
}

#[test]
fn the_text_of_a_failure_is_cut_between_characters() {
    let said = said_of(JobOutcome::retryable("é".repeat(5000)));
    assert!(said.len() < 4300, "{}", said.len());
}
