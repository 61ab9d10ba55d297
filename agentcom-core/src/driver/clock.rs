//! This file is the system's clock: time from the operating system, alarms from one thread.
//!
//! It needs no async runtime. The thread is started with the first alarm and ends with the clock.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::port::clock::Clock;
use crate::time::{Mono, Now, Span, Wall};

/// The longest sleep of the thread: alarms count suspension, a sleeping thread may not.
const NAP_MAX: Span = Span::from_secs(1);

/// The time of the machine.
#[derive(Debug)]
pub struct SystemClock {
    alarms: Arc<Alarms>,
    ringer: Mutex<Option<JoinHandle<()>>>,
}

impl SystemClock {
    /// The clock of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self { alarms: Arc::default(), ringer: Mutex::new(None) }
    }

    /// Starts the thread that rings, unless it runs.
    fn start_ringer(&self) {
        let mut ringer = locked(&self.ringer);
        if ringer.is_none() {
            let alarms = Arc::clone(&self.alarms);
            *ringer = Some(std::thread::spawn(move || alarms.ring()));
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SystemClock {
    fn drop(&mut self) {
        locked(&self.alarms.book).closed = true;
        self.alarms.changed.notify_one();
        if let Some(ringer) = locked(&self.ringer).take() {
            // The thread has nothing that can panic but wakers, whose panics are not ours.
            let _ = ringer.join();
        }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: mono(), wall: Wall(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)) }
    }

    async fn sleep_until(&self, at: Mono) {
        if at <= mono() {
            return;
        }
        self.start_ringer();
        Sleep { alarms: &self.alarms, at, number: None }.await;
    }
}

/// Time that counts suspension.
#[cfg(target_os = "linux")]
#[expect(clippy::expect_used, reason = "CLOCK_BOOTTIME is there since Linux 2.6.39")]
fn mono() -> Mono {
    use nix::time::{ClockId, clock_gettime};
    let at = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel tells the time");
    Mono(Duration::from(at).as_millis() as u64)
}

/// Time since the first call, as the standard library counts it.
#[cfg(not(target_os = "linux"))]
fn mono() -> Mono {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    Mono(START.get_or_init(Instant::now).elapsed().as_millis() as u64)
}

#[derive(Debug, Default)]
struct Alarms {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    /// Who to wake, by time and then by the order of asking.
    wakers: BTreeMap<(Mono, u64), Waker>,
    next: u64,
    /// When the thread looks again by itself; `None` if only when it is told to.
    looks_at: Option<Mono>,
    /// How often the thread has looked.
    #[cfg(test)]
    looks: u32,
    closed: bool,
}

impl Alarms {
    fn ring(&self) {
        let mut book = locked(&self.book);
        while !book.closed {
            #[cfg(test)]
            {
                book.looks += 1;
            }
            let now = mono();
            let due = book.take_due(now);
            if !due.is_empty() {
                drop(book);
                due.into_iter().for_each(Waker::wake);
                book = locked(&self.book);
                continue;
            }
            let nap = book.wakers.keys().next().map(|&(at, _)| (at - now).min(NAP_MAX));
            book.looks_at = nap.map(|nap| now + nap);
            book = match nap {
                None => self.changed.wait(book).unwrap_or_else(PoisonError::into_inner),
                Some(nap) => {
                    let napped = self.changed.wait_timeout(book, nap.into());
                    napped.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Sets an alarm, under its number if it has one, and tells the thread if it would look too late.
    fn set(&self, now: Mono, at: Mono, number: Option<u64>, waker: &Waker) -> u64 {
        let mut book = locked(&self.book);
        let number = number.unwrap_or(book.next);
        book.next = book.next.max(number + 1);
        book.wakers.insert((at, number), waker.clone());
        // A thread that was to look earlier sleeps through a suspension. To be told for nothing
        // costs as much as a step.
        let in_time = book.looks_at.is_some_and(|looks_at| now <= looks_at && looks_at <= at);
        drop(book);
        if !in_time {
            self.changed.notify_one();
        }
        number
    }
}

impl Book {
    fn take_due(&mut self, now: Mono) -> alloc::vec::Vec<Waker> {
        let later = self.wakers.split_off(&(Mono(now.0 + 1), 0));
        core::mem::replace(&mut self.wakers, later).into_values().collect()
    }
}

struct Sleep<'a> {
    alarms: &'a Alarms,
    at: Mono,
    number: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = mono();
        if self.at <= now {
            return Poll::Ready(());
        }
        self.number = Some(self.alarms.set(now, self.at, self.number, cx.waker()));
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            locked(&self.alarms.book).wakers.remove(&(self.at, number));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use futures_util::future::{join, select};

    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl alloc::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = core::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn time_never_goes_back_and_goes_on() {
        let clock = SystemClock::new();
        let first = clock.now().mono;
        let mut last = first;
        while last - first < Span(3) {
            let now = clock.now().mono;
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn sleeps_end_when_their_time_has_come_and_not_before() {
        let clock = SystemClock::new();
        let at = clock.now().mono + Span(20);
        block_on(join(clock.sleep_until(at), clock.sleep_until(at + Span(5))));
        assert!(clock.now().mono >= at + Span(5));
        assert_eq!(clock.sleep_until(at).now_or_never(), Some(()));
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        let clock = SystemClock::new();
        let now = clock.now().mono;
        let long = clock.sleep_until(now + Span::from_mins(60));
        block_on(select(long, clock.sleep_until(now + Span(5))));
        assert!(locked(&clock.alarms.book).wakers.is_empty());
    }

    #[test]
    fn alarms_that_come_and_go_leave_the_thread_asleep() {
        let clock = SystemClock::new();
        let hour = clock.now().mono + Span::from_mins(60);
        let mut first = core::pin::pin!(clock.sleep_until(hour));
        assert!(first.as_mut().now_or_never().is_none());
        while locked(&clock.alarms.book).looks_at.is_none() {
            std::thread::yield_now();
        }
        for later in 0..10_000 {
            assert!(clock.sleep_until(hour + Span(later)).now_or_never().is_none());
        }
        // It looks by itself once a second.
        assert!(locked(&clock.alarms.book).looks < 100);
    }

    #[test]
    fn an_earlier_alarm_rings_before_a_later_one_that_was_set_first() {
        let clock = SystemClock::new();
        let now = clock.now().mono;
        let long = clock.sleep_until(now + Span::from_mins(60));
        let mut long = core::pin::pin!(long);
        assert!(long.as_mut().now_or_never().is_none());
        block_on(clock.sleep_until(now + Span(5)));
        assert!(clock.now().mono >= now + Span(5));
    }
}
