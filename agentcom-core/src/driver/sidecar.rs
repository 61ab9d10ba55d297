//! This file runs a sidecar: it decides with [`Sidecar::step`], stores, and then does.
//!
//! The loop needs no async runtime: it waits on futures only, and on time through
//! [`Clock`]. Jobs are futures that it polls itself, beside the connection.
//!
//! **Heartbeats and work.** A ping is sent by the same task that polls the jobs, so nothing that
//! *waits* can delay it, however many jobs there are. A handler that *computes* for long between
//! two awaits does: such work belongs into a process (as with the shell executor), or into an
//! executor that hands it to a thread and awaits the answer. The loop bounds everything else that
//! it does between two looks at the connection.
//!
//! **Ending.** [`SidecarHandle::drain`] ends it in good order. Dropping the future of
//! [`SidecarDriver::run`] ends it at once: jobs are dropped, which kills what they started, and
//! the journal has what the next run must report.

mod entropy;
mod job;
mod link;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use futures_util::future::poll_fn;
use futures_util::sink::SinkExt as _;
use futures_util::stream::StreamExt as _;

use crate::config::SidecarConfig;
use crate::name::Kind;
use crate::port::clock::Clock;
use crate::port::executor::Executor;
use crate::port::meter::Meter;
use crate::port::store::{Batch, RowKey, Store, StoreError};
use crate::port::transport::Transport;
use crate::sidecar::{Effect, Exit, Input, Journal, Level, Note, Sidecar, Step};
use crate::time::{Mono, Span};
use crate::wire::Figures;

pub use entropy::Entropy;
use job::Jobs;
pub(super) use job::panic_message;
use link::{Link, NotSent};

/// Why a sidecar ended other than in good order.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// Its journal did not do what it was asked. What was not confirmed was not done; the next
    /// run reports the rest.
    #[error("the journal failed: {0}")]
    Store(#[from] StoreError),
    /// Two executors do the same kind of operation.
    #[error("two executors for the kind `{0}`")]
    TwoExecutors(Kind),
}

/// Asks a running sidecar for things. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SidecarHandle {
    drain: mpsc::Sender<()>,
    survivors: mpsc::Sender<u32>,
}

impl SidecarHandle {
    /// Asks it to leave in good order: it takes no more work, lets what runs end within
    /// [`SidecarConfig::drain_within`], gives the rest back, and ends.
    pub fn drain(&self) {
        // A full channel holds an earlier request, and a closed one belongs to one that has left.
        let _ = self.drain.clone().try_send(());
    }

    /// Says how many processes of jobs are left that could not be ended: as long as there are any, no work
    /// of executors begins that [run commands](Executor::runs_commands), and the hub is told. Waits while
    /// earlier words are unheard; cancel safe, but a word that is cancelled may be lost.
    pub async fn survivors(&self, left: u32) {
        // A closed channel belongs to a sidecar that has left.
        let _ = self.survivors.clone().send(left).await;
    }
}

/// A sidecar with everything that it needs of the outside.
#[derive(Debug)]
pub struct SidecarDriver {
    transport: Arc<dyn Transport>,
    store: Box<dyn Store>,
    executors: BTreeMap<Kind, Arc<dyn Executor>>,
    clock: Arc<dyn Clock>,
    config: SidecarConfig,
    entropy: Entropy,
    meter: Option<Arc<dyn Meter>>,
    handle: SidecarHandle,
    drain: mpsc::Receiver<()>,
    survivors: mpsc::Receiver<u32>,
}

/// Inputs that may be decided on before what they come to is stored and done.
const STEPS_MAX: usize = 32;
/// How long the last frames may take to leave.
const FAREWELL: Span = Span::from_secs(1);

impl SidecarDriver {
    /// A sidecar that reaches its hub through `transport`, keeps its journal in `store` and does
    /// the kinds of operations of `executors`.
    ///
    /// # Errors
    ///
    /// [`SidecarError::TwoExecutors`] if two of them do the same kind.
    pub fn new(
        config: SidecarConfig,
        transport: Arc<dyn Transport>,
        store: Box<dyn Store>,
        executors: Vec<Arc<dyn Executor>>,
        clock: Arc<dyn Clock>,
        entropy: Entropy,
    ) -> Result<Self, SidecarError> {
        let mut by_kind = BTreeMap::new();
        for executor in executors {
            let kind = executor.kind();
            if by_kind.insert(kind.clone(), executor).is_some() {
                return Err(SidecarError::TwoExecutors(kind));
            }
        }
        let (to_drain, drain) = mpsc::channel(1);
        let (to_tell, survivors) = mpsc::channel(1);
        let handle = SidecarHandle { drain: to_drain, survivors: to_tell };
        Ok(Self {
            transport,
            store,
            executors: by_kind,
            clock,
            config,
            entropy,
            meter: None,
            handle,
            drain,
            survivors,
        })
    }

    /// The same sidecar, which also tells its hub how busy the machine is.
    #[must_use]
    pub fn with_meter(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// What asks it for things while it runs.
    #[must_use]
    pub fn handle(&self) -> SidecarHandle {
        self.handle.clone()
    }

    /// Runs until it is asked to leave, by its handle or by the hub.
    ///
    /// # Errors
    ///
    /// [`SidecarError::Store`] as soon as the journal fails.
    pub async fn run(self) -> Result<Exit, SidecarError> {
        let (journal, seq) = load(&*self.store).await?;
        let kinds = self.executors.keys().cloned().collect();
        let runs_commands = self.executors.values().filter(|executor| executor.runs_commands());
        let runs_commands = runs_commands.map(|executor| executor.kind()).collect();
        let Entropy { boot, seed } = self.entropy;
        let jobs = Jobs::new(self.executors, Arc::clone(&self.clock), self.config.stop_within);
        let sidecar = Sidecar::new(self.config, kinds, boot, seed, journal, seq);
        let sidecar = sidecar.running_commands(runs_commands);
        let sidecar = if self.meter.is_some() { sidecar.measuring() } else { sidecar };
        let mut running = Running {
            sidecar,
            store: self.store,
            clock: self.clock,
            link: Link::new(self.transport),
            jobs,
            meter: self.meter,
            measurement: None,
            // The first step looks at what the journal held.
            inputs: VecDeque::from([Input::Wake]),
            effects: Vec::new(),
            sleep: None,
            drain: self.drain,
            survivors: self.survivors,
        };
        running.run().await
    }
}

/// Reads a journal: what it holds, and the number of its last batch.
///
/// # Errors
///
/// The store's, or [`Corrupt`](crate::port::store::StoreErrorKind::Corrupt) for a row that cannot
/// be read.
pub async fn load(store: &dyn Store) -> Result<(Journal, u64), StoreError> {
    let mut journal = Journal::default();
    let seq = store
        .load(&mut |table, key, value| {
            journal.visit(table, key, value).map_err(|bad| StoreError::corrupt(table, key, bad))
        })
        .await?;
    Ok((journal, seq.unwrap_or(0)))
}

struct Running {
    sidecar: Sidecar,
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
    link: Link,
    jobs: Jobs,
    meter: Option<Arc<dyn Meter>>,
    measurement: Option<BoxFuture<'static, Option<Figures>>>,
    /// Inputs that effects gave rise to.
    inputs: VecDeque<Input>,
    /// Empty between two decisions; kept for its room.
    effects: Vec<Effect>,
    sleep: Option<(Mono, BoxFuture<'static, ()>)>,
    drain: mpsc::Receiver<()>,
    survivors: mpsc::Receiver<u32>,
}

impl Running {
    async fn run(&mut self) -> Result<Exit, SidecarError> {
        loop {
            let (batch, mut effects) = self.decide().await;
            if let Some(batch) = batch {
                self.store.commit(batch).await?;
            }
            for effect in effects.drain(..) {
                if let Some(exit) = self.perform(effect) {
                    self.farewell().await;
                    return Ok(exit);
                }
            }
            self.effects = effects;
        }
    }

    /// Steps with the next input and with what else is there, up to a bound.
    async fn decide(&mut self) -> (Option<Batch>, Vec<Effect>) {
        let effects = core::mem::take(&mut self.effects);
        let mut joined = Joined { effects, ..Joined::default() };
        // Even if there is never a moment without something to do.
        self.jobs.drop_overdue(self.clock.now().mono);
        let mut input = self.next().await;
        for steps in 1.. {
            let step = self.sidecar.step(self.clock.now(), input);
            let turns = step.effects.iter().any(changes_connection);
            joined.add(step);
            // Nothing is taken that is not stepped with: it would be lost.
            if turns || steps == STEPS_MAX {
                break;
            }
            match self.next().now_or_never() {
                Some(next) => input = next,
                None => break,
            }
        }
        joined.finish()
    }

    /// What happens next. Cancel safe.
    async fn next(&mut self) -> Input {
        if let Some(input) = self.inputs.pop_front() {
            return input;
        }
        // Jobs come first: the loop must not starve them, and they yield after a bounded number
        // of polls. Time comes last: whatever is due is done in any step.
        poll_fn(|cx| {
            if let Poll::Ready(Some(())) = self.drain.poll_next_unpin(cx) {
                return Poll::Ready(Input::Drain);
            }
            if let Poll::Ready(Some(left)) = self.survivors.poll_next_unpin(cx) {
                return Poll::Ready(Input::Survivors(left));
            }
            if let Poll::Ready(input) = self.jobs.poll_ended(cx) {
                return Poll::Ready(input);
            }
            if let Poll::Ready(input) = self.link.poll(cx) {
                return Poll::Ready(input);
            }
            if let Poll::Ready(input) = self.jobs.poll_mail(cx) {
                return Poll::Ready(input);
            }
            if let Poll::Ready(Some(figures)) = self.poll_measurement(cx) {
                return Poll::Ready(Input::Measured(figures));
            }
            self.set_alarm();
            let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
            sleep.poll_unpin(cx).map(|()| Input::Wake)
        })
        .await
    }

    /// What was measured, once; nothing if that failed.
    fn poll_measurement(&mut self, cx: &mut Context<'_>) -> Poll<Option<Figures>> {
        let Some(measurement) = &mut self.measurement else { return Poll::Pending };
        let polled = measurement.poll_unpin(cx);
        if polled.is_ready() {
            self.measurement = None;
        }
        polled
    }

    /// Sets the alarm for whatever is due next.
    fn set_alarm(&mut self) {
        self.jobs.drop_overdue(self.clock.now().mono);
        let wake = self.sidecar.next_wake().map(|(at, _)| at);
        self.sleep_until(wake.into_iter().chain(self.jobs.drop_due()).min());
    }

    /// Sets the alarm, unless it is set for that time.
    fn sleep_until(&mut self, at: Option<Mono>) {
        let set = self.sleep.as_ref().map(|(at, _)| *at);
        if set == at && at.is_none_or(|at| at > self.clock.now().mono) {
            return;
        }
        self.sleep = at.map(|at| {
            let clock = Arc::clone(&self.clock);
            (at, async move { clock.sleep_until(at).await }.boxed())
        });
    }

    fn perform(&mut self, effect: Effect) -> Option<Exit> {
        match effect {
            Effect::Connect => self.link.open(),
            Effect::Send(frame) => match self.link.send(frame) {
                Ok(()) | Err(NotSent::Dropped) => {}
                Err(NotSent::Broken) => self.inputs.push_back(Input::Disconnected),
            },
            Effect::Disconnect => self.link.close(),
            Effect::Start(assignment) => self.inputs.extend(self.jobs.start(*assignment)),
            Effect::Stop(claim) => self.jobs.stop(claim),
            Effect::Answer { ask, answer, .. } => self.jobs.answer(ask, answer),
            Effect::Grant { ask, answer, .. } => self.jobs.grant(ask, answer),
            // One that is still under way is dropped.
            Effect::Measure => {
                let meter = self.meter.clone();
                self.measurement = meter.map(|meter| async move { meter.figures().await }.boxed());
            }
            Effect::Log(note) => log(&note),
            Effect::Exit(exit) => return Some(exit),
        }
        None
    }

    /// Lets the last frames leave.
    async fn farewell(&mut self) {
        let until = self.clock.now().mono + FAREWELL;
        let clock = Arc::clone(&self.clock);
        let sleep = clock.sleep_until(until);
        futures_util::future::select(self.link.ended().boxed(), sleep).await;
    }
}

const fn changes_connection(effect: &Effect) -> bool {
    match effect {
        Effect::Connect | Effect::Disconnect | Effect::Exit(_) => true,
        Effect::Send(_)
        | Effect::Start(_)
        | Effect::Stop(_)
        | Effect::Answer { .. }
        | Effect::Grant { .. }
        | Effect::Measure
        | Effect::Log(_) => false,
    }
}

/// Steps that become durable together.
#[derive(Default)]
struct Joined {
    seq: u64,
    rows: BTreeMap<RowKey, Option<Vec<u8>>>,
    effects: Vec<Effect>,
}

impl Joined {
    fn add(&mut self, step: Step) {
        self.effects.extend(step.effects);
        let Some(batch) = step.batch else { return };
        self.seq = batch.seq;
        self.rows.extend(batch.puts.into_iter().map(|(key, value)| (key, Some(value))));
        self.rows.extend(batch.deletes.into_iter().map(|key| (key, None)));
    }

    fn finish(self) -> (Option<Batch>, Vec<Effect>) {
        if self.rows.is_empty() {
            return (None, self.effects);
        }
        let mut batch = Batch { seq: self.seq, ..Batch::default() };
        for (key, value) in self.rows {
            match value {
                Some(value) => batch.puts.push((key, value)),
                None => batch.deletes.push(key),
            }
        }
        (Some(batch), self.effects)
    }
}

fn log(note: &Note) {
    let task = note.claim.map(|claim| tracing::field::display(claim.task));
    let lease = note.claim.map(|claim| claim.lease.0);
    let text = &*note.text;
    match note.level {
        Level::Debug => tracing::debug!(task, lease, "{text}"),
        Level::Info => tracing::info!(task, lease, "{text}"),
        Level::Warn => tracing::warn!(task, lease, "{text}"),
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
