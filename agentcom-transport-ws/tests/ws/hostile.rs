//! This file holds what becomes of connections whose other side breaks the rules or reads slowly.

use std::time::Duration;

use agentcom_core::port::transport::{CloseReason, Connection, SendError, Transport as _};
use agentcom_transport_ws::{Limits, ServerLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::{frame, read_close, read_frame, upgraded};
use crate::served::{Served, served, served_with};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

async fn both(served: &Served) -> (TcpStream, Connection) {
    (upgraded(served.address).await, served.transport.open().await.unwrap())
}

async fn closed(connection: &Connection) {
    let closing = async {
        while connection.outgoing.send(String::from("?")) != Err(SendError::Closed) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closing).await.expect("the connection ends");
}

#[tokio::test]
async fn what_breaks_the_rules_is_named_and_ends_only_its_own_connection() {
    let served = served();
    let (mut healthy, mut hub_of_healthy) = both(&served).await;
    let mebibyte = vec![b'x'; 1 << 20];
    let too_long = frame(TEXT, &[&mebibyte[..], b"x"].concat());
    let fragments = [frame(0x01, &mebibyte), frame(0x80, b"x")].concat();
    for (bytes, code, words) in [
        (frame(BINARY, b"{}"), 1003, "frames are text"),
        (frame(TEXT, b"\xff\xfe"), 1007, "the frame is not UTF-8"),
        (too_long, 1009, "the frame is too long"),
        (fragments, 1009, "the frame is too long"),
        (vec![TEXT, 0x02, b'{', b'}'], 1002, "not WebSocket"),
        (frame(0xc1, b"{}"), 1002, "not WebSocket"),
        (frame(0x83, b"{}"), 1002, "not WebSocket"),
        (frame(0x80, b"{}"), 1002, "not WebSocket"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002, "not WebSocket"),
    ] {
        let (mut socket, mut hub) = both(&served).await;
        socket.write_all(&frame(TEXT, b"before")).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        socket.write_all(&frame(TEXT, b"after")).await.unwrap();
        assert_eq!(read_close(&mut socket).await, (code, words.to_owned()));
        assert_eq!(hub.incoming.recv().await.as_deref(), Some("before"));
        assert_eq!(hub.incoming.recv().await, None, "{words}");
        closed(&hub).await;
    }
    healthy.write_all(&frame(TEXT, b"hello")).await.unwrap();
    assert_eq!(hub_of_healthy.incoming.recv().await.as_deref(), Some("hello"));
}

/// A message in so many fragments, of which only the last may hold something.
fn fragmented(count: usize, last: &[u8]) -> Vec<u8> {
    let more = frame(0x00, b"").repeat(count - 2);
    [frame(0x01, b""), more, frame(0x80, last)].concat()
}

#[tokio::test]
async fn a_frame_comes_in_a_thousand_fragments_at_most() {
    let served = served();
    let (mut socket, mut hub) = both(&served).await;
    for word in ["first", "second"] {
        socket.write_all(&fragmented(1_000, word.as_bytes())).await.unwrap();
        assert_eq!(hub.incoming.recv().await.as_deref(), Some(word));
    }
    let bytes = [frame(TEXT, b"before"), fragmented(1_001, b"over"), frame(TEXT, b"after")];
    socket.write_all(&bytes.concat()).await.unwrap();
    let told = (1009, String::from("the frame is in too many fragments"));
    assert_eq!(read_close(&mut socket).await, told);
    assert_eq!(hub.incoming.recv().await.as_deref(), Some("before"));
    assert_eq!(hub.incoming.recv().await, None);
    closed(&hub).await;
}

#[tokio::test]
async fn a_million_fragments_are_refused_long_before_they_end() {
    let served = served();
    for payload in [&b""[..], b"x"] {
        let (mut socket, mut hub) = both(&served).await;
        let more = frame(0x00, payload).repeat(1_000);
        let pouring = async {
            socket.write_all(&frame(0x01, payload)).await.unwrap();
            for _ in 0..1_000 {
                socket.write_all(&more).await.unwrap();
            }
            read_close(&mut socket).await
        };
        let told = timeout(PATIENCE, pouring).await.expect("the connection ends");
        assert_eq!(told, (1009, String::from("the frame is in too many fragments")));
        assert_eq!(hub.incoming.recv().await, None);
    }
}

#[tokio::test]
async fn a_client_may_finish_what_it_says_before_it_reads_why_that_was_too_long() {
    let served = served();
    let (mut socket, _hub) = both(&served).await;
    socket.write_all(&frame(TEXT, &vec![b'x'; 32 << 20])).await.unwrap();
    assert_eq!(read_close(&mut socket).await, (1009, String::from("the frame is too long")));
}

#[tokio::test]
async fn every_reason_of_a_close_reaches_the_wire() {
    let served = served();
    for reason in [
        CloseReason::Normal,
        CloseReason::GoingAway,
        CloseReason::Violation,
        CloseReason::Unauthorised,
        CloseReason::TooSlow,
        CloseReason::Replaced,
    ] {
        let (mut socket, hub) = both(&served).await;
        assert_eq!(hub.outgoing.send(String::from("last")), Ok(()));
        hub.outgoing.close(reason);
        assert_eq!(read_frame(&mut socket).await, (TEXT, b"last".to_vec()));
        assert_eq!(read_close(&mut socket).await, (reason.code(), reason.as_str().to_owned()));
    }
}

#[tokio::test]
async fn a_dropped_connection_ends_without_a_word() {
    let served = served();
    let (mut socket, hub) = both(&served).await;
    drop(hub);
    assert_eq!(read_frame(&mut socket).await, (0x88, Vec::new()));
}

#[tokio::test]
async fn pings_are_answered_and_fragments_joined() {
    let served = served();
    let (mut socket, mut hub) = both(&served).await;
    socket.write_all(&frame(PING, b"there?")).await.unwrap();
    assert_eq!(read_frame(&mut socket).await, (0x8a, b"there?".to_vec()));
    for part in [frame(0x01, b"\xc3"), frame(PING, b""), frame(0x00, b"\xa4"), frame(0x80, b"!")] {
        socket.write_all(&part).await.unwrap();
    }
    assert_eq!(hub.incoming.recv().await.as_deref(), Some("ä!"));
}

#[tokio::test]
async fn a_client_that_vanishes_ends_its_connection() {
    let served = served();
    let (socket, mut hub) = both(&served).await;
    drop(socket);
    assert_eq!(hub.incoming.recv().await, None);
    closed(&hub).await;
    while served.transport.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

fn impatient() -> ServerLimits {
    let link = Limits {
        write_within: Duration::from_millis(200),
        close_within: Duration::from_millis(200),
        ..Limits::default()
    };
    ServerLimits { link, ..ServerLimits::default() }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let served = served_with(impatient());
    let (mut socket, mut hub) = both(&served).await;
    let (mut taken, mut refused) = (0_usize, 0_u32);
    loop {
        match hub.outgoing.send("x".repeat(60_000)) {
            Ok(()) => taken += 60_000,
            Err(SendError::Full) => {
                refused += 1;
                tokio::task::yield_now().await;
            }
            Err(SendError::Closed) => break,
        }
    }
    assert!(refused > 0 && taken < 64 << 20, "{taken} bytes taken, {refused} refusals");
    assert_eq!(hub.incoming.recv().await, None);
    // What the kernel had taken is still there to read, then the connection is over.
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(rest.len() < taken + 10 * (taken / 60_000));
}

/// Writes the same bytes again and again without reading, until the server hangs up.
async fn pour(socket: &mut TcpStream, bytes: &[u8]) {
    let pouring = async { while socket.write_all(bytes).await.is_ok() {} };
    timeout(PATIENCE, pouring).await.expect("the server hangs up");
}

#[tokio::test]
async fn a_client_that_pings_and_does_not_read_is_cut() {
    let served = served_with(impatient());
    let (mut socket, mut hub) = both(&served).await;
    pour(&mut socket, &frame(PING, &[b'x'; 125]).repeat(100)).await;
    assert_eq!(hub.incoming.recv().await, None);
}

#[tokio::test]
async fn a_client_that_never_falls_silent_after_a_violation_is_cut() {
    let served = served_with(impatient());
    let (mut socket, mut hub) = both(&served).await;
    socket.write_all(&frame(BINARY, b"{}")).await.unwrap();
    pour(&mut socket, &[0; 100_000]).await;
    assert_eq!(hub.incoming.recv().await, None);
}

#[tokio::test]
async fn a_client_that_never_falls_silent_after_a_close_is_cut() {
    let served = served_with(impatient());
    let (mut socket, hub) = both(&served).await;
    hub.outgoing.close(CloseReason::Violation);
    pour(&mut socket, &frame(TEXT, b"but").repeat(100)).await;
}

#[tokio::test]
async fn a_client_that_reads_in_time_is_not_cut() {
    let served = served_with(impatient());
    let (mut socket, hub) = both(&served).await;
    let reader = async {
        let mut bytes = vec![0; 1 << 16];
        let mut read = 0;
        while read < 8 << 20 {
            read += socket.read(&mut bytes).await.unwrap();
        }
    };
    let writer = async {
        loop {
            assert_ne!(hub.outgoing.send("x".repeat(60_000)), Err(SendError::Closed));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = reader => {}
        () = writer => {}
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_dropped() {
    let served = served_with(impatient());
    let (mut socket, hub) = both(&served).await;
    hub.outgoing.close(CloseReason::Normal);
    assert_eq!(read_close(&mut socket).await.0, 1000);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_shutdown_says_why_and_ends_even_if_a_client_does_not_read() {
    let served = served_with(impatient());
    let (mut polite, _hub_of_polite) = both(&served).await;
    let (_deaf, hub_of_deaf) = both(&served).await;
    while hub_of_deaf.outgoing.send("x".repeat(60_000)).is_ok() {
        tokio::task::yield_now().await;
    }
    served.transport.shutdown().await;
    assert_eq!(served.transport.connections(), 0);
    assert_eq!(read_close(&mut polite).await, (1012, String::from("the hub restarts")));
    closed(&hub_of_deaf).await;
}

#[tokio::test]
async fn dropping_the_transport_closes_its_connections() {
    let served = served();
    let (mut socket, mut hub) = both(&served).await;
    served.unplug();
    drop(served);
    assert_eq!(read_close(&mut socket).await.0, 1012);
    assert_eq!(hub.incoming.recv().await, None);
}
