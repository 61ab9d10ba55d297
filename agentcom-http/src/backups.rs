//! This file is what the routes ask for backups: the program that serves them makes these.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

/// Makes backups of the hub's data and knows how they went.
#[async_trait]
pub trait Backups: Debug + Send + Sync {
    /// Makes one beside other work, and describes it: an object with its `path`, `bytes` and
    /// `rows`. One request at a time is carried out; others wait.
    ///
    /// Cancel safe: a backup that is begun comes to its end, or leaves nothing behind.
    ///
    /// # Errors
    ///
    /// Why there is none.
    async fn back_up(&self) -> Result<Value, NoBackup>;

    /// How they went so far: an object for `GET /health`. It must not hold up its caller.
    fn health(&self) -> Value;
}

/// Why no backup was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoBackup(pub String);
