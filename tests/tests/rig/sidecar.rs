//! This file runs whole sidecars in a rig, over journals that outlive them.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver, SidecarError, SidecarHandle};
use agentcom_core::id::{Boot, Lease, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Kind};
use agentcom_core::port::clock::Clock;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome, News};
use agentcom_core::port::transport::Transport;
use agentcom_core::sidecar::Exit;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::{Mono, Span};
use agentcom_core::wire::Assignment;
use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::{Rig, StillClock};

/// Something that a job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) at: u64,
    pub(crate) task: TaskId,
    pub(crate) lease: Lease,
    pub(crate) what: &'static str,
}

/// Does as its input says: `done`, `fail`, `explode`, `heed` until it is asked to stop, `hang` for
/// ever, `chatter` news and be done, or `sleep` for so many milliseconds and be done.
#[derive(Debug)]
pub(crate) struct Doer {
    clock: Arc<StillClock>,
    notes: Arc<Mutex<Vec<Note>>>,
}

#[async_trait]
impl Executor for Doer {
    fn kind(&self) -> Kind {
        Kind::new("shell").unwrap()
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let note = |what| {
            let (at, task, lease) = (self.clock.ms(), job.task_id, job.generation);
            self.notes.lock().unwrap().push(Note { at, task, lease, what });
        };
        note("started");
        let word: String = job.op.input.read().unwrap();
        let done =
            || JobOutcome::Done { result: Json::text("ok"), tokens: Some(7), verification: None };
        match word.split_once(' ').unwrap_or((&word, "")) {
            ("done", _) => done(),
            ("fail", why) => JobOutcome::retryable(why),
            ("heed", _) => {
                ctx.cancelled().await;
                note("stopped");
                JobOutcome::Stopped
            }
            ("hang", _) => std::future::pending().await,
            ("chatter", _) => {
                for percent in 0..1_000 {
                    ctx.report(News { percent: Some(percent / 10), event: None, left: None });
                }
                done()
            }
            ("sleep", ms) => {
                let until = self.clock.ms() + ms.parse::<u64>().unwrap();
                self.clock.sleep_until(Mono(until)).await;
                note("ended");
                done()
            }
            (other, _) => panic!("told to {other}"),
        }
    }
}

type Running = Pin<Box<dyn Future<Output = Result<Exit, SidecarError>>>>;

/// A sidecar and its journal.
pub(crate) struct Sidecar {
    pub(crate) journal: MemoryDisk,
    pub(crate) handle: Option<SidecarHandle>,
    pub(crate) ended: Option<Result<Exit, SidecarError>>,
    name: String,
    slots: u32,
    boots: u64,
    running: Option<Running>,
}

impl Sidecar {
    pub(super) fn turn(&mut self, context: &mut Context<'_>) {
        let Some(running) = &mut self.running else { return };
        if let Poll::Ready(ended) = running.poll_unpin(context) {
            (self.ended, self.running) = (Some(ended), None);
        }
    }
}

impl Rig {
    /// Registers an agent and starts its sidecar; returns its place among the sidecars.
    pub(crate) fn sidecar(&mut self, name: &str, slots: u32) -> usize {
        self.register(name);
        self.sidecars.push(Sidecar {
            journal: MemoryDisk::new(),
            handle: None,
            ended: None,
            name: name.into(),
            slots,
            boots: 0,
            running: None,
        });
        let place = self.sidecars.len() - 1;
        self.boot(place, name);
        place
    }

    /// Ends a sidecar where it stands.
    pub(crate) fn kill_sidecar(&mut self, place: usize) {
        self.sidecars[place].running = None;
        self.turn();
    }

    /// Starts a sidecar on its journal, with a token.
    pub(crate) fn boot(&mut self, place: usize, token: &str) {
        let executor = Doer { clock: self.clock.clone(), notes: self.notes.clone() };
        let sidecar = &mut self.sidecars[place];
        sidecar.boots += 1;
        let agent = AgentId::new(&sidecar.name).unwrap();
        let mut config = SidecarConfig::new(agent, Secret::new(token));
        config.slots = sidecar.slots;
        let driver = SidecarDriver::new(
            config,
            Arc::clone(&self.door) as Arc<dyn Transport>,
            Box::new(sidecar.journal.open()),
            vec![Arc::new(executor)],
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Entropy { boot: Boot(sidecar.boots), seed: sidecar.boots },
        )
        .unwrap();
        (sidecar.handle, sidecar.ended) = (Some(driver.handle()), None);
        sidecar.running = Some(Box::pin(driver.run()));
        self.turn();
        // A first connection may have to wait for its turn.
        self.pass(Span::from_secs(2));
    }

    /// What jobs did, in order.
    pub(crate) fn noted(&self, what: &str) -> Vec<Note> {
        let notes = self.notes.lock().unwrap();
        notes.iter().filter(|note| note.what == what).cloned().collect()
    }
}
