//! This file is the connection to the hub as the loop sees it: down, being made, up, or ending.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::task::{Context, Poll};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use crate::port::transport::{
    CloseReason, Connection, Incoming, Outgoing, SendError, Transport, TransportError,
};
use crate::sidecar::Input;
use crate::wire::{Frame, ToHub};

type Opening = BoxFuture<'static, Result<Connection, TransportError>>;
type Receiving = BoxFuture<'static, (Box<dyn Incoming>, VecDeque<Frame>)>;

enum State {
    Down,
    Opening(Opening),
    Up(Box<dyn Outgoing>, Receiving),
    /// Closed from this side; what was queued is on its way as long as the sending half lives.
    Ending(Box<dyn Outgoing>, Receiving),
}

/// The connection to the hub.
pub(super) struct Link {
    transport: Arc<dyn Transport>,
    /// Frames of the connection that came in together and were not looked at yet.
    arrived: VecDeque<Frame>,
    state: State,
}

/// Why a frame was not sent.
pub(super) enum NotSent {
    /// It can be missed, or nobody is there.
    Dropped,
    /// It cannot be missed: the connection was given up.
    Broken,
}

impl Link {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, arrived: VecDeque::new(), state: State::Down }
    }

    /// Tries to connect once.
    pub(super) fn open(&mut self) {
        let transport = Arc::clone(&self.transport);
        self.state = State::Opening(async move { transport.open().await }.boxed());
    }

    /// Queues a frame. Where the queue is full, telemetry is dropped and control frames end the
    /// connection: they are sent again on the next.
    pub(super) fn send(&mut self, frame: ToHub) -> Result<(), NotSent> {
        let State::Up(outgoing, _) = &self.state else { return Err(NotSent::Dropped) };
        let is_telemetry = matches!(frame, ToHub::TaskProgress(_) | ToHub::ResourceReport { .. });
        match outgoing.pass(frame.into()) {
            Ok(()) => Ok(()),
            Err(SendError::Full) if is_telemetry => Err(NotSent::Dropped),
            Err(SendError::Full | SendError::Closed) => {
                self.down();
                Err(NotSent::Broken)
            }
        }
    }

    fn down(&mut self) {
        self.arrived.clear();
        self.state = State::Down;
    }

    /// Ends the connection, or the attempt to make one.
    pub(super) fn close(&mut self) {
        self.arrived.clear();
        self.state = match core::mem::replace(&mut self.state, State::Down) {
            State::Up(outgoing, receiving) => {
                outgoing.close(CloseReason::Normal);
                State::Ending(outgoing, receiving)
            }
            State::Ending(outgoing, receiving) => State::Ending(outgoing, receiving),
            State::Down | State::Opening(_) => State::Down,
        };
    }

    /// What the connection has to say.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if let Some(frame) = self.arrived.pop_front() {
            return Poll::Ready(read(frame));
        }
        match &mut self.state {
            State::Down => Poll::Pending,
            State::Opening(opening) => match opening.poll_unpin(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(connection)) => {
                    self.state = State::Up(connection.outgoing, receive(connection.incoming));
                    Poll::Ready(Input::Connected)
                }
                Poll::Ready(Err(error)) => {
                    self.state = State::Down;
                    Poll::Ready(match error {
                        TransportError::Full { retry_after } => Input::Full { retry_after },
                        TransportError::Unreachable(_) | TransportError::Stopped => {
                            Input::Unreachable(error.to_string())
                        }
                    })
                }
            },
            State::Up(_, receiving) => match receiving.poll_unpin(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready((incoming, mut frames)) => {
                    let Some(first) = frames.pop_front() else {
                        self.state = State::Down;
                        return Poll::Ready(Input::Disconnected);
                    };
                    *receiving = receive(incoming);
                    self.arrived = frames;
                    Poll::Ready(read(first))
                }
            },
            State::Ending(_, receiving) => {
                match receiving.poll_unpin(cx) {
                    Poll::Ready((_, frames)) if frames.is_empty() => self.state = State::Down,
                    Poll::Ready((incoming, _)) => {
                        *receiving = receive(incoming);
                        cx.waker().wake_by_ref();
                    }
                    Poll::Pending => {}
                }
                Poll::Pending
            }
        }
    }

    /// Waits until a connection that was closed has ended.
    pub(super) async fn ended(&mut self) {
        while let State::Ending(_, receiving) = &mut self.state {
            match (&mut *receiving).await {
                (_, frames) if frames.is_empty() => self.state = State::Down,
                (incoming, _) => *receiving = receive(incoming),
            }
        }
    }
}

fn receive(mut incoming: Box<dyn Incoming>) -> Receiving {
    async move {
        let frames = incoming.recv_some().await;
        (incoming, frames)
    }
    .boxed()
}

fn read(frame: Frame) -> Input {
    frame.into_to_agent().map_or_else(Input::BadFrame, Input::Frame)
}
