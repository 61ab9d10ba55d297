//! This file holds the cases of what `open` gives: whose connection it is, and when it is over.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use futures_util::future::{join, join_all};

use super::TransportFixture;
use super::words::{connect, connect_as, recv, send};
use crate::port::transport::{CloseReason, TransportError};
use crate::wire::Dialect;

/// Both sides know which rules the agent follows, and where the other side is.
pub async fn the_hub_learns_the_agents_dialect(fixture: &impl TransportFixture) {
    for dialect in [Dialect::V1, Dialect::Plain] {
        let both = connect_as(fixture, dialect).await;
        assert_eq!((both.hub.dialect, both.agent.dialect), (dialect, dialect));
        assert!(!both.hub.peer.is_empty() && !both.agent.peer.is_empty());
    }
}

/// A hundred connections at once have nothing to do with each other.
pub async fn many_connections_are_kept_apart(fixture: &impl TransportFixture) {
    const AGENTS: usize = 100;
    let transport = fixture.agent(Dialect::V1);
    let hub = async {
        let mut connections = Vec::new();
        for _ in 0..AGENTS {
            connections.push(fixture.hub().open().await.expect("the hub gives a connection"));
        }
        connections
    };
    let opened = join_all((0..AGENTS).map(|_| transport.open()));
    let (mut hubs, agents) = join(hub, opened).await;
    let mut agents: Vec<_> = agents.into_iter().map(|agent| agent.expect("it opens")).collect();
    for (number, agent) in agents.iter().enumerate() {
        send(&*agent.outgoing, format!("{number}")).await;
    }
    for hub in &mut hubs {
        let name = recv(&mut *hub.incoming).await;
        send(&*hub.outgoing, format!("hello {name}")).await;
    }
    // Every other one ends, which the rest does not notice.
    for (number, agent) in agents.iter_mut().enumerate() {
        assert_eq!(recv(&mut *agent.incoming).await, format!("hello {number}"));
        if number % 2 == 0 {
            agent.outgoing.close(CloseReason::Normal);
        }
    }
    for hub in &mut hubs {
        // Refused where the agent has gone already.
        let _ = hub.outgoing.send(String::from("still there?"));
    }
    for agent in agents.iter_mut().skip(1).step_by(2) {
        assert_eq!(recv(&mut *agent.incoming).await, "still there?");
    }
}

/// A transport opens one connection after the other.
pub async fn an_agent_may_come_again(fixture: &impl TransportFixture) {
    for _ in 0..10 {
        let mut both = connect(fixture).await;
        send(&*both.hub.outgoing, String::from("hello")).await;
        assert_eq!(recv(&mut *both.agent.incoming).await, "hello");
    }
}

/// After its shutdown a hub gives no connection, not even one that was waiting, and agents reach
/// it no more.
pub async fn after_its_shutdown_the_hub_gives_no_connection(fixture: &impl TransportFixture) {
    let transport = fixture.agent(Dialect::V1);
    let mut waiting = transport.open().await.expect("the agent reaches the hub");
    fixture.stop_hub().await;
    assert_eq!(waiting.incoming.recv().await, None);
    for _ in 0..3 {
        assert_eq!(fixture.hub().open().await.err(), Some(TransportError::Stopped));
        assert!(transport.open().await.is_err());
    }
}

/// Who waits for a connection learns that there will be none.
pub async fn a_shutdown_wakes_who_waits_for_a_connection(fixture: &impl TransportFixture) {
    let waiting = async { fixture.hub().open().await.err() };
    let (opened, ()) = join(waiting, fixture.stop_hub()).await;
    assert_eq!(opened, Some(TransportError::Stopped));
}
