//! This file does for agents what they ask of files: beneath the worktree, and nowhere else.

use std::sync::Arc;

use agentcom_core::port::executor::JobContext;
use serde_json::{Value, json};

use super::message::{ReadsFile, RpcError, WritesFile};
use crate::tool::{Tool as _, ToolError, ToolErrorKind, Workspace, WriteFile, text_of};

/// Reads a file, or some of its lines.
pub(super) async fn read(workspace: Arc<Workspace>, asked: ReadsFile) -> Result<Value, RpcError> {
    let reading = tokio::task::spawn_blocking(move || {
        let text = text_of(&workspace, &asked.path).map_err(told)?;
        Ok(json!({ "content": lines(text, asked.line, asked.limit) }))
    });
    reading.await.map_err(|lost| RpcError::new(RpcError::INTERNAL, lost))?
}

/// At most `limit` lines, from `first` on, the first being 1.
fn lines(text: String, first: Option<usize>, limit: Option<usize>) -> String {
    if first.is_none() && limit.is_none() {
        return text;
    }
    let skipped = first.unwrap_or(1).saturating_sub(1);
    text.split_inclusive('\n').skip(skipped).take(limit.unwrap_or(usize::MAX)).collect()
}

/// Writes a file as a whole.
pub(super) async fn write(
    workspace: Arc<Workspace>,
    asked: WritesFile,
    ctx: &dyn JobContext,
) -> Result<Value, RpcError> {
    let input = json!({ "path": asked.path, "content": asked.content });
    WriteFile(workspace).call(input, ctx).await.map_err(told)?;
    Ok(Value::Null)
}

fn told(error: ToolError) -> RpcError {
    let code = match error.kind {
        ToolErrorKind::NotFound => RpcError::NOT_FOUND,
        ToolErrorKind::BadInput
        | ToolErrorKind::Refused
        | ToolErrorKind::WrongKind
        | ToolErrorKind::TooLarge
        | ToolErrorKind::Binary => RpcError::BAD_PARAMS,
        ToolErrorKind::UnknownTool
        | ToolErrorKind::UnreadableCall
        | ToolErrorKind::CannotRun
        | ToolErrorKind::DiskFull
        | ToolErrorKind::OutOfTime
        | ToolErrorKind::Failed => RpcError::INTERNAL,
    };
    RpcError::new(code, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let read = |first, limit| lines("a\nb\nc".to_owned(), first, limit);
        assert_eq!(read(None, None), "a\nb\nc");
        assert_eq!(read(Some(2), None), "b\nc");
        assert_eq!(read(None, Some(1)), "a\n");
        assert_eq!(read(Some(0), Some(2)), "a\nb\n");
        assert_eq!(read(Some(3), Some(9)), "c");
        assert_eq!(read(Some(4), None), "");
    }
}
