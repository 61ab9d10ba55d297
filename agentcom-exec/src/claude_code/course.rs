//! This file follows what the program says, line by line: answers what it asks, tells whoever watches,
//! and decides how the work ended.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use agentcom_core::agentic::{Limits, Stop};
use agentcom_core::money::Micros;
use agentcom_core::port::executor::JobContext;
use serde_json::{Value, json};

use super::ClaudeCode;
use super::line::{Asked, Block, Content, Line, Outcome, RateLimit, Said, System};
use crate::agentic::feed::{Feed, ModelCall, ToolCall};
use crate::agentic::transcript::Transcript;
use crate::agentic::{Ended, How};
use crate::coding::Bench;
use crate::egress::Contact;
use crate::model::{Call, Message, ModelError, Reply, Usage, history};
use crate::output::survived;

/// How many messages a model may send, those of its own agents included.
const MESSAGES_MAX: usize = 5_000;

/// How many calls may wait for their outcome at once, and how many are told in the end.
const CALLS_MAX: usize = 1_000;

/// The longest that a quota is believed to be spent: a week, and a day for clocks that differ.
const SPENT_MAX: Duration = Duration::from_secs(8 * 24 * 3600);

/// How long a quota is spent if it is over by now, or nobody says until when.
const SPENT_LEAST: Duration = Duration::from_secs(60);

/// How much of what went wrong is told, in bytes.
const SEEN_BYTES_MAX: usize = 2_000;

/// What to do after a line.
#[derive(Debug)]
pub(super) enum Heard {
    /// Hear the next.
    Nothing,
    /// Tell it this, a line.
    Answer(String),
    /// It is about to end.
    Result,
    /// Stop it.
    Over(How),
}

/// The work of the program so far.
pub(super) struct Course<'a> {
    claude: &'a ClaudeCode,
    limits: Limits,
    ctx: &'a dyn JobContext,
    feed: Feed<'a>,
    transcript: Transcript<'a>,
    answer: String,
    /// What each message took. Several lines are about the same message.
    messages: BTreeMap<String, Usage>,
    /// The message that is being said, and how long its model took until its last line.
    saying: Option<(String, Duration)>,
    /// When a model was last given something to read.
    asked_at: Instant,
    /// How often the model was asked, its own agents apart.
    turns: u32,
    calls: BTreeMap<String, (Call, Instant)>,
    steps: Vec<String>,
    /// The kind of the last failure of its API.
    failure: Option<String>,
    results: Vec<Outcome>,
    /// The first that it said which is no JSON.
    garbage: Option<String>,
}

impl<'a> Course<'a> {
    pub(super) fn new(claude: &'a ClaudeCode, bench: &Bench<'a>, prompt: &str) -> Self {
        let mut transcript = Transcript::with(bench.draft);
        let tools: Vec<&str> = claude.tools.iter().map(String::as_str).collect();
        transcript.begin("", &tools);
        transcript.add(&Message::User(prompt.to_owned()));
        let name = claude.model.as_deref().unwrap_or(ClaudeCode::KIND);
        Self {
            claude,
            limits: bench.limits,
            ctx: bench.ctx,
            feed: Feed::new(bench.ctx, name),
            transcript,
            answer: String::new(),
            messages: BTreeMap::new(),
            saying: None,
            asked_at: Instant::now(),
            turns: 0,
            calls: BTreeMap::new(),
            steps: Vec::new(),
            failure: None,
            results: Vec::new(),
            garbage: None,
        }
    }

    /// Takes a line in.
    pub(super) fn hear(&mut self, line: &[u8]) -> Heard {
        if line.trim_ascii().is_empty() {
            return Heard::Nothing;
        }
        let Ok(line) = serde_json::from_slice(line) else {
            self.garbage.get_or_insert_with(|| clipped(&String::from_utf8_lossy(line)));
            return Heard::Nothing;
        };
        match line {
            Line::System(system) => return self.about_itself(&system),
            Line::Assistant(said) => return self.model_says(said),
            Line::User(said) => self.tools_say(said),
            Line::RateLimitEvent { rate_limit_info: limit } => {
                if limit.is_spent() {
                    return Heard::Over(How::Failed(self.spent(&limit)));
                }
                if limit.status == "allowed_warning" {
                    self.feed.status(&format!(
                        "the quota of {} is nearly spent",
                        self.claude.credential()
                    ));
                }
            }
            Line::ControlRequest { request_id, request } => {
                return Heard::Answer(self.permit(&request_id, request));
            }
            Line::Result(outcome) => {
                self.results.push(*outcome);
                return Heard::Result;
            }
            Line::Other => {}
        }
        Heard::Nothing
    }

    fn about_itself(&mut self, system: &System) -> Heard {
        match &*system.subtype {
            "init" => {
                let version = system.claude_code_version.as_deref().unwrap_or("of some version");
                let model = system.model.as_deref().unwrap_or("a model of its choice");
                self.feed.status(&format!("Claude Code {version} with {model}"));
            }
            "api_retry" => {
                let why = system.error.as_ref().and_then(Value::as_str).unwrap_or("unknown");
                // It would ask for minutes, and hear the same.
                if let Some(refused) = refused(why, Some(system.error_status), why) {
                    return Heard::Over(How::Failed(refused));
                }
                let after = Duration::from_millis(system.retry_delay_ms);
                let why = clipped(why);
                self.feed.status(&format!("its API fails: {why}; it asks again in {after:?}"));
            }
            _ => {}
        }
        Heard::Nothing
    }

    fn model_says(&mut self, said: Said) -> Heard {
        let Said { message, parent_tool_use_id, error } = said;
        if error.is_some() {
            self.failure = error;
        }
        let of_its_own = parent_tool_use_id.is_some();
        let known = self.messages.contains_key(&message.id);
        if !known {
            self.tell_call();
            self.turns = self.turns.saturating_add(u32::from(!of_its_own));
            self.saying = Some((message.id.clone(), Duration::ZERO));
        }
        if let Some((_, took)) = self.saying.as_mut().filter(|(id, _)| *id == message.id) {
            *took = self.asked_at.elapsed();
        }
        let usage = message.usage.map(Usage::from).unwrap_or_default();
        // The last line about a message has the most.
        self.messages.insert(message.id, usage);
        let usage = self.reckoned();
        self.feed.took(usage.total());
        let reply = self.reply(message.content, of_its_own);
        self.transcript.add(&Message::Model(reply));
        if self.turns > self.limits.turns {
            return Heard::Over(How::Stopped(Stop::Turns));
        }
        if self.limits.tokens.is_some_and(|most| usage.total() > most) {
            return Heard::Over(How::Stopped(Stop::Tokens));
        }
        if self.messages.len() > MESSAGES_MAX || self.calls.len() > CALLS_MAX {
            let seen = format!("more than {MESSAGES_MAX} messages, or {CALLS_MAX} calls at once");
            return Heard::Over(How::Failed(ModelError::Broken(seen)));
        }
        Heard::Nothing
    }

    /// Tells of the message that was said last, if that was not done.
    fn tell_call(&mut self) {
        let Some((id, took)) = self.saying.take() else { return };
        let usage = self.messages.get(&id).copied().filter(|usage| usage.total() > 0);
        self.feed.asked(&ModelCall { turn: self.turns, usage, cost: None, took, error: None });
        self.asked_at = Instant::now();
    }

    fn reply(&mut self, content: Content, of_its_own: bool) -> Reply {
        let blocks = match content {
            Content::Blocks(blocks) => blocks,
            Content::Text(text) => vec![Block::Text { text }],
        };
        let mut reply = Reply::default();
        for block in blocks {
            match block {
                Block::Text { text } => reply.text.push_str(&text),
                Block::Thinking { thinking } => reply.thinking.push_str(&thinking),
                Block::ToolUse { id, name, input } => {
                    let call = Call { id: Some(id.clone()), name, input };
                    reply.calls.push(call.clone());
                    self.calls.insert(id, (call, Instant::now()));
                }
                Block::ToolResult { .. } | Block::Other => {}
            }
        }
        if !reply.text.trim().is_empty() && !of_its_own {
            self.feed.said(&reply.text);
            self.feed.flush();
            self.answer.clone_from(&reply.text);
        }
        reply
    }

    fn tools_say(&mut self, said: Said) {
        let Content::Blocks(blocks) = said.message.content else { return };
        self.tell_call();
        self.asked_at = Instant::now();
        for block in blocks {
            let Block::ToolResult { tool_use_id, content, is_error } = block else { continue };
            let Some((call, since)) = self.calls.remove(&tool_use_id) else { continue };
            let told = text_of(&content);
            let went = match is_error {
                Some(true) => json!({ "ok": false }),
                Some(false) | None => json!({ "ok": true }),
            };
            let step = history::summary(&call.name, &call.input, &went.to_string());
            self.feed.called(&ToolCall {
                name: &call.name,
                input: &call.input,
                outcome: &told,
                step: &step,
                turn: self.turns,
                took: since.elapsed(),
            });
            if self.steps.len() < CALLS_MAX {
                self.steps.push(step);
            }
            self.transcript.add(&Message::Tool { call, content: told });
        }
    }

    /// So many of its processes could not be killed.
    pub(super) fn survived(&self, survivors: usize) {
        survived(self.ctx, survivors);
    }

    /// Tells of a host that it, or what it started, wanted to reach.
    pub(super) fn contact(&mut self, contact: &Contact) {
        let step = self.feed.contact(contact);
        if self.steps.len() < CALLS_MAX {
            self.steps.push(step);
        }
    }

    /// Answers what it asks: by the list of tools, and never by asking anybody.
    fn permit(&self, id: &str, asked: Asked) -> String {
        let tools = &self.claude.tools;
        let response = match &*asked.subtype {
            "can_use_tool" if tools.contains(&asked.tool_name) => {
                let decided = json!({ "behavior": "allow", "updatedInput": asked.input });
                json!({ "subtype": "success", "request_id": id, "response": decided })
            }
            "can_use_tool" => {
                let message = format!(
                    "`{}` is not allowed like this, and nobody can be asked. Allowed are: {}.",
                    asked.tool_name,
                    tools.join(", ")
                );
                self.feed.status(&format!("{} is denied", clipped(&asked.tool_name)));
                let decided = json!({ "behavior": "deny", "message": message });
                json!({ "subtype": "success", "request_id": id, "response": decided })
            }
            other => {
                let error = format!("there is nobody here for `{other}`");
                json!({ "subtype": "error", "request_id": id, "error": error })
            }
        };
        json!({ "type": "control_response", "response": response }).to_string()
    }

    fn spent(&self, limit: &RateLimit) -> ModelError {
        let now = Duration::from_millis(self.ctx.now().0);
        let left = Duration::from_secs(limit.resets_at).saturating_sub(now);
        let after = left.clamp(SPENT_LEAST, SPENT_MAX);
        let limit = limit.rate_limit_type.as_deref().unwrap_or("some").replace('_', " ");
        let seen = format!("its {} limit, for {} s more", clipped(&limit), after.as_secs());
        ModelError::Quota { of: Some(self.claude.credential()), seen, after: Some(after) }
    }

    /// What all messages took that were seen.
    fn reckoned(&self) -> Usage {
        let mut usage = Usage::default();
        for took in self.messages.values() {
            usage += *took;
        }
        usage
    }

    /// Why it ended that ended by itself, as `died` says, and what it last said beside its lines.
    pub(super) fn verdict(&self, died: &str, last_words: &str) -> How {
        if let Some(failed) = self.results.iter().find_map(|outcome| self.judge(outcome)) {
            return failed;
        }
        if !self.results.is_empty() {
            return How::Answered;
        }
        let beside = [Some(last_words), self.garbage.as_deref()];
        let beside = beside.into_iter().flatten().find(|words| !words.trim().is_empty());
        let beside = beside.map(|words| format!(": {}", clipped(words))).unwrap_or_default();
        How::Failed(ModelError::Broken(format!("it gave no result, and {died}{beside}")))
    }

    /// Why a result is none, or nothing if it is one. Success is not what its name says but what it is.
    fn judge(&self, outcome: &Outcome) -> Option<How> {
        let is_error = outcome.is_error.unwrap_or(outcome.subtype != "success");
        if outcome.subtype == "success" && !is_error {
            return None;
        }
        match &*outcome.subtype {
            "error_max_turns" => return Some(How::Stopped(Stop::Turns)),
            "error_max_budget_usd" => return Some(How::Stopped(Stop::Money)),
            _ => {}
        }
        let seen = clipped(&outcome.text());
        let status = outcome.status();
        let failure = self.failure.as_deref().unwrap_or_default();
        let other = |status: u64| ModelError::Refused {
            status: u16::try_from(status).unwrap_or_default(),
            seen: seen.clone(),
        };
        if let Some(refused) = refused(failure, status, &seen) {
            return Some(How::Failed(refused));
        }
        Some(How::Failed(match (failure, status) {
            _ if seen.to_lowercase().contains("prompt is too long") => ModelError::TooLong(seen),
            ("rate_limit", _) | (_, Some(429)) => {
                ModelError::Quota { of: Some(self.claude.credential()), seen, after: None }
            }
            ("overloaded" | "server_error", _) | (_, Some(408 | 500..)) => {
                ModelError::Busy { seen, after: None }
            }
            (_, Some(404)) => {
                let model = self.claude.model.clone().unwrap_or_else(|| "its own".to_owned());
                ModelError::NoModel { model, seen }
            }
            ("invalid_request", _) => other(status.unwrap_or(400)),
            (_, Some(status @ 400..)) => other(status),
            ("max_output_tokens", _) => ModelError::TooLong(seen),
            _ => ModelError::Broken(format!("{}: {seen}", clipped(&outcome.subtype))),
        }))
    }

    /// What it came to, as it says itself; nothing if it does not, and nobody knows.
    pub(super) fn came_to(&self, how: &How) -> Option<(Usage, Micros)> {
        let free = matches!(how, How::Failed(error) if error.is_free());
        let nothing = (free && self.turns == 0).then(Default::default);
        let told = self.results.last();
        told.and_then(|outcome| Some((outcome.usage(), outcome.cost()?))).or(nothing)
    }

    /// What came of it all.
    pub(super) fn ended(mut self, how: How) -> Ended {
        self.feed.flush();
        self.tell_call();
        let told = self.results.last();
        // What was killed says nothing of what it took.
        let usage = told.map_or_else(|| self.reckoned(), Outcome::usage);
        let turns = told.map_or(0, |outcome| u32::try_from(outcome.num_turns).unwrap_or(u32::MAX));
        let answer =
            told.filter(|_| how == How::Answered).and_then(|outcome| outcome.result.clone());
        Ended {
            how,
            cost: told.and_then(Outcome::cost),
            answer: answer.unwrap_or(self.answer),
            turns: turns.max(self.turns),
            usage,
            steps: self.steps,
            transcript: self.transcript.into_lines(),
        }
    }
}

impl fmt::Debug for Course<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course").field("turns", &self.turns).finish_non_exhaustive()
    }
}

/// Whoever pays is not known, or does not pay; nothing if that is not what failed.
fn refused(failure: &str, status: Option<u64>, seen: &str) -> Option<ModelError> {
    let usual = match failure {
        "authentication_failed" => 401,
        "billing_error" => 402,
        _ => return None,
    };
    let status = status.and_then(|status| u16::try_from(status).ok()).filter(|&status| status > 0);
    Some(ModelError::Refused { status: status.unwrap_or(usual), seen: seen.to_owned() })
}

/// What a tool says: a text, or some among other things.
fn text_of(content: &Value) -> String {
    let pieces =
        content.as_array().into_iter().flatten().filter_map(|piece| piece["text"].as_str());
    content.as_str().map_or_else(|| pieces.collect::<Vec<_>>().join("\n"), str::to_owned)
}

/// Its beginning, without what moves a terminal.
fn clipped(text: &str) -> String {
    let text = text.trim();
    let text = &text[..text.floor_char_boundary(SEEN_BYTES_MAX)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
