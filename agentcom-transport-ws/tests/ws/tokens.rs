//! This file holds what becomes of a socket when the token that opened it ends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcom_core::change::Genesis;
use agentcom_core::command::{Command, Reply};
use agentcom_core::driver::Handle;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::token::hash_of;
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::port::clock::Clock;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::{Mono, Now, Wall};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::raw::{frame, read_close, read_frame, upgraded};
use crate::served::{Served, served};

const TEXT: u8 = 0x81;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that stands still: what the hub does, it does at once.
#[derive(Debug)]
struct Standing;

#[async_trait::async_trait]
impl Clock for Standing {
    fn now(&self) -> Now {
        Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) }
    }

    async fn sleep_until(&self, _: Mono) {
        std::future::pending().await
    }
}

/// A hub behind a real socket.
struct Hub {
    address: SocketAddr,
    handle: Handle,
    _running: (Mutex<JoinSet<()>>, JoinSet<()>),
}

async fn hub() -> Hub {
    let Served { address, transport, server } = served();
    let store = Arc::new(MemoryDisk::new().open());
    let builder = HubBuilder::new(store, Arc::new(Standing)).transport(Arc::new(transport));
    let genesis = Genesis::random(hash_of("admin")).unwrap();
    let (handle, driver) = builder.open(genesis).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(async move { driver.run().await.unwrap() });
    Hub { address, handle, _running: (server, running) }
}

impl Hub {
    async fn call(&self, command: Command) {
        assert_eq!(self.handle.call(Principal::Admin, command).await, Ok(Reply::Done));
    }

    async fn rotate(&self, token: &str) {
        let id = AgentId::new("a").unwrap();
        self.call(Command::RotateToken { id, token: hash_of(token) }).await;
    }

    /// What the hub says to a plain agent that connects with a token, and the socket.
    async fn identified(&self, token: &str) -> (TcpStream, String) {
        let mut socket = upgraded(self.address).await;
        let said = format!(r#"{{"type":"identify","agent_id":"a","token":"{token}"}}"#);
        let answer = ask(&mut socket, &said).await;
        (socket, answer)
    }
}

/// The answer to a frame.
async fn ask(socket: &mut TcpStream, said: &str) -> String {
    socket.write_all(&frame(TEXT, said.as_bytes())).await.unwrap();
    let (first, payload) = timeout(PATIENCE, read_frame(socket)).await.unwrap();
    assert_eq!(first, TEXT);
    String::from_utf8(payload).unwrap()
}

#[tokio::test]
async fn a_socket_ends_with_the_token_that_opened_it() {
    let hub = hub().await;
    let id = AgentId::new("a").unwrap();
    hub.call(Command::AddAgent { id: id.clone(), token: hash_of("first") }).await;
    let (mut socket, answer) = hub.identified("first").await;
    assert!(answer.contains(r#""type":"identified""#), "{answer}");
    hub.rotate("second").await;
    let answer = ask(&mut socket, r#"{"type":"ping"}"#).await;
    assert!(answer.contains(r#""type":"pong""#), "two tokens are valid at once: {answer}");
    hub.rotate("third").await;
    let over = (4001, String::from("not authorised"));
    assert_eq!(timeout(PATIENCE, read_close(&mut socket)).await, Ok(over.clone()));

    let (_refused, answer) = hub.identified("first").await;
    assert!(answer.contains("invalid_token"), "{answer}");
    let (mut socket, answer) = hub.identified("second").await;
    assert!(answer.contains(r#""type":"identified""#), "{answer}");
    hub.call(Command::RemoveAgent(id)).await;
    assert_eq!(timeout(PATIENCE, read_close(&mut socket)).await, Ok(over));
}
