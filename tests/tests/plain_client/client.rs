//! This file is a client of the original: what it says, field by field, and how it listens.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::scene::PATIENCE;

/// A client that says what it is told to.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) token: String,
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Connects without a sub-protocol.
    pub(crate) async fn dial(hub: SocketAddr, name: &str, token: &str) -> Self {
        let request = format!("ws://{hub}/ws").into_client_request().unwrap();
        let stream = TcpStream::connect(hub).await.unwrap();
        let (socket, answer) = client_async(request, stream).await.unwrap();
        assert!(answer.headers().get("sec-websocket-protocol").is_none(), "none was asked for");
        Self { name: name.into(), token: token.into(), socket }
    }

    /// Connects and identifies itself.
    pub(crate) async fn join(hub: SocketAddr, name: &str, token: &str) -> Self {
        let mut client = Self::dial(hub, name, token).await;
        client.identify().await;
        let identified = client.hear("identified").await;
        assert_eq!(identified["agent_id"], name);
        client
    }

    /// Says who it is, with all that the original adds.
    pub(crate) async fn identify(&mut self) {
        self.say(json!({
            "type": "identify", "protocol_version": 1, "agent_id": self.name, "token": self.token,
            "name": self.name, "status": "idle", "capabilities": ["code"],
            "client_type": "sidecar", "ollama_url": null,
            "pm2_info": { "name": "agentcom", "status": "online", "restart_count": 0 },
        }))
        .await;
    }

    /// Sends a frame.
    pub(crate) async fn say(&mut self, mut frame: Value) {
        frame["protocol_version"] = json!(1);
        self.send(frame.to_string()).await;
    }

    /// Sends a text.
    pub(crate) async fn send(&mut self, text: String) {
        timeout(PATIENCE, self.socket.send(Message::text(text))).await.unwrap().unwrap();
    }

    /// Says something about a task, naming no assignment.
    pub(crate) async fn tell(&mut self, kind: &str, task: &str) {
        self.say(json!({ "type": kind, "task_id": task })).await;
    }

    /// The next frame, which must be of this type.
    #[track_caller]
    pub(crate) fn hear(&mut self, kind: &str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let frame = self.next().await;
            let frame = frame.unwrap_or_else(|code| panic!("{caller}: closed with {code:?}"));
            assert_eq!(frame["type"], kind, "{caller}: {frame:#}");
            frame
        }
    }

    /// Checks that the hub has nothing to say.
    pub(crate) async fn hear_nothing(&mut self) {
        // Each frame is a step of the hub; what the first one sets off is said before the second
        // is answered.
        for _ in 0..2 {
            self.say(json!({ "type": "status", "status": "waiting" })).await;
            self.hear("status_updated").await;
        }
    }

    /// Waits until the hub closes the connection, and returns the code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        match self.next().await {
            Ok(frame) => panic!("not closed, but told {frame:#}"),
            Err(code) => code,
        }
    }

    /// The next frame, or the code with which the connection was closed.
    async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the hub is silent");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(reason))) => {
                    return Err(reason.map(|reason| reason.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Takes the next task on, as the original does, and returns its assignment.
    pub(crate) async fn take(&mut self) -> Value {
        let work = self.hear("task_assign").await;
        self.accept(&work).await;
        work
    }

    /// Accepts a task.
    pub(crate) async fn accept(&mut self, work: &Value) {
        self.tell("task_accepted", id(work)).await;
        let ack = self.hear("task_ack").await;
        assert_eq!((&ack["task_id"], &ack["status"]), (&work["task_id"], &json!("accepted")));
    }

    /// Says that a task is done, as the original does.
    pub(crate) async fn complete(&mut self, work: &Value, result: Value) {
        self.say(json!({
            "type": "task_complete", "task_id": work["task_id"], "generation": work["generation"],
            "result": result, "tokens_used": null, "verification_report": null,
            "verification_history": null,
        }))
        .await;
    }

    /// Says that a task is done, and hears that the hub has it.
    pub(crate) async fn finish(&mut self, work: &Value) {
        self.complete(work, json!({ "status": "success", "output": "ok" })).await;
        let ack = self.hear("task_ack").await;
        assert_eq!((&ack["task_id"], &ack["status"]), (&work["task_id"], &json!("complete")));
    }

    /// Says that it works on a task since before it connected, and returns what to do.
    pub(crate) async fn report(&mut self, task: &str, generation: &Value) -> String {
        self.say(json!({
            "type": "state_report", "task_id": task, "status": "working",
            "generation": generation, "assigned_at": 1,
        }))
        .await;
        let ack = self.hear("state_report_ack").await;
        assert_eq!(ack["task_id"], task);
        ack["action"].as_str().unwrap().to_owned()
    }

    /// Says that it found a task after a restart.
    pub(crate) async fn recover(&mut self, task: &str, status: &str) {
        self.say(json!({
            "type": "task_recovering", "task_id": task, "last_status": status,
            "description": "as it was", "metadata": {},
        }))
        .await;
    }

    /// Shows that it is alive.
    pub(crate) async fn ping(&mut self) {
        self.say(json!({ "type": "ping" })).await;
        let pong = self.hear("pong").await;
        assert!(pong["timestamp"].is_u64(), "{pong}");
    }
}

/// The id of the task of an assignment.
pub(crate) fn id(work: &Value) -> &str {
    work["task_id"].as_str().unwrap()
}
