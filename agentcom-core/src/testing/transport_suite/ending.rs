//! This file holds the cases of *ending*: the other side reads what was sent before, then nothing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::TransportFixture;
use super::words::{closed, connect, pause, recv, recv_all};
use crate::port::transport::{CloseReason, Connection, SendError};

const FRAMES: usize = 100;

/// Sends frames, lets `end` end the connection, and sees them arrive and the other side closed.
async fn ends_after_what_was_sent(fixture: &impl TransportFixture, end: fn(Connection)) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        let sent: Vec<_> = (0..FRAMES).map(|number| number.to_string()).collect();
        for frame in &sent {
            assert_eq!(from.outgoing.send(frame.clone()), Ok(()));
        }
        end(from);
        assert_eq!(recv_all(&mut *to.incoming).await, sent);
        closed(&*to.outgoing).await;
    }
}

/// A close comes after what is queued, for each reason.
pub async fn closing_delivers_what_was_sent_before(fixture: &impl TransportFixture) {
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::Normal)).await;
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::GoingAway)).await;
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::Violation)).await;
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::Unauthorised)).await;
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::TooSlow)).await;
    ends_after_what_was_sent(fixture, |from| from.outgoing.close(CloseReason::Replaced)).await;
}

/// Dropping the sending half first is as good as a close.
pub async fn dropping_the_sending_half_delivers_what_was_sent_before(
    fixture: &impl TransportFixture,
) {
    ends_after_what_was_sent(fixture, |from| {
        drop(from.outgoing);
        drop(from.incoming);
    })
    .await;
}

/// Dropping both halves is as good as a close, in whatever order.
pub async fn dropping_a_connection_delivers_what_was_sent_before(fixture: &impl TransportFixture) {
    ends_after_what_was_sent(fixture, drop).await;
    ends_after_what_was_sent(fixture, |from| {
        drop(from.incoming);
        drop(from.outgoing);
    })
    .await;
}

/// Who drops the receiving half can send no more, and the other side sees the end.
pub async fn dropping_the_receiving_half_ends_the_connection(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        assert_eq!(from.outgoing.send(String::from("last")), Ok(()));
        drop(from.incoming);
        assert_eq!(from.outgoing.send(String::from("too late")), Err(SendError::Closed));
        assert_eq!(recv_all(&mut *to.incoming).await, ["last"]);
        closed(&*to.outgoing).await;
    }
}

/// Who closes can send no more, and its own `recv` ends.
pub async fn after_a_close_the_own_side_is_closed_too(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (mut from, _to, _transport) = connect(fixture).await.one_way(from_hub);
        from.outgoing.close(CloseReason::Normal);
        assert_eq!(from.outgoing.send(String::from("too late")), Err(SendError::Closed));
        assert_eq!(from.incoming.recv().await, None);
    }
}

/// After `None` comes `None`, and closing twice is closing once.
pub async fn an_end_stays_an_end(fixture: &impl TransportFixture) {
    let mut both = connect(fixture).await;
    both.hub.outgoing.close(CloseReason::Replaced);
    both.hub.outgoing.close(CloseReason::Normal);
    for _ in 0..3 {
        assert_eq!(both.agent.incoming.recv().await, None);
        assert_eq!(both.hub.incoming.recv().await, None);
    }
}

/// Frames that cross a close are lost, but not those that were sent before it.
pub async fn what_the_other_side_sent_before_it_learnt_of_the_end_does_no_harm(
    fixture: &impl TransportFixture,
) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        assert_eq!(to.outgoing.send(String::from("crossing")), Ok(()));
        assert_eq!(from.outgoing.send(String::from("last")), Ok(()));
        from.outgoing.close(CloseReason::Normal);
        for _ in 0..50 {
            let _ = to.outgoing.send(String::from("crossing"));
            pause().await;
        }
        assert_eq!(recv(&mut *to.incoming).await, "last");
        assert_eq!(to.incoming.recv().await, None);
    }
}
