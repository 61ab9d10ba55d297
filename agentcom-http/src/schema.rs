//! This file describes frames, bodies and routes as data, for people and for generators.
//!
//! A line such as `agent_id: text, name?: text` names the fields of a frame or body; those with a
//! question mark may be left out. Tests hold each line against the types that really read and
//! write it.

mod bodies;
mod frames;

use agentcom_core::task::{Priority, TaskState};
use agentcom_core::wire::PROTOCOL;
use serde_json::{Map, Value, json};

use crate::auth::Need;
use crate::dto::status::STATUSES;
use crate::routes;

/// The version of the document. Its first number changes when a client could notice.
const VERSION: &str = "1.0";

/// The name of a frame or body, and its fields.
type Line = (&'static str, &'static str);

/// What the words for types mean.
const TYPES: [Line; 45] = [
    ("text", "a string"),
    ("integer", "a whole number from 0"),
    ("flag", "true or false"),
    ("json", "any value, at most 64 KiB, nested at most 32 deep"),
    (
        "not_granted",
        "superseded, unheard, no_account, {no_price: model} or {cap: {cap, limit, taken, wanted}}",
    ),
    ("object", "any object, with the bounds of json"),
    ("date", "milliseconds since 1970 as a number; bodies may also say RFC 3339 text"),
    ("milliseconds", "a length of time"),
    ("task_id", "task- and 16 hexadecimal digits"),
    ("question_id", "question- and 16 hexadecimal digits"),
    ("boot_id", "boot- and 16 hexadecimal digits, for one run of a sidecar"),
    ("incarnation_id", "inc- and 16 hexadecimal digits, for one life of a data set"),
    ("granted", "{micros, price?: {input, output, cache_read, cache_write}}"),
    ("held", "{task_id, generation}"),
    (
        "left",
        "{transcripts?: [text], answered?: flag, survivors?: number}, what an attempt leaves behind, each text 64 hexadecimal digits",
    ),
    ("op", "{kind: text, input?: json}"),
    ("priority", "urgent (or critical), high, normal, low, or 0 to 3"),
    ("category", "retryable, permanent, quota or crash"),
    ("tier", "trivial, standard, complex or unknown"),
    ("level", "L0, L1, L2 or L3: how much a sandbox holds"),
    (
        "sandbox_report",
        "{level: level, network?: flag, missing?: [{level: level, seen: text, hint: text}], \
         attempts?: [{what: text, expected: Blocked or Works, held: flag}], quarantine?: text}",
    ),
    ("hint", "{path: text, reason?: text}"),
    ("step", "{type: text, target: text, description?: text}"),
    ("concurrency", "{key: text, max: integer}"),
    ("field_error", "{field: text, error: text, detail: text}"),
    ("lease_loss", "stop or continue"),
    (
        "after_dependency",
        "fail (it dies if a dependency dies or is cancelled), continue (it runs whatever becomes of them) \
         or strict (it dies unless all are completed; one that is partial is not enough)",
    ),
    ("acked", "accepted, complete, retried, dead_letter, released or superseded"),
    ("report_action", "continue or abort"),
    (
        "complexity",
        "{effective_tier: tier, explicit_tier: tier, source: explicit or inferred, \
         inferred: {tier: tier, confidence_percent: integer}}",
    ),
    ("routing", "{target_type: sidecar or wake, effective_tier: tier}"),
    ("peer", "{agent_id, name, status, capabilities: [text], connected_at: date}"),
    ("post_task", "a body of that name; ref names it for depends_on within the batch"),
    ("api", "ollama, messages, claude-code or acp"),
    ("class", "local or cloud"),
    ("meant", "{model: text, tiers?: [tier]}"),
    (
        "endpoint",
        "{api: api, url?: text, class: class, credential?: text, models?: [meant], others?: flag, \
         slots?: integer, models_at_once?: integer}",
    ),
    ("runs", "{kind: text, model?: text, tiers?: [tier]}"),
    ("parking", "on or off"),
    ("right", "task:read, task:submit, admin:read or admin:write"),
    ("validity", "milliseconds, or the text never; 90 days if nothing is said"),
    ("fault", "unreachable, busy, no_model or quota"),
    (
        "route",
        "{endpoint: text, api: api, url?: text, credential?: text, model?: text, \
         options?: {context_tokens?: integer, think?: off, on, low, medium or high, \
         calls?: native or format}}",
    ),
    (
        "tuning",
        "{context_tokens?: integer, think?: off, on, low, medium or high, calls?: native or format, \
         models?: {NAME: {context_tokens?, think?, calls?}}}",
    ),
    ("rate", "{key: text, limit: integer, per_ms: milliseconds, burst?: integer}"),
];

/// The document.
pub(crate) fn document() -> Value {
    json!({
        "version": VERSION,
        "protocol": PROTOCOL,
        "types": TYPES.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "words": {
            "status": STATUSES.map(|(status, _)| status),
            "state": TaskState::WORDS,
            "priority": Priority::ALL,
        },
        "frames": {
            "to_hub": described(&frames::TO_HUB),
            "to_agent": described(&frames::TO_AGENT),
            "not_served": frames::NOT_SERVED,
        },
        "bodies": described(&bodies::BODIES),
        "routes": routes(),
    })
}

fn routes() -> Vec<Value> {
    let routes = routes::all().into_iter();
    let shown = routes.map(|route| {
        // The admin token permits everything.
        let needs = match (route.verb.need(), route.verb.is_for_agents()) {
            (Need::Nothing, _) => "nothing".to_owned(),
            (Need::Right(right), true) => format!("{right}, or an agent's token"),
            (Need::Right(right), false) => right.to_string(),
            (Need::Admin, _) => "the admin token".to_owned(),
        };
        json!({ "method": route.method.as_str(), "path": route.path, "needs": needs })
    });
    shown.collect()
}

fn described(lines: &[Line]) -> Map<String, Value> {
    let described = lines.iter().map(|(name, fields)| {
        let (mut required, mut optional) = (Map::new(), Map::new());
        for (field, kind, may_be_absent) in split(fields) {
            let group = if may_be_absent { &mut optional } else { &mut required };
            group.insert(field.to_owned(), json!(kind));
        }
        ((*name).to_owned(), json!({ "required": required, "optional": optional }))
    });
    described.collect()
}

/// The fields of a line: name, type, and whether it may be left out.
fn split(fields: &'static str) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    fields.split(", ").filter_map(|field| {
        let (name, kind) = field.split_once(": ")?;
        Some((name.trim_end_matches('?'), kind, name.ends_with('?')))
    })
}

#[cfg(test)]
mod tests;
