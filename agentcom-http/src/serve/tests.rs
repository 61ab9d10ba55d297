//! This file tests the server over loopback connections.

mod smuggling;

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Serving, serve};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

async fn start(router: Router, serving: Serving) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let running = tokio::spawn(serve(listener, router, stopped, serving));
    Server { address, stop, running }
}

async fn ask(stream: &mut TcpStream, head: &str) {
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

#[tokio::test]
async fn requests_are_answered() {
    let server = start(hello(), Serving::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, GET).await;
    assert!(rest(&mut stream).await.ends_with("\r\n\r\nhello"));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let serving = Serving { head_within: Duration::from_millis(50), ..Serving::default() };
    let server = start(hello(), serving).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: loc").await;
    let told = rest(&mut stream).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let serving = Serving { head_within: Duration::from_millis(50), ..Serving::default() };
    let server = start(hello(), serving).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, &GET.replace("close", "keep-alive")).await;
    assert!(rest(&mut stream).await.contains("hello"));
}

#[tokio::test]
async fn too_many_and_too_large_headers_are_refused() {
    let server = start(hello(), Serving::default()).await;
    let many: String = (0..70).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(200_000));
    for headers in [many, large] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head =
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        // The server may close before it has read all of this.
        let _ = stream.write_all(head.as_bytes()).await;
        let told = rest(&mut stream).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 431"), "{told}");
    }
}

#[tokio::test]
async fn a_stop_lets_open_requests_finish() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let (go, gone) = tokio::sync::watch::channel(false);
    let router = Router::new().route(
        "/",
        get(move || {
            let (arrived, mut gone) = (arrived.clone(), gone.clone());
            async move {
                arrived.send(()).await.unwrap();
                gone.wait_for(|go| *go).await.unwrap();
                "done"
            }
        }),
    );
    let server = start(router, Serving::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, GET).await;
    arrivals.recv().await.unwrap();
    server.stop.send(()).unwrap();
    go.send(true).unwrap();
    assert!(rest(&mut stream).await.ends_with("done"));
    server.running.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let router = Router::new().route(
        "/",
        get(move || {
            let arrived = arrived.clone();
            async move {
                arrived.send(()).await.unwrap();
                pending::<&str>().await
            }
        }),
    );
    let serving = Serving { stop_within: Duration::from_millis(50), ..Serving::default() };
    let server = start(router, serving).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, GET).await;
    arrivals.recv().await.unwrap();
    server.stop.send(()).unwrap();
    server.running.await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn connections_above_the_bound_wait_for_their_turn() {
    let serving = Serving { connections_max: 1, ..Serving::default() };
    let server = start(hello(), serving).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    ask(&mut first, &GET.replace("close", "keep-alive")).await;
    let mut start = [0; 8];
    first.read_exact(&mut start).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    ask(&mut second, GET).await;
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut start)).await;
    assert!(early.is_err());
    drop(first);
    assert!(rest(&mut second).await.ends_with("hello"));
}

/// Takes a connection over and says back in capitals what it hears first.
async fn take_over(request: Request) -> impl IntoResponse {
    let upgrading = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrading.await.unwrap());
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes.to_ascii_uppercase()).await.unwrap();
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("upgrade", "test"), ("connection", "upgrade")])
}

#[tokio::test]
async fn a_connection_can_be_taken_over() {
    let router = Router::new().route("/", get(take_over));
    let server = start(router, Serving::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, &GET.replace("close", "upgrade\r\nupgrade: test")).await;
    ask(&mut stream, "hello").await;
    let told = rest(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 101") && told.ends_with("HELLO"), "{told}");
}

#[tokio::test]
async fn handlers_learn_the_address_of_the_client() {
    let told = |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.to_string() };
    let server = start(Router::new().route("/", get(told)), Serving::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    ask(&mut stream, GET).await;
    assert!(rest(&mut stream).await.ends_with(&own));
}

#[tokio::test]
async fn handlers_learn_the_address_of_the_client_behind_a_trusted_proxy() {
    let told = |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.to_string() };
    let trusted_proxies = Arc::from([IpAddr::from([127, 0, 0, 1])]);
    let serving = Serving { trusted_proxies, ..Serving::default() };
    let server = start(Router::new().route("/", get(told)), serving).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // A proxy asks for many clients on one connection.
    for client in ["192.0.2.1", "192.0.2.2"] {
        let line = format!("x-forwarded-for: {client}\r\nconnection: keep-alive");
        ask(&mut stream, &GET.replace("connection: close", &line)).await;
    }
    ask(&mut stream, GET).await;
    let said = rest(&mut stream).await;
    let bodies: Vec<&str> = said.split("\r\n\r\n").skip(1).collect();
    assert!(bodies[0].starts_with("192.0.2.1:0HTTP"), "{said}");
    assert!(bodies[1].starts_with("192.0.2.2:0HTTP"), "{said}");
    assert!(bodies[2].starts_with("127.0.0.1:"), "{said}");
}
