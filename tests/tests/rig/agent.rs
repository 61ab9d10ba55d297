//! This file is an agent that says what the test tells it to, frame by frame.

use agentcom_core::port::transport::Connection;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::Rig;
use agentcom_core::port::transport::Transport as _;

/// A connection of an agent.
pub(crate) struct Agent(Connection);

impl Rig {
    /// An agent with a name that is registered connects and says who it is.
    pub(crate) fn connect(&mut self, name: &str, slots: u32) -> Agent {
        let door = self.door.clone();
        let connection = self.ask(door.open()).unwrap();
        let agent = Agent(connection);
        self.say(
            &agent,
            &json!({
                "type": "identify", "agent_id": name, "token": name, "slots": slots,
                "executors": ["shell", "wake"], "boot": "boot-0000000000000001",
            }),
        );
        agent
    }

    /// As [`Rig::connect`], under a name that is registered first.
    pub(crate) fn join(&mut self, name: &str, slots: u32) -> Agent {
        self.register(name);
        self.connect(name, slots)
    }

    /// An agent says something.
    pub(crate) fn say(&mut self, agent: &Agent, frame: &Value) {
        agent.0.outgoing.send(frame.to_string()).unwrap();
        self.turn();
    }

    /// What an agent has been told since it last listened.
    pub(crate) fn hear(&mut self, agent: &mut Agent) -> Vec<Value> {
        self.turn();
        let frames = std::iter::from_fn(|| agent.0.incoming.recv().now_or_never().flatten());
        frames.map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    /// The assignments among what an agent has been told since it last listened.
    pub(crate) fn assigned(&mut self, agent: &mut Agent) -> Vec<Value> {
        let said = self.hear(agent);
        said.into_iter().filter(|frame| frame["type"] == "task_assign").collect()
    }

    /// An agent says something about an assignment.
    pub(crate) fn tell(&mut self, agent: &Agent, kind: &str, work: &Value) {
        let (task, generation) = (&work["task_id"], &work["generation"]);
        self.say(agent, &json!({ "type": kind, "task_id": task, "generation": generation }));
    }

    /// An agent beats, and lists what it holds.
    pub(crate) fn beat(&mut self, agent: &Agent, held: &[&Value]) {
        let held: Vec<_> = held
            .iter()
            .map(|work| json!({ "task_id": work["task_id"], "generation": work["generation"] }))
            .collect();
        self.say(agent, &json!({ "type": "ping", "held": held }));
    }
}
