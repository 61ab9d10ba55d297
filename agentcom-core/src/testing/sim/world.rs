//! This file is simulated time and a scheduler of futures: one thread, one order, no waiting.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::task::Wake;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::port::clock::Clock;
use crate::time::{Mono, Now, Span, Wall};

/// Names a future that the world runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(usize);

/// Runs futures under simulated time.
pub struct World {
    shared: Arc<Mutex<Shared>>,
    running: BTreeMap<usize, BoxFuture<'static, ()>>,
}

struct Shared {
    mono: u64,
    /// What the wall clock shows beyond the monotonic one.
    wall_ahead: u64,
    ready: VecDeque<usize>,
    spawned: VecDeque<(usize, BoxFuture<'static, ()>)>,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    next_process: usize,
}

/// The clock of a [`World`].
#[derive(Clone)]
pub struct SimClock {
    shared: Arc<Mutex<Shared>>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world at the beginning of its time, with the wall clock at `wall`.
    #[must_use]
    pub fn new(wall: Wall) -> Self {
        let shared = Shared {
            mono: 1_000,
            wall_ahead: wall.0,
            ready: VecDeque::new(),
            spawned: VecDeque::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            next_process: 0,
        };
        Self { shared: Arc::new(Mutex::new(shared)), running: BTreeMap::new() }
    }

    /// Its clock, which can also start processes.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock { shared: self.shared.clone() }
    }

    /// Starts a process.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) -> Process {
        self.clock().spawn(future)
    }

    /// Ends a process where it stands, as `kill -9` would.
    pub fn kill(&mut self, process: Process) {
        self.adopt();
        self.running.remove(&process.0);
    }

    /// Whether a process has not ended.
    #[must_use]
    pub fn is_running(&self, process: Process) -> bool {
        self.running.contains_key(&process.0)
            || lock(&self.shared).spawned.iter().any(|(id, _)| *id == process.0)
    }

    /// Runs everything until nothing can happen before `end`, and lets it be `end`.
    pub fn run_until(&mut self, end: Mono) {
        loop {
            self.adopt();
            let next = lock(&self.shared).ready.pop_front();
            if let Some(id) = next {
                self.poll(id);
                continue;
            }
            let mut shared = lock(&self.shared);
            match shared.timers.first_key_value().map(|(at, _)| *at) {
                Some(at) if at.0 <= end.0 => {
                    shared.mono = shared.mono.max(at.0);
                    let waker = shared.timers.remove(&at);
                    drop(shared);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                _ => {
                    shared.mono = shared.mono.max(end.0);
                    return;
                }
            }
        }
    }

    /// Lets the wall clock jump.
    pub fn jump(&mut self, ahead: bool, span: Span) {
        let mut shared = lock(&self.shared);
        shared.wall_ahead = match ahead {
            true => shared.wall_ahead.saturating_add(span.0),
            false => shared.wall_ahead.saturating_sub(span.0),
        };
    }

    fn adopt(&mut self) {
        let mut shared = lock(&self.shared);
        while let Some((id, future)) = shared.spawned.pop_front() {
            self.running.insert(id, future);
            shared.ready.push_back(id);
        }
    }

    fn poll(&mut self, id: usize) {
        let Some(future) = self.running.get_mut(&id) else { return };
        let waker = Waker::from(Arc::new(Alarm { id, shared: self.shared.clone() }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.running.remove(&id);
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

struct Alarm {
    id: usize,
    shared: Arc<Mutex<Shared>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let mut shared = lock(&self.shared);
        if !shared.ready.contains(&self.id) {
            shared.ready.push_back(self.id);
        }
    }
}

impl SimClock {
    /// Starts a process.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Process {
        let mut shared = lock(&self.shared);
        shared.next_process += 1;
        let id = shared.next_process;
        shared.spawned.push_back((id, Box::pin(future)));
        Process(id)
    }

    /// Waits for a while.
    pub fn sleep(&self, span: Span) -> Sleep {
        let at = self.now().mono + span;
        Sleep { shared: self.shared.clone(), at: at.0, timer: None }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimClock").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A wait under simulated time.
pub struct Sleep {
    shared: Arc<Mutex<Shared>>,
    at: u64,
    timer: Option<(u64, u64)>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let shared = self.shared.clone();
        let mut shared = lock(&shared);
        if at <= shared.mono {
            return Poll::Ready(());
        }
        let timer = match self.timer {
            Some(timer) => timer,
            None => {
                shared.next_timer += 1;
                (at, shared.next_timer)
            }
        };
        shared.timers.insert(timer, cx.waker().clone());
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            lock(&self.shared).timers.remove(&timer);
        }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Now {
        let shared = lock(&self.shared);
        let wall = Wall(shared.mono.saturating_add(shared.wall_ahead));
        Now { mono: Mono(shared.mono), wall }
    }

    async fn sleep_until(&self, at: Mono) {
        Sleep { shared: self.shared.clone(), at: at.0, timer: None }.await;
    }
}
