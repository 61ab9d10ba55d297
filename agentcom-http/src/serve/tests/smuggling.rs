//! This file sends requests whose end somebody could take to be elsewhere: what comes behind one is
//! never taken for another request.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Server, Serving, rest, start};
use crate::testing::{ADMIN, Hub};
use crate::{Options, router};

/// What somebody wants to have done by a request that nobody in front of the hub has seen.
const SMUGGLED: &str =
    "PUT /api/admin/estop HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer admin-token\r\n\r\n";

/// Head lines, and a body, behind a good request line with host, token and type. Each is followed by
/// the other request.
const BEHIND_A_GOOD_START: &[&str] = &[
    // two lengths
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "content-length: 2\r\ncontent-length: 200\r\n\r\n{}",
    "content-length: 200\r\ncontent-length: 2\r\n\r\n{}",
    "content-length: 2, 200\r\n\r\n{}",
    "content-length: 2, 2\r\n\r\n{}",
    "content-length: 2\r\ncontent-length: 0\r\n\r\n{}",
    "content-length: 2\r\nx: y\r\ncontent-length: 3\r\n\r\n{}",
    // lengths that are none
    "content-length: +2\r\n\r\n{}",
    "content-length: -2\r\n\r\n{}",
    "content-length: 0x2\r\n\r\n{}",
    "content-length: 2.0\r\n\r\n{}",
    "content-length: 2e0\r\n\r\n{}",
    "content-length: 2 0\r\n\r\n{}",
    "content-length: 2;\r\n\r\n{}",
    "content-length: \"2\"\r\n\r\n{}",
    "content-length: \r\n\r\n{}",
    "content-length: ,2\r\n\r\n{}",
    "content-length: 18446744073709551618\r\n\r\n{}",
    "content-length: \u{664}\r\n\r\n{}",
    "content-length\u{b}: 2\r\n\r\n{}",
    // codings that are none
    "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\u{b}\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: CHUNKED\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    // names that are not quite names
    "transfer-encoding : chunked\r\ncontent-length: 2\r\n\r\n{}",
    "transfer-encoding\t: chunked\r\ncontent-length: 2\r\n\r\n{}",
    " transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "transfer encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "content-length : 2\r\n\r\n{}",
    "x: y\0z\r\ncontent-length: 2\r\n\r\n{}",
    "x\0: y\r\ncontent-length: 2\r\n\r\n{}",
    "no colon\r\ncontent-length: 2\r\n\r\n{}",
    ": no name\r\ncontent-length: 2\r\n\r\n{}",
    // lines that go on, or end in other ways
    "x: y\r\n transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "x: y\r\n\tz\r\ncontent-length: 2\r\n\r\n{}",
    "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "content-length:\r\n 2\r\n\r\n{}",
    "x: y\rtransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "x: y\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "content-length: 2\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\ncontent-length: 2\n\n0\r\n\r\n",
    // chunks that are none
    "transfer-encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2 2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n\r\n",
];

/// Whole beginnings of connections. Each is followed by the other request.
const BEGINNINGS: &[&str] = &[
    "GET /livez\r\n\r\n",
    "GET /livez HTTP/0.9\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/2.0\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/1.10\r\nhost: localhost\r\n\r\n",
    "GET /livez http/1.1\r\nhost: localhost\r\n\r\n",
    "GET  /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez  HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/1.1 \r\nhost: localhost\r\n\r\n",
    "GET\t/livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /li vez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez\0 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "G@T\u{7f} /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    " GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST /api/tasks HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "\u{16}\u{3}\u{1}\r\n\r\n",
];

async fn serving() -> (Hub, Server) {
    let hub = Hub::default();
    let server = start(router(hub.clone(), Options::default()), Serving::default()).await;
    (hub, server)
}

/// What is answered to these bytes, of which nothing comes any more.
async fn told(server: &Server, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may hang up before it has read all of it.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.shutdown().await;
    rest(&mut stream).await
}

fn statuses(told: &str) -> Vec<u16> {
    let heads = told.match_indices("HTTP/1.1 ").map(|(at, _)| &told[at + 9..at + 12]);
    heads.map(|status| status.parse().unwrap()).collect()
}

fn is_stopped(hub: &Hub) -> bool {
    hub.script(|script| script.heard.iter().any(|heard| format!("{heard:?}").contains("Estop")))
}

fn start_of_good() -> String {
    format!(
        "POST /api/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\n"
    )
}

/// The beginnings of connections.
fn corpus() -> impl Iterator<Item = String> {
    let behind = BEHIND_A_GOOD_START.iter().map(|rest| format!("{}{rest}", start_of_good()));
    behind.chain(BEGINNINGS.iter().map(|&bytes| bytes.to_owned()))
}

#[tokio::test]
async fn no_request_is_taken_for_two() {
    let mut seen = String::new();
    assert!(corpus().count() >= 80);
    for bytes in corpus() {
        let (hub, server) = serving().await;
        let told = told(&server, &format!("{bytes}{SMUGGLED}")).await;
        let statuses = statuses(&told);
        let shown = bytes.split_once("application/json\r\n").map_or(&*bytes, |(_, rest)| rest);
        assert!(!is_stopped(&hub), "{shown:?}: {told}");
        assert!(statuses.len() <= 1, "{shown:?}: {told}");
        seen += &format!("{statuses:?} {shown:?}\n");
    }
    expect_test::expect_file!["smuggling.txt"].assert_eq(&seen);
}

#[tokio::test]
async fn what_follows_a_good_request_is_the_next() {
    for rest in [
        "content-length: 2\r\n\r\n{}",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nx: y\r\n\r\n",
    ] {
        let (hub, server) = serving().await;
        let good = format!("{}{rest}", start_of_good());
        assert_eq!(statuses(&told(&server, &format!("{good}{SMUGGLED}")).await), [201, 200]);
        assert!(is_stopped(&hub));
    }
}
