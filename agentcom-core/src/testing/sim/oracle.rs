//! This file judges a fleet by what could be seen from outside: frames, replies, starts of work.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::world::SimClock;
use crate::id::{Lease, TaskId};
use crate::port::clock::Clock;
use crate::rng::scramble;
use crate::wire::{Acked, ToAgent, ToHub, read_to_agent, read_to_hub};

/// How many lines of the trace are kept for a failing seed.
const TRACE_KEPT: usize = 400;

#[derive(Default)]
struct Seen {
    /// Tasks that a submitter was told of.
    acknowledged: BTreeSet<TaskId>,
    /// Who was assigned a task, by the number of the assignment.
    assigned: BTreeMap<TaskId, BTreeMap<Lease, String>>,
    /// Whose result counts.
    completed: BTreeMap<TaskId, (Lease, String)>,
    started: BTreeMap<(TaskId, Lease), u32>,
    wrongs: Vec<String>,
    trace: Vec<String>,
    digest: u64,
    frames: u64,
    marks: BTreeMap<&'static str, u64>,
}

/// Sees the wire, and nothing of the inside.
#[derive(Clone)]
pub(super) struct Oracle {
    seen: Arc<Mutex<Seen>>,
    clock: SimClock,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Oracle")
    }
}

impl Oracle {
    pub(super) fn new(clock: SimClock) -> Self {
        Self { seen: Arc::default(), clock }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line into the trace.
    pub(super) fn note(&self, line: &str) {
        let at = self.clock.now().mono.0;
        let mut seen = self.seen();
        seen.digest = line
            .bytes()
            .fold(scramble(seen.digest ^ at), |sum, byte| scramble(sum ^ u64::from(byte)));
        if seen.trace.len() >= 2 * TRACE_KEPT {
            seen.trace.drain(..TRACE_KEPT);
        }
        seen.trace.push(format!("{:>9} {line}", at));
    }

    /// Something that should happen in some seeds did.
    pub(super) fn mark(&self, mark: &'static str) {
        *self.seen().marks.entry(mark).or_default() += 1;
    }

    /// A frame was sent, to the hub or to an agent.
    pub(super) fn frame(&self, agent: &str, to_hub: bool, text: &str) {
        let arrow = if to_hub { "->" } else { "<-" };
        self.note(&format!("{agent} {arrow} {}", &text[..text.len().min(160)]));
        self.seen().frames += 1;
        match to_hub {
            true => self.to_hub(agent, text),
            false => self.to_agent(agent, text),
        }
    }

    fn to_hub(&self, agent: &str, text: &str) {
        let frame = read_to_hub(text);
        if let Ok(ToHub::TaskComplete(frame)) = frame {
            let seen = self.seen();
            let leases = seen.assigned.get(&frame.task_id);
            let stale = leases
                .and_then(|l| l.last_key_value())
                .is_some_and(|(last, _)| *last > frame.generation);
            drop(seen);
            if stale {
                self.mark("stale result after re-dispatch");
            }
            let _ = agent;
        }
    }

    fn to_agent(&self, agent: &str, text: &str) {
        match read_to_agent(text) {
            Ok(ToAgent::TaskAssign(assignment)) => {
                let (task, lease) = (assignment.task_id, assignment.generation);
                let mut seen = self.seen();
                let leases = seen.assigned.entry(task).or_default();
                let last = leases.last_key_value().map(|(lease, to)| (*lease, to.clone()));
                leases.insert(lease, agent.to_string());
                if let Some((last, to)) = last {
                    if lease < last {
                        seen.wrongs.push(format!("{task} was assigned {lease} after {last}"));
                    }
                    if lease == last && to != agent {
                        seen.wrongs
                            .push(format!("{task} was assigned {lease} to {to} and to {agent}"));
                    }
                }
                if let Some((done, _)) = seen.completed.get(&task).filter(|(done, _)| *done < lease)
                {
                    let wrong =
                        format!("{task} was assigned {lease} after the result of {done} counted");
                    seen.wrongs.push(wrong);
                }
            }
            Ok(ToAgent::TaskAck(ack)) if ack.status == Acked::Complete => {
                let lease = ack.generation.unwrap_or_default();
                let mut seen = self.seen();
                let first = seen.completed.get(&ack.task_id).cloned();
                match first {
                    Some((other, who)) if other != lease || who != agent => {
                        let wrong = format!(
                            "results of {other} by {who} and {lease} by {agent} both count"
                        );
                        seen.wrongs.push(format!("{}: {wrong}", ack.task_id));
                    }
                    _ => {
                        seen.completed.insert(ack.task_id, (lease, agent.to_string()));
                    }
                }
            }
            Ok(ToAgent::TaskAck(ack)) if ack.status == Acked::Superseded => {
                self.mark("superseded");
            }
            Ok(ToAgent::TaskCancelled { .. }) => self.mark("a hold was ended by the hub"),
            Ok(ToAgent::TaskReassign { .. }) => self.mark("a plain client was told to forget"),
            Ok(_) => {}
            Err(bad) => self.wrong(format!("the hub sent what nobody can read: {bad}")),
        }
    }

    /// A submitter was told that its task is queued.
    pub(super) fn acknowledged(&self, id: TaskId) {
        self.seen().acknowledged.insert(id);
    }

    /// Work began.
    pub(super) fn started(&self, task: TaskId, lease: Lease, agent: &str) {
        self.note(&format!("{agent} starts {task} {lease}"));
        let mut seen = self.seen();
        let starts = seen.started.entry((task, lease)).or_default();
        *starts += 1;
        if *starts > 1 {
            let wrong =
                format!("{task} was started {starts} times under {lease}", starts = *starts);
            seen.wrongs.push(wrong);
        }
    }

    /// Something is wrong.
    pub(super) fn wrong(&self, what: String) {
        self.note(&format!("WRONG {what}"));
        self.seen().wrongs.push(what);
    }

    pub(super) fn wrongs(&self) -> Vec<String> {
        self.seen().wrongs.clone()
    }

    pub(super) fn known(&self) -> Vec<TaskId> {
        self.seen().acknowledged.iter().copied().collect()
    }

    pub(super) fn completed(&self) -> BTreeMap<TaskId, (Lease, String)> {
        self.seen().completed.clone()
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.seen().trace.clone()
    }

    pub(super) fn digest(&self) -> u64 {
        self.seen().digest
    }

    pub(super) fn frames(&self) -> u64 {
        self.seen().frames
    }

    pub(super) fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.seen().marks.clone()
    }
}
