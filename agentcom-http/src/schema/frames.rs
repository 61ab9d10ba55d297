//! This file describes the frames between hub and agents.

use super::Line;

/// What agents send.
pub(super) const TO_HUB: [Line; 21] = [
    (
        "identify",
        "agent_id: text, token: text, name?: text, capabilities?: [text], boot?: boot_id, \
         executors?: [text], slots?: integer, labels?: {text}, version?: text, models?: {endpoint}, \
         sandbox?: sandbox_report",
    ),
    ("ping", "held?: [held], nonce?: integer"),
    ("task_accepted", "task_id: task_id, generation?: integer"),
    (
        "task_progress",
        "task_id: task_id, generation?: integer, progress?: integer, execution_event?: json",
    ),
    (
        "task_complete",
        "task_id: task_id, generation: integer, incarnation?: incarnation_id, result?: json, \
         partial?: flag, tokens_used?: integer, verification_report?: json, left?: left",
    ),
    (
        "task_failed",
        "task_id: task_id, generation: integer, incarnation?: incarnation_id, error?: text, \
         reason?: text, category?: category, fault?: fault, retry_after_ms?: milliseconds, tokens_used?: integer, \
         left?: left",
    ),
    ("task_rejected", "task_id: task_id, generation?: integer, reason?: text"),
    ("task_released", "task_id: task_id, generation: integer"),
    ("task_withdrawn", "task_id: task_id, generation: integer, reason?: text"),
    (
        "task_question",
        "task_id: task_id, generation: integer, question: text, timeout_ms: milliseconds, \
         default?: json, choices?: [text], park?: flag",
    ),
    (
        "spend_reserve",
        "task_id: task_id, generation: integer, call: integer, model: text, input_tokens?: integer, \
         output_tokens?: integer, cache_read_tokens?: integer, cache_write_tokens?: integer, \
         micros?: integer",
    ),
    (
        "spend_used",
        "task_id: task_id, generation: integer, call: integer, model: text, input_tokens?: integer, \
         output_tokens?: integer, cache_read_tokens?: integer, cache_write_tokens?: integer, \
         micros?: integer",
    ),
    ("task_recovering", "task_id: task_id, last_status?: text"),
    ("state_report", "task_id: task_id, status?: text, generation?: integer"),
    ("wake_result", "task_id: task_id, status: text, attempt?: integer, error?: text"),
    ("agent_restarting", "reason?: text"),
    ("agent_draining", ""),
    ("status", "status: text"),
    ("list_agents", ""),
    ("resource_report", ""),
    ("ollama_report", "ollama_url: text"),
];

/// What the hub sends.
pub(super) const TO_AGENT: [Line; 15] = [
    ("identified", "agent_id: text, incarnation?: incarnation_id, heartbeat_ms?: milliseconds"),
    (
        "error",
        "error: text, message_type?: text, errors?: [field_error], task_id?: task_id, hint?: text, \
         retry_after_ms?: milliseconds",
    ),
    (
        "task_assign",
        "task_id: task_id, generation: integer, assigned_at: date, description: text, \
         metadata: json, op: op, attempt: integer, incarnation: incarnation_id, \
         lease_ttl_ms: milliseconds, timeout_ms?: milliseconds, on_lease_loss: lease_loss, \
         sandbox?: level, repo?: text, branch?: text, file_hints?: [hint], success_criteria?: [text], \
         verification_steps?: [step], complexity?: complexity, routing_decision?: routing, route?: route, \
         skip_verification: flag, verification_timeout_ms?: milliseconds, \
         max_verification_retries: integer, revivals?: integer",
    ),
    ("task_ack", "task_id: task_id, status: acked, generation?: integer"),
    ("task_cancelled", "task_id: task_id, generation: integer, reason: text, timestamp: date"),
    ("task_continue", "task_id: task_id, generation: integer"),
    ("task_reassign", "task_id: task_id"),
    ("state_report_ack", "task_id: task_id, action: report_action"),
    ("pong", "timestamp: date, nonce?: integer, lost?: [held]"),
    (
        "question_answered",
        "question_id: question_id, task_id: task_id, answer: json, defaulted: flag",
    ),
    (
        "spend_answered",
        "task_id: task_id, generation: integer, call: integer, granted?: granted, refused?: not_granted",
    ),
    ("status_updated", ""),
    ("agents", "agents: [peer]"),
    ("ollama_report_ack", "status: text"),
    ("restart_sidecar", "reason: text"),
];

/// Frames of the original's messaging, which get a typed error.
pub(super) const NOT_SERVED: [&str; 6] = [
    "message",
    "channel_subscribe",
    "channel_unsubscribe",
    "channel_publish",
    "channel_history",
    "list_channels",
];
