//! This file sees what can be seen from outside: the wire, the replies, the starts of work, the disk.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::{Claim, Ledger, Stand};
use super::marks::Mark;
use super::money::Purse;
use super::swarm::Options;
use super::world::SimClock;
use crate::id::{Lease, TaskId};
use crate::name::AgentId;
use crate::port::clock::Clock;
use crate::port::store::Batch;
use crate::rng::scramble;

/// How many lines of the trace are kept.
const TRACE_KEPT: usize = 2_000;

/// Ends of attempts that only an agent or a link of ours can be to blame for.
const BLAME: &[Mark] =
    &[Mark::LeaseRanOut, Mark::NotAccepted, Mark::MissedTwice, Mark::RestartedAtWork];

/// What has been seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Tasks that a submitter was told of.
    acknowledged: BTreeSet<TaskId>,
    /// Results that agents sent, and tasks that they called off.
    pub(super) claims: BTreeSet<Claim>,
    pub(super) withdrawn: BTreeSet<Claim>,
    /// What was assigned on the wire.
    pub(super) told: BTreeSet<Claim>,
    /// Which run of its agent started a piece of work.
    pub(super) started: BTreeMap<(TaskId, Lease), (String, u64)>,
    /// Results that were acknowledged.
    pub(super) acked: BTreeSet<(TaskId, Lease)>,
    /// The latest run of each sidecar.
    pub(super) boots: BTreeMap<String, u64>,
    pub(super) ledger: Ledger,
    /// Hubs that closed their connections as one does that ends.
    pub(super) leaving: BTreeSet<u64>,
    /// What was spent.
    purse: Purse,
    /// Submitters who have not ended.
    pub(super) submitters: usize,
    pub(super) wrongs: Vec<String>,
    pub(super) agents_well: bool,
    traced: bool,
    trace: Vec<String>,
    digest: u64,
    pub(super) frames: u64,
    commits: u64,
    faults: u64,
    marks: BTreeMap<Mark, u64>,
}

impl Seen {
    pub(super) fn mark(&mut self, mark: Mark) {
        *self.marks.entry(mark).or_default() += 1;
    }
}

/// Sees, and judges.
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
    pub(super) fn new(clock: SimClock, options: &Options) -> Self {
        let (agents_well, traced) = (options.agents_well, options.traced);
        let seen = Seen { agents_well, traced, ..Seen::default() };
        Self { seen: Arc::new(Mutex::new(seen)), clock }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line into the trace; its words are written only where somebody will read them.
    pub(super) fn note(&self, what: &'static str, words: impl FnOnce() -> String) {
        let at = self.clock.now().mono.0;
        let mut seen = self.seen();
        seen.digest = mixed(scramble(seen.digest ^ at), what.as_bytes());
        if seen.traced {
            if seen.trace.len() >= 2 * TRACE_KEPT {
                seen.trace.drain(..TRACE_KEPT);
            }
            seen.trace.push(format!("{at:>10} {what} {}", words()));
        }
    }

    /// Mixes something into the digest of the trace.
    pub(super) fn mix(&self, text: &str) {
        let mut seen = self.seen();
        seen.digest = mixed(seen.digest, text.as_bytes());
    }

    /// A fault was made.
    pub(super) fn fault(&self, what: &'static str, words: impl FnOnce() -> String) {
        self.note(what, words);
        self.seen().faults += 1;
    }

    /// Something that should happen in some seeds did.
    pub(super) fn mark(&self, mark: Mark) {
        self.seen().mark(mark);
    }

    /// A batch of a hub became durable.
    pub(super) fn committed(&self, batch: &Batch, hub: u64) {
        self.note("commit", || format!("by hub {hub} up to {}", batch.seq));
        let mut seen = self.seen();
        let seen = &mut *seen;
        seen.commits += 1;
        let claims = |claim: &Claim| seen.claims.contains(claim);
        match seen.ledger.committed(batch, hub, &claims) {
            Ok(findings) => {
                if seen.agents_well {
                    let charged = findings.marks.iter().filter(|mark| BLAME.contains(mark));
                    let wrongs = charged.map(|mark| format!("{mark:?}: agents and links are well"));
                    seen.wrongs.extend(wrongs);
                }
                findings.marks.into_iter().for_each(|mark| seen.mark(mark));
                seen.wrongs.extend(findings.wrongs);
            }
            Err(error) => seen.wrongs.push(format!("what was stored cannot be read: {error}")),
        }
    }

    /// A submitter was told that its task is queued.
    pub(super) fn acknowledged(&self, id: TaskId) {
        self.note("acknowledged", || format!("{id}"));
        let mut seen = self.seen();
        seen.acknowledged.insert(id);
        if !seen.ledger.tasks.contains_key(&id) {
            seen.wrongs.push(format!("{id} was acknowledged before it was durable"));
        }
    }

    /// Somebody was told that a task was called off.
    pub(super) fn cancelled(&self, id: TaskId) {
        let mut seen = self.seen();
        if seen.ledger.tasks.get(&id).is_none_or(|known| known.stand != Stand::Cancelled) {
            seen.wrongs.push(format!("{id} was said to be cancelled before that was durable"));
        }
    }

    /// Somebody was told that a task lives again.
    pub(super) fn revived(&self, id: TaskId) {
        let mut seen = self.seen();
        if seen.ledger.tasks.get(&id).is_none_or(|known| !known.revived) {
            seen.wrongs.push(format!("{id} was said to be revived before that was durable"));
        }
    }

    /// A reader was shown the state up to an event.
    pub(super) fn read_up_to(&self, seq: u64) {
        let mut seen = self.seen();
        if seen.ledger.seq < seq {
            let durable = seen.ledger.seq;
            seen.wrongs.push(format!("a reader saw event {seq} when {durable} was durable"));
        }
    }

    /// Work began in a run of an agent.
    /// A call that costs money is made.
    pub(super) fn spends(&self, task: TaskId, micros: u64) {
        self.note("spend", || format!("{task} spends {micros}"));
        let mut seen = self.seen();
        let wrong = seen.purse.spends(task, micros);
        seen.wrongs.extend(wrong);
    }

    pub(super) fn started(&self, task: TaskId, lease: Lease, agent: &str, boot: u64) {
        self.note("start", || format!("{agent} starts {task} under {lease}"));
        let mut seen = self.seen();
        if let Some((who, run)) = seen.started.insert((task, lease), (agent.into(), boot)) {
            let wrong = format!(
                "{task} was started twice under {lease}: by {who} in run {run} and by {agent} in run {boot}"
            );
            seen.wrongs.push(wrong);
        }
        let told = AgentId::new(agent).is_ok_and(|id| seen.told.contains(&(task, lease, id)));
        if !told {
            seen.wrongs.push(format!("{agent} started {task} under {lease} and was never told to"));
        }
    }

    /// A sidecar starts anew.
    pub(super) fn booted(&self, agent: &str, boot: u64) {
        self.note("boot", || format!("{agent}, run {boot}"));
        self.seen().boots.insert(agent.into(), boot);
    }

    /// Something is wrong.
    pub(super) fn wrong(&self, what: String) {
        self.note("WRONG", || what.clone());
        self.seen().wrongs.push(what);
    }

    /// Whether anything is wrong so far.
    pub(super) fn is_well(&self) -> bool {
        self.seen().wrongs.is_empty()
    }

    pub(super) fn wrongs(&self) -> Vec<String> {
        self.seen().wrongs.clone()
    }

    pub(super) fn known(&self) -> Vec<TaskId> {
        self.seen().acknowledged.iter().copied().collect()
    }

    /// The durable task at a position, counted around; `None` if there is no such task.
    pub(super) fn some_task(&self, draw: u64, which: impl Fn(Stand) -> bool) -> Option<TaskId> {
        let seen = self.seen();
        let mut fitting = seen.ledger.tasks.iter().rev().filter(|(_, known)| which(known.stand));
        let count = fitting.clone().take(64).count() as u64;
        let position = draw.checked_rem(count)?;
        fitting.nth(position as usize).map(|(id, _)| *id)
    }

    /// The current assignment of some held task.
    pub(super) fn some_hold(&self, draw: u64) -> Option<Claim> {
        let id = self.some_task(draw, Stand::is_held)?;
        let seen = self.seen();
        let (lease, agent) = seen.ledger.tasks.get(&id)?.hold()?;
        Some((id, lease, agent.clone()))
    }

    /// How many tasks have not ended, by what is durable.
    pub(super) fn living(&self) -> usize {
        self.seen().ledger.living
    }

    /// The wall clock was set back, or a hub that had held it forward is gone.
    pub(super) fn clock_set_back(&self) {
        self.seen().ledger.limits.forget_starts();
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.seen().trace.clone()
    }

    pub(super) fn digest(&self) -> u64 {
        self.seen().digest
    }

    /// Frames, commits and faults.
    pub(super) fn counts(&self) -> [u64; 3] {
        let seen = self.seen();
        [seen.frames, seen.commits, seen.faults]
    }

    pub(super) fn marks(&self) -> BTreeMap<Mark, u64> {
        self.seen().marks.clone()
    }
}

/// A digest of what came before and of these bytes.
fn mixed(before: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    words.fold(before ^ bytes.len() as u64, |sum, word| {
        (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}
