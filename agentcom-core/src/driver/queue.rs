//! This file is the bounded queue of frames that connections are made of.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::port::transport::{CloseReason, Incoming, Outgoing, SendError};
use crate::wire::Frame;

/// How much a [`FrameQueue`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The most frames.
    pub frames: usize,
    /// The most bytes of all frames together; a frame that is longer never fits.
    pub bytes: usize,
}

impl Default for Capacity {
    /// 1,024 frames, since a sidecar that connects again has some to say about each of its slots at
    /// once, and 1 MiB.
    fn default() -> Self {
        Self { frames: 1_024, bytes: 1 << 20 }
    }
}

/// Frames on their way in one direction: bounded, in order, never blocking the sender.
///
/// It takes memory only for what it holds. After its end it still gives what it held, unless it
/// was abandoned. One task may wait to pop and one for room; the last to ask is woken.
#[derive(Debug)]
pub struct FrameQueue {
    capacity: Capacity,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    ended: bool,
    reason: Option<CloseReason>,
    popper: Option<Waker>,
    pusher: Option<Waker>,
}

/// Room that an emptied queue keeps, so that a quiet connection does not allocate for each frame.
const KEPT_FRAMES: usize = 4;

/// The most frames that are taken at once.
const TAKEN_MAX: usize = 64;

impl FrameQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if it does not fit, [`SendError::Closed`] after the end.
    pub fn push(&self, frame: String) -> Result<(), SendError> {
        self.pass(Frame::Text(frame))
    }

    /// Appends a frame that need not be text; it counts as many bytes as [`Frame::weight`] says.
    ///
    /// # Errors
    ///
    /// As [`FrameQueue::push`].
    pub fn pass(&self, frame: Frame) -> Result<(), SendError> {
        let weight = frame.weight();
        let mut state = self.state();
        if state.ended {
            return Err(SendError::Closed);
        }
        if !self.fits(&state, weight) {
            return Err(SendError::Full);
        }
        state.bytes += weight;
        state.frames.push_back(frame);
        let waker = state.popper.take();
        drop(state);
        wake(waker);
        Ok(())
    }

    /// Ends the queue after what it holds. The first end counts.
    pub fn end(&self, reason: Option<CloseReason>) {
        let mut state = self.state();
        if !state.ended {
            state.ended = true;
            state.reason = reason;
        }
        let wakers = [state.popper.take(), state.pusher.take()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }

    /// Ends the queue at once: what it holds is dropped.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.bytes = 0;
        let frames = core::mem::take(&mut state.frames);
        drop(state);
        drop(frames);
        self.end(None);
    }

    /// The next frame as text, or `None` when the queue has ended and is empty.
    pub fn poll_pop(&self, cx: &Context<'_>) -> Poll<Option<String>> {
        let mut state = self.state();
        let Some(frame) = state.frames.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.popper = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= frame.weight();
        if state.frames.is_empty() && state.frames.capacity() > KEPT_FRAMES {
            state.frames.shrink_to(KEPT_FRAMES);
        }
        let waker = state.pusher.take();
        drop(state);
        wake(waker);
        Poll::Ready(Some(frame.into_text()))
    }

    /// The next frames, at most a few dozen, or none when the queue has ended and is empty.
    pub fn poll_pop_some(&self, cx: &Context<'_>) -> Poll<VecDeque<Frame>> {
        let mut state = self.state();
        if state.frames.is_empty() && !state.ended {
            state.popper = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = state.frames.len().min(TAKEN_MAX);
        let behind = state.frames.split_off(taken);
        let frames = core::mem::replace(&mut state.frames, behind);
        state.bytes -= frames.iter().map(Frame::weight).sum::<usize>();
        let waker = state.pusher.take();
        drop(state);
        wake(waker);
        Poll::Ready(frames)
    }

    /// Waits until a frame of `len` bytes fits; `false` if the queue has ended.
    pub fn poll_fits(&self, len: usize, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.ended {
            return Poll::Ready(false);
        }
        if self.fits(&state, len) {
            return Poll::Ready(true);
        }
        state.pusher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the queue has ended; it may still hold frames.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Why it ended, if it has and a reason was given.
    #[must_use]
    pub fn reason(&self) -> Option<CloseReason> {
        self.state().reason
    }

    fn fits(&self, state: &State, len: usize) -> bool {
        let room = self.capacity.bytes.saturating_sub(state.bytes);
        state.frames.len() < self.capacity.frames && len <= room
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Makes the two halves of a connection from its two queues.
///
/// Whoever moves the frames works on the other ends of the queues and sees when the halves are
/// closed or dropped: then `outgoing` ends after what it holds, and `incoming` takes no more.
#[must_use]
pub fn halves(
    outgoing: &Arc<FrameQueue>,
    incoming: &Arc<FrameQueue>,
) -> (Box<dyn Outgoing>, Box<dyn Incoming>) {
    let sending = Sending { to: Arc::clone(outgoing), from: Arc::clone(incoming) };
    let receiving = Receiving { to: Arc::clone(outgoing), from: Arc::clone(incoming) };
    (Box::new(sending), Box::new(receiving))
}

#[derive(Debug)]
struct Sending {
    to: Arc<FrameQueue>,
    from: Arc<FrameQueue>,
}

impl Outgoing for Sending {
    fn send(&self, frame: String) -> Result<(), SendError> {
        self.to.push(frame)
    }

    fn pass(&self, frame: Frame) -> Result<(), SendError> {
        self.to.pass(frame)
    }

    fn close(&self, reason: CloseReason) {
        self.to.end(Some(reason));
        self.from.end(None);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.to.end(None);
        self.from.end(None);
    }
}

#[derive(Debug)]
struct Receiving {
    to: Arc<FrameQueue>,
    from: Arc<FrameQueue>,
}

#[async_trait]
impl Incoming for Receiving {
    async fn recv(&mut self) -> Option<String> {
        poll_fn(|cx| self.from.poll_pop(cx)).await
    }

    async fn recv_some(&mut self) -> VecDeque<Frame> {
        poll_fn(|cx| self.from.poll_pop_some(cx)).await
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.to.end(None);
        self.from.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Ping, ToHub};
    use alloc::string::ToString;

    fn pop(queue: &FrameQueue) -> Poll<Option<String>> {
        queue.poll_pop(&Context::from_waker(Waker::noop()))
    }

    fn fits(queue: &FrameQueue, len: usize) -> Poll<bool> {
        queue.poll_fits(len, &Context::from_waker(Waker::noop()))
    }

    fn small() -> FrameQueue {
        FrameQueue::new(Capacity { frames: 2, bytes: 10 })
    }

    #[test]
    fn a_queue_is_bounded_by_count_and_by_bytes() {
        let queue = small();
        assert_eq!(queue.push("12345678901".to_string()), Err(SendError::Full));
        assert_eq!(queue.push("12345".to_string()), Ok(()));
        assert_eq!(queue.push("678901".to_string()), Err(SendError::Full));
        assert_eq!(queue.push("67890".to_string()), Ok(()));
        assert_eq!(queue.push(String::new()), Err(SendError::Full));
        assert_eq!(pop(&queue), Poll::Ready(Some("12345".to_string())));
        assert_eq!(queue.push(String::new()), Ok(()));
    }

    #[test]
    fn after_its_end_a_queue_gives_what_it_held() {
        let queue = small();
        assert_eq!(pop(&queue), Poll::Pending);
        assert_eq!(queue.push("a".to_string()), Ok(()));
        queue.end(Some(CloseReason::TooSlow));
        queue.end(Some(CloseReason::Normal));
        assert_eq!(queue.push("b".to_string()), Err(SendError::Closed));
        assert_eq!(pop(&queue), Poll::Ready(Some("a".to_string())));
        assert_eq!(pop(&queue), Poll::Ready(None));
        assert_eq!(queue.reason(), Some(CloseReason::TooSlow));
    }

    #[test]
    fn an_abandoned_queue_gives_nothing() {
        let queue = small();
        assert_eq!(queue.push("a".to_string()), Ok(()));
        queue.abandon();
        assert_eq!((pop(&queue), queue.is_ended()), (Poll::Ready(None), true));
    }

    #[test]
    fn room_is_waited_for_until_there_is_some_or_none_will_be() {
        let queue = small();
        assert_eq!((fits(&queue, 10), fits(&queue, 11)), (Poll::Ready(true), Poll::Pending));
        assert_eq!(queue.push("1".to_string()), Ok(()));
        assert_eq!(fits(&queue, 10), Poll::Pending);
        queue.end(None);
        assert_eq!(fits(&queue, 1), Poll::Ready(false));
    }

    #[test]
    fn frames_that_are_no_text_are_taken_as_they_are_or_as_text() {
        let queue = FrameQueue::new(Capacity::default());
        let ping = || Frame::from(ToHub::Ping(Ping::default()));
        for _ in 0..2 {
            assert_eq!(queue.pass(ping()), Ok(()));
        }
        assert_eq!(pop(&queue), Poll::Ready(Some(r#"{"type":"ping"}"#.to_string())));
        let taken = queue.poll_pop_some(&Context::from_waker(Waker::noop()));
        assert_eq!(taken, Poll::Ready(VecDeque::from([ping()])));
        assert_eq!(queue.state().bytes, 0);
    }

    #[test]
    fn frames_that_are_there_together_are_taken_together_up_to_a_bound() {
        let queue = FrameQueue::new(Capacity::default());
        let some = || queue.poll_pop_some(&Context::from_waker(Waker::noop()));
        let counts = || some().map(|taken| taken.len());
        assert_eq!(counts(), Poll::Pending);
        (0..=TAKEN_MAX).for_each(|_| assert_eq!(queue.push("a".to_string()), Ok(())));
        queue.end(None);
        assert_eq!([counts(), counts(), counts()], [TAKEN_MAX, 1, 0].map(Poll::Ready));
    }

    #[test]
    fn a_frame_that_is_no_text_counts_its_payload() {
        let queue = small();
        let status = Frame::from(ToHub::Ping(Ping::default()));
        assert_eq!(queue.pass(status), Err(SendError::Full));
    }
}
