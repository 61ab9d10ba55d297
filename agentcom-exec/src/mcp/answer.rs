//! This file makes of what a server answers what a model is told: text as it is, within bounds, and of
//! everything else that it was there.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Map, Value};

use crate::output::{cut_middle, json_len};
use crate::tool::{ToolError, ToolErrorKind};

/// How much text is told, in bytes; and how much JSON.
const BYTES_MAX: usize = 16 * 1024;

/// How much is told of what went wrong.
const ERROR_BYTES_MAX: usize = 4 * 1024;

/// What is told of what later versions of the protocol may bring.
const UNKNOWN: &str = "[something that is no text]";

/// What a model is told: `text`, `structured`, and what was `truncated`.
pub(super) fn answer(result: CallToolResult) -> Result<Value, ToolError> {
    let mut text = text(&result.content);
    let structured = result.structured_content;
    // Servers say in text once more what they say in fields.
    if structured.is_some() && serde_json::from_str(&text).ok() == structured {
        text.clear();
    }
    if result.is_error == Some(true) {
        let said = structured.filter(|_| text.is_empty()).map(|fields| fields.to_string());
        let said = said.unwrap_or(text);
        let message = if said.is_empty() { "the tool failed and did not say why" } else { &said };
        return Err(ToolError::new(ToolErrorKind::Failed, bounded(message, ERROR_BYTES_MAX).0));
    }
    let mut told = Map::new();
    let (bounded_text, mut truncated) = bounded(&text, BYTES_MAX);
    if !bounded_text.is_empty() || structured.is_none() {
        told.insert("text".to_owned(), bounded_text.into());
    }
    if let Some(structured) = structured {
        let (whole, cut) = bounded(&structured.to_string(), BYTES_MAX);
        told.insert("structured".to_owned(), if cut { whole.into() } else { structured });
        truncated |= cut;
    }
    if truncated {
        told.insert("truncated".to_owned(), true.into());
    }
    Ok(Value::Object(told))
}

fn bounded(text: &str, bytes_max: usize) -> (String, bool) {
    if json_len(text) <= bytes_max {
        return (text.to_owned(), false);
    }
    (cut_middle(text, "", bytes_max, 0), true)
}

fn text(content: &[ContentBlock]) -> String {
    content.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => left_out("image", &image.mime_type, image.data.len()),
        ContentBlock::Audio(audio) => left_out("sound", &audio.mime_type, audio.data.len()),
        ContentBlock::Resource(embedded) => resource(&embedded.resource),
        ContentBlock::ResourceLink(link) => format!("[{}: {}]", link.name, link.uri),
        _ => UNKNOWN.to_owned(),
    }
}

fn resource(resource: &ResourceContents) -> String {
    match resource {
        ResourceContents::TextResourceContents { uri, text, .. } => format!("{uri}\n{text}"),
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            let kind = mime_type.as_deref().unwrap_or("application/octet-stream");
            format!("{uri}\n{}", left_out("file", kind, blob.len()))
        }
        _ => UNKNOWN.to_owned(),
    }
}

/// A note of what no model of text can be told. What is there is in Base64.
fn left_out(what: &str, kind: &str, base64_bytes: usize) -> String {
    format!("[{what}, {kind}, {} bytes]", base64_bytes / 4 * 3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::observation;

    fn told(result: &Value) -> Value {
        observation(&answer(serde_json::from_value(result.clone()).unwrap()))
    }

    #[test]
    fn text_is_told_and_of_the_rest_that_it_was_there() {
        let content = json!([
            { "type": "text", "text": "one" },
            { "type": "image", "mimeType": "image/png", "data": "QUJD" },
            { "type": "resource", "resource": { "uri": "file:///a", "text": "two" } },
            { "type": "resource", "resource": { "uri": "file:///b", "blob": "QUJD" } },
            { "type": "resource_link", "uri": "https://c", "name": "c" },
        ]);
        let text = "one\n[image, image/png, 3 bytes]\nfile:///a\ntwo\nfile:///b\n\
                    [file, application/octet-stream, 3 bytes]\n[c: https://c]";
        assert_eq!(told(&json!({ "content": content })), json!({ "ok": true, "text": text }));
        assert_eq!(told(&json!({ "content": [] })), json!({ "ok": true, "text": "" }));
    }

    #[test]
    fn fields_are_kept_and_not_told_twice() {
        let twice = json!({
            "content": [{ "type": "text", "text": "{\"a\": 1}" }], "structuredContent": { "a": 1 },
        });
        assert_eq!(told(&twice), json!({ "ok": true, "structured": { "a": 1 } }));
        let both = json!({
            "content": [{ "type": "text", "text": "one" }], "structuredContent": { "a": 1 },
        });
        assert_eq!(told(&both), json!({ "ok": true, "text": "one", "structured": { "a": 1 } }));
    }

    #[test]
    fn a_failure_is_told_as_one() {
        let failed =
            json!({ "content": [{ "type": "text", "text": "no such issue" }], "isError": true });
        let expected = json!({ "ok": false, "error": "failed", "message": "no such issue" });
        assert_eq!(told(&failed), expected);
        assert_eq!(told(&json!({ "content": [], "isError": true }))["ok"], false);
    }

    #[test]
    fn whatever_is_answered_what_is_told_is_bounded() {
        let long = "é\u{0}\"".repeat(100_000);
        let content = json!([{ "type": "text", "text": long }]);
        let much = told(&json!({ "content": content, "structuredContent": { "a": long } }));
        assert_eq!(much["truncated"], true);
        assert!(much.to_string().len() <= 3 * BYTES_MAX, "{}", much.to_string().len());
        let failed = told(&json!({ "content": content, "isError": true }));
        assert!(failed.to_string().len() <= ERROR_BYTES_MAX + 100);
    }
}
