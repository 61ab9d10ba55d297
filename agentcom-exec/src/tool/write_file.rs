//! This file is the tool that writes files.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use cap_std::fs::{Dir, Metadata, OpenOptions, Permissions, PermissionsExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::workspace::{FILE_BYTES_MAX, give, refused};
use super::{Spec, Tool, ToolError, ToolErrorKind, Workspace, on_files};
use crate::sandbox::Level;

/// Writes a file as a whole: it has its old content or its new one, and never a part of it.
#[derive(Clone, Debug)]
pub struct WriteFile(pub Arc<Workspace>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(alias = "file", alias = "file_path", alias = "filename")]
    path: String,
    #[serde(alias = "contents", alias = "text")]
    content: String,
    #[serde(default = "yes")]
    create_dirs: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Output {
    path: String,
    bytes_written: usize,
    /// Whether there was no such file before.
    created: bool,
}

#[async_trait]
impl Tool for WriteFile {
    fn spec(&self) -> Spec {
        Spec {
            name: "write_file".to_owned(),
            description: "Write a text file of the workspace as a whole. What was in it is gone: \
                          read it first to change it."
                .to_owned(),
            input: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Path, relative to the workspace" },
                    "content": { "type": "string", "description": "All of the file" },
                    "create_dirs": { "type": "boolean", "description": "Make missing folders (true)" },
                },
                "required": ["path", "content"],
            }),
        }
    }

    fn changes(&self) -> bool {
        true
    }

    fn reach(&self) -> Reach {
        Reach::default()
    }

    fn sandbox(&self) -> Option<Level> {
        Some(Level::L1)
    }

    async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
        on_files(&self.0, input, &self.spec(), Input::write).await
    }
}

impl Input {
    fn write(&self, workspace: &Workspace) -> Result<Output, ToolError> {
        if self.content.len() as u64 > FILE_BYTES_MAX {
            let message = format!("{} bytes are too many for one file", self.content.len());
            return Err(ToolError::new(ToolErrorKind::TooLarge, message));
        }
        let path = workspace.relative(&self.path);
        let (dir, name) = workspace.place(&path, self.create_dirs)?;
        let before = dir.metadata(name).ok();
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            let message = format!("{} is no regular file", self.path);
            return Err(ToolError::new(ToolErrorKind::WrongKind, message));
        }
        workspace.make_room(self.content.len() as u64, before.as_ref())?;
        let temporary = temporary_name();
        let written = self.fill(&dir, Path::new(&temporary), before.as_ref());
        let moved = written.and_then(|()| dir.rename(&temporary, &dir, name));
        if let Err(error) = moved {
            let _ = dir.remove_file(&temporary);
            return Err(refused(&path, &error));
        }
        Ok(Output {
            path: path.display().to_string(),
            bytes_written: self.content.len(),
            created: before.is_none(),
        })
    }

    fn fill(&self, dir: &Dir, temporary: &Path, before: Option<&Metadata>) -> std::io::Result<()> {
        let mut file = dir.open_with(temporary, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(self.content.as_bytes())?;
        give(dir, &file)?;
        if let Some(before) = before {
            // Scripts stay executable, and nobody runs as us what somebody else may have asked for.
            let mode = before.permissions().mode() & 0o777;
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.sync_all()
    }
}

/// A name that nobody else has.
fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(".agentcom-{}-{number}.tmp", std::process::id())
}
