//! This file is the loop itself.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, pending, poll_fn};
use core::panic::AssertUnwindSafe;
use core::pin::Pin;

use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use futures_util::select_biased;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::panics::Suspect;
use super::{GROUP_MAX, HubDriver, TAKEN_FOR, facts, load};
use crate::command::Facts;
use crate::driver::handle::Message;
use crate::driver::{CallError, token};
use crate::guard::Guard;
use crate::hub::{Effect, Hub, Input, command_needs, frame_needs};
use crate::id::{CallId, SessionId};
use crate::port::store::{StoreError, StoreErrorKind};
use crate::port::transport::{CloseReason, Connection, Transport, TransportError};
use crate::time::Mono;
use crate::wire::{Frame, ToHub};

/// What can wake the loop. A closed list, so that everything that can happen is named here.
enum Wakeup {
    /// The commit under way ended.
    Committed(Result<(), StoreError>),
    /// A handle wants something.
    Message(Message),
    /// All handles are gone.
    Abandoned,
    /// A connection brought a frame, or ended.
    Arrived(SessionId, Option<Frame>),
    /// A transport gave a connection, or failed to.
    Connected(Arc<dyn Transport>, Result<Connection, TransportError>),
    /// Something is due.
    Due,
}

type Opening = (Arc<dyn Transport>, Result<Connection, TransportError>);
type Accepting = FuturesUnordered<BoxFuture<'static, Opening>>;

impl HubDriver {
    /// Runs until it is asked to stop, all handles are gone, or the store fails.
    ///
    /// Dropping the future stops the hub at once; what it had not confirmed may or may not be
    /// durable.
    ///
    /// # Errors
    ///
    /// What the store said. Nothing that depended on it was confirmed to anybody; open the store
    /// again and run another hub.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let result = self.turn().await;
        self.links.close_all(CloseReason::GoingAway);
        if let Err(error) = &result {
            tracing::error!(%error, "the hub stops: its store failed");
        }
        result
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        let mut accepting: Accepting = self.links.transports.iter().cloned().map(accept).collect();
        loop {
            if self.stopping && self.committing.is_none() && self.open.is_empty() {
                return Ok(());
            }
            let waiting = self.waits_since();
            let wakeup = self.next(&mut accepting).await;
            let woke = self.inbox.meter.now();
            let began = waiting.map_or(woke, |since| since.min(woke));
            self.take(wakeup, &mut accepting).await?;
            self.take_waiting(&mut accepting).await?;
            if self.is_late() {
                self.outlast().await?;
                self.step(Input::Wake, None).await?;
            }
            if self.committing.is_none() {
                self.close_group().await?;
            }
            self.inbox.meter.note(began);
        }
    }

    /// From when on the loop keeps others waiting: at once if there is no room to take anything in,
    /// and otherwise when something is due.
    fn waits_since(&self) -> Option<Mono> {
        if self.open.inputs >= GROUP_MAX {
            return Some(self.inbox.meter.now());
        }
        let stepped = self.hub.state().now().mono;
        self.hub.next_wake().map(|at| at.max(stepped))
    }

    /// Waits for whatever happens first. Only the branch that is returned has taken anything.
    async fn next(&mut self, accepting: &mut Accepting) -> Wakeup {
        let room = self.open.inputs < GROUP_MAX;
        let due = self.hub.next_wake();
        let pending_work = self.hub.state().is_pending();
        let clock = &*self.clock;
        let wait: Pin<Box<dyn Future<Output = ()> + Send + '_>> = match due {
            _ if !room || self.stopping => Box::pin(pending()),
            _ if pending_work => Box::pin(async {}),
            Some(at) => clock.sleep_until(at),
            None => Box::pin(pending()),
        };
        let mut wait = wait.fuse();
        let mut commit: OptionFuture<_> = self.committing.as_mut().into();
        let mut inbox: OptionFuture<_> =
            (room && !self.stopping).then(|| Box::pin(self.inbox.next()).fuse()).into();
        let links = &mut self.links;
        let reads = room && !self.stopping;
        let mut arrival: OptionFuture<_> =
            reads.then(|| poll_fn(|cx| links.poll_next(cx)).fuse()).into();
        let accepts = room && !self.stopping && !accepting.is_empty();
        let mut opening: OptionFuture<_> = accepts.then(|| accepting.select_next_some()).into();
        loop {
            select_biased! {
                done = commit => if let Some(done) = done {
                    return Wakeup::Committed(done);
                },
                message = inbox => if let Some(message) = message {
                    return message.map_or(Wakeup::Abandoned, Wakeup::Message);
                },
                arrived = arrival => if let Some((session, frame)) = arrived {
                    return Wakeup::Arrived(session, frame);
                },
                opened = opening => if let Some((transport, connected)) = opened {
                    return Wakeup::Connected(transport, connected);
                },
                () = wait => return Wakeup::Due,
                complete => return Wakeup::Due,
            }
        }
    }

    /// Takes in what has happened already: it shares the commit. One from each source in turn, so
    /// that none is kept waiting by a flood from another; and not for long, as when each has to wait
    /// for the store, so that what was decided first is not kept waiting either.
    async fn take_waiting(&mut self, accepting: &mut Accepting) -> Result<(), StoreError> {
        let until = self.clock.now().mono + TAKEN_FOR;
        while self.clock.now().mono < until {
            let mut quiet = true;
            for source in [Self::message_waiting, Self::frame_waiting, Self::connection_waiting] {
                if self.stopping || self.open.inputs >= GROUP_MAX {
                    return Ok(());
                }
                if let Some(wakeup) = source(self, accepting) {
                    quiet = false;
                    self.take(wakeup, accepting).await?;
                }
            }
            if quiet {
                return Ok(());
            }
        }
        Ok(())
    }

    fn message_waiting(&mut self, _: &mut Accepting) -> Option<Wakeup> {
        self.inbox.next().now_or_never().flatten().map(Wakeup::Message)
    }

    fn frame_waiting(&mut self, _: &mut Accepting) -> Option<Wakeup> {
        let arrived = poll_fn(|cx| self.links.poll_next(cx)).now_or_never();
        arrived.map(|(session, frame)| Wakeup::Arrived(session, frame))
    }

    fn connection_waiting(&mut self, accepting: &mut Accepting) -> Option<Wakeup> {
        let (transport, connected) = accepting.next().now_or_never().flatten()?;
        Some(Wakeup::Connected(transport, connected))
    }

    /// Whether something is due that no step has dealt with, as when there are only readers or the
    /// hub was late.
    fn is_late(&self) -> bool {
        self.hub.next_wake().is_some_and(|at| at <= self.clock.now().mono) && !self.stopping
    }

    async fn take(&mut self, wakeup: Wakeup, accepting: &mut Accepting) -> Result<(), StoreError> {
        if !matches!(wakeup, Wakeup::Committed(_)) {
            // Before anything is read for it: what it may find in the store has to fit the state.
            self.outlast().await?;
        }
        match wakeup {
            Wakeup::Committed(result) => self.committed(result).await,
            Wakeup::Message(message) => self.message(message).await,
            Wakeup::Abandoned => {
                self.stopping = true;
                Ok(())
            }
            Wakeup::Arrived(session, frame) => self.arrived(session, frame).await,
            Wakeup::Connected(transport, connected) => {
                if connected.as_ref().err() != Some(&TransportError::Stopped) {
                    accepting.push(accept(transport));
                }
                match connected {
                    Ok(connection) => self.connected(connection).await,
                    Err(_) => Ok(()),
                }
            }
            Wakeup::Due => self.step(Input::Wake, None).await,
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), StoreError> {
        match message {
            Message::Call { by, cause, command, reply } => {
                self.next_call += 1;
                let call = CallId(self.next_call);
                let suspect = self.panics.suspect(|| Suspect::command(&command));
                if self.is_barred(suspect) {
                    // Whoever asked may be gone.
                    let _ = reply.send(Err(CallError::Internal));
                    return Ok(());
                }
                let needs = command_needs(self.hub.state(), &command);
                let facts = match facts::fetch(&*self.store, self.hub.state(), &needs).await {
                    Err(error) if error.kind == StoreErrorKind::Corrupt => {
                        // One damaged row of history is no reason to stop the rest.
                        let _ = reply.send(Err(error.into()));
                        return Ok(());
                    }
                    facts => facts?,
                };
                self.calls.insert(call, reply);
                let input = Input::Call { call, by, cause, command, facts };
                return self.step(input, suspect).await;
            }
            Message::View(view) => {
                // A reader that panics is told by the loss of its answer.
                let seen = std::panic::catch_unwind(AssertUnwindSafe(|| view(&self.hub)));
                self.open.releases.extend(seen.ok());
            }
            Message::Wait(id, waiter) => self.wait_for(id, waiter),
            Message::Listen(listener) => self.listeners.push(listener),
            Message::Stop => self.stopping = true,
        }
        Ok(())
    }

    fn is_barred(&self, suspect: Option<Suspect>) -> bool {
        self.panics.bar(suspect) && self.hub.config().guards.on(Guard::PanicBar)
    }

    async fn connected(&mut self, connection: Connection) -> Result<(), StoreError> {
        let dialect = connection.dialect;
        tracing::debug!(peer = %connection.peer, ?dialect, "connection opened");
        let peer = host_of(&connection.peer).into();
        let session = self.links.add(connection);
        self.step(Input::Opened { session, dialect, peer }, None).await
    }

    async fn arrived(
        &mut self,
        session: SessionId,
        frame: Option<Frame>,
    ) -> Result<(), StoreError> {
        let Some(frame) = frame else {
            self.links.outgoing.remove(&session);
            return self.step(Input::Closed(session), None).await;
        };
        let suspect = self.panics.suspect(|| Suspect::frame(&frame));
        if self.is_barred(suspect) {
            tracing::warn!(?session, "a frame that brought the hub down is not taken in again");
            return Ok(());
        }
        let frame = frame.into_to_hub();
        let token = match &frame {
            Ok(ToHub::Identify(identify)) => Some(token::hash_of(&identify.token)),
            _ => None,
        };
        self.prove_owned(token.is_some()).await?;
        let needs = frame.as_ref().map(|frame| frame_needs(self.hub.state(), frame));
        let needs = needs.unwrap_or_default();
        let facts = match facts::fetch(&*self.store, self.hub.state(), &needs).await {
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                // What cannot be read of an ended task does not bring it back.
                tracing::error!(%error, "history is damaged");
                Facts::default()
            }
            facts => facts?,
        };
        self.step(Input::Frame { session, frame, token, facts }, suspect).await
    }

    /// One step; before it, another that gives grace if the hub stood still for a while.
    async fn step(&mut self, input: Input, suspect: Option<Suspect>) -> Result<(), StoreError> {
        if let Some(late) = self.hub.stalled_for(self.clock.now().mono) {
            tracing::warn!(%late, "the hub stood still for a while; its agents get time to be heard");
            self.step_once(Input::Stalled, None).await?;
        }
        self.step_once(input, suspect).await
    }

    /// A panic drops the hub: what was not committed is undone, whoever asked is told.
    pub(super) async fn step_once(
        &mut self,
        input: Input,
        suspect: Option<Suspect>,
    ) -> Result<(), StoreError> {
        let call = if let Input::Call { call, .. } = &input { Some(*call) } else { None };
        let now = self.clock.now();
        let hub = &mut self.hub;
        match std::panic::catch_unwind(AssertUnwindSafe(|| hub.step(now, input))) {
            Ok(step) => {
                step.events.iter().for_each(log);
                self.open.join(step);
                Ok(())
            }
            Err(_) if self.panics.note(suspect, now.mono) => self.recover(call).await,
            Err(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "steps panic again and again, whatever they are given",
            )),
        }
    }

    /// Reads the hub back from the store after a panic. The commit under way ends first; whoever
    /// shared the group that is dropped is told that nothing was done.
    async fn recover(&mut self, culprit: Option<CallId>) -> Result<(), StoreError> {
        tracing::error!(?culprit, "a step panicked; the hub is read back from its store");
        let dropped = core::mem::take(&mut self.open);
        if let Some(committing) = self.committing.take() {
            committing.await?;
            if let Some(group) = self.under_way.take() {
                self.say(group);
            }
        }
        let replied = dropped.effects.iter().filter_map(|effect| match effect {
            Effect::Reply(call, _) => Some(*call),
            Effect::Send(..) | Effect::Close(..) => None,
        });
        for call in replied.chain(culprit) {
            if let Some(reply) = self.calls.remove(&call) {
                // Whoever asked may be gone.
                let _ = reply.send(Err(CallError::Internal));
            }
        }
        self.links.close_all(CloseReason::GoingAway);
        let state = load::read(&*self.store, &*self.clock).await?;
        let (config, policy) = core::mem::take(&mut self.hub).into_rules();
        self.hub = Hub::new(state, config, policy);
        let step = self.hub.resume(self.clock.now());
        self.open.join(step);
        Ok(())
    }
}

/// An address without its port: many connections come from one host.
fn host_of(peer: &str) -> &str {
    match peer.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => peer,
    }
}

fn accept(transport: Arc<dyn Transport>) -> BoxFuture<'static, Opening> {
    Box::pin(async move {
        let connected = transport.open().await;
        (transport, connected)
    })
}

fn log(event: &crate::view::Event) {
    tracing::info!(
        seq = event.seq,
        kind = %event.kind,
        by = %event.by,
        task = event.task_id.map(tracing::field::display),
        agent = event.agent_id.as_ref().map(tracing::field::display),
        operator = event.operator.as_ref().map(tracing::field::display),
        "step"
    );
}
