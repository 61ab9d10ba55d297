//! This file holds a conversation with an agent: asks it, hears what it says, has done what it asks, and
//! ends it.
//!
//! **Invariant:** whatever the agent does, the conversation ends: what it is asked at the start has to be
//! answered in time; after that it may not be silent for too long, nor go on for too long; and what it
//! says has bounds.

mod end;
mod login;

use std::io;
use std::time::Duration;

use agentcom_core::agentic::Stop;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::ChildStderr;
use tokio::time::{Instant, sleep_until};

use super::Agent;
use super::desk::Desk;
use super::error::AcpError;
use super::message::VERSION;
use super::message::{
    self, ConfigOption, Incoming, Initialized, Prompted, RpcError, Session, StopReason, Unread,
    Updated,
};
use super::story::{Story, Told};
use super::wire::{self, Post};
use crate::agentic::{Ended, How};
use crate::coding::Bench;
use crate::guard::{self, Running, Said, Talk};
use crate::lines;
use crate::output::{report, survived};
use crate::sandbox::{Excess, Quota};
use crate::session::Stream;
use login::Login;

/// How many lines that are no messages, and answers to nothing, are put up with.
const STRAYS_MAX: u32 = 64;

/// From which length on a line is long to read, in bytes.
const LONG_BYTES: usize = 64 * 1024;

/// How much of what it prints beside the protocol is kept, and told in an error.
const ERRORS_BYTES_MAX: usize = 16 * 1024;
const LAST_WORDS_BYTES: usize = 1_000;

/// How long its end is awaited after it has closed its output, and the reverse.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Why a turn did not come to its end.
#[derive(Debug)]
enum Halt {
    Failed(AcpError),
    Stopped(Stop),
    /// The task is asked to stop.
    Asked,
}

impl From<AcpError> for Halt {
    fn from(error: AcpError) -> Self {
        Self::Failed(error)
    }
}

/// Something that happened.
#[derive(Debug)]
enum Event {
    Line(Vec<u8>),
    /// What it says is more than can be read.
    Unreadable(AcpError),
    /// It has closed its output.
    Closed,
    /// Its guard says something, or is gone.
    Guard(io::Result<Said>),
    /// Something that it asked for is done.
    Ready(Value),
    Late,
    /// Its files are more than they may be.
    DiskFull,
    Asked,
}

/// What a line brought.
#[derive(Debug)]
enum Heard {
    /// The answer to a request of ours.
    Answer(u64, Result<Value, RpcError>),
    Other,
}

/// What starts the time anew that an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Nothing.
    Once(Duration),
    /// Whatever it says.
    Silence(Duration),
}

impl Wait {
    /// When it is over, if it was to be over at `deadline` and something happens.
    fn anew(self, deadline: Instant) -> Instant {
        match self {
            Self::Once(_) => deadline,
            Self::Silence(after) => Instant::now() + after,
        }
    }
}

/// A conversation with an agent.
pub(super) struct Conversation<'a> {
    agent: &'a Agent,
    bench: &'a Bench<'a>,
    running: Running,
    /// Whether its guard still has something to say.
    is_guarded: bool,
    exit: Option<guard::How>,
    lines: lines::Said,
    closed: bool,
    post: Post,
    errors: Stream<ChildStderr>,
    login: Login,
    session: Option<String>,
    desk: Desk<'a>,
    story: Story<'a>,
    next_id: u64,
    strays: u32,
    /// When it has gone on for too long.
    over: Instant,
    /// Ends when its files are more than they may be.
    full: BoxFuture<'static, Excess>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        agent: &'a Agent,
        bench: &'a Bench<'a>,
        talk: Talk,
        prompt: &str,
        quota: Quota,
    ) -> Self {
        let (from, to) = talk.socket.into_split();
        let quota = quota.with_held_by(&talk.running);
        Self {
            agent,
            bench,
            running: talk.running,
            is_guarded: true,
            exit: None,
            lines: wire::said(from),
            closed: false,
            post: Post::to(to),
            errors: Stream::new(talk.err, "stderr", ERRORS_BYTES_MAX),
            login: Login::default(),
            session: None,
            desk: Desk::new(&agent.acp, bench.workspace, bench.ctx),
            story: Story::new(bench, &agent.name, prompt),
            next_id: 0,
            strays: 0,
            over: Instant::now() + bench.time_at_most(agent.acp.patience.whole),
            full: async move { quota.passed().await }.boxed(),
        }
    }

    /// Has the agent do what `prompt` says.
    pub(super) async fn run(mut self, prompt: &str) -> Ended {
        let turn = self.turn(prompt).await;
        self.close(&turn).await;
        let how = match turn {
            Ok(StopReason::EndTurn) => How::Answered,
            Ok(StopReason::MaxTokens) => How::Stopped(Stop::Tokens),
            Ok(StopReason::MaxTurnRequests) => How::Stopped(Stop::Turns),
            Ok(StopReason::Refusal) => How::Failed(AcpError::Declined.into()),
            Ok(StopReason::Cancelled) | Err(Halt::Asked) => How::Failed(AcpError::CalledOff.into()),
            Err(Halt::Stopped(stop)) => How::Stopped(stop),
            Err(Halt::Failed(error)) => How::Failed(error.into()),
        };
        let (printed, _) = self.errors.kept.text(ERRORS_BYTES_MAX);
        if !printed.is_empty() {
            report(self.bench.ctx, "stderr", &printed);
        }
        let Told { answer, usage, cost, steps, transcript } = self.story.end_of_story();
        let has_spoken = how == How::Answered || !answer.is_empty() || !steps.is_empty();
        Ended { how, answer, turns: has_spoken.into(), usage, cost, steps, transcript }
    }

    async fn turn(&mut self, prompt: &str) -> Result<StopReason, Halt> {
        let patience = self.agent.acp.patience;
        let start = Wait::Once(patience.start);
        let us = json!({ "name": "agentcom", "version": env!("CARGO_PKG_VERSION") });
        let files = self.agent.acp.files;
        let hello = json!({
            "protocolVersion": VERSION,
            "clientCapabilities": {
                "fs": { "readTextFile": files, "writeTextFile": files }, "terminal": false,
            },
            "clientInfo": us,
        });
        let known: Initialized = self.call("initialize", &hello, start).await?;
        if known.protocol_version != VERSION {
            return Err(AcpError::Version(known.protocol_version).into());
        }
        let place = json!({ "cwd": self.bench.workspace.path(), "mcpServers": [] });
        self.login.offered = known.auth_methods;
        let session: Session = self.call_as_user("session/new", &place, start).await?;
        self.session = Some(session.session_id.clone());
        if let Some(model) = &self.agent.model {
            self.choose(model, &session, start).await?;
        }
        let said = json!({
            "sessionId": session.session_id, "prompt": [{ "type": "text", "text": prompt }],
        });
        let wait = Wait::Silence(patience.silence);
        let prompted: Prompted = self.call_as_user("session/prompt", &said, wait).await?;
        if let Some(usage) = &prompted.usage {
            self.story.took(usage);
        }
        Ok(prompted.stop_reason)
    }

    /// Chooses the model that the task names.
    async fn choose(&mut self, model: &str, session: &Session, wait: Wait) -> Result<(), Halt> {
        let none = || AcpError::NoModel(model.to_owned());
        let is_model = |option: &&ConfigOption| option.category.as_deref() == Some("model");
        let option = session.config_options.iter().flatten().find(is_model).ok_or_else(none)?;
        let chosen = json!({
            "sessionId": session.session_id, "configId": option.id, "value": model,
        });
        let chosen: Result<Value, Halt> =
            self.call("session/set_config_option", &chosen, wait).await;
        match chosen {
            Err(Halt::Failed(AcpError::Refused { .. })) => Err(none().into()),
            chosen => chosen.map(|_| ()),
        }
    }

    /// Asks the agent something, and does what it asks until it has answered.
    async fn call<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: &Value,
        wait: Wait,
    ) -> Result<T, Halt> {
        self.next_id += 1;
        let id = self.next_id;
        self.post.put(&message::request(id, method, params))?;
        let (Wait::Once(after) | Wait::Silence(after)) = wait;
        let mut deadline = Instant::now() + after;
        loop {
            match self.event(deadline.min(self.over)).await {
                Event::Line(line) => {
                    deadline = wait.anew(deadline);
                    if line.len() > LONG_BYTES {
                        // Others on this thread have work as well.
                        tokio::task::yield_now().await;
                    }
                    if let Heard::Answer(answered, result) = self.hear(&line)? {
                        if answered == id {
                            return answer(method, result);
                        }
                        self.stray("an answer to what was not asked")?;
                    }
                }
                Event::Ready(answer) => {
                    self.post.put(&answer)?;
                    deadline = wait.anew(deadline);
                }
                Event::Unreadable(error) => return Err(error.into()),
                Event::Guard(Ok(Said::Refused(refusal))) => {
                    return Err(AcpError::NotStarted(refusal).into());
                }
                Event::Guard(Ok(Said::TooMuch(too_much))) => {
                    return Err(Halt::Stopped(too_much.into()));
                }
                Event::Closed | Event::Guard(_) => {
                    if self.closed && (self.exit.is_some() || !self.is_guarded) {
                        return Err(self.death().await.into());
                    }
                    if self.is_dying() {
                        deadline = deadline.min(Instant::now() + LAST_BREATH);
                    }
                }
                Event::Late if Instant::now() >= self.over => {
                    return Err(Halt::Stopped(Stop::Time));
                }
                // Who waits for an answer of ours is not silent.
                Event::Late if self.is_dying() => return Err(self.death().await.into()),
                Event::Late if self.desk.is_busy() => deadline = wait.anew(deadline),
                Event::Late => return Err(AcpError::Silent { to: method, after }.into()),
                Event::DiskFull => return Err(Halt::Stopped(Stop::Disk)),
                Event::Asked => return Err(Halt::Asked),
            }
        }
    }

    /// The next thing that happens. Cancel safe.
    async fn event(&mut self, deadline: Instant) -> Event {
        let asked = self.bench.ctx.cancelled();
        tokio::select! {
            () = asked => Event::Asked,
            line = self.lines.next(), if !self.closed => match line {
                Ok(Some(line)) => Event::Line(line),
                Ok(None) => {
                    self.closed = true;
                    Event::Closed
                }
                Err(too_much) => Event::Unreadable(too_much.into()),
            },
            said = self.running.next(), if self.is_guarded => {
                match &said {
                    Ok(Said::Exited(how)) => self.exit = Some(*how),
                    Ok(Said::Contact(contact)) => self.story.contact(contact),
                    Ok(Said::Clear { survivors }) => survived(self.bench.ctx, *survivors),
                    Ok(
                        Said::Started { .. }
                        | Said::TooMuch(_)
                        | Said::Refused(_),
                    )
                    | Err(_) => {}
                }
                self.is_guarded = said.as_ref().is_ok_and(|said| !said.is_last());
                Event::Guard(said)
            }
            ready = self.desk.ready() => Event::Ready(ready),
            never = self.post.carry() => match never {},
            never = async { loop { self.errors.read().await } } => never,
            _ = &mut self.full => Event::DiskFull,
            () = sleep_until(deadline) => Event::Late,
        }
    }

    /// Takes a line in.
    fn hear(&mut self, line: &[u8]) -> Result<Heard, Halt> {
        match message::read(line) {
            Ok(Incoming::Request { id, method, params }) => {
                let session = self.session.as_deref();
                let taken = self.desk.take(session, (id, &method, params), &self.story);
                if let Some(answer) = taken.map_err(Halt::Stopped)? {
                    self.post.put(&answer)?;
                }
            }
            Ok(Incoming::Notice { method, params }) if method == "session/update" => {
                match serde_json::from_value::<Updated>(params) {
                    Ok(news) if self.session.as_ref() == Some(&news.session_id) => {
                        self.story.hear(news.update);
                        self.within_limits()?;
                    }
                    Ok(_) => {}
                    Err(error) => self.stray(&format!("news that are none: {error}"))?,
                }
            }
            Ok(Incoming::Notice { .. }) => {}
            Ok(Incoming::Response { id, result }) => match id.as_u64() {
                Some(id) => return Ok(Heard::Answer(id, result)),
                None => self.stray("an answer to what was not asked")?,
            },
            Err(unread) => self.misheard(line, unread)?,
        }
        Ok(Heard::Other)
    }

    /// Stops it when it takes more than it may, as far as it says.
    fn within_limits(&self) -> Result<(), Halt> {
        let (tokens, cost) = (self.bench.limits.tokens, self.agent.acp.cost_max);
        let too_many = tokens.is_some_and(|most| self.story.tokens() > most);
        let too_dear = cost.zip(self.story.cost()).is_some_and(|(most, cost)| cost > most);
        match (too_many, too_dear) {
            (true, _) => Err(Halt::Stopped(Stop::Tokens)),
            (false, true) => Err(Halt::Stopped(Stop::Money)),
            (false, false) => Ok(()),
        }
    }

    /// Puts up with what is no message. Some programs print a line or two before they are at it.
    fn misheard(&mut self, line: &[u8], unread: Unread) -> Result<(), Halt> {
        match unread {
            Unread::NoJson(why) => {
                if line.starts_with(b"{") {
                    let error = Err(RpcError::new(RpcError::NO_JSON, &why));
                    self.post.put(&message::response(&Value::Null, &error))?;
                }
                self.stray(&format!("a line that is no JSON: {why}"))
            }
            Unread::NoMessage => self.stray("JSON that is no message"),
        }
    }

    fn stray(&mut self, what: &str) -> Result<(), Halt> {
        self.strays += 1;
        if self.strays > STRAYS_MAX {
            return Err(AcpError::Nonsense(what.to_owned()).into());
        }
        report(self.bench.ctx, "status", &format!("the agent sent {what}"));
        Ok(())
    }
}

/// What an answer says.
fn answer<T: DeserializeOwned>(
    method: &'static str,
    result: Result<Value, RpcError>,
) -> Result<T, Halt> {
    let result = result.map_err(|RpcError { code, message }| AcpError::Refused {
        to: method,
        code,
        message: message[..message.floor_char_boundary(LAST_WORDS_BYTES)].to_owned(),
    })?;
    serde_json::from_value(result)
        .map_err(|error| AcpError::Nonsense(format!("the answer to `{method}`: {error}")).into())
}
