//! This file holds what a server answers to requests, good and bad, over raw sockets.

use agentcom_core::port::transport::{Transport as _, TransportError};
use agentcom_core::time::Span;
use agentcom_transport_ws::{ClientOptions, ServerLimits};
use tokio::io::AsyncReadExt as _;

use crate::raw::{UPGRADE, ask, status};
use crate::served::{served, served_with};

async fn statuses(cases: &[(&str, u16)]) {
    let served = served_with(ServerLimits { refusals_per_second: 1000, ..ServerLimits::default() });
    for (request, expected) in cases {
        let (_, head) = ask(served.address, request).await;
        assert_eq!(status(&head), *expected, "{request}");
    }
}

#[tokio::test]
async fn hosts_and_origins_are_checked_over_the_wire() {
    let request = |headers: &str| format!("GET /ws HTTP/1.1\r\n{headers}{UPGRADE}\r\n");
    let cases = [
        (request("Host: localhost:4000\r\n"), 101),
        (request("Host: 127.0.0.1\r\n"), 101),
        (request("host: [::1]:4000\r\n"), 101),
        (request("Host: localhost:4000\r\nOrigin: http://localhost:4000\r\n"), 101),
        (request(""), 403),
        (request("Host: \r\n"), 403),
        (request("Host: evil.com\r\n"), 403),
        (request("Host: localhost.evil.com\r\n"), 403),
        (request("Host: localhost@evil.com\r\n"), 403),
        (request("Host: evil.com@localhost\r\n"), 403),
        (request("Host: localhost\r\nHost: evil.com\r\n"), 403),
        (request("Host: localhost\r\nHost: localhost\r\n"), 403),
        (request("Host: localhost:4000\r\nOrigin: null\r\n"), 403),
        (request("Host: localhost:4000\r\nOrigin: \r\n"), 403),
        (request("Host: localhost:4000\r\nOrigin: http://localhost:3000\r\n"), 403),
        (request("Host: localhost:4000\r\nOrigin: http://evil.com\r\n"), 403),
        (request("Host: evil.com\r\nOrigin: http://evil.com\r\n"), 403),
        (format!("GET http://evil.com/ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n"), 403),
    ];
    statuses(&cases.each_ref().map(|(request, status)| (request.as_str(), *status))).await;
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_told_what_is_missing() {
    let good = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    let without = |line: &str| good.replace(line, "");
    let cases = [
        (good.clone(), 101),
        (good.replace("Connection: Upgrade", "connection: keep-alive, UPGRADE"), 101),
        (without("Connection: Upgrade\r\n"), 426),
        (without("Upgrade: websocket\r\n"), 426),
        (good.replace("GET", "POST"), 426),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 426),
        (without("Sec-WebSocket-Version: 13\r\n"), 426),
        (good.replace("Version: 13", "Version: 8"), 426),
        (without("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"), 400),
        (good.replace("DA0ODw==", "DA0ODw="), 400),
        (good.replace("DA0ODw==", "DA0ODw!="), 400),
        // The host comes first: a foreign page does not learn more than that.
        (good.replace("GET", "POST").replace("Host: localhost", "Host: evil.com"), 403),
    ];
    statuses(&cases.each_ref().map(|(request, status)| (request.as_str(), *status))).await;
}

#[tokio::test]
async fn the_sub_protocol_is_agreed_on_only_if_it_was_asked_for() {
    let served = served();
    for (asked, agreed) in [
        ("Sec-WebSocket-Protocol: agentcom.v1\r\n", true),
        ("Sec-WebSocket-Protocol: chat, agentcom.v1\r\n", true),
        ("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: agentcom.v1\r\n", true),
        ("Sec-WebSocket-Protocol: agentcom.v2\r\n", false),
        ("", false),
    ] {
        let request = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{asked}{UPGRADE}\r\n");
        let (_, head) = ask(served.address, &request).await;
        assert_eq!(status(&head), 101, "{head}");
        // The key is that of RFC 6455's rules, computed elsewhere.
        assert!(head.contains("sec-websocket-accept: "), "{head}");
        assert_eq!(head.contains("sec-websocket-protocol: agentcom.v1\r\n"), agreed, "{asked}");
        assert!(!head.contains("sec-websocket-extensions"), "nothing is compressed");
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_and_the_end_of_the_connection() {
    let request = format!("GET /ws HTTP/1.1\r\nHost: evil.com\r\n{UPGRADE}\r\n");
    let (mut socket, head) = ask(served().address, &request).await;
    assert!(head.contains("content-type: application/problem+json\r\n"), "{head}");
    let mut body = String::new();
    socket.read_to_string(&mut body).await.unwrap();
    let why = "the request's host is not one that this hub answers to";
    assert_eq!(
        body,
        format!(
            r#"{{"detail":"{why}","error":"{why}","status":403,"title":"Forbidden","type":"about:blank"}}"#
        )
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_another_ends() {
    for limits in [
        ServerLimits { connections_max: 2, ..ServerLimits::default() },
        ServerLimits { per_address_max: 2, ..ServerLimits::default() },
    ] {
        let served = served_with(limits);
        let client = served.client(ClientOptions::default());
        let first = client.open().await.unwrap();
        let _second = client.open().await.unwrap();
        let refused = client.open().await.map(drop);
        assert_eq!(refused, Err(TransportError::Full { retry_after: Span::from_secs(1) }));
        drop(first);
        while client.open().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn connections_that_the_hub_does_not_take_are_bounded() {
    let served = served_with(ServerLimits { backlog: 2, ..ServerLimits::default() });
    let client = served.client(ClientOptions::default());
    let _waiting = [client.open().await.unwrap(), client.open().await.unwrap()];
    assert!(client.open().await.is_err());
    let _taken = served.transport.open().await.unwrap();
    assert!(client.open().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bad_handshakes_disturb_nobody() {
    let served = served();
    let client = served.client(ClientOptions::default());
    let mut agent = client.open().await.unwrap();
    let mut hub = served.transport.open().await.unwrap();
    let bad = tokio::spawn(flood(served.address));
    let mut rounds = 0_u32;
    while !bad.is_finished() {
        assert_eq!(agent.outgoing.send(rounds.to_string()), Ok(()));
        assert_eq!(hub.incoming.recv().await, Some(rounds.to_string()));
        assert_eq!(hub.outgoing.send(rounds.to_string()), Ok(()));
        assert_eq!(agent.incoming.recv().await, Some(rounds.to_string()));
        rounds += 1;
    }
    let [explained, bare] = bad.await.unwrap();
    assert_eq!(explained + bare, 10_000);
    assert!(explained >= 20 && bare > explained, "{explained} explained, {bare} bare");
    assert!(rounds > 100, "{rounds} rounds beside the flood");
    // A good handshake from the very same address is welcome at once.
    assert!(client.open().await.is_ok());
    assert_eq!(served.transport.connections(), 2);
}

/// Sends 10,000 bad handshakes of every kind; counts those answered with a reason and without.
async fn flood(address: std::net::SocketAddr) -> [u32; 2] {
    let good = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    let bad = [
        good.replace("localhost", "evil.com"),
        good.replace("Host: localhost", "Host: localhost\r\nOrigin: http://evil.com"),
        good.replace("Upgrade: websocket\r\n", ""),
        good.replace("Version: 13", "Version: 7"),
    ];
    let mut answers = [0, 0];
    for request in bad.iter().cycle().take(10_000) {
        let (_, head) = ask(address, request).await;
        match status(&head) {
            400 | 403 | 426 => answers[0] += 1,
            429 => answers[1] += 1,
            other => panic!("{other}"),
        }
    }
    answers
}
