//! This file carries the live feed from the hub's loop to its readers.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;
use futures_util::StreamExt;

use crate::view::Event;

use super::FeedItem;

/// How many items a reader may be behind before it is let go.
const BEHIND_MAX: usize = 4_096;

/// A reader of the feed, as the loop sees it.
#[derive(Debug)]
pub(super) struct Listener {
    sender: mpsc::Sender<FeedItem>,
}

impl Listener {
    /// Passes an item on, and says whether the reader still listens.
    pub(super) fn hear(&mut self, item: &FeedItem) -> bool {
        match self.sender.try_send(item.clone()) {
            Ok(()) => true,
            // News about running work may be missed; events may not, so the reader is let go.
            Err(error) => error.is_full() && matches!(item, FeedItem::Progress(_)),
        }
    }
}

/// The two ends of a feed.
pub(super) fn pair() -> (Listener, mpsc::Receiver<FeedItem>) {
    let (sender, receiver) = mpsc::channel(BEHIND_MAX);
    (Listener { sender }, receiver)
}

/// Events of the past, then what is heard live, without repeats and without gaps.
pub(super) struct Follow {
    past: VecDeque<Event>,
    live: mpsc::Receiver<FeedItem>,
    after: u64,
    stopped: Arc<core::sync::atomic::AtomicBool>,
    over: bool,
}

impl Follow {
    pub(super) fn new(
        past: Vec<Event>,
        live: mpsc::Receiver<FeedItem>,
        after: u64,
        stopped: Arc<core::sync::atomic::AtomicBool>,
    ) -> Box<Self> {
        Box::new(Self { past: past.into(), live, after, stopped, over: false })
    }
}

impl Stream for Follow {
    type Item = FeedItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(event) = self.past.pop_front() {
            self.after = event.seq;
            return Poll::Ready(Some(FeedItem::Event(event)));
        }
        loop {
            match self.live.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                // It was told of these by the past.
                Poll::Ready(Some(FeedItem::Event(event))) if event.seq <= self.after => {}
                Poll::Ready(Some(item)) => {
                    if let FeedItem::Event(event) = &item {
                        self.after = event.seq;
                    }
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => {
                    self.over = true;
                    let stopped = self.stopped.load(core::sync::atomic::Ordering::Acquire);
                    let lagged = FeedItem::Lagged { after: self.after };
                    return Poll::Ready((!stopped).then_some(lagged));
                }
            }
        }
    }
}
