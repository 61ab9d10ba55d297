//! This file makes a tool of the loop of what a server lists.

use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use rmcp::model::Tool as Listed;
use serde_json::{Map, Value};

use super::answer::answer;
use super::link::Link;
use super::{Server, Why, schema};
use crate::tool::{Spec, Tool, ToolError, ToolErrorKind};

/// A tool of an MCP server, named `<server>__<tool>`.
#[derive(Clone, Debug)]
pub struct RemoteTool {
    link: Arc<Link>,
    /// What the server calls it.
    listed_as: String,
    spec: Spec,
    changes: bool,
    reach: Reach,
}

/// How long a name may be that models call a tool by.
const NAME_BYTES_MAX: usize = 64;

/// How much a model is told of what a tool is for.
const DESCRIPTION_BYTES_MAX: usize = 1024;

/// How long the schema of an input may be, as JSON.
const SCHEMA_BYTES_MAX: usize = 32 * 1024;

impl RemoteTool {
    pub(super) fn of(link: &Arc<Link>, server: &Server, listed: &Listed) -> Result<Self, Why> {
        Ok(Self {
            link: Arc::clone(link),
            listed_as: listed.name.to_string(),
            spec: spec(&server.name, listed)?,
            // A hint of the server, for whether the model gets on; nothing is allowed by it.
            changes: listed
                .annotations
                .as_ref()
                .is_none_or(|hints| hints.read_only_hint != Some(true)),
            reach: server.reach.of(&listed.name),
        })
    }

    /// What the server calls it.
    #[must_use]
    pub fn listed_as(&self) -> &str {
        &self.listed_as
    }
}

fn spec(server: &str, listed: &Listed) -> Result<Spec, Why> {
    let bad = |why| Why::BadTool { tool: shortened(&listed.name, NAME_BYTES_MAX).to_owned(), why };
    if listed.name.is_empty() {
        return Err(bad("it has no name"));
    }
    let input = schema::plain(listed.input_schema.as_ref().clone()).map_err(bad)?;
    let input = Value::Object(input);
    if input.to_string().len() > SCHEMA_BYTES_MAX {
        return Err(bad("the schema of its input is too long"));
    }
    let description = listed.description.as_deref().or(listed.title.as_deref()).unwrap_or_default();
    let description = shortened(description.trim(), DESCRIPTION_BYTES_MAX).to_owned();
    Ok(Spec { name: name(server, &listed.name), description, input })
}

/// The name by which models call a tool: what all of them take as one.
fn name(server: &str, tool: &str) -> String {
    let is_fine = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let tool = tool.chars().map(|c| if is_fine(&c) { c } else { '_' });
    format!("{server}__{}", tool.collect::<String>()).chars().take(NAME_BYTES_MAX).collect()
}

fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[async_trait]
impl Tool for RemoteTool {
    fn spec(&self) -> Spec {
        self.spec.clone()
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
        let input = match input {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(ToolError::new(ToolErrorKind::BadInput, "the input is no object"));
            }
        };
        answer(self.link.call(&self.listed_as, input).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listed(tool: &Value) -> Listed {
        serde_json::from_value(tool.clone()).unwrap()
    }

    #[test]
    fn names_are_such_as_every_model_takes() {
        let named = |tool: &str| name("git-hub", tool);
        assert_eq!(named("issue_read"), "git-hub__issue_read");
        assert_eq!(named("issues/read v2.é"), "git-hub__issues_read_v2__");
        assert_eq!(named(&"x".repeat(500)).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn what_models_are_told_is_bounded() {
        let tool = json!({ "name": "a", "description": "é".repeat(5000), "inputSchema": {} });
        let spec = spec("a", &listed(&tool)).unwrap();
        assert_eq!(spec.description.len(), DESCRIPTION_BYTES_MAX);
        assert_eq!(spec.input, json!({ "type": "object" }));
    }

    #[test]
    fn a_tool_without_a_use_is_refused_with_the_reason() {
        let refused = |tool: &Value| spec("a", &listed(tool)).unwrap_err().to_string();
        let array = json!({ "name": "a", "inputSchema": { "type": "array" } });
        assert!(refused(&array).contains("`a` that cannot be used, as its input is no object"));
        let long = json!({ "name": "a", "inputSchema": { "title": "x".repeat(SCHEMA_BYTES_MAX) } });
        assert!(refused(&long).contains("too long"));
        assert!(refused(&json!({ "name": "", "inputSchema": {} })).contains("no name"));
    }
}
