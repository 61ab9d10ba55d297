//! This file checks who may say what on a connection: each frame from each kind of sender, about a task
//! that somebody holds.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use expect_test::expect_file;

use super::*;
use crate::task::Category;
use crate::wire::{BadFrame, ToAgent, read_to_hub};

/// Which row of the table a frame is. A new frame has none until it is in [`FRAMES`].
const fn row(frame: &ToHub) -> usize {
    match frame {
        ToHub::Identify(_) => 0,
        ToHub::Ping(_) => 1,
        ToHub::TaskAccepted(_) => 2,
        ToHub::TaskProgress(_) => 3,
        ToHub::TaskComplete(_) => 4,
        ToHub::TaskFailed(_) => 5,
        ToHub::TaskRejected(_) => 6,
        ToHub::TaskReleased(_) => 7,
        ToHub::TaskWithdrawn(_) => 8,
        ToHub::TaskQuestion(_) => 9,
        ToHub::SpendReserve(_) => 10,
        ToHub::SpendUsed(_) => 11,
        ToHub::TaskRecovering(_) => 12,
        ToHub::StateReport(_) => 13,
        ToHub::WakeResult(_) => 14,
        ToHub::AgentRestarting { .. } => 15,
        ToHub::AgentDraining {} => 16,
        ToHub::Status { .. } => 17,
        ToHub::ListAgents {} => 18,
        ToHub::ResourceReport { .. } => 19,
        ToHub::OllamaReport { .. } => 20,
        ToHub::Messaging { .. } => 21,
    }
}

/// Each frame, about `TASK` under `LEASE`, as an agent would write it.
const FRAMES: [&str; 22] = [
    r#"{"type":"identify","agent_id":"a","token":"","executors":["shell"],"slots":9}"#,
    r#"{"type":"ping","held":[{"task_id":"TASK","generation":LEASE}]}"#,
    r#"{"type":"task_accepted","task_id":"TASK","generation":LEASE}"#,
    r#"{"type":"task_progress","task_id":"TASK","generation":LEASE,"progress":50}"#,
    r#"{"type":"task_complete","task_id":"TASK","generation":LEASE,"result":{"ok":true}}"#,
    r#"{"type":"task_failed","task_id":"TASK","generation":LEASE,"category":"permanent","error":"e"}"#,
    r#"{"type":"task_rejected","task_id":"TASK","generation":LEASE,"reason":"busy"}"#,
    r#"{"type":"task_released","task_id":"TASK","generation":LEASE}"#,
    r#"{"type":"task_withdrawn","task_id":"TASK","generation":LEASE}"#,
    r#"{"type":"task_question","task_id":"TASK","generation":LEASE,"question":"may I?","timeout_ms":1000,"park":true}"#,
    r#"{"type":"spend_reserve","task_id":"TASK","generation":LEASE,"call":9,"model":"m","micros":5}"#,
    r#"{"type":"spend_used","task_id":"TASK","generation":LEASE,"call":9,"model":"m","micros":5}"#,
    r#"{"type":"task_recovering","task_id":"TASK","last_status":"working"}"#,
    r#"{"type":"state_report","task_id":"TASK","status":"working","generation":LEASE}"#,
    r#"{"type":"wake_result","task_id":"TASK","status":"failed","error":"e"}"#,
    r#"{"type":"agent_restarting"}"#,
    r#"{"type":"agent_draining"}"#,
    r#"{"type":"status","status":"idle"}"#,
    r#"{"type":"list_agents"}"#,
    r#"{"type":"resource_report","cpu_percent":5}"#,
    r#"{"type":"ollama_report","ollama_url":"http://localhost:11434"}"#,
    r#"{"type":"message"}"#,
];

/// Who sends a frame about a task that `a` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// A connection that has not said who it is.
    Nobody,
    /// One whose token is not known any more.
    Gone,
    /// `b`, who has a token of its own.
    Other,
    /// `a`, about an earlier lease of the task.
    Late,
    /// `a`, about the lease that it holds.
    Holder,
}

const SENDERS: [Sender; 5] =
    [Sender::Nobody, Sender::Gone, Sender::Other, Sender::Late, Sender::Holder];

/// What somebody could change about `a` and its task.
#[derive(Debug, PartialEq)]
struct Standing {
    life: String,
    clocks: String,
    questions: usize,
    session: String,
    durable: String,
}

fn standing(bench: &Bench, id: TaskId, session: u64) -> Standing {
    let state = bench.hub.state();
    let known = state.session(SessionId(session)).unwrap();
    Standing {
        life: alloc::format!("{:?}", state.task(id).map(|task| &task.life)),
        clocks: alloc::format!("{:?}", state.clocks(id)),
        questions: state.questions_about(id).count(),
        session: alloc::format!(
            "{:?}",
            (&known.agent, known.drains, &known.status, &known.resources)
        ),
        durable: alloc::format!("{:?}", state.durable()),
    }
}

/// `a` in its second attempt at a task, and its sessions and lease.
fn scene() -> (Bench, u64, Held) {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    let first = bench.assigned(agent)[0];
    bench.accept(agent, first);
    bench.fail(agent, first, Category::Retryable);
    bench.pass(Span::from_secs(10));
    bench.ping(agent, &[]);
    let second = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, second);
    bench.said(agent);
    (bench, agent, second)
}

/// What a sender is told for a frame, and whether that changed anything about the task of `a`.
fn cell(text: &str, sender: Sender) -> (usize, String) {
    let (mut bench, agent, held) = scene();
    let session = match sender {
        Sender::Late | Sender::Holder => agent,
        Sender::Other => bench.join("b", Dialect::V1, 1, &[]),
        Sender::Nobody | Sender::Gone => {
            bench.open(77, Dialect::V1);
            77
        }
    };
    if sender == Sender::Gone {
        bench.identify(session, "b", "of before", 1, &[]);
    }
    bench.said(session);
    let lease = held.generation.0 - u64::from(sender == Sender::Late);
    let text = text.replace("TASK", &held.task_id.to_string());
    let frame = read_to_hub(&text.replace("LEASE", &lease.to_string()));
    let row = row(frame.as_ref().unwrap_or_else(|bad: &BadFrame| panic!("{bad}: {text}")));
    // Signs of life are not what this is about.
    bench.now.mono = bench.now.mono + Span(1);
    let before = standing(&bench, held.task_id, agent);
    let id = SessionId(session);
    bench.step(Input::Frame { session: id, frame, token: None, facts: Facts::default() });
    let changed = standing(&bench, held.task_id, agent) != before;
    let told: Vec<String> = bench.said(session).iter().map(word).collect();
    let told = if told.is_empty() { "-".into() } else { told.join("+") };
    assert!(!changed || sender == Sender::Holder || sender == Sender::Late, "{sender:?}: {text}");
    (row, alloc::format!("{told}{}", if changed { "!" } else { "" }))
}

/// What a frame of the hub comes to.
fn word(frame: &ToAgent) -> String {
    if let ToAgent::Error(error) = frame {
        return error.error.clone();
    }
    if let ToAgent::TaskAck(ack) = frame {
        return alloc::format!("{:?}", ack.status).to_lowercase();
    }
    wire::write(frame).split('"').nth(3).unwrap_or_default().into()
}

#[test]
fn each_frame_of_each_sender_is_taken_as_the_table_says() {
    let mut table = String::from("| frame |");
    SENDERS.iter().for_each(|sender| write!(table, " {sender:?} |").unwrap());
    table += "\n|---|---|---|---|---|---|\n";
    for (at, text) in FRAMES.iter().enumerate() {
        write!(table, "| {} |", text.split('"').nth(3).unwrap()).unwrap();
        for sender in SENDERS {
            let (row, told) = cell(text, sender);
            assert_eq!(row, at, "{text}");
            write!(table, " {told} |").unwrap();
        }
        table += "\n";
    }
    expect_file!["matrix.txt"].assert_eq(&table);
}
