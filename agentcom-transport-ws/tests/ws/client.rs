//! This file holds what the client makes of servers that are not as they should be.

use std::net::SocketAddr;
use std::time::Duration;

use agentcom_core::port::transport::{CloseReason, Transport as _, TransportError};
use agentcom_core::wire::Dialect;
use agentcom_transport_ws::{ClientOptions, WsClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::served::served;

/// A server that gives the same answer to everybody and then waits for them to leave.
async fn answering(answer: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            socket.write_all(answer.as_bytes()).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    (address, server)
}

async fn failure(address: SocketAddr) -> String {
    let options =
        ClientOptions { connect_within: Duration::from_millis(300), ..ClientOptions::default() };
    let client = WsClient::new(&format!("ws://{address}/ws"), options).unwrap();
    match client.open().await {
        Err(TransportError::Unreachable(why)) => why,
        Err(TransportError::Full { retry_after }) => format!("full for {retry_after}"),
        Err(TransportError::Stopped) | Ok(_) => panic!("there is no hub"),
    }
}

#[tokio::test]
async fn servers_that_are_no_hub_are_told_apart() {
    for (answer, why) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "the hub answered 403 Forbidden"),
        (
            "HTTP/1.1 301 Moved Permanently\r\nLocation: ws://localhost/ws\r\n\r\n",
            "the hub answered 301 Moved Permanently; redirects are not followed",
        ),
        ("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n", "full for 7 s"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "the hub answered 503 Service Unavailable"),
        ("", "it took too long"),
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "WebSocket protocol error: No \"Upgrade: websocket\" header",
        ),
    ] {
        let (address, _server) = answering(answer).await;
        assert_eq!(failure(address).await, why);
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert!(failure(address).await.contains("refused"));
}

#[tokio::test]
async fn a_client_says_farewell_when_it_is_dropped_or_shut_down() {
    let served = served();
    for dropped in [true, false] {
        let client = served.client(ClientOptions::default());
        let mut agent = client.open().await.unwrap();
        let mut hub = served.transport.open().await.unwrap();
        assert_eq!(agent.outgoing.send(String::from("last")), Ok(()));
        if dropped {
            drop(client);
        } else {
            client.shutdown().await;
            assert_eq!(client.open().await.err(), Some(TransportError::Stopped));
        }
        assert_eq!(hub.incoming.recv().await.as_deref(), Some("last"));
        assert_eq!(hub.incoming.recv().await, None);
        assert_eq!(agent.incoming.recv().await, None);
    }
}

#[tokio::test]
async fn a_hub_that_is_gone_ends_the_agents_connection() {
    let served = served();
    let options = ClientOptions { dialect: Dialect::Plain, ..ClientOptions::default() };
    let client = served.client(options);
    let mut agent = client.open().await.unwrap();
    let hub = served.transport.open().await.unwrap();
    served.unplug();
    hub.outgoing.close(CloseReason::GoingAway);
    assert_eq!(agent.incoming.recv().await, None);
    assert!(matches!(client.open().await, Err(TransportError::Unreachable(_))));
}
