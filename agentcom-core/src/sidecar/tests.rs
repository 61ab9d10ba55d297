//! This file drives a sidecar step by step, and writes down what follows as short lines.

mod draining;
mod edges;
mod fences;
mod leases;
mod leftover;
mod measuring;
mod random;
mod reports;
mod sessions;
mod work;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::config::Secret;
use crate::id::{Lease, TaskId};
use crate::json::Json;
use crate::name::AgentId;
use crate::task::{LeaseLoss, Op};
use crate::time::Wall;
use crate::wire::{Acked, Assignment, ErrorFrame, Held, Identified, TaskAck, ToAgent};

const LIFE: Incarnation = Incarnation(7);

/// A sidecar with a clock of its own.
struct Rig {
    sidecar: Sidecar,
    ms: u64,
    rows: BTreeMap<RowKey, Vec<u8>>,
}

fn kind(word: &str) -> Kind {
    Kind::new(word).unwrap()
}

fn config(slots: u32) -> SidecarConfig {
    let mut config = SidecarConfig::new(AgentId::new("a-1").unwrap(), Secret::new("s3cret"));
    config.slots = slots;
    config
}

fn assignment(task: u64, lease: u64) -> Assignment {
    let held = Held { task_id: TaskId(task), generation: Lease(lease) };
    Assignment::new(held, LIFE, Op { kind: kind("shell"), input: Json::null() })
}

fn claim(task: u64, lease: u64) -> Claim {
    Claim { incarnation: LIFE, task: TaskId(task), lease: Lease(lease) }
}

fn done() -> JobOutcome {
    JobOutcome::done(Json::parse("1").unwrap())
}

impl Rig {
    fn new(slots: u32) -> Self {
        Self::with(config(slots), Journal::default(), 1)
    }

    fn with(config: SidecarConfig, journal: Journal, seed: u64) -> Self {
        let sidecar = Sidecar::new(config, alloc::vec![kind("shell")], Boot(1), seed, journal, 0);
        Self { sidecar, ms: 1_000_000, rows: BTreeMap::new() }
    }

    /// Connected, identified, and with its first ping answered.
    fn online(slots: u32) -> Self {
        let mut rig = Self::new(slots);
        rig.identify();
        rig.pong();
        rig
    }

    /// A later run on what an earlier one stored.
    fn restarted(&self) -> Self {
        let mut journal = Journal::default();
        for (key, value) in &self.rows {
            journal.visit(key.table, &key.key, value).unwrap();
        }
        let mut next = Self::with(config(1), journal, 2);
        next.ms = self.ms;
        next.rows = self.rows.clone();
        next
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let now = Now { mono: Mono(self.ms), wall: Wall(self.ms) };
        let Step { batch, effects } = self.sidecar.step(now, input);
        let mut lines = Vec::new();
        for (key, value) in batch.iter().flat_map(|batch| &batch.puts) {
            let (claim, entry) = record::read(&key.key, value).unwrap();
            lines.push(format!("store {} {}", short(claim), entry.describe()));
            self.rows.insert(key.clone(), value.clone());
        }
        for key in batch.iter().flat_map(|batch| &batch.deletes) {
            let entry = self.rows.remove(key);
            lines.push(format!("erase {}", if entry.is_some() { "row" } else { "nothing" }));
        }
        lines.extend(effects.iter().filter_map(render));
        lines
    }

    fn wake(&mut self) -> Vec<String> {
        self.step(Input::Wake)
    }

    /// Goes to the next wake and takes it.
    fn next(&mut self) -> (Option<Wake>, Vec<String>) {
        let Some((at, wake)) = self.sidecar.next_wake() else { return (None, Vec::new()) };
        self.ms = self.ms.max(at.0);
        (Some(wake), self.wake())
    }

    fn after(&mut self, ms: u64, input: Input) -> Vec<String> {
        self.ms += ms;
        self.step(input)
    }

    fn hears(&mut self, frame: ToAgent) -> Vec<String> {
        self.step(Input::Frame(frame))
    }

    fn identify(&mut self) -> Vec<String> {
        self.identify_to(LIFE)
    }

    fn identify_to(&mut self, incarnation: Incarnation) -> Vec<String> {
        let dials = |rig: &Self| matches!(rig.sidecar.session, Session::Connecting { .. });
        while !dials(self) {
            self.next();
        }
        self.step(Input::Connected);
        self.identified(incarnation)
    }

    /// The hub knows who this is.
    fn identified(&mut self, incarnation: Incarnation) -> Vec<String> {
        self.hears(ToAgent::Identified(Identified {
            agent_id: AgentId::new("a-1").unwrap(),
            incarnation: Some(incarnation),
            heartbeat_ms: Some(Span(5000)),
        }))
    }

    /// Answers the latest ping.
    fn pong(&mut self) -> Vec<String> {
        self.pong_without(Vec::new())
    }

    fn pong_without(&mut self, lost: Vec<Held>) -> Vec<String> {
        let nonce = Some(self.sidecar.nonce);
        self.hears(ToAgent::Pong { timestamp: Wall(0), nonce, lost })
    }

    fn assign(&mut self, assignment: Assignment) -> Vec<String> {
        self.hears(ToAgent::TaskAssign(Box::new(assignment)))
    }

    fn ends(&mut self, task: u64, lease: u64, outcome: JobOutcome) -> Vec<String> {
        self.step(Input::JobEnded { claim: claim(task, lease), outcome })
    }

    fn ack(&mut self, task: u64, lease: u64, status: Acked) -> Vec<String> {
        let generation = Some(Lease(lease));
        self.hears(ToAgent::TaskAck(TaskAck { task_id: TaskId(task), status, generation }))
    }

    fn cancel(&mut self, task: u64, lease: u64) -> Vec<String> {
        self.hears(ToAgent::TaskCancelled {
            task_id: TaskId(task),
            generation: Lease(lease),
            reason: "".into(),
            timestamp: Wall(0),
        })
    }

    fn error(&mut self, error: &str, about: Option<(&str, u64)>) -> Vec<String> {
        self.hears(ToAgent::Error(ErrorFrame {
            error: error.into(),
            message_type: about.map(|(message_type, _)| message_type.into()),
            task_id: about.map(|(_, task)| TaskId(task)),
            ..ErrorFrame::default()
        }))
    }
}

fn short(claim: Claim) -> String {
    format!("{}/{}", claim.task.0, claim.lease)
}

fn short_held(held: &Held) -> String {
    format!("{}/{}", held.task_id.0, held.generation)
}

fn render(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Connect => "connect".into(),
        Effect::Send(ToHub::Ping(ping)) => {
            let held: Vec<String> = ping.held.iter().flatten().map(short_held).collect();
            format!("> ping [{}]", held.join(" "))
        }
        Effect::Send(frame) => format!("> {}", frame_text(frame)),
        Effect::Disconnect => "hang up".into(),
        Effect::Start(assignment) => format!("start {}", short(Claim::of(assignment))),
        Effect::Stop(claim) => format!("stop {}", short(*claim)),
        Effect::Answer { claim, answer, .. } => format!("answer {} {answer}", short(*claim)),
        Effect::Grant { claim, answer: Ok(granted), .. } => {
            format!("grant {} {}", short(*claim), granted.micros)
        }
        Effect::Grant { claim, answer: Err(why), .. } => format!("refuse {} {why}", short(*claim)),
        Effect::Measure => "measure".into(),
        Effect::Log(Note { level: Level::Warn, claim, text }) => {
            format!("warn {}{text}", claim.map_or(String::new(), |claim| short(claim) + " "))
        }
        Effect::Log(_) => return None,
        Effect::Exit(exit) => format!("exit {}", exit.code()),
    })
}

/// A frame about a task without what every such frame says.
fn frame_text(frame: &ToHub) -> String {
    let text = crate::wire::write(frame);
    let text = text
        .replace(&format!(r#""incarnation":"{LIFE}","#), "")
        .replace(r#""task-000000000000000"#, "\"t");
    text.replace("\"type\":", "").replace("task_id\":", "").replace('"', "").to_string()
}
