//! This file is the agent's end of the wire.

use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

/// The one session that there is.
pub(super) const SESSION: &str = "session-1";

/// Something that the client says, but for answers.
pub(super) struct Message {
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// The client, as the agent sees it.
pub(super) struct Peer {
    from: io::StdinLock<'static>,
    to: io::StdoutLock<'static>,
    next_id: u64,
    /// The id of the turn that it is in.
    pub(super) prompt: Value,
    /// Whether the client reads and writes files for it.
    pub(super) files: bool,
    /// Whether its turn was called off.
    pub(super) called_off: bool,
}

impl Peer {
    pub(super) fn of_this_process() -> Self {
        let (from, to) = (io::stdin().lock(), io::stdout().lock());
        Self { from, to, next_id: 0, prompt: Value::Null, files: false, called_off: false }
    }

    fn line(&mut self) -> io::Result<Option<Value>> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// The next that the client asks or tells; nothing when it says no more.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        while let Some(line) = self.line()? {
            let Some(method) = line["method"].as_str() else { continue };
            self.called_off |= method == "session/cancel";
            let id = Some(line["id"].clone()).filter(|id| !id.is_null());
            let (method, params) = (method.to_owned(), line["params"].clone());
            return Ok(Some(Message { id, method, params }));
        }
        Ok(None)
    }

    /// Writes bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.to.flush()
    }

    pub(super) fn say(&mut self, message: &Value) -> io::Result<()> {
        self.raw(format!("{message}\n").as_bytes())
    }

    pub(super) fn answer(&mut self, id: &Value, result: &Value) -> io::Result<()> {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }

    pub(super) fn refuse(&mut self, id: &Value, code: i64, message: &str) -> io::Result<()> {
        let error = json!({ "code": code, "message": message });
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    }

    /// Tells news of the session.
    pub(super) fn update(&mut self, update: &Value) -> io::Result<()> {
        let params = json!({ "sessionId": SESSION, "update": update });
        self.say(&json!({ "jsonrpc": "2.0", "method": "session/update", "params": params }))
    }

    /// Says something to people.
    pub(super) fn speak(&mut self, text: &str) -> io::Result<()> {
        self.update(&json!({
            "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text },
        }))
    }

    /// Asks the client for something, without waiting for its answer.
    pub(super) fn ask_on(&mut self, method: &str, params: &Value) -> io::Result<u64> {
        self.next_id += 1;
        let id = self.next_id;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        Ok(id)
    }

    /// Asks the client for something; its answer, or its error.
    pub(super) fn ask(&mut self, method: &str, params: &Value) -> io::Result<Result<Value, Value>> {
        let id = self.ask_on(method, params)?;
        while let Some(line) = self.line()? {
            self.called_off |= line["method"] == "session/cancel";
            if line["method"].is_null() && line["id"] == id {
                let error = &line["error"];
                return Ok(if error.is_null() {
                    Ok(line["result"].clone())
                } else {
                    Err(error.clone())
                });
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads a file of the client.
    pub(super) fn read(&mut self, path: &str) -> io::Result<Result<Value, Value>> {
        self.ask("fs/read_text_file", &json!({ "sessionId": SESSION, "path": path }))
    }

    /// Has the client write a file.
    pub(super) fn write(&mut self, path: &str, content: &str) -> io::Result<Result<Value, Value>> {
        let params = json!({ "sessionId": SESSION, "path": path, "content": content });
        self.ask("fs/write_text_file", &params)
    }

    /// Asks for permission; which option was selected, or `cancelled`.
    pub(super) fn may_it(
        &mut self,
        kind: &str,
        title: &str,
        options: &[(&str, &str)],
    ) -> io::Result<String> {
        self.may_i(&json!({ "toolCallId": title, "kind": kind, "title": title }), options)
    }

    /// The same, for a call.
    pub(super) fn may_i(&mut self, call: &Value, options: &[(&str, &str)]) -> io::Result<String> {
        let options: Vec<Value> = options
            .iter()
            .map(|(id, kind)| json!({ "optionId": id, "name": kind, "kind": kind }))
            .collect();
        let params = json!({ "sessionId": SESSION, "toolCall": call, "options": options });
        let told = self.ask("session/request_permission", &params)?;
        let told = told.map_err(|error| io::Error::other(error.to_string()))?;
        let chosen = told["outcome"]["optionId"].as_str();
        Ok(chosen.unwrap_or("cancelled").to_owned())
    }
}
