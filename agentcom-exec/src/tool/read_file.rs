//! This file is the tool that reads files.

use std::io::Read;
use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::workspace::{FILE_BYTES_MAX, is_binary};
use super::{FILES, Spec, Tool, ToolError, ToolErrorKind, Workspace, on_files};
use crate::sandbox::Level;

/// Reads a file, or some of its lines.
#[derive(Clone, Debug)]
pub struct ReadFile(pub Arc<Workspace>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(alias = "file", alias = "file_path", alias = "filename")]
    path: String,
    start_line: Option<usize>,
    end_line: Option<usize>,
}

#[derive(Serialize)]
struct Output {
    path: String,
    content: String,
    /// How many lines the file has.
    lines: usize,
    /// The first line of `content`; absent where all of the file is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_line: Option<usize>,
    /// Whether lines are missing that were asked for.
    truncated: bool,
}

/// How much of a file is told at once, in bytes.
const TOLD_BYTES_MAX: usize = 32 * 1024;

#[async_trait]
impl Tool for ReadFile {
    fn spec(&self) -> Spec {
        Spec {
            name: "read_file".to_owned(),
            description: "Read a text file of the workspace. Long files are cut; read the rest \
                          with start_line and end_line."
                .to_owned(),
            input: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Path, relative to the workspace" },
                    "start_line": { "type": "integer", "description": "First line to read, from 1" },
                    "end_line": { "type": "integer", "description": "Last line to read" },
                },
                "required": ["path"],
            }),
        }
    }

    fn reach(&self) -> Reach {
        FILES
    }

    fn sandbox(&self) -> Option<Level> {
        Some(Level::L1)
    }

    async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
        on_files(&self.0, input, &self.spec(), Input::read).await
    }
}

impl Input {
    fn read(&self, workspace: &Workspace) -> Result<Output, ToolError> {
        let text = text_of(workspace, &self.path)?;
        let shown = workspace.relative(&self.path).display().to_string();
        Ok(self.lines(shown, &text))
    }

    /// The lines that were asked for, as far as there is room.
    fn lines(&self, path: String, text: &str) -> Output {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let first = self.start_line.unwrap_or(1).max(1);
        let last = self.end_line.unwrap_or(usize::MAX).min(lines.len());
        let asked = lines.get(first - 1..last.max(first - 1)).unwrap_or_default();
        let mut content = String::new();
        let mut truncated = false;
        for line in asked {
            if content.len() + line.len() > TOLD_BYTES_MAX {
                truncated = true;
                if content.is_empty() {
                    content.push_str(&line[..line.floor_char_boundary(TOLD_BYTES_MAX)]);
                }
                break;
            }
            content.push_str(line);
        }
        let whole = asked.len() == lines.len() && !truncated;
        let from_line = (!whole).then_some(first);
        Output { path, content, lines: lines.len(), from_line, truncated }
    }
}

/// The whole text of a file of the workspace.
pub(crate) fn text_of(workspace: &Workspace, named: &str) -> Result<String, ToolError> {
    let path = workspace.relative(named);
    let (file, metadata) = workspace.file(&path)?;
    let too_large = || {
        let message = format!(
            "{named} has {} bytes; search it, or use a command such as sed -n '1,100p'",
            metadata.len()
        );
        ToolError::new(ToolErrorKind::TooLarge, message)
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| super::workspace::refused(&path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(too_large());
    }
    if is_binary(&bytes) {
        return Err(ToolError::new(ToolErrorKind::Binary, format!("{named} is no text")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
