//! This file is the network between agents and hubs: links that delay, repeat, lose and part.
//!
//! As the contract of transports says, a frame arrives whole and in order, or it and all after it
//! are lost with the connection. Beyond that contract frames may come twice or in another order:
//! no transport does so, but agents that break the rules do.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::task::{Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::poll_fn;

use super::marks::Mark;
use super::oracle::Oracle;
use super::swarm::Weather;
use super::world::SimClock;
use crate::port::clock::Clock;
use crate::port::transport::{
    CloseReason, Connection, Incoming, Outgoing, SendError, Transport, TransportError,
};
use crate::rng::Rng;
use crate::time::{Mono, Span};
use crate::wire::Dialect;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Towards {
    Hub,
    Agent,
}

struct Shared {
    rng: Rng,
    weather: Weather,
    /// The most frames on their way in one direction of a connection.
    queue: usize,
    /// Until when a direction is cut off, by agent.
    cut: BTreeMap<(String, Towards), Mono>,
    /// Hubs that listen, the latest last.
    hubs: Vec<Door>,
    /// Whose last attempt led to an older hub.
    astray: BTreeSet<String>,
    links: Vec<Weak<Link>>,
}

/// Where a hub takes connections.
struct Door {
    hub: u64,
    waiting: VecDeque<Connection>,
    waker: Option<Waker>,
}

/// The network.
#[derive(Clone)]
pub(super) struct Net {
    shared: Arc<Mutex<Shared>>,
    clock: SimClock,
    oracle: Oracle,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    pub(super) fn new(
        seed: u64,
        weather: Weather,
        queue: usize,
        clock: SimClock,
        oracle: Oracle,
    ) -> Self {
        let shared = Shared {
            rng: Rng::for_purpose(seed, "net", 0),
            weather,
            queue,
            cut: BTreeMap::new(),
            hubs: Vec::new(),
            astray: BTreeSet::new(),
            links: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), clock, oracle }
    }

    /// A hub listens; from this moment on agents find it, though some may still reach an older one.
    pub(super) fn listen(&self, hub: u64) -> Listener {
        lock(&self.shared).hubs.push(Door { hub, waiting: VecDeque::new(), waker: None });
        Listener { net: self.clone(), hub }
    }

    /// A hub is gone.
    pub(super) fn down(&self, hub: u64) {
        let mut shared = lock(&self.shared);
        let gone: Vec<Door> = shared.hubs.extract_if(.., |door| door.hub == hub).collect();
        drop(shared);
        drop(gone);
    }

    pub(super) fn dialer(&self, agent: &str, dialect: Dialect) -> Dialer {
        Dialer { net: self.clone(), agent: agent.into(), dialect }
    }

    pub(super) fn set_weather(&self, weather: Weather, queue: usize) {
        let mut shared = lock(&self.shared);
        (shared.weather, shared.queue) = (weather, queue);
    }

    /// Cuts directions of an agent off for a while; what is sent meanwhile comes afterwards.
    pub(super) fn cut(&self, agent: &str, directions: &[Towards], span: Span) {
        let until = self.clock.now().mono + span;
        let mut shared = lock(&self.shared);
        shared.cut.extend(directions.iter().map(|towards| ((agent.into(), *towards), until)));
    }

    pub(super) fn heal(&self) {
        lock(&self.shared).cut.clear();
    }

    /// Lets connections die without a word.
    pub(super) fn silence(&self, which: impl Fn(&str, u64) -> bool) -> bool {
        let links: Vec<_> = lock(&self.shared).links.iter().filter_map(Weak::upgrade).collect();
        let mut any = false;
        for link in links.iter().filter(|link| which(&link.agent, link.hub)) {
            *lock(&link.dead) = true;
            any = true;
        }
        any
    }

    /// Whether a hub has connections that it could speak on.
    pub(super) fn reaches(&self, hub: u64) -> bool {
        let links: Vec<_> = lock(&self.shared).links.iter().filter_map(Weak::upgrade).collect();
        links
            .iter()
            .any(|link| link.hub == hub && !*lock(&link.dead) && !lock(&link.to_agent).ended)
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    frames: VecDeque<(Mono, String)>,
    ended: bool,
    reader: Option<Waker>,
    last: Mono,
}

impl Pipe {
    /// Puts a frame behind all that are due no later.
    fn put(&mut self, at: Mono, frame: String) {
        let behind = self.frames.iter().rev().take_while(|(due, _)| *due > at).count();
        self.frames.insert(self.frames.len() - behind, (at, frame));
    }

    /// Lets the last frame and the one before it change places.
    fn overtake(&mut self) {
        let last = self.frames.len() - 1;
        let (before, after) = (self.frames[last - 1].0, self.frames[last].0);
        self.frames.swap(last - 1, last);
        (self.frames[last - 1].0, self.frames[last].0) = (before, after);
    }
}

struct Link {
    to_hub: Mutex<Pipe>,
    to_agent: Mutex<Pipe>,
    dead: Mutex<bool>,
    agent: String,
    hub: u64,
    net: Net,
}

/// What becomes of a frame.
struct Passage {
    lost: bool,
    twice: bool,
    /// How much later it comes again.
    again: Span,
    overtakes: bool,
    at: Mono,
    room: usize,
}

impl Link {
    fn pipe(&self, towards: Towards) -> &Mutex<Pipe> {
        match towards {
            Towards::Hub => &self.to_hub,
            Towards::Agent => &self.to_agent,
        }
    }

    /// Ends both directions: what is under way still arrives unless it was lost. The other side of
    /// a dead connection does not hear of it.
    fn end(&self, reader: Towards) {
        let both = [Towards::Hub, Towards::Agent];
        let dead = *lock(&self.dead);
        for towards in both.into_iter().filter(|towards| !dead || *towards == reader) {
            let mut pipe = lock(self.pipe(towards));
            pipe.ended = true;
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }

    fn passage(&self, towards: Towards) -> Passage {
        let now = self.net.clock.now().mono;
        let mut shared = lock(&self.net.shared);
        let Weather { loss, twice, reorder, delay } = shared.weather;
        let mut chance = |rate: u64| rate > 0 && shared.rng.below(10_000) < rate;
        let (lost, twice, overtakes) = (chance(loss), chance(twice), chance(reorder));
        let delay = if delay.0 > 0 { Span(shared.rng.below(delay.0 + 1)) } else { delay };
        let cut = match shared.cut.is_empty() {
            true => Mono(0),
            false => shared.cut.get(&(self.agent.clone(), towards)).copied().unwrap_or_default(),
        };
        let again = if twice { Span(shared.rng.below(30_000)) } else { Span(0) };
        Passage { lost, twice, again, overtakes, at: (now + delay).max(cut), room: shared.queue }
    }

    fn send(&self, towards: Towards, frame: String) -> Result<(), SendError> {
        let oracle = &self.net.oracle;
        match towards {
            Towards::Hub => oracle.to_hub(&self.agent, &frame),
            Towards::Agent => oracle.to_agent(&self.agent, &frame),
        }
        let Passage { lost, twice, again, overtakes, at, room } = self.passage(towards);
        if lost {
            oracle.mark(Mark::FrameLost);
            self.end(Towards::Hub);
            self.end(Towards::Agent);
            return Ok(());
        }
        let mut pipe = lock(self.pipe(towards));
        if pipe.ended {
            return Err(SendError::Closed);
        }
        if pipe.frames.len() >= room {
            drop(pipe);
            if towards == Towards::Agent {
                oracle.mark(Mark::SlowReader);
            }
            return Err(SendError::Full);
        }
        if *lock(&self.dead) {
            return Ok(());
        }
        let at = at.max(pipe.last);
        pipe.last = at;
        if twice {
            oracle.mark(Mark::FrameTwice);
            // A hub never repeats a frame by itself, but agents may, and much later.
            let later = if towards == Towards::Hub { again } else { Span(0) };
            pipe.put(at + later, frame.clone());
        }
        pipe.put(at, frame);
        let count = pipe.frames.len();
        // A hub speaks in order, and so does the transport.
        if overtakes && count > 1 && towards == Towards::Hub {
            oracle.mark(Mark::OutOfOrder);
            pipe.overtake();
        }
        if count == 4 && pipe.frames.iter().all(|(due, _)| *due == at) {
            oracle.mark(Mark::Burst);
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Ok(())
    }
}

struct Half {
    link: Arc<Link>,
    towards: Towards,
}

impl Half {
    fn end(&self) {
        // Whoever sends towards the hub reads what goes towards the agent.
        self.link.end(match self.towards {
            Towards::Hub => Towards::Agent,
            Towards::Agent => Towards::Hub,
        });
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Half({}, {:?})", self.link.agent, self.towards)
    }
}

impl Outgoing for Half {
    fn send(&self, frame: String) -> Result<(), SendError> {
        self.link.send(self.towards, frame)
    }

    fn close(&self, reason: CloseReason) {
        let link = &self.link;
        link.net
            .oracle
            .note("close", || format!("{} and hub {}: {reason:?}", link.agent, link.hub));
        if reason == CloseReason::GoingAway {
            link.net.oracle.seen().leaving.insert(link.hub);
        }
        self.end();
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.end();
    }
}

struct Reader {
    link: Arc<Link>,
    towards: Towards,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({}, {:?})", self.link.agent, self.towards)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.link.end(self.towards);
    }
}

#[async_trait]
impl Incoming for Reader {
    async fn recv(&mut self) -> Option<String> {
        let pipe = self.link.pipe(self.towards);
        loop {
            let at = poll_fn(|cx| {
                let mut pipe = lock(pipe);
                match pipe.frames.front() {
                    Some((at, _)) => Poll::Ready(Some(*at)),
                    None if pipe.ended => Poll::Ready(None),
                    None => {
                        pipe.reader = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
            .await?;
            if at > self.link.net.clock.now().mono {
                self.link.net.clock.sleep_until(at).await;
            }
            let frame = lock(pipe).frames.pop_front();
            if let Some((_, frame)) = frame {
                return Some(frame);
            }
        }
    }
}

/// A hub's side.
#[derive(Debug)]
pub(super) struct Listener {
    net: Net,
    hub: u64,
}

#[async_trait]
impl Transport for Listener {
    async fn open(&self) -> Result<Connection, TransportError> {
        poll_fn(|cx| {
            let mut shared = lock(&self.net.shared);
            let Some(door) = shared.hubs.iter_mut().find(|door| door.hub == self.hub) else {
                return Poll::Ready(Err(TransportError::Stopped));
            };
            match door.waiting.pop_front() {
                Some(connection) => Poll::Ready(Ok(connection)),
                None => {
                    door.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// An agent's side.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    net: Net,
    agent: String,
    dialect: Dialect,
}

impl Dialer {
    fn is_cut(&self, shared: &Shared, now: Mono) -> bool {
        let until = |towards| shared.cut.get(&(self.agent.clone(), towards)).copied();
        [Towards::Hub, Towards::Agent].into_iter().filter_map(until).any(|until| until > now)
    }

    /// Whether it may reach an older hub. Where links are well it does so once, as by a name that was
    /// looked up before, and not again: a hub that stands still would keep it away for long.
    fn may_stray(&self, shared: &Shared) -> bool {
        !(self.net.oracle.seen().agents_well && shared.astray.contains(&self.agent))
    }

    fn connection(&self, link: &Arc<Link>, out: Towards, into: Towards) -> Connection {
        Connection {
            dialect: self.dialect,
            peer: format!("sim:{}", self.agent),
            outgoing: Box::new(Half { link: link.clone(), towards: out }),
            incoming: Box::new(Reader { link: link.clone(), towards: into }),
        }
    }
}

#[async_trait]
impl Transport for Dialer {
    async fn open(&self) -> Result<Connection, TransportError> {
        let clock = self.net.clock.clone();
        clock.sleep(Span(5)).await;
        let mut shared = lock(&self.net.shared);
        let count = shared.hubs.len() as u64;
        if count == 0 || self.is_cut(&shared, clock.now().mono) {
            return Err(TransportError::Unreachable("the hub is out of reach".into()));
        }
        let older = count > 1 && shared.rng.below(6) == 0 && self.may_stray(&shared);
        if older {
            shared.astray.insert(self.agent.clone());
        } else {
            shared.astray.remove(&self.agent);
        }
        let at = if older { shared.rng.below(count - 1) } else { count - 1 } as usize;
        if older {
            self.net.oracle.mark(Mark::OldHubReached);
        }
        let link = Arc::new(Link {
            to_hub: Mutex::default(),
            to_agent: Mutex::default(),
            dead: Mutex::default(),
            agent: self.agent.clone(),
            hub: shared.hubs[at].hub,
            net: self.net.clone(),
        });
        shared.links.retain(|link| link.strong_count() > 0);
        shared.links.push(Arc::downgrade(&link));
        let theirs = self.connection(&link, Towards::Agent, Towards::Hub);
        let door = &mut shared.hubs[at];
        door.waiting.push_back(theirs);
        if let Some(hub) = door.waker.take() {
            hub.wake();
        }
        Ok(self.connection(&link, Towards::Hub, Towards::Agent))
    }
}
