//! This file carries lines to and from an agent, in bounded memory.

use std::future::pending;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::error::AcpError;
use crate::lines::{Said, TooMuch};

/// The longest message, in bytes: a file of the largest size, written with escapes.
pub(super) const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How much an agent may say in all, in bytes.
const ALL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much may wait to be read by the agent, in bytes.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What an agent says, line by line.
pub(super) fn said(from: OwnedReadHalf) -> Said {
    Said::by(from, LINE_BYTES_MAX, ALL_BYTES_MAX)
}

impl From<TooMuch> for AcpError {
    fn from(too_much: TooMuch) -> Self {
        match too_much {
            TooMuch::Line(bytes_max) => Self::LongLine(bytes_max),
            TooMuch::All(bytes_max) => Self::TooMuch(bytes_max),
        }
    }
}

/// What an agent is told.
#[derive(Debug)]
pub(super) struct Post {
    to: Option<OwnedWriteHalf>,
    waiting: Vec<u8>,
    written: usize,
}

impl Post {
    pub(super) fn to(to: OwnedWriteHalf) -> Self {
        Self { to: Some(to), waiting: Vec::new(), written: 0 }
    }

    /// Puts a message in line. It goes out while [`Post::carry`] is polled.
    pub(super) fn put(&mut self, message: &Value) -> Result<(), AcpError> {
        self.waiting.drain(..self.written);
        self.written = 0;
        let line = message.to_string();
        if self.waiting.len() + line.len() > WAITING_BYTES_MAX {
            return Err(AcpError::Deaf);
        }
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
        Ok(())
    }

    /// Carries what is in line, for ever. Cancel safe.
    pub(super) async fn carry(&mut self) -> std::convert::Infallible {
        while let (Some(to), true) = (&mut self.to, self.written < self.waiting.len()) {
            match to.write(&self.waiting[self.written..]).await {
                Ok(written @ 1..) => self.written += written,
                // Nobody is there; that nothing comes back says so too.
                Ok(0) | Err(_) => self.to = None,
            }
        }
        pending().await
    }

    /// The agent is told nothing more.
    pub(super) fn close(&mut self) {
        self.to = None;
    }
}
