//! This file holds the cases of *bounded* and *honest*: who does not read is not sent to for ever,
//! and what was taken arrives.

use alloc::format;
use alloc::string::String;

use super::TransportFixture;
use super::words::{connect, pause, recv, recv_all, send};
use crate::port::transport::{CloseReason, Outgoing, SendError};

/// Refusals in a row after which a queue is taken to be stuck.
const STUCK: usize = 500;

fn frame(number: usize) -> String {
    format!("{number:>2000}")
}

/// Sends until nothing moves; returns how many frames were taken.
async fn send_until_stuck(outgoing: &dyn Outgoing, bytes_max: usize) -> usize {
    let (mut taken, mut bytes, mut refused) = (0, 0, 0);
    while refused < STUCK {
        let frame = frame(taken);
        let len = frame.len();
        match outgoing.send(frame) {
            Ok(()) => (taken, bytes, refused) = (taken + 1, bytes + len, 0),
            Err(SendError::Full) => {
                refused += 1;
                pause().await;
            }
            Err(SendError::Closed) => panic!("the connection has ended after {taken} frames"),
        }
        assert!(bytes <= bytes_max, "{bytes} bytes were taken and nobody reads");
    }
    taken
}

/// When the other side does not read, `send` says so, and the bytes on their way are bounded.
pub async fn a_side_that_does_not_read_makes_send_fail(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (from, _to, _transport) = connect(fixture).await.one_way(from_hub);
        let taken = send_until_stuck(&*from.outgoing, fixture.in_flight_max()).await;
        assert!(taken > 0, "an empty queue takes a frame");
    }
}

/// All frames that were taken arrive, those that were refused never do.
pub async fn what_was_taken_arrives_and_what_was_refused_does_not(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        let taken = send_until_stuck(&*from.outgoing, fixture.in_flight_max()).await;
        from.outgoing.close(CloseReason::Normal);
        let arrived = recv_all(&mut *to.incoming).await;
        assert_eq!(arrived.len(), taken);
        assert!(arrived.into_iter().enumerate().all(|(number, text)| text == frame(number)));
    }
}

/// When the other side reads again, there is room again.
pub async fn reading_makes_room_again(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        let taken = send_until_stuck(&*from.outgoing, fixture.in_flight_max()).await;
        for number in 0..taken {
            assert_eq!(recv(&mut *to.incoming).await, frame(number));
        }
        send(&*from.outgoing, String::from("more")).await;
        assert_eq!(recv(&mut *to.incoming).await, "more");
    }
}
