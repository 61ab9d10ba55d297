//! This file tells whoever watches what a model does, while it does it.

use std::fmt;
use std::time::{Duration, Instant};

use agentcom_core::json::Json;
use agentcom_core::money::{Micros, Usage};
use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::time::Span;
use serde::Serialize;
use serde_json::Value;

use crate::egress::Contact;
use crate::model::ModelError;

/// How long what a model says is gathered before it is passed on.
const WINDOW: Duration = Duration::from_millis(100);

/// How much of an input and of an outcome is passed on, in bytes.
const SUMMARY_BYTES_MAX: usize = 200;

/// Passes on what a model does.
pub(crate) struct Feed<'a> {
    ctx: &'a dyn JobContext,
    model: &'a str,
    gathered: String,
    last: Option<Instant>,
    tokens: u64,
    cost: Option<Micros>,
}

/// A call that was made.
pub(crate) struct ToolCall<'a> {
    pub(crate) name: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) outcome: &'a str,
    pub(crate) step: &'a str,
    pub(crate) turn: u32,
    pub(crate) took: Duration,
}

/// A call of a model, whatever came of it.
pub(crate) struct ModelCall<'a> {
    pub(crate) turn: u32,
    /// What it took; of one that broke off nobody knows.
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<Micros>,
    pub(crate) took: Duration,
    /// Why there was no answer, if there was none.
    pub(crate) error: Option<&'a ModelError>,
}

/// The event of a call. The names of its fields are those of the original.
#[derive(Serialize)]
struct Event<'a> {
    event_type: &'a str,
    text: &'a str,
    model: &'a str,
    tokens_so_far: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micros_so_far: Option<Micros>,
    #[serde(flatten)]
    call: Option<Called<'a>>,
    #[serde(flatten)]
    asked: Option<Asked<'a>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    iteration: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micros: Option<Micros>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Called<'a> {
    tool_name: &'a str,
    args_summary: &'a str,
    result_summary: &'a str,
    iteration: u32,
    duration_ms: u64,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(ctx: &'a dyn JobContext, model: &'a str) -> Self {
        Self { ctx, model, gathered: String::new(), last: None, tokens: 0, cost: None }
    }

    /// The model says something.
    pub(crate) fn said(&mut self, text: &str) {
        self.gathered.push_str(text);
        if self.last.is_none_or(|last| last.elapsed() >= WINDOW) {
            self.flush();
        }
    }

    /// Passes on what was gathered.
    pub(crate) fn flush(&mut self) {
        if !self.gathered.is_empty() {
            let text = std::mem::take(&mut self.gathered);
            self.event("token", &text, None);
            self.last = Some(Instant::now());
        }
    }

    /// All that it took so far, in tokens.
    pub(crate) fn took(&mut self, tokens: u64) {
        self.tokens = tokens;
    }

    /// All that it cost so far.
    pub(crate) fn cost(&mut self, cost: Micros) {
        self.cost = Some(cost);
    }

    /// A host that was to be reached; the same as a step.
    pub(crate) fn contact(&self, contact: &Contact) -> String {
        self.event(Contact::EVENT, &contact.to_string(), None);
        format!("{} {contact}", Contact::EVENT)
    }

    pub(crate) fn status(&self, text: &str) {
        self.event("status", text, None);
    }

    pub(crate) fn called(&self, call: &ToolCall<'_>) {
        let input = call.input.to_string();
        self.event(
            "tool_call",
            call.step,
            Some(Called {
                tool_name: cut(call.name),
                args_summary: cut(&input),
                result_summary: cut(call.outcome),
                iteration: call.turn,
                duration_ms: Span::from(call.took).0,
            }),
        );
    }

    /// The model was asked.
    pub(crate) fn asked(&self, call: &ModelCall<'_>) {
        let ModelCall { turn: iteration, usage, cost: cost_micros, took, error } = *call;
        let (tokens_in, tokens_out) =
            (usage.map(Usage::read), usage.map(|usage| usage.output_tokens));
        let duration_ms = Span::from(took).0;
        let error = error.map(ToString::to_string);
        let text = match &error {
            Some(error) => format!("turn {iteration}: no answer: {error}"),
            None => {
                let (read, written) = (tokens_in.unwrap_or(0), tokens_out.unwrap_or(0));
                format!("turn {iteration}: {read} tokens read, {written} written")
            }
        };
        let error = error.as_deref();
        let asked = Asked { iteration, tokens_in, tokens_out, cost_micros, duration_ms, error };
        self.tell(Event { asked: Some(asked), ..self.plain("model_call", &text) });
    }

    fn event(&self, event_type: &str, text: &str, call: Option<Called<'_>>) {
        self.tell(Event { call, ..self.plain(event_type, text) });
    }

    fn plain<'b>(&'b self, event_type: &'b str, text: &'b str) -> Event<'b> {
        let (model, tokens_so_far, cost_micros_so_far) = (self.model, self.tokens, self.cost);
        Event {
            event_type,
            text,
            model,
            tokens_so_far,
            cost_micros_so_far,
            call: None,
            asked: None,
        }
    }

    fn tell(&self, event: Event<'_>) {
        // What is too long to be told is not told.
        if let Ok(event) = Json::of(&event) {
            self.ctx.report(News { percent: None, event: Some(event), left: None });
        }
    }
}

impl fmt::Debug for Feed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("model", &self.model).finish_non_exhaustive()
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SUMMARY_BYTES_MAX)]
}
