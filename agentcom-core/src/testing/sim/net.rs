//! This file is the network between agents and a hub: links that delay, repeat, lose and part.
//!
//! As the contract of transports says, a frame arrives whole and in order, or it and all after it
//! are lost with the connection. Frames may arrive twice, which no transport does but agents do.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::task::{Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::poll_fn;

use super::oracle::Oracle;
use super::world::SimClock;
use crate::port::clock::Clock;
use crate::port::transport::{
    CloseReason, Connection, Incoming, Outgoing, SendError, Transport, TransportError,
};
use crate::rng::Rng;
use crate::time::{Mono, Span};
use crate::wire::Dialect;

/// How bad the links are. Chances are out of 10,000 frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) twice: u64,
    pub(super) delay: Span,
}

/// The most frames on their way in one direction of a connection.
const UNDER_WAY_MAX: usize = 512;

struct Shared {
    rng: Rng,
    weather: Weather,
    /// Until when agents are cut off, by name.
    parted: BTreeMap<String, Mono>,
    /// Connections that the hub has not taken yet; `None` while there is no hub.
    waiting: Option<VecDeque<Connection>>,
    hub: Option<Waker>,
    oracle: Oracle,
}

/// The network.
#[derive(Clone)]
pub(super) struct Net {
    shared: Arc<Mutex<Shared>>,
    clock: SimClock,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    pub(super) fn new(seed: u64, weather: Weather, clock: SimClock, oracle: Oracle) -> Self {
        let shared = Shared {
            rng: Rng::for_purpose(seed, "net", 0),
            weather,
            parted: BTreeMap::new(),
            waiting: None,
            hub: None,
            oracle,
        };
        Self { shared: Arc::new(Mutex::new(shared)), clock }
    }

    /// A hub listens; connections to the one before are not its own.
    pub(super) fn listen(&self) -> Listener {
        lock(&self.shared).waiting = Some(VecDeque::new());
        Listener { net: self.clone() }
    }

    /// The hub is down.
    pub(super) fn down(&self) {
        lock(&self.shared).waiting = None;
    }

    pub(super) fn dialer(&self, agent: &str, dialect: Dialect) -> Dialer {
        Dialer { net: self.clone(), agent: agent.into(), dialect }
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        lock(&self.shared).weather = weather;
    }

    /// Cuts an agent off for a while.
    pub(super) fn part(&self, agent: &str, span: Span) {
        let until = self.clock.now().mono + span;
        lock(&self.shared).parted.insert(agent.into(), until);
    }

    pub(super) fn heal(&self) {
        lock(&self.shared).parted.clear();
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

/// One direction of a connection.
struct Pipe {
    frames: VecDeque<(Mono, String)>,
    ended: bool,
    reader: Option<Waker>,
    last: Mono,
}

struct Link {
    to_hub: Mutex<Pipe>,
    to_agent: Mutex<Pipe>,
    agent: String,
    net: Net,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Towards {
    Hub,
    Agent,
}

impl Link {
    fn pipe(&self, towards: Towards) -> &Mutex<Pipe> {
        match towards {
            Towards::Hub => &self.to_hub,
            Towards::Agent => &self.to_agent,
        }
    }

    /// Ends both directions: what is under way still arrives unless it was lost.
    fn end(&self) {
        for pipe in [&self.to_hub, &self.to_agent] {
            let mut pipe = lock(pipe);
            pipe.ended = true;
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }

    fn send(&self, towards: Towards, frame: String) -> Result<(), SendError> {
        let now = self.net.clock.now().mono;
        let mut shared = lock(&self.net.shared);
        let weather = shared.weather;
        let lost = shared.rng.below(10_000) < weather.loss;
        let twice = shared.rng.below(10_000) < weather.twice;
        let delay = Span(shared.rng.below(weather.delay.0 + 1));
        let parted = shared.parted.get(&self.agent).copied().unwrap_or_default();
        shared.oracle.frame(&self.agent, towards == Towards::Hub, &frame);
        drop(shared);
        if lost {
            self.end();
            return Ok(());
        }
        let mut pipe = lock(self.pipe(towards));
        if pipe.ended {
            return Err(SendError::Closed);
        }
        if pipe.frames.len() >= UNDER_WAY_MAX {
            return Err(SendError::Full);
        }
        let at = (now + delay).max(parted).max(pipe.last);
        pipe.last = at;
        if twice {
            pipe.frames.push_back((at, frame.clone()));
        }
        pipe.frames.push_back((at, frame));
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

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Half({}, {:?})", self.link.agent, self.towards)
    }
}

impl Outgoing for Half {
    fn send(&self, frame: String) -> Result<(), SendError> {
        self.link.send(self.towards, frame)
    }

    fn close(&self, _reason: CloseReason) {
        self.link.end();
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.link.end();
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
        self.link.end();
    }
}

#[async_trait]
impl Incoming for Reader {
    async fn recv(&mut self) -> Option<String> {
        let clock = self.link.net.clock.clone();
        loop {
            let link = self.link.clone();
            let towards = self.towards;
            let at = poll_fn(move |cx| {
                let mut pipe = lock(link.pipe(towards));
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
            clock.sleep_until(at).await;
            let frame = lock(self.link.pipe(self.towards)).frames.pop_front();
            if let Some((_, frame)) = frame {
                return Some(frame);
            }
        }
    }
}

/// The hub's side.
#[derive(Debug)]
pub(super) struct Listener {
    net: Net,
}

#[async_trait]
impl Transport for Listener {
    async fn open(&self) -> Result<Connection, TransportError> {
        let shared = self.net.shared.clone();
        poll_fn(move |cx| {
            let mut shared = lock(&shared);
            match shared.waiting.as_mut() {
                None => Poll::Ready(Err(TransportError::Stopped)),
                Some(waiting) => match waiting.pop_front() {
                    Some(connection) => Poll::Ready(Ok(connection)),
                    None => {
                        shared.hub = Some(cx.waker().clone());
                        Poll::Pending
                    }
                },
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

#[async_trait]
impl Transport for Dialer {
    async fn open(&self) -> Result<Connection, TransportError> {
        let clock = self.net.clock.clone();
        clock.sleep(Span(5)).await;
        let mut shared = lock(&self.net.shared);
        let parted = shared.parted.get(&self.agent).is_some_and(|until| *until > clock.now().mono);
        let Some(waiting) = shared.waiting.as_mut().filter(|_| !parted) else {
            return Err(TransportError::Unreachable("the hub is out of reach".into()));
        };
        let pipe = || {
            let (frames, last) = (VecDeque::new(), Mono(0));
            Mutex::new(Pipe { frames, ended: false, reader: None, last })
        };
        let (agent, net) = (self.agent.clone(), self.net.clone());
        let link = Arc::new(Link { to_hub: pipe(), to_agent: pipe(), agent, net });
        let (ours, theirs) = [(Towards::Hub, Towards::Agent), (Towards::Agent, Towards::Hub)]
            .map(|(out, into)| Connection {
                dialect: self.dialect,
                peer: format!("sim:{}", self.agent),
                outgoing: Box::new(Half { link: link.clone(), towards: out }),
                incoming: Box::new(Reader { link: link.clone(), towards: into }),
            })
            .into();
        waiting.push_back(theirs);
        if let Some(hub) = shared.hub.take() {
            hub.wake();
        }
        Ok(ours)
    }
}
