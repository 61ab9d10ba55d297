//! This file is the tool that lists folders.

use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use cap_std::fs::FileType;
use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::walk::{Next, walk};
use super::{FILES, Spec, Tool, ToolError, ToolErrorKind, Workspace, on_files};
use crate::sandbox::Level;

/// Lists a folder.
#[derive(Clone, Debug)]
pub struct ListDirectory(pub Arc<Workspace>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default = "here", alias = "directory", alias = "dir")]
    path: String,
    #[serde(default)]
    recursive: bool,
    pattern: Option<String>,
}

fn here() -> String {
    ".".to_owned()
}

#[derive(Serialize)]
struct Output {
    path: String,
    entries: Vec<Entry>,
    /// Whether there is more.
    truncated: bool,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// The longest pattern of names, in bytes: with it none takes more than can be compiled, which would panic.
const PATTERN_BYTES_MAX: usize = 1000;

/// How many entries are told.
const ENTRIES_MAX: usize = 500;

#[async_trait]
impl Tool for ListDirectory {
    fn spec(&self) -> Spec {
        Spec {
            name: "list_directory".to_owned(),
            description: "List a folder of the workspace. What git ignores is left out.".to_owned(),
            input: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Folder, relative to the workspace (.)" },
                    "recursive": { "type": "boolean", "description": "List folders in it as well (false)" },
                    "pattern": { "type": "string", "description": "Only names that match, such as *.rs" },
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
        on_files(&self.0, input, &self.spec(), Input::list).await
    }
}

impl Input {
    fn list(&self, workspace: &Workspace) -> Result<Output, ToolError> {
        let pattern = self.pattern.as_deref().map(glob).transpose()?;
        let path = workspace.relative(&self.path);
        let mut entries = Vec::new();
        let next = if self.recursive { Next::Go } else { Next::Skip };
        let whole = walk(workspace, &path, |found| {
            if pattern.as_ref().is_some_and(|pattern| !pattern.is_match(found.name)) {
                return next;
            }
            if entries.len() == ENTRIES_MAX {
                return Next::Stop;
            }
            let metadata = found.dir.symlink_metadata(found.name);
            let size =
                metadata.ok().filter(|_| found.kind.is_file()).map(|metadata| metadata.len());
            let name = found.path.display().to_string();
            entries.push(Entry { name, kind: word(found.kind), size });
            next
        })?;
        Ok(Output { path: path.display().to_string(), entries, truncated: !whole })
    }
}

/// Reads a pattern of names.
pub(super) fn glob(pattern: &str) -> Result<GlobMatcher, ToolError> {
    let bad = |why: &dyn std::fmt::Display| ToolError::new(ToolErrorKind::BadInput, why);
    if pattern.len() > PATTERN_BYTES_MAX {
        let found = pattern.len();
        return Err(bad(&format!(
            "a pattern of names takes {PATTERN_BYTES_MAX} bytes, not {found}"
        )));
    }
    Ok(Glob::new(pattern).map_err(|error| bad(&error))?.compile_matcher())
}

fn word(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_file() {
        "file"
    } else if kind.is_symlink() {
        "link"
    } else {
        "other"
    }
}
