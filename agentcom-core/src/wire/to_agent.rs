//! This file lists the frames that the hub sends.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::FieldError;
use crate::endpoint::{Api, ModelOptions};
use crate::id::{Incarnation, Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::{Granted, NotGranted};
use crate::name::{AgentId, Credential, EndpointId, Kind};
use crate::sandbox::Level;
use crate::task::{Answer, FileHint, LeaseLoss, Op, Tier, VerificationStep, never};
use crate::time::{Span, Wall};
use crate::wire::Held;

/// A frame from the hub. `Deserialize` is by hand, in [`read_to_agent`](super::read_to_agent).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToAgent {
    /// The agent is who it says.
    Identified(Identified),
    /// Something is wrong with a frame.
    Error(ErrorFrame),
    /// Here is work.
    TaskAssign(Box<Assignment>),
    /// A frame about a task was taken in.
    TaskAck(TaskAck),
    /// A hold has ended.
    TaskCancelled {
        /// The task.
        task_id: TaskId,
        /// The number of the assignment.
        generation: Lease,
        /// Why.
        reason: String,
        /// When.
        timestamp: Wall,
    },
    /// Go on with a recovered task.
    TaskContinue {
        /// The task.
        task_id: TaskId,
        /// The number of the assignment.
        generation: Lease,
    },
    /// Forget a recovered task.
    TaskReassign {
        /// The task.
        task_id: TaskId,
    },
    /// What to do with a reported task.
    StateReportAck {
        /// The task.
        task_id: TaskId,
        /// What to do.
        action: ReportAction,
    },
    /// The hub is alive; these leases were not renewed.
    Pong {
        /// When.
        timestamp: Wall,
        /// From the ping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nonce: Option<u64>,
        /// Leases that the agent does not hold (v1).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lost: Vec<Held>,
    },
    /// A question was answered.
    QuestionAnswered(Answered),
    /// Whether a call may be made (v1).
    SpendAnswered(SpendAnswered),
    /// The status text was taken in.
    StatusUpdated {},
    /// Who is there.
    Agents {
        /// The connected agents.
        agents: Vec<PeerAgent>,
    },
    /// The address of the models was taken in.
    OllamaReportAck {
        /// Always `registered`.
        status: String,
    },
    /// Restart.
    RestartSidecar {
        /// Why.
        reason: String,
    },
}

/// The agent is who it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The name it goes by.
    pub agent_id: AgentId,
    /// Which life of the data set it talks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// How often to ping (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<Span>,
}

/// Something is wrong with a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFrame {
    /// What, as a word that programs can compare.
    pub error: String,
    /// The type of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The task that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// What to do about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<Span>,
}

/// Where plain clients run a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingDecision {
    /// `sidecar` for shell work, `wake` for a session to wake.
    pub target_type: String,
    /// How demanding the task is.
    pub effective_tier: Tier,
}

/// How demanding a task is, as the original tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedComplexity {
    /// The tier that counts.
    pub effective_tier: Tier,
    /// The tier that the submitter gave.
    pub explicit_tier: Option<Tier>,
    /// Where the tier comes from: `explicit` or `inferred`.
    pub source: String,
    /// What the task looks like.
    pub inferred: InferredTier,
}

/// How demanding a task looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferredTier {
    /// The tier.
    pub tier: Tier,
    /// How sure that is. The original tells it as a fraction of one, by the name of `confidence`.
    pub confidence_percent: u32,
}

/// The model that is to do a task, and how to ask it (v1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// How it is spoken to.
    pub api: Api,
    /// Where it is; nowhere if it is a program of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The key that it wants, by the name under which the agent has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The model; none for whoever looks at the endpoint only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// How it is asked, as far as the hub knows; the agent says the rest.
    #[serde(default, skip_serializing_if = "ModelOptions::is_default")]
    pub options: ModelOptions,
}

/// Work for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// When it was made.
    pub assigned_at: Wall,
    /// What to do, for people and models.
    pub description: Box<str>,
    /// As submitted; for plain clients with `shell_command` and `timeout_ms` filled in.
    #[serde(default)]
    pub metadata: Json,
    /// What to run.
    pub op: Op,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Which life of the data set gave the assignment.
    pub incarnation: Incarnation,
    /// How long the agent keeps the task without renewing.
    pub lease_ttl_ms: Span,
    /// How long the attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<Span>,
    /// What to do when the lease is lost.
    pub on_lease_loss: LeaseLoss,
    /// The least sandbox that it is to run in; none has to be there if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Level>,
    /// The repository that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<crate::name::Repo>,
    /// The branch to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Files that matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_hints: Vec<FileHint>,
    /// When the change is good, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_criteria: Vec<String>,
    /// When the change is good, as checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verification_steps: Vec<VerificationStep>,
    /// How demanding it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<AssignedComplexity>,
    /// Where plain clients run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_decision: Option<RoutingDecision>,
    /// The model that is to do it; without one the agent chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Route>>,
    /// What people answered to agents that had the task before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Whether the checks are left out.
    #[serde(default)]
    pub skip_verification: bool,
    /// How long the checks may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_timeout_ms: Option<Span>,
    /// How many corrective rounds may follow failed checks, in each life of the task.
    #[serde(default)]
    pub max_verification_retries: u32,
    /// How often an operator gave the task another life; rounds of earlier ones count no more.
    #[serde(default, skip_serializing_if = "never")]
    pub revivals: u32,
}

impl Assignment {
    /// How demanding the task is, as far as anybody knows.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.complexity.as_ref().map_or(Tier::Unknown, |complexity| complexity.effective_tier)
    }

    /// The first attempt at a task that says nothing but what to run: the rest is as for a task
    /// that was submitted without it.
    #[must_use]
    pub fn new(held: Held, incarnation: Incarnation, op: Op) -> Self {
        Self {
            task_id: held.task_id,
            generation: held.generation,
            assigned_at: Wall(0),
            description: Box::default(),
            metadata: Json::null(),
            op,
            attempt: 1,
            incarnation,
            lease_ttl_ms: Span::from_secs(30),
            timeout_ms: None,
            on_lease_loss: LeaseLoss::Stop,
            sandbox: None,
            repo: None,
            branch: None,
            file_hints: Vec::new(),
            success_criteria: Vec::new(),
            verification_steps: Vec::new(),
            complexity: None,
            routing_decision: None,
            route: None,
            answers: Vec::new(),
            skip_verification: false,
            verification_timeout_ms: None,
            max_verification_retries: 0,
            revivals: 0,
        }
    }

    /// The kind of operation.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.op.kind
    }

    /// The lease that it gives.
    #[must_use]
    pub const fn held(&self) -> Held {
        Held { task_id: self.task_id, generation: self.generation }
    }
}

/// What became of a frame about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acked {
    /// The acceptance counts.
    Accepted,
    /// The result counts.
    Complete,
    /// The failure counts; the task is tried again.
    Retried,
    /// The failure counts; the task is dead.
    DeadLetter,
    /// The task is back in the queue, unspent.
    Released,
    /// The assignment is not the current one; nothing changed.
    Superseded,
}

/// A frame about a task was taken in; the sidecar may forget it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAck {
    /// The task.
    pub task_id: TaskId,
    /// What became of it.
    pub status: Acked,
    /// The number of the assignment that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
}

/// What to do with a reported task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportAction {
    /// Go on.
    Continue,
    /// Forget it.
    Abort,
}

/// A question was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The question.
    pub question_id: QuestionId,
    /// The task that it is about.
    pub task_id: TaskId,
    /// The answer.
    pub answer: Json,
    /// Whether nobody answered in time.
    pub defaulted: bool,
}

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendAnswered {
    /// The task.
    pub task_id: TaskId,
    /// The number of the assignment.
    pub generation: Lease,
    /// The number of the call.
    pub call: u32,
    /// What is reserved for it, if it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
    /// Why not, if it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<NotGranted>,
}

/// An agent, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAgent {
    /// Its name.
    pub agent_id: AgentId,
    /// A name for people.
    pub name: Option<String>,
    /// What it says of itself.
    pub status: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// When it connected.
    pub connected_at: Wall,
}
