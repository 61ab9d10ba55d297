//! This file sends requests whose end somebody could take to be elsewhere: what comes behind one is
//! never taken for another request.

mod corpus;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Server, Serving, rest, start};
use crate::testing::{ADMIN, Hub};
use crate::{Options, router};
use corpus::{corpus, smuggled, start_of_good};

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

#[tokio::test]
async fn no_request_is_taken_for_two() {
    let mut seen = String::new();
    assert!(corpus(ADMIN).count() >= 80);
    for bytes in corpus(ADMIN) {
        let (hub, server) = serving().await;
        let told = told(&server, &format!("{bytes}{}", smuggled(ADMIN))).await;
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
        let good = format!("{}{rest}{}", start_of_good(ADMIN), smuggled(ADMIN));
        assert_eq!(statuses(&told(&server, &good).await), [201, 200]);
        assert!(is_stopped(&hub));
    }
}
