//! This file is a client that says exactly what it is told to, byte by byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The headers of a good handshake beside `Host`.
pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n";

/// Sends a request and returns the head of the answer.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    (socket, String::from_utf8(head).unwrap())
}

/// The status in the head of an answer.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Opens a WebSocket as a plain client.
pub(crate) async fn upgraded(address: SocketAddr) -> TcpStream {
    let (socket, head) =
        ask(address, &format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n")).await;
    assert_eq!(status(&head), 101, "{head}");
    socket
}

/// A frame as clients send it, with a mask of zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The next short frame of the server: its first byte and its payload.
pub(crate) async fn read_frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let first = socket.read_u8().await.unwrap();
    let len = socket.read_u8().await.unwrap();
    assert!(len < 126, "a short frame that is not masked");
    let mut payload = vec![0; usize::from(len)];
    socket.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

/// The code and the words of a close frame that must come, after which the server hangs up.
pub(crate) async fn read_close(socket: &mut TcpStream) -> (u16, String) {
    let (first, payload) = read_frame(socket).await;
    assert_eq!(first, 0x88, "a close frame");
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    (code, String::from_utf8(payload[2..].to_vec()).unwrap())
}
