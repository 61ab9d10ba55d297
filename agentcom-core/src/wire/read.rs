//! This file reads frames, and says field by field what is wrong with those it cannot read.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Held, PeerAgent, ReportAction, ToAgent, ToHub};
use crate::id::{Lease, TaskId};
use crate::json::{Json, NUMBER_OUT_OF_RANGE, has_good_numbers};
use crate::time::Wall;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field, or the frame as a whole as `frame`.
    pub field: String,
    /// The kind of mistake: `required`, `wrong_type`, `too_long`, `invalid_value` or
    /// `unknown_message_type`.
    pub error: String,
    /// What was expected.
    pub detail: String,
}

/// Why a text is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It is no JSON object with a `type`.
    #[error("not a JSON object with a type: {0}")]
    NotJson(String),
    /// Its type is not known.
    #[error("unknown message type `{0}`")]
    UnknownType(String),
    /// Its fields do not fit its type.
    #[error("{message_type}: {} {}", .error.field, .error.detail)]
    Fields {
        /// The type.
        message_type: String,
        /// The first field that does not fit.
        error: Box<FieldError>,
    },
}

impl BadFrame {
    /// The fields that are wrong.
    #[must_use]
    pub fn errors(&self) -> Vec<FieldError> {
        match self {
            Self::NotJson(_) => Vec::new(),
            Self::UnknownType(found) => vec![FieldError {
                field: "type".into(),
                error: "unknown_message_type".into(),
                detail: alloc::format!("`{found}` is not a known type"),
            }],
            Self::Fields { error, .. } => vec![(**error).clone()],
        }
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    message_type: Cow<'a, str>,
}

/// Reads a frame from an agent.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_to_hub(text: &str) -> Result<ToHub, BadFrame> {
    #[derive(Deserialize)]
    struct Restarting {
        #[serde(default)]
        reason: Option<String>,
    }
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    #[derive(Deserialize)]
    struct Ollama {
        ollama_url: String,
    }
    if !has_good_numbers(text) {
        return Err(BadFrame::NotJson(NUMBER_OUT_OF_RANGE.into()));
    }
    let kind = head(text)?;
    Ok(match &*kind {
        "identify" => ToHub::Identify(body(&kind, text)?),
        "ping" => ToHub::Ping(body(&kind, text)?),
        "task_accepted" => ToHub::TaskAccepted(body(&kind, text)?),
        "task_progress" => ToHub::TaskProgress(body(&kind, text)?),
        "task_complete" => ToHub::TaskComplete(body(&kind, text)?),
        "task_failed" => ToHub::TaskFailed(body(&kind, text)?),
        "task_rejected" => ToHub::TaskRejected(body(&kind, text)?),
        "task_released" => ToHub::TaskReleased(body(&kind, text)?),
        "task_withdrawn" => ToHub::TaskWithdrawn(body(&kind, text)?),
        "task_question" => ToHub::TaskQuestion(body(&kind, text)?),
        "spend_reserve" => ToHub::SpendReserve(body(&kind, text)?),
        "spend_used" => ToHub::SpendUsed(body(&kind, text)?),
        "task_recovering" => ToHub::TaskRecovering(body(&kind, text)?),
        "state_report" => ToHub::StateReport(body(&kind, text)?),
        "wake_result" => ToHub::WakeResult(body(&kind, text)?),
        "agent_restarting" => {
            ToHub::AgentRestarting { reason: body::<Restarting>(&kind, text)?.reason }
        }
        "agent_draining" => ToHub::AgentDraining {},
        "status" => ToHub::Status { status: body::<Status>(&kind, text)?.status },
        "list_agents" => ToHub::ListAgents {},
        "resource_report" => ToHub::ResourceReport { figures: untyped(body(&kind, text)?) },
        "ollama_report" => {
            ToHub::OllamaReport { ollama_url: body::<Ollama>(&kind, text)?.ollama_url }
        }
        "message"
        | "channel_subscribe"
        | "channel_unsubscribe"
        | "channel_publish"
        | "channel_history"
        | "list_channels" => ToHub::Messaging { message_type: kind.to_string() },
        _ => return Err(BadFrame::UnknownType(kind.chars().take(64).collect())),
    })
}

/// The fields of a frame without its type; one with a name that is no valid text stays as it is.
fn untyped(frame: Json) -> Json {
    let fields = frame.read::<BTreeMap<String, Box<RawValue>>>().ok();
    let bare = fields.and_then(|mut fields| {
        fields.remove("type");
        Json::of(&fields).ok()
    });
    bare.unwrap_or(frame)
}

#[derive(Deserialize)]
struct Cancelled {
    task_id: TaskId,
    #[serde(default)]
    generation: Lease,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    timestamp: Wall,
}

#[derive(Deserialize)]
struct Reassign {
    task_id: TaskId,
}

#[derive(Deserialize)]
struct Ack {
    task_id: TaskId,
    action: ReportAction,
}

#[derive(Deserialize)]
struct Pong {
    #[serde(default)]
    timestamp: Wall,
    #[serde(default)]
    nonce: Option<u64>,
    #[serde(default)]
    lost: Vec<Held>,
}

#[derive(Deserialize)]
struct Agents {
    agents: Vec<PeerAgent>,
}

#[derive(Deserialize)]
struct Restart {
    #[serde(default)]
    reason: String,
}

/// Reads a frame from the hub.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_to_agent(text: &str) -> Result<ToAgent, BadFrame> {
    let kind = head(text)?;
    Ok(match &*kind {
        "identified" => ToAgent::Identified(body(&kind, text)?),
        "error" => ToAgent::Error(body(&kind, text)?),
        "task_assign" => ToAgent::TaskAssign(body(&kind, text)?),
        "task_ack" => ToAgent::TaskAck(body(&kind, text)?),
        "task_cancelled" => {
            let Cancelled { task_id, generation, reason, timestamp } = body(&kind, text)?;
            ToAgent::TaskCancelled { task_id, generation, reason, timestamp }
        }
        "task_continue" => {
            let Held { task_id, generation } = body(&kind, text)?;
            ToAgent::TaskContinue { task_id, generation }
        }
        "task_reassign" => {
            ToAgent::TaskReassign { task_id: body::<Reassign>(&kind, text)?.task_id }
        }
        "state_report_ack" => {
            let Ack { task_id, action } = body(&kind, text)?;
            ToAgent::StateReportAck { task_id, action }
        }
        "pong" => {
            let Pong { timestamp, nonce, lost } = body(&kind, text)?;
            ToAgent::Pong { timestamp, nonce, lost }
        }
        "question_answered" => ToAgent::QuestionAnswered(body(&kind, text)?),
        "spend_answered" => ToAgent::SpendAnswered(body(&kind, text)?),
        "status_updated" => ToAgent::StatusUpdated {},
        "agents" => ToAgent::Agents { agents: body::<Agents>(&kind, text)?.agents },
        "ollama_report_ack" => ToAgent::OllamaReportAck { status: "registered".into() },
        "restart_sidecar" => {
            ToAgent::RestartSidecar { reason: body::<Restart>(&kind, text)?.reason }
        }
        _ => return Err(BadFrame::UnknownType(kind.chars().take(64).collect())),
    })
}

fn head(text: &str) -> Result<Cow<'_, str>, BadFrame> {
    // An array would be read field by field.
    if !text.trim_start().starts_with('{') {
        return Err(BadFrame::NotJson("expected an object".into()));
    }
    let head: Head<'_> =
        serde_json::from_str(text).map_err(|error| BadFrame::NotJson(error.to_string()))?;
    Ok(head.message_type)
}

fn body<T: DeserializeOwned>(kind: &str, text: &str) -> Result<T, BadFrame> {
    serde_json::from_str(text).map_err(|error| BadFrame::Fields {
        message_type: kind.into(),
        error: Box::new(blame(&error.to_string())),
    })
}

/// Turns serde's sentence into the field and the kind of mistake.
fn blame(sentence: &str) -> FieldError {
    let detail = sentence.split(" at line ").next().unwrap_or(sentence);
    let error = if detail.starts_with("missing field") {
        "required"
    } else if detail.starts_with("invalid type") {
        "wrong_type"
    } else {
        "invalid_value"
    };
    let named = detail.split('`').nth(1).filter(|_| error == "required");
    FieldError {
        field: named.unwrap_or("frame").into(),
        error: error.into(),
        detail: detail.chars().take(200).collect(),
    }
}
