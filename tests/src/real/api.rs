//! This file asks a hub over HTTP, and leaves what it answers to whoever asks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);

/// A hub, and the token to ask it with.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where it listens, as `ADDRESS:PORT`.
    pub listen: String,
    /// The token.
    pub token: String,
}

impl Api {
    /// The status and the body of an answer; a body that is no JSON is `null`.
    ///
    /// # Errors
    ///
    /// If there is no whole answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, Value)> {
        Line::to(self)?.ask(method, path, body)
    }

    /// As [`Api::ask`], for an answer that is all right.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        match self.ask("GET", path, None) {
            Ok((200, body)) => body,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// The ids of a batch of tasks, if it was acknowledged.
    ///
    /// # Panics
    ///
    /// If the hub does not like the batch.
    #[must_use]
    pub fn submit(&self, tasks: &[Value]) -> Option<Vec<String>> {
        let batch = serde_json::json!({ "tasks": tasks });
        let (status, answer) = self.ask("POST", "/api/tasks/batch", Some(&batch)).ok()?;
        if status >= 500 || status == 429 {
            return None;
        }
        assert!((200..300).contains(&status), "{status}: {answer}");
        let tasks = answer["tasks"].as_array()?.iter();
        tasks.map(|task| task["task_id"].as_str().map(String::from)).collect()
    }

    /// How many tasks live; none if the hub is away.
    #[must_use]
    pub fn living(&self) -> u64 {
        let Ok((200, stats)) = self.ask("GET", "/api/stats", None) else { return 0 };
        let states = stats["tasks"]["by_state"].as_object().into_iter().flatten();
        states.filter_map(|(_, count)| count.as_u64()).sum()
    }

    /// All tasks, page by page.
    ///
    /// # Panics
    ///
    /// If the hub does not answer.
    #[must_use]
    pub fn tasks(&self) -> Vec<Value> {
        let mut found = Vec::new();
        let mut path = String::from("/api/tasks?limit=200");
        loop {
            let page = self.get(&path);
            found.extend(page["tasks"].as_array().cloned().unwrap_or_default());
            let Some(next) = page["next_cursor"].as_str() else { return found };
            path = format!("/api/tasks?limit=200&cursor={next}");
        }
    }
}

/// A connection to a hub that is kept for many questions.
#[derive(Debug)]
pub struct Line {
    api: Api,
    stream: BufReader<TcpStream>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the hub cannot be reached.
    pub fn to(api: &Api) -> io::Result<Self> {
        let stream = TcpStream::connect(&api.listen)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Self { api: api.clone(), stream: BufReader::new(stream) })
    }

    /// The status and the body of an answer; a body that is no JSON is `null`.
    ///
    /// # Errors
    ///
    /// If there is no whole answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let Api { listen, token } = &self.api;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {listen}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (None, None);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().ok();
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
            }
        }
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let body = match length {
            Some(length) => self.bytes(length)?,
            None => self.chunks()?,
        };
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line()?, 16);
            let length = length.map_err(io::Error::other)?;
            body.extend(self.bytes(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}
