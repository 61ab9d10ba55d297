//! This file holds the cases of *cancel safe*: a dropped `recv` or `open` loses nothing.

use alloc::string::{String, ToString};

use futures_util::FutureExt as _;
use futures_util::future::join;

use super::TransportFixture;
use super::words::{connect, pause, recv, send};
use crate::wire::Dialect;

/// Calls of `recv` that are dropped before they are done lose no frame.
pub async fn a_dropped_recv_loses_no_frame(fixture: &impl TransportFixture) {
    const FRAMES: usize = 500;
    let mut both = connect(fixture).await;
    let sending = async {
        for number in 0..FRAMES {
            send(&*both.hub.outgoing, number.to_string()).await;
            pause().await;
        }
    };
    let receiving = async {
        for number in 0..FRAMES {
            let frame = loop {
                match both.agent.incoming.recv().now_or_never() {
                    Some(frame) => break frame,
                    None => pause().await,
                }
            };
            assert_eq!(frame, Some(number.to_string()));
        }
    };
    join(sending, receiving).await;
}

/// Calls of the hub's `open` that are dropped before they are done lose no connection.
pub async fn a_dropped_open_of_the_hub_loses_no_connection(fixture: &impl TransportFixture) {
    let transport = fixture.agent(Dialect::V1);
    for _ in 0..20 {
        assert!(fixture.hub().open().now_or_never().is_none(), "nobody has connected");
        let dropping = async {
            loop {
                match fixture.hub().open().now_or_never() {
                    Some(opened) => break opened.expect("the hub gives a connection"),
                    None => pause().await,
                }
            }
        };
        let (mut hub, agent) = join(dropping, transport.open()).await;
        let agent = agent.expect("the agent reaches the hub");
        send(&*agent.outgoing, String::from("hello")).await;
        assert_eq!(recv(&mut *hub.incoming).await, "hello");
    }
}

/// An agent that gives up while it connects leaves at most a connection that ends at once.
pub async fn a_dropped_open_of_an_agent_leaves_the_hub_able_to_serve(
    fixture: &impl TransportFixture,
) {
    let transport = fixture.agent(Dialect::V1);
    for polls in 0..20 {
        let mut opening = transport.open();
        for _ in 0..polls {
            if (&mut opening).now_or_never().is_some() {
                break;
            }
            pause().await;
        }
    }
    let agent = transport.open().await.expect("the agent reaches the hub");
    send(&*agent.outgoing, String::from("hello")).await;
    loop {
        let mut hub = fixture.hub().open().await.expect("the hub gives a connection");
        if let Some(frame) = hub.incoming.recv().await {
            assert_eq!(frame, "hello");
            return;
        }
    }
}
