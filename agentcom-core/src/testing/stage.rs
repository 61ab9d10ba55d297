//! This file plays hubs and sidecars on a stage, where nothing happens but what is asked for.
//!
//! The real steps of hubs, all over one disk, and of sidecars, each with its journal; links between
//! them that keep their order and may break. One [`Action`] at a time happens, and after each the
//! promises are looked at: a random walk and a model checker take the same actions.
//!
//! ```
//! use agentcom_core::testing::stage::{Action, Stage, Staging};
//! use agentcom_core::time::Span;
//!
//! let mut stage = Stage::new(Staging::default());
//! stage.act(Action::Submit)?;
//! stage.peace(Span::from_mins(10))?;
//! # Ok::<(), String>(())
//! ```

mod agent;
mod disk;
mod ledger;
mod seat;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::config::HubConfig;
use crate::guard::Guards;
use crate::rng::scramble;
use crate::testing::zoo::Plant;
use crate::time::{Mono, Now, Span, Wall};
use agent::Agent;
use disk::Disk;
use ledger::Ledger;
use seat::Seat;

/// What is on a stage.
#[derive(Clone, Debug)]
pub struct Staging {
    /// How many hubs there can be at once.
    pub hubs: usize,
    /// How many sidecars there are.
    pub agents: usize,
    /// How many tasks each works on at once.
    pub slots: u32,
    /// How many tasks can be submitted.
    pub tasks: usize,
    /// Whether tasks share a concurrency limit, a rate and an idempotency key, each a few of them.
    pub limits: bool,
    /// Which guards stand.
    pub guards: Guards,
    /// The bug that is planted, if one is.
    pub plant: Option<Plant>,
    /// The figures of the hubs.
    pub config: HubConfig,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            hubs: 2,
            agents: 2,
            slots: 2,
            tasks: 12,
            limits: true,
            guards: Guards::all(),
            plant: None,
            config: HubConfig::default(),
        }
    }
}

/// Something that happens. Hubs, agents and tasks are named by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next task is submitted.
    Submit,
    /// A submission whose answer was lost is made again.
    Resubmit,
    /// A hub starts beside those that run, and takes the data over.
    Start(usize),
    /// The commit of a hub ends.
    Commit(usize),
    /// A hub is killed.
    Kill(usize),
    /// A hub hears the next word of an agent.
    Up(usize),
    /// An agent hears the next word of its hub.
    Down(usize),
    /// The link of an agent breaks.
    Cut(usize),
    /// The link of an agent swallows all that is said, and nobody is told.
    Mute(usize),
    /// An agent is killed.
    Fell(usize),
    /// An agent starts again.
    Rise(usize),
    /// The first job of an agent is done.
    Finish(usize),
    /// The first job of an agent fails.
    Fail(usize),
    /// Time passes, and nothing is heard meanwhile.
    Pass(Span),
}

/// A sum over all that is written to it.
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = scramble(self.0 ^ u64::from_le_bytes(word));
        }
    }
}

impl fmt::Write for Sum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

/// What a broken promise says.
pub type Broken = String;

/// Hubs, sidecars, what lies between them, and what was promised.
#[derive(Clone, Debug)]
pub struct Stage {
    staging: Staging,
    now: Now,
    disk: Disk,
    seats: Vec<Option<Seat>>,
    agents: Vec<Agent>,
    ledger: Ledger,
    submitted: usize,
    sessions: u64,
    /// How often somebody may be woken without time going on.
    patience: u32,
}

impl Stage {
    /// A stage with one hub, which knows its agents; they are there and have yet to connect.
    #[must_use]
    pub fn new(staging: Staging) -> Self {
        let agents = (0..staging.agents).map(|n| Agent::new(n, &staging)).collect();
        let seats = (0..staging.hubs).map(|_| None).collect();
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000) };
        let limits = staging.limits;
        let mut stage = Self {
            disk: Disk::new(staging.guards),
            staging,
            now,
            seats,
            agents,
            ledger: Ledger::new(limits),
            submitted: 0,
            sessions: 0,
            patience: 0,
        };
        let set = stage.start(0).and_then(|()| stage.register());
        let set = set.and_then(|()| (0..stage.agents.len()).try_for_each(|n| stage.rise(n)));
        stage.ledger.note(set);
        stage
    }

    /// Lets something happen.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn act(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Submit => self.submit_next()?,
            Action::Resubmit => self.submit(self.submitted.saturating_sub(1))?,
            Action::Start(hub) => self.start(hub)?,
            Action::Commit(hub) => self.commit(hub)?,
            Action::Kill(hub) => self.kill(hub)?,
            Action::Up(agent) => self.up(agent)?,
            Action::Down(agent) => self.down(agent)?,
            Action::Cut(agent) => self.cut(agent)?,
            Action::Mute(agent) => self.agents[agent].mute(),
            Action::Fell(agent) => self.fell(agent)?,
            Action::Rise(agent) => self.rise(agent)?,
            Action::Finish(agent) => self.end_job(agent, true)?,
            Action::Fail(agent) => self.end_job(agent, false)?,
            Action::Pass(span) => self.pass(span)?,
        }
        self.ledger.verdict()
    }

    /// What can happen, but for the passing of time.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.submitted < self.staging.tasks && self.newest().is_some() {
            actions.push(Action::Submit);
        }
        if self.submitted > 0 && self.newest().is_some() {
            actions.push(Action::Resubmit);
        }
        for (hub, seat) in self.seats.iter().enumerate() {
            match seat {
                Some(seat) => {
                    actions.extend(seat.is_committing().then_some(Action::Commit(hub)));
                    actions.push(Action::Kill(hub));
                }
                None => actions.push(Action::Start(hub)),
            }
        }
        for (n, agent) in self.agents.iter().enumerate() {
            agent.actions(n, &mut actions);
        }
        actions
    }

    /// A digest of everything that bears on what can happen from here on.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut sum = Sum(0);
        for (key, row) in &self.disk.rows {
            sum.add(&key.key);
            sum.add(row);
        }
        let rest = (&self.now, &self.disk.openings, &self.seats, &self.agents, &self.ledger);
        // Whoever sums up takes all that is written.
        let _ = write!(sum, "{rest:?}{}", self.submitted);
        sum.0
    }

    /// Lets time pass in which all is heard and stored at once, and jobs end after a while, until
    /// everything has ended.
    ///
    /// # Errors
    ///
    /// What has not ended after so long, or the promise that is broken.
    pub fn peace(&mut self, within: Span) -> Result<(), Broken> {
        self.agents.iter_mut().for_each(Agent::unmute);
        for n in 0..self.agents.len() {
            self.rise(n)?;
        }
        let end = self.now.mono + within;
        while self.now.mono < end {
            if self.newest().is_none() {
                self.kill(0)?;
                self.start(0)?;
            }
            self.calm(Span::from_secs(2))?;
            for agent in 0..self.agents.len() {
                self.end_job(agent, true)?;
            }
            self.calm(Span(1))?;
            if self.is_over() {
                self.ledger.close(&self.disk)?;
                return self.ledger.verdict();
            }
        }
        Err(format!("not everything has ended after {within}: {}", self.rest()))
    }

    /// What has not ended, in words.
    fn rest(&self) -> String {
        let living = self.newest().into_iter().flat_map(|seat| seat.hub.state().tasks());
        let living = living.map(|task| format!("{} is {}", task.id, task.life.state.as_str()));
        let busy = self.agents.iter().filter(|agent| !agent.is_quiet());
        let busy = busy.map(|agent| format!("{} is not quiet", agent.id()));
        living.chain(busy).collect::<Vec<_>>().join(", ")
    }

    /// Whether all that was acknowledged has ended, and everybody knows.
    fn is_over(&self) -> bool {
        let quiet = self.agents.iter().all(Agent::is_quiet);
        quiet && self.newest().is_some_and(|seat| seat.is_empty())
    }

    /// The hub that opened the disk last, which is where connections and calls are led to.
    fn newest(&self) -> Option<&Seat> {
        self.seats[self.newest_place()?].as_ref()
    }

    fn newest_place(&self) -> Option<usize> {
        let last = self.disk.openings;
        self.seats.iter().position(|seat| seat.as_ref().is_some_and(|seat| seat.opening == last))
    }

    /// Everything that can be heard or stored at once is.
    fn drain(&mut self) -> Result<(), Broken> {
        for _ in 0..10_000 {
            let mut quiet = true;
            for hub in 0..self.seats.len() {
                while self.seats[hub].as_ref().is_some_and(Seat::is_committing) {
                    quiet = false;
                    self.commit(hub)?;
                }
            }
            for agent in 0..self.agents.len() {
                while self.agents[agent].has_up() {
                    quiet = false;
                    self.up(agent)?;
                }
                while self.agents[agent].has_down() {
                    quiet = false;
                    self.down(agent)?;
                }
            }
            if quiet {
                return Ok(());
            }
        }
        Err("hub and agents talk without end".into())
    }

    fn calm(&mut self, span: Span) -> Result<(), Broken> {
        let end = self.now.mono + span;
        self.drain()?;
        while self.wake_next(end)? {
            self.drain()?;
        }
        Ok(())
    }

    fn pass(&mut self, span: Span) -> Result<(), Broken> {
        let end = self.now.mono + span;
        while self.wake_next(end)? {}
        Ok(())
    }

    /// Goes to the next wake before `end` and takes it, or to `end`; whether it was the former.
    fn wake_next(&mut self, end: Mono) -> Result<bool, Broken> {
        let hubs = self.seats.iter().flatten().filter_map(Seat::wake);
        let wakes = hubs.chain(self.agents.iter().filter_map(Agent::wake));
        let next = wakes.min().filter(|at| *at <= end);
        let at = next.unwrap_or(end).max(self.now.mono);
        let gone = at - self.now.mono;
        self.patience = if gone == Span(0) { self.patience + 1 } else { 0 };
        if self.patience > 2_000 {
            return Err("somebody wakes again and again and nothing happens".into());
        }
        self.now = Now { mono: at, wall: self.now.wall + gone };
        for hub in 0..self.seats.len() {
            self.wake_hub(hub)?;
        }
        for agent in 0..self.agents.len() {
            self.wake_agent(agent)?;
        }
        Ok(next.is_some())
    }
}
