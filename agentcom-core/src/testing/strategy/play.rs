//! This file plays scripts on a bench.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Broken, Happening, Judge, Member, agent_name, pick};
use crate::command::{Command, Reply};
use crate::id::TaskId;
use crate::name::{AgentId, Principal};
use crate::testing::bench::Bench;
use crate::time::Span;
use crate::wire::{Dialect, Held, Released, ToHub};

/// How often agents beat while time passes.
pub const BEAT: Span = Span::from_secs(5);

/// A fleet on a bench, to which a script happens.
#[derive(Debug)]
pub struct Play {
    /// The hub.
    pub bench: Bench,
    /// The agents, by their numbers.
    pub fleet: Vec<Member>,
    /// The tasks that were taken in, in order.
    pub tasks: Vec<TaskId>,
    sessions: Vec<Option<u64>>,
    judge: Judge,
}

impl Play {
    /// A play before its first scene: the agents of `fleet` are connected.
    #[must_use]
    pub fn new(bench: Bench, fleet: Vec<Member>) -> Self {
        let sessions = fleet.iter().map(|_| None).collect();
        let mut play = Self { bench, fleet, tasks: Vec::new(), sessions, judge: Judge::default() };
        for agent in 0..play.fleet.len() {
            play.join(agent);
        }
        play
    }

    /// As [`Play::new`], under a policy that refuses: whether a task waits for a good reason is
    /// for others to judge, such as a [model](crate::testing::model).
    #[must_use]
    pub fn under_a_picky_policy(bench: Bench, fleet: Vec<Member>) -> Self {
        Self { judge: Judge::of_a_picky_policy(), ..Self::new(bench, fleet) }
    }

    /// Lets `happening` happen, and judges every step.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words.
    pub fn make(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Pass(span) => return self.pass(span),
            Happening::Submit(submission) => {
                let draft = submission.draft(self.bench.now.wall, &self.tasks);
                // What depends on a dead task is refused, and limits that do not agree.
                if let Reply::Submitted(submitted) = self.bench.call(Command::Submit(draft)) {
                    self.tasks.push(submitted.id);
                }
            }
            Happening::Cancel(at) => {
                if let Some(id) = pick(&self.tasks, at) {
                    self.bench.call_as(Principal::Admin, Command::Cancel(id));
                }
            }
            Happening::Join(agent) => self.join(agent),
            Happening::Leave(agent) => self.leave(agent),
            Happening::Accept(at) => self.about(at, Bench::accept),
            Happening::Complete(at) => self.about(at, Bench::complete),
            Happening::CompletePartly(at) => self.about(at, Bench::complete_partly),
            Happening::Fail(at, category) => {
                self.about(at, |bench, session, held| bench.fail(session, held, category));
            }
            Happening::Release(at) => self.about(at, |bench, session, held| {
                let Held { task_id, generation } = held;
                bench.frame(session, ToHub::TaskReleased(Released { task_id, generation }));
            }),
            Happening::Pause(scope) => {
                self.bench.call(Command::Pause(scope));
            }
            Happening::Unpause(scope) => {
                self.bench.call(Command::Unpause(scope));
            }
            Happening::Drain(agent) => self.command(agent, Command::Drain),
            Happening::Resume(agent) => self.command(agent, Command::Resume),
            Happening::Revive(at) => {
                let ids = pick(&self.tasks, at).into_iter().collect();
                self.bench.call(Command::Revive(ids));
            }
            Happening::Weigh(key, weight) => {
                self.bench.call(Command::SetWeight { key, weight });
            }
            Happening::OldestFirst(every) => {
                self.bench.call(Command::SetOldestFirst { every });
            }
        }
        self.judge()
    }

    /// Whether all that was given out since the last look was given out by the rules, and nothing
    /// waits that could run. See [`Judge`].
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words.
    pub fn judge(&mut self) -> Result<(), Broken> {
        self.judge.look(&self.bench, &self.fleet)
    }

    /// The names of the agents that are connected.
    #[must_use]
    pub fn connected(&self) -> BTreeSet<AgentId> {
        let numbers = 0..self.sessions.len();
        numbers.filter(|n| self.sessions[*n].is_some()).map(agent_name).collect()
    }

    fn pass(&mut self, span: Span) -> Result<(), Broken> {
        let end = self.bench.now.mono + span;
        loop {
            let beat = (self.bench.now.mono + BEAT).min(end);
            while self.bench.pass_to_wake(beat) {
                self.judge()?;
            }
            self.judge()?;
            for agent in 0..self.sessions.len() {
                let Some(session) = self.sessions[agent] else { continue };
                let held = self.bench.holds(&agent_name(agent));
                self.bench.ping(session, &held);
                self.judge()?;
            }
            if beat == end {
                return Ok(());
            }
        }
    }

    fn join(&mut self, agent: usize) {
        let agent = agent % self.fleet.len();
        if self.sessions[agent].is_none() {
            let Member { slots, capabilities } = &self.fleet[agent];
            let name = agent_name(agent);
            let session = self.bench.join(name.as_str(), Dialect::V1, *slots, capabilities);
            self.sessions[agent] = Some(session);
        }
    }

    fn leave(&mut self, agent: usize) {
        let agent = agent % self.fleet.len();
        if let Some(session) = self.sessions[agent].take() {
            self.bench.leave(session);
        }
    }

    fn command(&mut self, agent: usize, command: impl FnOnce(AgentId) -> Command) {
        self.bench.call(command(agent_name(agent % self.fleet.len())));
    }

    /// The agent that holds one of the tasks at work says something about it.
    fn about(&mut self, at: usize, say: impl FnOnce(&mut Bench, u64, Held)) {
        let mut held = Vec::new();
        for (agent, session) in self.sessions.iter().enumerate() {
            let Some(session) = session else { continue };
            held.extend(
                self.bench.holds(&agent_name(agent)).into_iter().map(|held| (*session, held)),
            );
        }
        if let Some((session, held)) = pick(&held, at) {
            say(&mut self.bench, session, held);
        }
    }
}
