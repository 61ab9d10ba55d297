//! This file holds how sockets fare that do not become a WebSocket, or not soon.

use std::net::SocketAddr;
use std::time::Duration;

use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::Transport as _;
use agentcom_transport_ws::{
    ClientOptions, ServeLimits, ServerLimits, WsClient, WsTransport, listen, serve,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::raw::{ask, status};

struct Serving {
    address: SocketAddr,
    transport: WsTransport,
    stop: oneshot::Sender<()>,
    server: JoinSet<()>,
}

async fn serving(limits: ServeLimits) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, transport) = listen(ServerLimits::default(), AllowList::default());
    let (stop, stopped) = oneshot::channel();
    let mut server = JoinSet::new();
    server.spawn(serve(listener, router, limits, async { drop(stopped.await) }));
    Serving { address, transport, stop, server }
}

fn impatient() -> ServeLimits {
    ServeLimits { head_within: Duration::from_millis(200), ..ServeLimits::default() }
}

async fn hung_up(socket: &mut TcpStream) -> String {
    let mut rest = String::new();
    let _ = socket.read_to_string(&mut rest).await;
    rest
}

#[tokio::test]
async fn who_says_nothing_or_only_half_is_hung_up_on() {
    let served = serving(impatient()).await;
    for begun in ["", "GET", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        socket.write_all(begun.as_bytes()).await.unwrap();
        assert!(!hung_up(&mut socket).await.contains(" 101 "), "{begun}");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = serving(ServeLimits::default()).await;
    let with = |headers: String| format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    for (headers, expected) in [
        ("X: y\r\n".repeat(60), 426),
        ("X: y\r\n".repeat(64), 431),
        (format!("X: {}\r\n", "y".repeat(10_000)), 426),
        (format!("X: {}\r\n", "y".repeat(20_000)), 431),
    ] {
        let (_, head) = ask(served.address, &with(headers)).await;
        assert_eq!(status(&head), expected);
    }
}

#[tokio::test]
async fn sockets_beyond_the_limit_wait_and_web_sockets_do_not_count() {
    let served = serving(ServeLimits { sockets_max: 2, ..impatient() }).await;
    let url = format!("ws://{}/ws", served.address);
    let client = WsClient::new(&url, ClientOptions::default()).unwrap();
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(client.open().await.unwrap());
    }
    let connect = || TcpStream::connect(served.address);
    let _silent = [connect().await.unwrap(), connect().await.unwrap()];
    // It is let in as soon as the silent ones have been hung up on.
    connections.push(client.open().await.unwrap());
    assert_eq!(served.transport.connections(), 11);
}

#[tokio::test]
async fn a_stopped_server_ends_and_its_web_sockets_live_on() {
    let mut served = serving(ServeLimits::default()).await;
    let url = format!("ws://{}/ws", served.address);
    let client = WsClient::new(&url, ClientOptions::default()).unwrap();
    let agent = client.open().await.unwrap();
    let mut hub = served.transport.open().await.unwrap();
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    served.stop.send(()).unwrap();
    served.server.join_next().await.unwrap().unwrap();
    assert_eq!(hung_up(&mut idle).await, "");
    assert!(client.open().await.is_err());
    assert_eq!(agent.outgoing.send(String::from("still here")), Ok(()));
    assert_eq!(hub.incoming.recv().await.as_deref(), Some("still here"));
}
