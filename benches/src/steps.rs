//! This file puts a hub under load, step by step: its queue full, all of its agents at work.

use std::collections::VecDeque;
use std::time::Instant;

use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, Facts};
use agentcom_core::hub::{Effect, Hub, Input, Step};
use agentcom_core::id::{CallId, SessionId};
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::time::{Mono, Now, Wall};
use agentcom_core::wire::{Dialect, Held, ToAgent, ToHub};

use crate::hub::GENESIS;
use crate::work::{Work, capabilities};
use crate::{Outcome, fleet};

/// Steps between two milliseconds: a hub that is busy to the brim.
const STEPS_PER_MS: u64 = 50;

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A task is submitted.
    Submit,
    /// An agent takes a task on.
    Accept,
    /// An agent says that it lives.
    Ping,
    /// An agent is done with a task, whereupon it is given the next.
    Complete,
}

impl Kind {
    /// All of them, in the order of a cycle.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Accept, Self::Ping, Self::Complete];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Accept => "accept",
            Self::Ping => "ping",
            Self::Complete => "complete+assign",
        }
    }
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Tasks in the queue.
    pub tasks: usize,
    /// Agents, each with one slot.
    pub agents: usize,
    /// Classes of tasks.
    pub classes: usize,
}

/// A hub with its queue full and all its agents at work.
#[derive(Debug)]
pub struct Load {
    hub: Hub,
    work: Work,
    submitted: usize,
    steps: u64,
    /// Steps of this kind are taken where an instrument can tell them from all others.
    counted: Option<Kind>,
    /// What was assigned and not completed yet, with the session that holds it.
    assigned: VecDeque<(SessionId, Held)>,
}

impl Load {
    /// A hub of this size.
    ///
    /// # Errors
    ///
    /// If the hub does not take all tasks in, or leaves an agent without one.
    pub fn new(size: Size) -> Outcome<Self> {
        let mut hub = Hub::default();
        let _ = hub.found(Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) }, &GENESIS);
        let (work, assigned) = (Work::new(size.classes)?, VecDeque::new());
        let mut load = Self { hub, work, submitted: 0, steps: 0, counted: None, assigned };
        while load.submitted < size.tasks {
            let count = (size.tasks - load.submitted).min(1_000);
            let drafts = (0..count).map(|n| load.work.draft(load.submitted + n));
            let drafts = drafts.collect::<Outcome<_>>()?;
            load.submitted += count;
            load.call(None, Command::SubmitBatch(drafts));
        }
        for agent in 0..size.agents {
            load.join(agent, size.classes)?;
        }
        if load.hub.state().task_count() != size.tasks || load.assigned.len() != size.agents {
            return Err("not every task is queued, or not every agent has one".into());
        }
        Ok(load)
    }

    /// Steps of `kind` are taken by [`counted_step`] from this moment on.
    #[must_use]
    pub fn counting(self, kind: Kind) -> Self {
        Self { counted: Some(kind), ..self }
    }

    /// A cycle of one step of each kind, and how many nanoseconds each took.
    ///
    /// # Errors
    ///
    /// If an agent was given nothing.
    pub fn cycle(&mut self) -> Outcome<[u32; 4]> {
        let draft = self.work.draft(self.submitted)?;
        self.submitted += 1;
        let submit = self.call(Some(Kind::Submit), Command::Submit(Box::new(draft)));
        let (session, held) = self.assigned.pop_front().ok_or("no task was assigned")?;
        let accept = self.frame(Kind::Accept, session, fleet::accepted(held));
        let ping = self.frame(Kind::Ping, session, fleet::ping(vec![held]));
        let complete = self.frame(Kind::Complete, session, fleet::completed(held)?);
        Ok([submit, accept, ping, complete])
    }

    /// Registers and connects an agent, which is given a task at once.
    fn join(&mut self, number: usize, classes: usize) -> Outcome<()> {
        let name = format!("agent-{number}");
        let mut token = [0; 32];
        token[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let token = TokenHash(token);
        self.call(None, Command::AddAgent { id: AgentId::new(&name)?, token });
        let session = SessionId(number as u64 + 1);
        let dialect = Dialect::V1;
        self.timed(None, Input::Opened { session, dialect, peer: "127.0.0.1".into() });
        let frame = Ok(fleet::identify(&name, 1, capabilities(number, classes)));
        let (token, facts) = (Some(token), Facts::default());
        self.timed(None, Input::Frame { session, frame, token, facts });
        Ok(())
    }

    fn call(&mut self, kind: Option<Kind>, command: Command) -> u32 {
        let (call, by, facts) = (CallId(1), Principal::Admin, Facts::default());
        self.timed(kind, Input::Call { call, by, cause: None, command, facts })
    }

    fn frame(&mut self, kind: Kind, session: SessionId, frame: ToHub) -> u32 {
        let (frame, facts) = (Ok(frame), Facts::default());
        self.timed(Some(kind), Input::Frame { session, frame, token: None, facts })
    }

    /// One step, and how many nanoseconds it took.
    fn timed(&mut self, kind: Option<Kind>, input: Input) -> u32 {
        self.steps += 1;
        let ms = self.steps / STEPS_PER_MS;
        let now = Now { mono: Mono(1_000 + ms), wall: Wall(1_700_000_000_000 + ms) };
        let is_counted = kind.is_some() && kind == self.counted;
        let began = Instant::now();
        let step = if is_counted {
            counted_step(&mut self.hub, now, input)
        } else {
            self.hub.step(now, input)
        };
        let took = began.elapsed().as_nanos();
        self.consume(step);
        u32::try_from(took).unwrap_or(u32::MAX)
    }

    /// Does what a driver would do with a step. As there, several steps share a commit.
    fn consume(&mut self, step: Step) {
        for effect in step.effects {
            if let Effect::Send(session, ToAgent::TaskAssign(assignment)) = effect {
                self.assigned.push_back((session, assignment.held()));
            }
        }
        if self.steps.is_multiple_of(32) {
            self.hub.settle(self.hub.state().seq());
        }
    }
}

/// A step that instruments find by the name of this function.
#[inline(never)]
pub fn counted_step(hub: &mut Hub, now: Now, input: Input) -> Step {
    hub.step(now, input)
}
