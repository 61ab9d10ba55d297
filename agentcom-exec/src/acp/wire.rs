//! This file carries lines to and from an agent, in bounded memory.

use std::future::pending;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::error::AcpError;

/// The longest message, in bytes: a file of the largest size, written with escapes.
pub(super) const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How much an agent may say in all, in bytes.
const ALL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much may wait to be read by the agent, in bytes.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What an agent says, line by line.
#[derive(Debug)]
pub(super) struct Lines {
    from: OwnedReadHalf,
    buffer: Vec<u8>,
    /// Where the next line begins.
    at: usize,
    /// How far there is no end of it.
    searched: usize,
    read: u64,
}

impl Lines {
    pub(super) fn of(from: OwnedReadHalf) -> Self {
        Self { from, buffer: Vec::new(), at: 0, searched: 0, read: 0 }
    }

    /// The next line, without its end; nothing when it says no more. What comes behind the last end of
    /// a line was never finished, and is passed over. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, AcpError> {
        loop {
            let end = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
            if let Some(end) = end.map(|end| self.searched + end) {
                let line = self.buffer[self.at..end].to_vec();
                self.at = end + 1;
                self.searched = self.at;
                return Ok(Some(line));
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(AcpError::LongLine(LINE_BYTES_MAX));
            }
            let Ok(read @ 1..) = self.from.read_buf(&mut self.buffer).await else {
                return Ok(None);
            };
            self.read += read as u64;
            if self.read > ALL_BYTES_MAX {
                return Err(AcpError::TooMuch(ALL_BYTES_MAX));
            }
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
