//! This file holds the cases of *ordered* and *whole*: frames arrive in order and as they were.

use alloc::format;
use alloc::string::{String, ToString};

use futures_util::future::join;

use super::TransportFixture;
use super::words::{connect, recv, send};
use crate::port::transport::{Incoming, Outgoing};

const FRAMES: usize = 5_000;

async fn send_numbers(outgoing: &dyn Outgoing) {
    for number in 0..FRAMES {
        send(outgoing, number.to_string()).await;
    }
}

async fn recv_numbers(incoming: &mut dyn Incoming) {
    for number in 0..FRAMES {
        assert_eq!(recv(incoming).await, number.to_string());
    }
}

/// Thousands of frames arrive in order, whichever side sends.
pub async fn frames_arrive_in_the_order_they_were_sent(fixture: &impl TransportFixture) {
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        join(send_numbers(&*from.outgoing), recv_numbers(&mut *to.incoming)).await;
    }
}

/// A side that sends is not kept from receiving.
pub async fn both_directions_flow_at_once(fixture: &impl TransportFixture) {
    let mut both = connect(fixture).await;
    let there = join(send_numbers(&*both.hub.outgoing), recv_numbers(&mut *both.agent.incoming));
    let back = join(send_numbers(&*both.agent.outgoing), recv_numbers(&mut *both.hub.incoming));
    join(there, back).await;
}

/// Empty frames, control characters and all planes of Unicode arrive as they were sent.
pub async fn frames_arrive_as_they_were_sent(fixture: &impl TransportFixture) {
    let planes: String = (0..=0x10_ffff_u32).step_by(251).filter_map(char::from_u32).collect();
    let frames =
        ["", " ", "\0", "{\"type\":\"ping\"}\r\n", "äöü ß 漢字 🦀", "\u{feff}\u{202e}", &planes];
    for from_hub in [true, false] {
        let (from, mut to, _transport) = connect(fixture).await.one_way(from_hub);
        for frame in frames {
            send(&*from.outgoing, frame.to_string()).await;
            assert_eq!(recv(&mut *to.incoming).await, frame);
        }
    }
}

/// Frames of 1 MiB arrive whole, also when both sides send one at the same time.
pub async fn frames_of_one_mebibyte_arrive_whole(fixture: &impl TransportFixture) {
    let long = |seed: char| -> String {
        let mut frame: String = format!("{seed}-äö").chars().cycle().take(600_000).collect();
        frame.push_str(&"x".repeat((1 << 20) - frame.len()));
        frame
    };
    let (hubs, agents) = (long('h'), long('a'));
    assert_eq!((hubs.len(), agents.len()), (1 << 20, 1 << 20));
    let mut both = connect(fixture).await;
    for _ in 0..3 {
        let sent = join(
            send(&*both.hub.outgoing, hubs.clone()),
            send(&*both.agent.outgoing, agents.clone()),
        );
        let received = join(recv(&mut *both.hub.incoming), recv(&mut *both.agent.incoming));
        let (_, (at_hub, at_agent)) = join(sent, received).await;
        assert!(at_hub == agents && at_agent == hubs, "a frame has changed on its way");
    }
}
