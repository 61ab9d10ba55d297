//! This file is simulated time and a scheduler of futures: one thread, one order, no waiting.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, pending};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
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
    running: BTreeMap<usize, Running>,
}

struct Running {
    future: BoxFuture<'static, ()>,
    alarm: Arc<Alarm>,
    waker: Waker,
    /// Until when it is not polled.
    paused: u64,
    /// How often it is polled before it is killed.
    polls: Option<u64>,
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
    /// The process that is being polled.
    current: usize,
    killed: Vec<usize>,
}

/// The clock of a [`World`], which can also start processes. Clocks may be fast or slow.
#[derive(Clone)]
pub struct SimClock {
    shared: Arc<Mutex<Shared>>,
    /// How many of its milliseconds pass in a second.
    rate: u64,
}

/// The rate of a clock that is neither fast nor slow.
const TRUE_RATE: u64 = 1_000;

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
            current: 0,
            killed: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), running: BTreeMap::new() }
    }

    /// Its clock, which can also start processes.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock { shared: self.shared.clone(), rate: TRUE_RATE }
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

    /// Ends a process after it was polled `polls` more times.
    pub fn kill_after(&mut self, process: Process, polls: u64) {
        self.adopt();
        if let Some(running) = self.running.get_mut(&process.0) {
            running.polls = Some(polls);
        }
    }

    /// Lets a process stand still for a while, as `SIGSTOP` and `SIGCONT` would.
    pub fn pause(&mut self, process: Process, span: Span) {
        self.adopt();
        let mut shared = lock(&self.shared);
        if let Some(running) = self.running.get_mut(&process.0) {
            running.paused = shared.mono + span.0;
            shared.set_timer(running.paused, &running.waker);
        }
    }

    /// Lets all processes that stand still go on, and those live that were to be killed.
    pub fn resume_all(&mut self) {
        self.adopt();
        for running in self.running.values_mut() {
            running.polls = None;
            if running.paused > 0 {
                running.paused = 0;
                running.waker.wake_by_ref();
            }
        }
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
            let queued = AtomicBool::new(true);
            let alarm = Arc::new(Alarm { id, queued, shared: self.shared.clone() });
            let waker = Waker::from(alarm.clone());
            let running = Running { future, alarm, waker, paused: 0, polls: None };
            self.running.insert(id, running);
            shared.ready.push_back(id);
        }
        let killed = core::mem::take(&mut shared.killed);
        drop(shared);
        for id in killed {
            self.running.remove(&id);
        }
    }

    fn poll(&mut self, id: usize) {
        let Some(running) = self.running.get_mut(&id) else { return };
        running.alarm.queued.store(false, Ordering::Relaxed);
        let mut shared = lock(&self.shared);
        if running.paused > shared.mono {
            return;
        }
        shared.current = id;
        drop(shared);
        let killed = running.polls.is_some_and(|polls| polls == 0);
        running.polls = running.polls.map(|polls| polls.saturating_sub(1));
        let done = killed
            || running.future.as_mut().poll(&mut Context::from_waker(&running.waker)).is_ready();
        if done {
            self.running.remove(&id);
        }
    }
}

impl Shared {
    fn set_timer(&mut self, at: u64, waker: &Waker) -> (u64, u64) {
        self.next_timer += 1;
        let timer = (at, self.next_timer);
        self.timers.insert(timer, waker.clone());
        timer
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

struct Alarm {
    id: usize,
    queued: AtomicBool,
    shared: Arc<Mutex<Shared>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.shared).ready.push_back(self.id);
        }
    }
}

impl SimClock {
    /// The same time, as a clock shows it that runs `per_mille` thousandths fast or slow.
    #[must_use]
    pub fn drifting(&self, per_mille: i64) -> Self {
        let rate = TRUE_RATE.saturating_add_signed(per_mille).max(1);
        Self { shared: self.shared.clone(), rate }
    }

    /// Starts a process.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Process {
        let mut shared = lock(&self.shared);
        shared.next_process += 1;
        let id = shared.next_process;
        shared.spawned.push_back((id, Box::pin(future)));
        Process(id)
    }

    /// Kills the process that calls, with all that it was about to do.
    pub async fn kill_self<T>(&self) -> T {
        {
            let mut shared = lock(&self.shared);
            let current = shared.current;
            shared.killed.push(current);
        }
        pending().await
    }

    /// Waits for a while.
    pub fn sleep(&self, span: Span) -> Sleep {
        self.sleep_to(self.now().mono + span)
    }

    fn sleep_to(&self, at: Mono) -> Sleep {
        let at = match self.rate {
            TRUE_RATE => at.0,
            rate => at.0.saturating_mul(TRUE_RATE).div_ceil(rate),
        };
        Sleep { shared: self.shared.clone(), at, timer: None }
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
        let this = &mut *self;
        let mut shared = lock(&this.shared);
        if this.at <= shared.mono {
            return Poll::Ready(());
        }
        match this.timer.and_then(|timer| shared.timers.get_mut(&timer)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => this.timer = Some(shared.set_timer(this.at, cx.waker())),
        }
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
        let mono = match self.rate {
            TRUE_RATE => shared.mono,
            rate => shared.mono.saturating_mul(rate) / TRUE_RATE,
        };
        Now { mono: Mono(mono), wall: Wall(mono.saturating_add(shared.wall_ahead)) }
    }

    async fn sleep_until(&self, at: Mono) {
        self.sleep_to(at).await;
    }
}
