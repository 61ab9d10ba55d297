//! This file is a frame on its way: as text, or as a value that was not written as text yet.

use alloc::boxed::Box;
use alloc::string::String;

use super::{Assignment, BadFrame, ToAgent, ToHub, read_to_agent, read_to_hub, write};
use crate::name::BlobId;
use crate::task::Traces;

/// A frame on its way. Between two ends in one process it need not become text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// As it is on a wire.
    Text(String),
    /// From an agent.
    ToHub(Box<ToHub>),
    /// From the hub.
    ToAgent(Box<ToAgent>),
}

/// What a frame without payloads counts, in bytes.
const PLAIN: usize = 256;

impl Frame {
    /// The text on a wire.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::ToHub(frame) => write(&frame),
            Self::ToAgent(frame) => write(&frame),
        }
    }

    /// Reads it as a frame from an agent.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn into_to_hub(self) -> Result<ToHub, BadFrame> {
        match self {
            Self::ToHub(frame) => Ok(*frame),
            Self::Text(text) => read_to_hub(&text),
            Self::ToAgent(frame) => read_to_hub(&write(&frame)),
        }
    }

    /// Reads it as a frame from the hub.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn into_to_agent(self) -> Result<ToAgent, BadFrame> {
        match self {
            Self::ToAgent(frame) => Ok(*frame),
            Self::Text(text) => read_to_agent(&text),
            Self::ToHub(frame) => read_to_agent(&write(&frame)),
        }
    }

    /// What it counts against bounds on bytes: of a text its length, otherwise about as much.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::ToHub(frame) => PLAIN + payload_to_hub(frame),
            Self::ToAgent(frame) => PLAIN + payload_to_agent(frame),
        }
    }
}

impl From<ToHub> for Frame {
    fn from(frame: ToHub) -> Self {
        Self::ToHub(frame.into())
    }
}

impl From<ToAgent> for Frame {
    fn from(frame: ToAgent) -> Self {
        Self::ToAgent(frame.into())
    }
}

fn payload_to_hub(frame: &ToHub) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match frame {
        ToHub::TaskComplete(frame) => {
            let json = |json: &crate::json::Json| json.as_str().len();
            frame.result.as_ref().map_or(0, json)
                + frame.verification_report.as_ref().map_or(0, json)
                + weight_of(&frame.left)
        }
        ToHub::TaskFailed(frame) => {
            text(&frame.error) + text(&frame.reason) + weight_of(&frame.left)
        }
        ToHub::TaskQuestion(frame) => frame.question.len(),
        ToHub::Ping(ping) => ping.held.as_ref().map_or(0, |held| 64 * held.len()),
        ToHub::ResourceReport { figures } => figures.as_str().len(),
        ToHub::TaskProgress(frame) => {
            frame.execution_event.as_ref().map_or(0, |event| event.as_str().len())
        }
        ToHub::Identify(_)
        | ToHub::TaskAccepted(_)
        | ToHub::TaskRejected(_)
        | ToHub::TaskReleased(_)
        | ToHub::TaskWithdrawn(_)
        | ToHub::SpendReserve(_)
        | ToHub::SpendUsed(_)
        | ToHub::TaskRecovering(_)
        | ToHub::StateReport(_)
        | ToHub::WakeResult(_)
        | ToHub::AgentRestarting { .. }
        | ToHub::AgentDraining {}
        | ToHub::Status { .. }
        | ToHub::ListAgents {}
        | ToHub::OllamaReport { .. }
        | ToHub::Messaging { .. } => 0,
    }
}

fn weight_of(left: &Option<Traces>) -> usize {
    left.as_ref().map_or(0, |left| BlobId::BYTES_MAX * left.transcripts.len())
}

fn payload_to_agent(frame: &ToAgent) -> usize {
    match frame {
        ToAgent::TaskAssign(assignment) => payload_of_assignment(assignment),
        ToAgent::Pong { lost, .. } => 64 * lost.len(),
        ToAgent::Agents { agents } => PLAIN * agents.len(),
        ToAgent::QuestionAnswered(answered) => answered.answer.as_str().len(),
        ToAgent::TaskCancelled { reason, .. } | ToAgent::RestartSidecar { reason } => reason.len(),
        ToAgent::Identified(_)
        | ToAgent::Error(_)
        | ToAgent::TaskAck(_)
        | ToAgent::SpendAnswered(_)
        | ToAgent::TaskContinue { .. }
        | ToAgent::TaskReassign { .. }
        | ToAgent::StateReportAck { .. }
        | ToAgent::StatusUpdated {}
        | ToAgent::OllamaReportAck { .. } => 0,
    }
}

fn payload_of_assignment(assignment: &Assignment) -> usize {
    let answers = assignment.answers.iter();
    let answers = answers.map(|said| said.question.len() + said.answer.as_str().len());
    assignment.description.len()
        + assignment.metadata.as_str().len()
        + assignment.op.input.as_str().len()
        + assignment.success_criteria.iter().map(String::len).sum::<usize>()
        + PLAIN * (assignment.file_hints.len() + assignment.verification_steps.len())
        + answers.sum::<usize>()
}
