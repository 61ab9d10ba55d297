//! This file is the tool that searches files.

use std::io::Read;
use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::list_directory::glob;
use super::walk::{Found, Next, walk};
use super::workspace::{is_binary, open_in};
use super::{FILES, Spec, Tool, ToolError, ToolErrorKind, Workspace, on_files};
use crate::sandbox::Level;

/// Searches the files of a workspace, line by line, for a regular expression. The time that it takes
/// grows with the text and not with the expression.
#[derive(Clone, Debug)]
pub struct SearchFiles(pub Arc<Workspace>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(alias = "query", alias = "regex")]
    pattern: String,
    #[serde(default = "here", alias = "directory", alias = "dir")]
    path: String,
    #[serde(alias = "glob")]
    file_pattern: Option<String>,
    #[serde(default = "fifty")]
    max_results: usize,
}

fn here() -> String {
    ".".to_owned()
}

fn fifty() -> usize {
    50
}

#[derive(Serialize)]
struct Output {
    matches: Vec<Match>,
    files_searched: usize,
    /// Whether there may be more.
    truncated: bool,
}

#[derive(Serialize)]
struct Match {
    file: String,
    line: usize,
    text: String,
}

/// How many lines are told.
const RESULTS_MAX: usize = 200;

/// How much of a line is told, in bytes.
const LINE_BYTES_MAX: usize = 300;

/// The largest file that is searched, in bytes.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The largest compiled expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

#[async_trait]
impl Tool for SearchFiles {
    fn spec(&self) -> Spec {
        Spec {
            name: "search_files".to_owned(),
            description: "Search the text files of the workspace, line by line, for a regular \
                          expression. What git ignores is left out."
                .to_owned(),
            input: json!({
                "type": "object",
                "properties": {
                    "pattern": { "type": "string", "description": "Regular expression" },
                    "path": { "type": "string", "description": "Folder to search (.)" },
                    "file_pattern": { "type": "string", "description": "Only files whose names match, such as *.rs" },
                    "max_results": { "type": "integer", "description": "How many lines at most (50)" },
                },
                "required": ["pattern"],
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
        on_files(&self.0, input, &self.spec(), Input::search).await
    }
}

impl Input {
    fn search(&self, workspace: &Workspace) -> Result<Output, ToolError> {
        let files = self.file_pattern.as_deref().map(glob).transpose()?;
        let pattern = RegexBuilder::new(&self.pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| ToolError::new(ToolErrorKind::BadInput, error))?;
        let most = self.max_results.clamp(1, RESULTS_MAX);
        let mut output = Output { matches: Vec::new(), files_searched: 0, truncated: false };
        let path = workspace.relative(&self.path);
        let whole = walk(workspace, &path, |found| {
            if files.as_ref().is_some_and(|files| !files.is_match(found.name)) {
                return Next::Go;
            }
            output.take(&found, &pattern, most)
        })?;
        output.truncated |= !whole;
        Ok(output)
    }
}

impl Output {
    fn take(&mut self, found: &Found<'_>, pattern: &Regex, most: usize) -> Next {
        let Some(bytes) = text_of(found) else { return Next::Go };
        self.files_searched += 1;
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if !pattern.is_match(line) {
                continue;
            }
            if self.matches.len() == most {
                self.truncated = true;
                return Next::Stop;
            }
            let text = String::from_utf8_lossy(line);
            let text = text[..text.floor_char_boundary(LINE_BYTES_MAX)].trim_end().to_owned();
            let file = found.path.display().to_string();
            self.matches.push(Match { file, line: number + 1, text });
        }
        Next::Go
    }
}

/// The bytes of a regular file that is text and not too large.
fn text_of(found: &Found<'_>) -> Option<Vec<u8>> {
    if !found.kind.is_file() {
        return None;
    }
    let (file, metadata) = open_in(found.dir, found.name.as_ref()).ok()?;
    let mut bytes = Vec::new();
    if metadata.len() > FILE_BYTES_MAX {
        return None;
    }
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    (!is_binary(&bytes)).then_some(bytes)
}
