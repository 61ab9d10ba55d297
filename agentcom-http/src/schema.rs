//! This file describes frames and bodies as data.

/// The document.
pub(crate) fn document() -> serde_json::Value {
    serde_json::json!({})
}
