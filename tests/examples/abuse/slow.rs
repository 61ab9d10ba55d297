//! This file opens sockets that are slow on purpose, and measures what a healthy client feels.

use std::time::{Duration, Instant};

use agentcom_tests::proof::Outcome;
use agentcom_tests::real::api::Api;
use agentcom_tests::real::process::{Program, Swept, Up, within};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::crowd::{allow_sockets, p99, runtime};

/// How slow they are.
const BYTE_EVERY: Duration = Duration::from_secs(10);
/// How often a socket that does not read finds out whether it is still connected.
const POKE_EVERY: Duration = Duration::from_secs(5);
/// How long the hub has to get rid of a socket: its longest patience is 30 s, for those that do
/// not read.
const CLOSED_WITHIN: Duration = Duration::from_secs(90);
/// What a healthy client does to be measured, for how long.
const MEASURED: Duration = Duration::from_secs(10);
/// Below this a latency is the machine's and not the hub's.
const NOISE: Duration = Duration::from_millis(5);
/// The most memory that the hub may spend on each socket, in KiB.
const MEMORY_MAX_KIB: u64 = 256;
/// Tasks in the answer that a socket asks for and does not read, and bytes of each.
const TASKS: usize = 30;
const BYTES: usize = 2_000;

/// How long it takes to open all of them: they are to be slow, and not a flood.
const OPENING: Duration = Duration::from_secs(10);

/// In which way a socket is slow.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It never ends the head of its request.
    Head,
    /// It never says which agent it is.
    Nameless,
    /// It never ends the body of its request.
    Body,
    /// It does not read what it asked for.
    Unread,
}

const WAYS: [Way; 4] = [Way::Head, Way::Nameless, Way::Body, Way::Unread];

pub(crate) fn run(program: &Program, sockets: u64) -> Outcome {
    allow_sockets(sockets);
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let dir = swept.0.path();
    let up = Up::start(program, dir, &["--agents", "0"]);
    let api = up.api(dir);
    let large = json!({ "shell": "true", "description": "x".repeat(BYTES) });
    assert!(api.submit(&vec![large; TASKS]).is_some(), "the hub acknowledges");
    let before = healthy(&api, MEASURED);
    let memory_before = up.process.memory_kib();
    let runtime = runtime();
    let mut crowd = JoinSet::new();
    let _inside = runtime.enter();
    for number in 0..sockets {
        let way = WAYS[usize::try_from(number).unwrap_or_default() % WAYS.len()];
        let (api, after) = (api.clone(), OPENING * number as u32 / sockets as u32);
        crowd.spawn(async move {
            sleep(after).await;
            socket(api, way).await
        });
    }
    let mut memory = 0;
    let mut during = Vec::new();
    let began = Instant::now();
    while began.elapsed() < 3 * MEASURED {
        during.extend(healthy(&api, Duration::from_secs(1)));
        memory = memory.max(up.process.memory_kib());
    }
    let mut told = [0_u64; 3];
    runtime.block_on(async {
        while let Some(ended) = crowd.join_next().await {
            told[ended.expect("a socket does not panic") as usize] += 1;
        }
    });
    let [typed, closed, open] = told;
    let (before, during) = (p99(before), p99(during));
    let each = memory.saturating_sub(memory_before) / sockets;
    let figures = json!({
        "slow_sockets": sockets,
        "slow_closed_with_a_reason": typed,
        "slow_closed": closed,
        "slow_left_open": open,
        "slow_memory_each_kib": each,
        "slow_healthy_p99_before_us": before.as_micros() as u64,
        "slow_healthy_p99_during_us": during.as_micros() as u64,
    });
    let wrongs = [
        (open > 0, format!("{open} slow sockets are left open")),
        (each > MEMORY_MAX_KIB, format!("{each} KiB for each slow socket")),
        (
            during > 2 * before.max(NOISE),
            format!("slow sockets slow a healthy client down from {before:?} to {during:?}"),
        ),
    ];
    let found = wrongs.into_iter().filter_map(|(wrong, what)| wrong.then_some(what));
    Outcome::new(figures, found.collect())
}

/// What came of a slow socket.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// The hub said why.
    Typed = 0,
    /// It was closed without a word.
    Closed = 1,
    /// It is still open.
    Open = 2,
}

async fn socket(api: Api, way: Way) -> Ended {
    let Ok(mut stream) = connect(&api).await else { return Ended::Closed };
    let Api { listen, token } = &api;
    let authorised = format!("host: {listen}\r\nauthorization: Bearer {token}\r\n");
    let begin = match way {
        Way::Head => "G".into(),
        Way::Nameless => format!(
            "GET /ws HTTP/1.1\r\nhost: {listen}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             sec-websocket-protocol: {}\r\n\r\n",
            agentcom_core::wire::PROTOCOL
        ),
        Way::Body => format!(
            "POST /api/tasks HTTP/1.1\r\n{authorised}content-type: application/json\r\n\
             content-length: 1000\r\n\r\n{{"
        ),
        Way::Unread => format!("GET /api/tasks?limit={TASKS} HTTP/1.1\r\n{authorised}\r\n"),
    };
    // What cannot be written is read as the end.
    let _ = timeout(CLOSED_WITHIN, stream.write_all(begin.as_bytes())).await;
    match timeout(CLOSED_WITHIN, drip(&mut stream, way)).await {
        Ok(said) if said.is_empty() => Ended::Closed,
        Ok(_) => Ended::Typed,
        Err(_) => Ended::Open,
    }
}

async fn connect(api: &Api) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // What is not read waits in the hub and not here.
    socket.set_recv_buffer_size(4_096)?;
    socket.connect(api.listen.parse().map_err(std::io::Error::other)?).await
}

/// Sends a byte now and then until the hub ends the connection, and returns what it said last.
async fn drip(stream: &mut TcpStream, way: Way) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let reads = match way {
            Way::Head | Way::Nameless | Way::Body => true,
            Way::Unread => false,
        };
        tokio::select! {
            read = stream.read(&mut buffer), if reads => match read {
                Ok(0) | Err(_) => return said,
                Ok(length) => {
                    // The answer to the handshake is no reason to close.
                    let upgrade = buffer.starts_with(b"HTTP/1.1 101");
                    if !upgrade { said.extend(&buffer[..length]); }
                }
            },
            () = sleep(if reads { BYTE_EVERY } else { POKE_EVERY }) => {
                let byte: &[u8] = match way {
                    Way::Head => b"x",
                    Way::Body => b" ",
                    // A frame of a WebSocket that never gets longer than its first byte.
                    Way::Nameless => b"",
                    Way::Unread => b"G",
                };
                if stream.write_all(byte).await.is_err() { return said }
            }
        }
    }
}

/// How long each answer to a healthy client took.
fn healthy(api: &Api, span: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let mut took = Vec::new();
    let _until = within(span, || {
        let asked = Instant::now();
        let answer = api.ask("GET", "/api/stats", None);
        assert!(matches!(answer, Ok((200, _))), "a healthy client is served: {answer:?}");
        took.push(asked.elapsed());
        began.elapsed() >= span
    });
    took
}
