//! This file moves the frames of one connection between its queues and its socket.
//!
//! One task does both directions, so that a side that only writes cannot keep the other from
//! being read, and so that an idle connection costs little.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::future::poll_fn;
use std::sync::Arc;

use agentcom_core::driver::queue::{FrameQueue, halves};
use agentcom_core::port::transport::{CloseReason, Connection};
use agentcom_core::wire::Dialect;
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::fragments::{Counting, TooMany};
use crate::limits::Limits;

/// Moves that a connection makes before it lets others have their turn.
const TURN: usize = 32;

/// The two queues of a connection and its bounds.
#[derive(Debug)]
pub(crate) struct Queues {
    out: Arc<FrameQueue>,
    received: Arc<FrameQueue>,
    limits: Arc<Limits>,
}

impl Queues {
    /// The queues, and the connection that works on their other ends.
    pub(crate) fn open(limits: &Arc<Limits>, dialect: Dialect, peer: String) -> (Self, Connection) {
        let out = Arc::new(FrameQueue::new(limits.queue));
        let received = Arc::new(FrameQueue::new(limits.received()));
        let (outgoing, incoming) = halves(&out, &received);
        let connection = Connection { dialect, peer, outgoing, incoming };
        (Self { out, received, limits: Arc::clone(limits) }, connection)
    }

    pub(crate) fn websocket(&self) -> WebSocketConfig {
        self.limits.websocket()
    }
}

impl Queues {
    /// The socket, which counts fragments from its first frame on; `read` was read of it already.
    pub(crate) fn counting<S>(&self, read: &[u8], socket: S) -> Counting<S> {
        Counting::after(read, socket, self.limits.fragments_max)
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.received.end(None);
        self.out.abandon();
    }
}

/// Moves frames until the connection has ended; when `stop` is cancelled, ends it with `farewell`.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    queues: Queues,
    stop: CancellationToken,
    farewell: CloseReason,
) {
    let mut link =
        Link { socket, queues, phase: Phase::Open, unflushed: false, write_by: None, end_by: None };
    let mut stopped = core::pin::pin!(stop.cancelled_owned());
    let mut stopping = false;
    poll_fn(|cx| {
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            link.queues.out.end(Some(farewell));
            link.queues.received.end(None);
        }
        link.poll(cx)
    })
    .await;
}

#[derive(Debug)]
struct Link<S> {
    socket: WebSocketStream<S>,
    queues: Queues,
    phase: Phase,
    /// Whether the library holds bytes that the socket has not taken.
    unflushed: bool,
    write_by: Option<Pin<Box<Sleep>>>,
    end_by: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Frames move.
    Open,
    /// One side has said that it closes; what still comes is dropped until the other has too.
    Closing,
    /// The other side broke the protocol, so what comes can no longer be read. It is drained all
    /// the same: closing a socket with unread bytes resets it, and the reason would be lost.
    Draining,
    /// The socket can be dropped.
    Ended,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            let wrote = self.poll_write(cx);
            let read = self.poll_read(cx);
            if self.phase == Phase::Ended {
                return Poll::Ready(());
            }
            if wrote.is_pending() && read.is_pending() {
                return self.poll_deadlines(cx);
            }
        }
        // Who never falls silent is not spared the deadlines.
        let over = self.poll_deadlines(cx);
        cx.waker().wake_by_ref();
        over
    }

    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase == Phase::Open && self.queues.out.is_ended() {
            self.arm_end();
        }
        for sleep in [&mut self.write_by, &mut self.end_by].into_iter().flatten() {
            if sleep.as_mut().poll(cx).is_ready() {
                tracing::debug!("the other side is too slow; the connection is cut");
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Makes one move towards the socket; ready if it did.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.unflushed {
            let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
            self.unflushed = false;
            self.write_by = None;
            if flushed.is_err() {
                self.phase = Phase::Ended;
            }
            return Poll::Ready(());
        }
        match self.phase {
            Phase::Open => self.poll_batch(cx),
            Phase::Closing | Phase::Draining | Phase::Ended => Poll::Pending,
        }
    }

    /// Hands frames to the library until there are enough for one write.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = 0;
        while bytes < Limits::BATCH {
            match self.queues.out.poll_pop(cx) {
                Poll::Ready(Some(frame)) => {
                    // Empty frames take room as well: their headers.
                    bytes += frame.len() + 16;
                    self.give(Message::text(frame));
                }
                Poll::Ready(None) => {
                    self.give(Message::Close(self.queues.out.reason().map(spoken)));
                    self.phase =
                        if self.phase == Phase::Ended { Phase::Ended } else { Phase::Closing };
                    self.arm_end();
                    break;
                }
                Poll::Pending if bytes == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }

    fn give(&mut self, message: Message) {
        if Pin::new(&mut self.socket).start_send(message).is_err() {
            self.phase = Phase::Ended;
        }
        self.expect_flush();
    }

    fn expect_flush(&mut self) {
        if !self.unflushed {
            self.unflushed = true;
            let by = Instant::now() + self.queues.limits.write_within;
            self.write_by = Some(Box::pin(sleep_until(by)));
        }
    }

    /// Makes one move from the socket; ready if it did.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.phase {
            Phase::Open => {
                // An ended queue takes nothing, but the socket is read on: its end must be seen.
                let _ =
                    ready!(self.queues.received.poll_fits(self.queues.limits.frame_bytes_max, cx));
                let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
                self.take(message);
            }
            Phase::Closing => match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.phase = Phase::Ended,
            },
            Phase::Draining => {
                let mut bytes = [0; 2048];
                let mut bytes = ReadBuf::new(&mut bytes);
                let read = ready!(Pin::new(self.socket.get_mut()).poll_read(cx, &mut bytes));
                if read.is_err() || bytes.filled().is_empty() {
                    self.phase = Phase::Ended;
                }
            }
            Phase::Ended => return Poll::Pending,
        }
        Poll::Ready(())
    }

    fn take(&mut self, message: Option<Result<Message, Error>>) {
        match message {
            Some(Ok(Message::Text(text))) => {
                // Refused only when nobody is there to receive it: room was made sure of before.
                let _ = self.queues.received.push(text.as_str().to_owned());
            }
            Some(Ok(Message::Binary(_))) => {
                self.refuse(CloseCode::Unsupported, "frames are text");
            }
            // The library has an answer to write, and who pings and does not read is too slow.
            Some(Ok(Message::Ping(_))) => self.expect_flush(),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) => {
                self.shut();
                // The library has an answer to write.
                self.unflushed = true;
                self.phase = Phase::Closing;
            }
            Some(Err(error)) => match breach(&error) {
                Some((code, reason)) => self.refuse(code, reason),
                None => self.phase = Phase::Ended,
            },
            None => self.phase = Phase::Ended,
        }
    }

    fn refuse(&mut self, code: CloseCode, reason: &'static str) {
        self.shut();
        let reason = Utf8Bytes::from_static(reason);
        self.give(Message::Close(Some(CloseFrame { code, reason })));
        if self.phase != Phase::Ended {
            self.phase = Phase::Draining;
        }
    }

    fn shut(&mut self) {
        self.queues.received.end(None);
        self.queues.out.abandon();
        self.arm_end();
    }

    fn arm_end(&mut self) {
        if self.end_by.is_none() {
            let by = Instant::now() + self.queues.limits.close_within;
            self.end_by = Some(Box::pin(sleep_until(by)));
        }
    }
}

/// What is said to a side that broke the protocol (RFC 6455, 7.4.1); `None` if nobody is there.
fn breach(error: &Error) -> Option<(CloseCode, &'static str)> {
    match error {
        Error::Io(error) if error.get_ref().is_some_and(|error| error.is::<TooMany>()) => {
            Some((CloseCode::Size, "the frame is in too many fragments"))
        }
        Error::Capacity(_) => Some((CloseCode::Size, "the frame is too long")),
        Error::Utf8(_) => Some((CloseCode::Invalid, "the frame is not UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some((CloseCode::Protocol, "not WebSocket")),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => None,
    }
}

fn spoken(reason: CloseReason) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(reason.code()),
        reason: Utf8Bytes::from_static(reason.as_str()),
    }
}
