//! This file lets a model work on a task with tools, turn by turn, until it says that it is done or
//! is stopped.
//!
//! When it goes on and when it is stopped [`agentcom_core::agentic`] decides. What a model says is
//! never taken for proof that the task is done; checks say that.

pub(crate) mod again;
pub(crate) mod bill;
pub(crate) mod feed;
mod heard;
mod prompt;
mod read;
pub(crate) mod transcript;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agentcom_core::agentic::{Course, InputBound, Limits, Next, Sent, Stop, Turn};
use agentcom_core::money::Micros;
use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::rng::Rng;
use agentcom_core::task::Trace;
use agentcom_core::time::Span;
use serde_json::Value;
use tokio::time::timeout;

use crate::model::{
    Call, Ending, Heard, Message, Model, ModelError, Reply, Request, Unreadable, Usage, calls,
    history,
};
use crate::tool::{Spec, ToolError, ToolErrorKind, Toolbox, observation};
use bill::Bill;
use feed::{Feed, ModelCall, ToolCall};
use read::Read;

pub use prompt::Brief;
use transcript::Transcript;

/// How many tools a model may call in one turn.
const CALLS_MAX: usize = 16;

/// How often a model that is busy or breaks off is asked again.
const RETRIES: u32 = 2;

/// The longest that a server which asks to be left alone is waited for within a task.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A model at work.
#[derive(Debug)]
pub struct Loop<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// What it may do.
    pub tools: &'a Toolbox,
    /// How long it may go on.
    pub limits: Limits,
    /// Who hears of it.
    pub ctx: &'a dyn JobContext,
    /// Of the chance in how long it waits for a model that is busy; those of one seed wait alike.
    pub seed: u64,
}

/// How the work of a model ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Why.
    pub how: How,
    /// The last that it said.
    pub answer: String,
    /// How often it was asked.
    pub turns: u32,
    /// What all of it took.
    pub usage: Usage,
    /// What all of it cost, as far as there are prices.
    pub cost: Option<Micros>,
    /// Each call and its outcome, a line each.
    pub steps: Vec<String>,
    /// All that was said, a JSON object on each line: `system` and `tools` first, then messages.
    pub transcript: String,
}

impl Ended {
    /// What is to be told of whether the model of a program answered.
    pub(crate) fn trace(&self) -> Option<Trace> {
        match self.how {
            How::Answered => Some(Trace::Answered(true)),
            How::Stopped(_) | How::Failed(_) if self.turns > 0 => Some(Trace::Answered(true)),
            How::Stopped(Stop::Time) => Some(Trace::Answered(false)),
            How::Stopped(_) | How::Failed(_) => None,
        }
    }

    /// Work of which nothing else is known than how it ended.
    pub(crate) fn as_of(how: How) -> Self {
        Self {
            how,
            answer: String::new(),
            turns: 0,
            usage: Usage::default(),
            cost: None,
            steps: Vec::new(),
            transcript: String::new(),
        }
    }
}

/// How much longer a model may go on, if that is bounded.
fn time_left(limits: Limits, since: Instant) -> Option<Duration> {
    Some(Duration::from(limits.time?).saturating_sub(since.elapsed()))
}

/// Why the work of a model ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It says that it is done.
    Answered,
    /// It was stopped.
    Stopped(Stop),
    /// It could not be asked.
    Failed(ModelError),
}

impl Loop<'_> {
    /// Has the model work on what `brief` says. Dropping the future stops it, and what its tools do.
    pub async fn run(&self, brief: &Brief) -> Ended {
        self.written(brief, Transcript::default()).await
    }

    /// The same, with all that is said in `transcript`.
    pub(crate) async fn written(&self, brief: &Brief, transcript: Transcript<'_>) -> Ended {
        let specs: Vec<Spec> = self.tools.specs().collect();
        let mut run = Run {
            at: self,
            course: Course::new(self.limits),
            system: brief.system(&specs),
            specs,
            messages: vec![Message::User(brief.task())],
            read: Read::default(),
            bound: InputBound::default(),
            room: self.model.context_tokens() * 3 / 4,
            usage: Usage::default(),
            cost: None,
            steps: Vec::new(),
            transcript,
            feed: Feed::new(self.ctx, self.model.name()),
            started: Instant::now(),
            rng: Rng::new(self.seed),
        };
        let names: Vec<&str> = run.specs.iter().map(|tool| &*tool.name).collect();
        run.transcript.begin(&run.system, &names);
        run.transcript.add(&run.messages[0]);
        let (how, answer) = run.run().await;
        let (turns, usage, cost, steps) = (run.course.turns(), run.usage, run.cost, run.steps);
        Ended { how, answer, turns, usage, cost, steps, transcript: run.transcript.into_lines() }
    }
}

struct Run<'a> {
    at: &'a Loop<'a>,
    course: Course,
    specs: Vec<Spec>,
    system: String,
    messages: Vec<Message>,
    read: Read,
    bound: InputBound,
    /// How many tokens a request may take; the rest of the context is for the answer.
    room: u64,
    usage: Usage,
    cost: Option<Micros>,
    steps: Vec<String>,
    transcript: Transcript<'a>,
    feed: Feed<'a>,
    started: Instant,
    rng: Rng,
}

impl Run<'_> {
    async fn run(&mut self) -> (How, String) {
        let mut answer = String::new();
        let mut goes_on = false;
        loop {
            let mut reply = match self.ask().await {
                Ok(reply) => reply,
                Err(how) => return (how, answer),
            };
            let ending = reply.ending;
            if ending.is_cut() {
                // Of a call that was cut off nobody knows what it was to be: half a file is no file.
                reply.calls.clear();
                reply.unreadable.clear();
            }
            if ending == Ending::Full {
                self.narrow();
            }
            if !reply.text.is_empty() {
                if !goes_on {
                    answer.clear();
                }
                answer.push_str(&reply.text);
            }
            goes_on = ending == Ending::Paused;
            let tokens = self.account(&reply);
            let called = key(&reply.calls);
            let turn = match &reply {
                reply if !reply.calls.is_empty() => Turn::Calls(&called),
                _ if ending == Ending::Paused => Turn::Pause,
                reply if !reply.unreadable.is_empty() => Turn::Unreadable,
                reply if reply.text.trim().is_empty() || ending.is_cut() => Turn::Nothing,
                _ => Turn::Answer,
            };
            let next = self.course.turn(turn, tokens);
            let (calls, unreadable) = (reply.calls.clone(), reply.unreadable.clone());
            self.say(Message::Model(reply));
            match next {
                Next::RunTools => {
                    self.run_tools(calls).await;
                    self.not_read(&unreadable);
                }
                Next::Nudge if unreadable.is_empty() => {
                    self.say(Message::User(prompt::nudge(ending.is_cut()).to_owned()));
                }
                Next::Nudge => self.not_read(&unreadable),
                Next::GoOn => {}
                Next::Done => return (How::Answered, answer),
                Next::Stop(stop) => return (How::Stopped(stop), answer),
            }
        }
    }

    fn say(&mut self, message: Message) {
        self.transcript.add(&message);
        self.messages.push(message);
    }

    fn is_late(&self) -> bool {
        time_left(self.at.limits, self.started) == Some(Duration::ZERO)
    }

    /// Whether a call that took so long had most of the time that there was for all of them: of one that
    /// had to wait for leave until the end nobody can say that it was not answered.
    fn was_given_time(&self, took: Duration) -> bool {
        self.at.limits.time.is_some_and(|whole| took >= Duration::from(whole) / 2)
    }

    /// Leaves out of what was said what there is no room for.
    fn make_room(&mut self) -> Result<(), How> {
        let (system, messages, tools) = (&*self.system, &*self.messages, &*self.specs);
        if history::tokens(&Request { system, messages, tools, format: None }) <= self.room {
            return Ok(());
        }
        self.bound.forget();
        if history::fit(&self.system, &mut self.messages, &self.specs, self.room) {
            return Ok(());
        }
        let message = format!("the task does not fit {} tokens", self.room);
        Err(How::Failed(ModelError::TooLong(message)))
    }

    /// Asks the model for its next turn.
    async fn ask(&mut self) -> Result<Reply, How> {
        let mut left = RETRIES;
        loop {
            self.make_room()?;
            let (system, messages, tools) = (&*self.system, &*self.messages, &*self.specs);
            let request = Request { system, messages, tools, format: None };
            let passed = Span::from(self.started.elapsed());
            let expected = history::tokens(&request);
            let may = match left {
                RETRIES => self.course.may_ask(passed, expected),
                _ => self.course.may_retry(passed, expected),
            };
            may.map_err(How::Stopped)?;
            let (sent, at_least) = (history::sent(&request), history::tokens_at_least(&request));
            let tokens = (at_least, self.bound.at_most(sent));
            let opened = Bill::open(self.at.model, tokens, self.at.ctx);
            let bill = match time_left(self.at.limits, self.started) {
                Some(left) => timeout(left, opened).await.map_err(|_| How::Stopped(Stop::Time))?,
                None => opened.await,
            };
            let mut bill = bill.map_err(|why| How::Failed(ModelError::NotPaid(why)))?;
            let since = Instant::now();
            let mut said = |heard: Heard<'_>| {
                bill.hears(heard);
                if let Heard::Text(text) = heard {
                    self.feed.said(text);
                }
            };
            let asked = self.at.model.ask(&request, &mut said);
            let reply = match time_left(self.at.limits, self.started) {
                Some(left) => timeout(left, asked).await.unwrap_or(Err(ModelError::Silent(left))),
                None => asked.await,
            };
            self.feed.flush();
            let reply = reply.map_err(|error| bill.counted(error));
            let cost = bill.settle(&reply).await;
            match self.heard(reply, (sent, at_least), cost, since.elapsed()) {
                Ok(mut reply) => {
                    if self.course.turns() == 1 {
                        self.at.ctx.report(News::of_trace(Trace::Answered(true)));
                    }
                    calls::settle(&mut reply, &self.specs);
                    name(&mut reply.calls, self.course.turns());
                    return Ok(reply);
                }
                Err(ModelError::Silent(_)) if self.is_late() => {
                    if self.course.turns() == 1 && self.was_given_time(since.elapsed()) {
                        self.at.ctx.report(News::of_trace(Trace::Answered(false)));
                    }
                    return Err(How::Stopped(Stop::Time));
                }
                Err(error) if left == 0 => return Err(How::Failed(error)),
                Err(ModelError::TooLong(_) | ModelError::Truncated { .. }) => {
                    self.narrow();
                }
                Err(error) if error.is_passing() => {
                    self.feed.status(&format!("{error}; asking again"));
                    let least = error.retry_after().unwrap_or_default();
                    if least > WAIT_MAX {
                        return Err(How::Failed(error));
                    }
                    let wait = again::wait(RETRIES - left, least, &mut self.rng);
                    let time_left = time_left(self.at.limits, self.started).unwrap_or(wait);
                    tokio::time::sleep(wait.min(time_left)).await;
                }
                Err(error) => return Err(How::Failed(error)),
            }
            left -= 1;
        }
    }

    /// Takes in what a call came to, and believes that or not. What is told of reading `at_least` what was
    /// sent counts for the next.
    fn heard(
        &mut self,
        reply: Result<Reply, ModelError>,
        (sent, at_least): (Sent, u64),
        cost: Option<Micros>,
        took: Duration,
    ) -> Result<Reply, ModelError> {
        if let Some(cost) = cost {
            let so_far = self.cost.unwrap_or_default() + cost;
            self.cost = Some(so_far);
            self.feed.cost(so_far);
        }
        if let Ok(Reply { usage, .. }) = &reply {
            match usage.read() >= at_least {
                true => self.bound.told(sent, usage.read()),
                false => self.bound.forget(),
            }
        }
        let (turn, usage) = (self.course.turns(), bill::told_of(&reply));
        self.feed.asked(&ModelCall { turn, usage, cost, took, error: reply.as_ref().err() });
        let believed = reply.and_then(|reply| self.read.check(sent.bytes, reply));
        believed.map_err(|error| {
            // What was answered is counted with what it says.
            let in_vain = usage.unwrap_or_default();
            self.course.took(in_vain.total());
            self.usage += in_vain;
            self.feed.took(self.usage.total());
            error.counted().1
        })
    }

    /// Takes less room for requests: the tokens of the model are shorter than was reckoned.
    fn narrow(&mut self) {
        self.read = Read::default();
        self.bound.forget();
        self.room = self.room * 2 / 3;
    }

    /// Counts what a turn took. A server that tells less than can be is not believed.
    fn account(&mut self, reply: &Reply) -> u64 {
        let messages = self.messages.as_slice();
        let request = Request { system: &self.system, messages, tools: &self.specs, format: None };
        let written = [Message::Model(reply.clone())];
        let answer = Request { messages: &written, ..Request::default() };
        let mut usage = reply.usage;
        let untold = history::tokens_at_least(&request).saturating_sub(usage.read());
        usage.input_tokens = usage.input_tokens.saturating_add(untold);
        usage.output_tokens = usage.output_tokens.max(history::tokens_at_least(&answer));
        self.usage += usage;
        self.feed.took(self.usage.total());
        usage.total()
    }

    /// Whether a call is made at all.
    fn admit(&mut self, number: usize, call: &Call) -> Result<(), ToolError> {
        if number >= CALLS_MAX {
            let message = format!("at most {CALLS_MAX} calls are made in one turn");
            return Err(ToolError::new(ToolErrorKind::Refused, message));
        }
        let admitted = self.at.tools.admit(&call.name);
        admitted.map_err(|three| ToolError::new(ToolErrorKind::Refused, three))
    }

    /// Makes a call. One that is at it when the time is over is stopped, so that the work ends by itself,
    /// with all that is known of it.
    async fn make(&self, call: &Call) -> Result<Value, ToolError> {
        let made = self.at.tools.call(&call.name, call.input.clone(), self.at.ctx);
        let late = || ToolError::new(ToolErrorKind::OutOfTime, "the time for the task is over");
        match time_left(self.at.limits, self.started) {
            None => made.await,
            Some(Duration::ZERO) => Err(late()),
            Some(left) => timeout(left, made).await.unwrap_or_else(|_| Err(late())),
        }
    }

    /// Tells of what was meant to be calls. No server knows of them, so that they have no answers of
    /// tools.
    fn not_read(&mut self, unreadable: &[Unreadable]) {
        for call in unreadable {
            let content = observation(&Err(unread(call))).to_string();
            let name = call.name.as_deref().unwrap_or("tool_call");
            let step = history::summary(name, &Value::Null, &content);
            self.feed.called(&ToolCall {
                name,
                input: &call.text.clone().into(),
                outcome: &content,
                step: &step,
                turn: self.course.turns(),
                took: Duration::ZERO,
            });
            self.steps.push(step);
            self.say(Message::User(content));
        }
    }

    async fn run_tools(&mut self, calls: Vec<Call>) {
        let mut changed = false;
        for (number, call) in calls.into_iter().enumerate() {
            let started = Instant::now();
            let tools = self.at.tools;
            let told = match self.admit(number, &call) {
                Ok(()) => {
                    let told = self.make(&call).await;
                    changed |= told.is_ok() && tools.changes(&call.name);
                    tools.observation(&call.name, &told)
                }
                // What is not made nothing holds.
                Err(refused) => observation(&Err(refused)),
            };
            let content = told.to_string();
            let step = history::summary(&call.name, &call.input, &content);
            self.feed.called(&ToolCall {
                name: &call.name,
                input: &call.input,
                outcome: &content,
                step: &step,
                turn: self.course.turns(),
                took: started.elapsed(),
            });
            self.steps.push(step);
            self.say(Message::Tool { call, content });
        }
        self.course.ran(changed);
    }
}

/// What a model is told of a call that cannot be read.
fn unread(Unreadable { name, why, .. }: &Unreadable) -> ToolError {
    let of = name.as_ref().map_or_else(String::new, |name| format!(" of `{name}`"));
    let message = format!("a call{of} was seen, cannot be read, and is not made: {why}");
    let message = format!("{message}. Call the tool once more, with arguments that are valid JSON");
    ToolError::new(ToolErrorKind::UnreadableCall, message)
}

/// Gives names to calls that the server gave none, or that of another, so that answers can be told
/// apart.
fn name(calls: &mut [Call], turn: u32) {
    let mut taken = BTreeSet::new();
    for (number, call) in calls.iter_mut().enumerate() {
        if call.id.as_ref().is_none_or(|id| !taken.insert(id.clone())) {
            call.id = Some(format!("call_{turn}_{number}"));
        }
    }
}

/// The calls of a turn as a text that is the same for the same calls: fields of objects are kept in
/// the order of their names.
fn key(calls: &[Call]) -> String {
    calls.iter().map(|call| format!("{} {}\n", call.name, call.input)).collect()
}
