//! This file turns what an agent says of its work into news, a transcript and steps, as the work of a
//! model has them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use agentcom_core::money::Micros;
use serde_json::{Value, json};

use super::ToolKind;
use super::message::{News, PlanEntry, ToolCall, TurnUsage, text_of};
use crate::agentic::feed::{self, Feed};
use crate::agentic::transcript::Transcript;
use crate::coding::Bench;
use crate::egress::Contact;
use crate::model::{Call, Message, Reply, Usage};

/// How much is kept of what it says without a break, in bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// How much of the title of a call goes into a step, in bytes.
const TITLE_BYTES_MAX: usize = 120;

/// How many calls may be open, and how many steps are kept.
const CALLS_MAX: usize = 1_000;

/// How many of the files that a call is about are kept.
pub(super) const PATHS_MAX: usize = 100;

/// What an agent did, as it tells it.
pub(super) struct Story<'a> {
    feed: Feed<'a>,
    transcript: Transcript<'a>,
    steps: Vec<String>,
    /// What it says since it last did something.
    said: Reply,
    /// The last that it said.
    answer: String,
    open: BTreeMap<String, Open>,
    usage: Usage,
    cost: Option<Micros>,
}

/// A call that has not ended.
struct Open {
    call: Call,
    kind: ToolKind,
    title: String,
    /// Whether its input is what the agent said, and not its title in place of that.
    input_told: bool,
    paths: Vec<String>,
    outcome: String,
    started: Instant,
}

/// What was said of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) kind: ToolKind,
    pub(super) title: &'a str,
    pub(super) input: Option<&'a Value>,
    /// The files that it is about.
    pub(super) paths: &'a [String],
}

/// What there is to tell at the end.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answer: String,
    pub(super) usage: Usage,
    pub(super) cost: Option<Micros>,
    pub(super) steps: Vec<String>,
    pub(super) transcript: String,
}

impl<'a> Story<'a> {
    pub(super) fn new(bench: &Bench<'a>, name: &'a str, prompt: &str) -> Self {
        let mut transcript = Transcript::with(bench.draft);
        transcript.add(&Message::User(prompt.to_owned()));
        Self {
            feed: Feed::new(bench.ctx, name),
            transcript,
            steps: Vec::new(),
            said: Reply::default(),
            answer: String::new(),
            open: BTreeMap::new(),
            usage: Usage::default(),
            cost: None,
        }
    }

    /// How many tokens it took, as far as it says.
    pub(super) fn tokens(&self) -> u64 {
        self.usage.total()
    }

    /// What it cost, as far as it says.
    pub(super) fn cost(&self) -> Option<Micros> {
        self.cost
    }

    /// What was said of a call that has not ended.
    pub(super) fn open_call(&self, id: &str) -> Option<Known<'_>> {
        let Open { call, kind, title, input_told, paths, .. } = self.open.get(id)?;
        Some(Known { kind: *kind, title, input: input_told.then_some(&call.input), paths })
    }

    /// Takes news in.
    pub(super) fn hear(&mut self, update: News) {
        match update {
            News::AgentMessageChunk { content } => {
                let text = text_of(&content);
                self.feed.said(text);
                if self.said.text.is_empty() {
                    self.answer.clear();
                }
                push(&mut self.said.text, text);
                push(&mut self.answer, text);
            }
            News::AgentThoughtChunk { content } => {
                push(&mut self.said.thinking, text_of(&content));
            }
            News::ToolCall(call) | News::ToolCallUpdate(call) => self.call(call),
            News::Plan { entries } => self.plan(&entries),
            News::UsageUpdate { used, cost } => {
                // How much it has in view; it has read at least that.
                self.usage.input_tokens = self.usage.input_tokens.max(used);
                self.feed.took(self.usage.total());
                if let Some(cost) = cost.and_then(|cost| cost.micros()) {
                    self.cost = Some(cost);
                    self.feed.cost(cost);
                }
            }
            News::Other => {}
        }
    }

    /// Tells of a host that the agent, or what it started, wanted to reach.
    pub(super) fn contact(&mut self, contact: &Contact) {
        self.feed.flush();
        let step = self.feed.contact(contact);
        self.step(step);
    }

    /// Keeps a step, and no more than the last of them.
    fn step(&mut self, step: String) {
        if self.steps.len() >= CALLS_MAX {
            self.steps.remove(0);
        }
        self.steps.push(step);
    }

    /// What all of its turn took, where it says so.
    pub(super) fn took(&mut self, usage: &TurnUsage) {
        let told = Usage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cached_read_tokens.unwrap_or(0),
            cache_write_tokens: usage.cached_write_tokens.unwrap_or(0),
        };
        if told.total() >= self.usage.total() {
            self.usage = told;
        }
    }

    fn call(&mut self, news: ToolCall) {
        self.feed.flush();
        let id = news.tool_call_id;
        let ends = matches!(news.status.as_deref(), Some("completed" | "failed"));
        if !self.open.contains_key(&id) {
            if self.open.len() >= CALLS_MAX {
                return;
            }
            let title = news.title.clone().unwrap_or_default();
            let kind = news.kind.unwrap_or(ToolKind::Other);
            let input = news.raw_input.clone().unwrap_or_else(|| json!({ "title": title }));
            let call = Call { id: Some(id.clone()), name: kind.to_string(), input };
            if !ends && !title.is_empty() {
                self.feed.status(&format!("{kind}: {title}"));
            }
            let reply = Reply { calls: vec![call.clone()], ..std::mem::take(&mut self.said) };
            self.transcript.add(&Message::Model(reply));
            let (outcome, started) = (String::new(), Instant::now());
            let (input_told, paths) = (news.raw_input.is_some(), Vec::new());
            let open = Open { call, kind, title, input_told, paths, outcome, started };
            self.open.insert(id.clone(), open);
        }
        let Some(open) = self.open.get_mut(&id) else { return };
        open.kind = news.kind.unwrap_or(open.kind);
        open.title = news.title.unwrap_or(std::mem::take(&mut open.title));
        open.paths.extend(news.locations.into_iter().flatten().map(|location| location.path));
        open.paths.truncate(PATHS_MAX);
        let content = news.content.iter().flatten().map(outcome).collect::<Vec<_>>().join("\n");
        let raw = news.raw_output.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Some(outcome) = [content, raw].into_iter().find(|text| !text.is_empty()) {
            open.outcome.clear();
            push(&mut open.outcome, &outcome);
        }
        if ends && let Some(open) = self.open.remove(&id) {
            self.end(open, news.status.as_deref() == Some("completed"));
        }
    }

    fn end(&mut self, open: Open, good: bool) {
        let Open { call, kind, title, outcome, started, .. } = open;
        let content = json!({ "ok": good, "content": outcome }).to_string();
        let went = if good { "ok" } else { "failed" };
        let title = title.lines().next().unwrap_or_default();
        let title = &title[..title.floor_char_boundary(TITLE_BYTES_MAX)];
        let step = format!("{kind} {title}: {went}");
        self.feed.called(&feed::ToolCall {
            name: &call.name,
            input: &call.input,
            outcome: &content,
            step: &step,
            turn: 1,
            took: started.elapsed(),
        });
        self.step(step);
        self.transcript.add(&Message::Tool { call, content });
    }

    fn plan(&mut self, entries: &[PlanEntry]) {
        let done = entries.iter().filter(|entry| entry.status == "completed").count();
        let at = entries.iter().find(|entry| entry.status == "in_progress");
        let at = at.map_or_else(String::new, |entry| format!(": {}", entry.content));
        self.feed.status(&format!("plan, {done} of {} done{at}", entries.len()));
    }

    /// Ends the story; calls that have not ended never will.
    pub(super) fn end_of_story(mut self) -> Told {
        self.feed.flush();
        for open in std::mem::take(&mut self.open).into_values() {
            self.end(open, false);
        }
        if self.said != Reply::default() {
            self.transcript.add(&Message::Model(std::mem::take(&mut self.said)));
        }
        let Self { answer, usage, cost, steps, transcript, .. } = self;
        Told { answer, usage, cost, steps, transcript: transcript.into_lines() }
    }
}

impl fmt::Debug for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Story").field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// Adds text as far as there is room.
fn push(to: &mut String, text: &str) {
    let room = TEXT_BYTES_MAX.saturating_sub(to.len());
    to.push_str(&text[..text.floor_char_boundary(room)]);
}

/// What a piece of content of a call says.
fn outcome(content: &Value) -> String {
    match content["type"].as_str() {
        Some("diff") => format!("changes {}", content["path"].as_str().unwrap_or_default()),
        _ => text_of(content).to_owned(),
    }
}
