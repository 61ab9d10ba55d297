//! This file lists the frames that agents send.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::endpoint::{Announced, Fault};
use crate::id::{Boot, Incarnation, Lease, TaskId};
use crate::json::{Json, cut_to_fit};
use crate::ledger::Call;
use crate::question::Choices;
use crate::sandbox::Report as SandboxReport;
use crate::task::{Category, Traces};
use crate::time::Span;

/// A frame from an agent. `Deserialize` is by hand, in [`read_to_hub`](super::read_to_hub), since
/// payloads are kept as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHub {
    /// Who speaks; the first frame of a connection.
    Identify(Identify),
    /// It is alive, and holds these leases.
    Ping(Ping),
    /// It takes a task on.
    TaskAccepted(Accepted),
    /// It works on a task.
    TaskProgress(Progress),
    /// It is done.
    TaskComplete(Complete),
    /// It failed.
    TaskFailed(Failed),
    /// It has no room for a task.
    TaskRejected(Rejection),
    /// It gives a task back without having failed (v1).
    TaskReleased(Released),
    /// It says that nobody needs a task any more (v1).
    TaskWithdrawn(Withdrawn),
    /// It asks a person (v1).
    TaskQuestion(Asked),
    /// It asks leave to make a call that costs money (v1).
    SpendReserve(SpendCall),
    /// It says what a call came to (v1).
    SpendUsed(SpendCall),
    /// It found an unfinished task after a restart (plain).
    TaskRecovering(Recovering),
    /// It holds this task since before it connected.
    StateReport(Report),
    /// How waking its session went (plain).
    WakeResult(WakeResult),
    /// It is about to restart itself.
    AgentRestarting {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It takes no more work and leaves when it is done (v1).
    AgentDraining {},
    /// What it says of itself, for people.
    Status {
        /// Free text.
        status: String,
    },
    /// Who else is there?
    ListAgents {},
    /// How its host is doing.
    ResourceReport {
        /// The fields of the frame, as sent; ours are [`Figures`](super::Figures).
        #[serde(flatten, serialize_with = "fields")]
        figures: Json,
    },
    /// Where its models are.
    OllamaReport {
        /// The address.
        ollama_url: String,
    },
    /// A frame of the messaging layer, which this hub does not serve yet.
    Messaging {
        /// Its type.
        message_type: String,
    },
}

/// Writes the fields of an object among those beside it.
fn fields<S: Serializer>(object: &Json, serializer: S) -> Result<S::Ok, S::Error> {
    let fields: BTreeMap<String, Box<RawValue>> = object.read().unwrap_or_default();
    serializer.collect_map(fields)
}

impl ToHub {
    /// The task and the lease of it that the frame says the end of, whichever end that is.
    #[must_use]
    pub const fn reports(&self) -> Option<(TaskId, Lease)> {
        match self {
            Self::TaskComplete(frame) => Some((frame.task_id, frame.generation)),
            Self::TaskFailed(frame) => Some((frame.task_id, frame.generation)),
            Self::TaskReleased(frame) => Some((frame.task_id, frame.generation)),
            Self::TaskWithdrawn(frame) => Some((frame.task_id, frame.generation)),
            Self::Identify(_)
            | Self::Ping(_)
            | Self::TaskAccepted(_)
            | Self::TaskProgress(_)
            | Self::TaskRejected(_)
            | Self::TaskQuestion(_)
            | Self::SpendReserve(_)
            | Self::SpendUsed(_)
            | Self::TaskRecovering(_)
            | Self::StateReport(_)
            | Self::WakeResult(_)
            | Self::AgentRestarting { .. }
            | Self::AgentDraining {}
            | Self::Status { .. }
            | Self::ListAgents {}
            | Self::ResourceReport { .. }
            | Self::OllamaReport { .. }
            | Self::Messaging { .. } => None,
        }
    }
}

/// Who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identify {
    /// The name it goes by.
    pub agent_id: String,
    /// What proves it.
    pub token: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Which run of its process speaks (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// The kinds of operations that it runs (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executors: Option<Vec<String>>,
    /// How many tasks it works on at once (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Free labels (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The version of its software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The models that it was started with, by what they are called (v1). Those that it no longer names
    /// are forgotten; one that says nothing of them leaves them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Announced>,
    /// What it has proved of its sandbox (v1). One that says nothing of it and runs nothing leaves what
    /// is known as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Box<SandboxReport>>,
}

/// A lease that an agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The leases to renew (v1); a plain client's ping renews all it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Held>>,
    /// Comes back in the `pong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
}

/// A task is taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
}

/// News about running work; it may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
    /// How far it is, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u32>,
    /// What happened, as sent.
    #[serde(default, deserialize_with = "cut_to_fit", skip_serializing_if = "Option::is_none")]
    pub execution_event: Option<Json>,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// Which life of the data set gave the assignment (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The result.
    #[serde(default, deserialize_with = "cut_to_fit", skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Whether only part of the task is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    /// Model tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What the checks said.
    #[serde(default, deserialize_with = "cut_to_fit", skip_serializing_if = "Option::is_none")]
    pub verification_report: Option<Json>,
    /// What the attempt left behind (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Traces>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// Which life of the data set gave the assignment (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What went wrong, in the original's second spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the failure is to be answered (v1); plain clients' failures are retryable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Why the endpoint that the assignment names did not serve (v1); the task is not to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// How long to wait at least before the next attempt (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<Span>,
    /// Model tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What the attempt left behind (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Traces>,
}

/// A task for which there is no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
    /// Why, for example `busy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A task that is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
}

/// A task that nobody needs any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A question for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The task that it is about.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// The question.
    pub question: String,
    /// How long it may stay open.
    pub timeout_ms: Span,
    /// The answer if nobody gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// What is an answer, if not everything is: yes or no, or one of these options by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// Whether the agent gives the task back until the question is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub park: Option<bool>,
}

/// A call of a model, before it is made or after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendCall {
    /// The task that it is made for.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// The call.
    #[serde(flatten)]
    pub call: Call,
}

/// An unfinished task that a plain client found when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovering {
    /// The task.
    pub task_id: TaskId,
    /// What the client last did with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<String>,
}

/// A task that the agent holds since before it connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The task.
    pub task_id: TaskId,
    /// What it does with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The number of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
}

/// How waking a session went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeResult {
    /// The task.
    pub task_id: TaskId,
    /// `success`, `failed` or `timeout`.
    pub status: String,
    /// Which try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
