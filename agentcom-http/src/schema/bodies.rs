//! This file describes the bodies of requests.

use super::Line;

/// The bodies, named by method and resource as the original does.
pub(super) const BODIES: [Line; 23] = [
    (
        "post_task",
        "description?: text, op?: op, shell?: text, priority?: priority, needs?: [text], sandbox?: level, \
         metadata?: object, repo?: text, assign_to?: text, depends_on?: [task_id], \
         on_dependency_failure?: after_dependency, on_lease_loss?: lease_loss, \
         idempotency_key?: text, run_after?: date, complete_by?: date, \
         expires_after_ms?: milliseconds, timeout_ms?: milliseconds, lease_ttl_ms?: milliseconds, \
         max_retries?: integer, backoff_base_ms?: milliseconds, backoff_cap_ms?: milliseconds, \
         concurrency?: concurrency, rates?: [rate], fair_key?: text, cost?: integer, budget_micros?: integer, \
         goal_id?: text, parent?: task_id, tags?: [text], branch?: text, file_hints?: [hint], \
         success_criteria?: [text], verification_steps?: [step], complexity_tier?: tier, \
         skip_verification?: flag, verification_timeout_ms?: milliseconds, \
         max_verification_retries?: integer, ref?: text",
    ),
    ("post_task_batch", "tasks: [post_task]"),
    (
        "post_dead_letter_retry",
        "task_ids?: [task_id], all?: flag, priority?: priority, assigned_to?: text, \
         goal_id?: text, limit?: integer",
    ),
    (
        "post_admin_push_task",
        "agent_id: text, description?: text, metadata?: object, priority?: priority, \
         shell?: text, op?: op, idempotency_key?: text",
    ),
    ("post_admin_token", "agent_id: text"),
    ("post_operator", "name: text, rights: [right], expires_after_ms?: validity"),
    ("post_operator_rotate", "expires_after_ms?: validity"),
    ("post_admin_restart", "reason?: text"),
    ("put_admin_pause", "scope?: text, repo?: text, capability?: text"),
    ("put_admin_weight", "weight: integer"),
    ("put_admin_oldest_first", "every: integer"),
    ("put_admin_cap", "cap: text, limit_micros: integer"),
    ("delete_admin_cap", "cap: text"),
    ("delete_admin_price", "model: text"),
    (
        "put_admin_price",
        "model: text, input_micros: integer, output_micros: integer, cache_read_micros?: integer, \
         cache_write_micros?: integer",
    ),
    (
        "put_endpoint",
        "api: api, url?: text, class?: class, credential?: text, models?: [meant], others?: flag, \
         tuning?: tuning, slots?: integer, models_at_once?: integer, needs?: [text], host?: text",
    ),
    ("post_endpoint_park", "for_ms: milliseconds"),
    ("put_admin_chain", "tier: tier, classes: [class]"),
    ("put_admin_executor", "tier: tier, kind?: text"),
    ("put_repo", "url: text, executors?: [runs]"),
    ("put_repo_place", "place: integer"),
    ("put_admin_parking", "parking: parking"),
    ("post_question_answer", "answer: json"),
];
