//! This file sets up a queue and a fleet to schedule: classes of two needs, agents that fit some.

use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, Facts};
use agentcom_core::hub::{Hub, Input};
use agentcom_core::id::{CallId, SessionId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Capability, Key, Kind, Principal};
use agentcom_core::rng::Rng;
use agentcom_core::task::{Concurrency, Draft, Priority, Rate, Share};
use agentcom_core::time::{Mono, Now, Span, Wall};
use agentcom_core::wire::Dialect;

use crate::hub::GENESIS;
use crate::{Outcome, fleet};

/// How many keys share the fleet.
const TENANTS: usize = 100;
/// What nobody has.
const ABSENT: &str = "absent";

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Tasks that wait.
    pub tasks: usize,
    /// Agents, each with one slot.
    pub agents: usize,
    /// How many tools and how many sites there are: a class needs one of each.
    pub classes: (usize, usize),
    /// How many tools and how many sites an agent has.
    pub fits: (usize, usize),
    /// Whether each task counts against three limits: one on tasks at once and two rates.
    pub limits: bool,
    /// Tasks in front of all others that no agent can run.
    pub unmatchable: usize,
}

impl Scene {
    /// The hub, before anything was given out.
    ///
    /// # Errors
    ///
    /// If it refuses anything.
    pub fn hub(&self) -> Outcome<Hub> {
        let config = agentcom_core::config::HubConfig {
            tasks_max: usize::MAX,
            bytes_max: u64::MAX,
            agents_max: usize::MAX,
            ..Default::default()
        };
        let policy = Box::new(agentcom_core::hub::schedule::FairPolicy);
        let mut hub = Hub::new(agentcom_core::state::State::default(), config, policy);
        let _ = hub.found(now(0), &GENESIS);
        let all = self.unmatchable + self.tasks;
        for first in (0..all).step_by(1_000) {
            let drafts = (first..all.min(first + 1_000)).map(|number| self.draft(number));
            call(&mut hub, Command::SubmitBatch(drafts.collect::<Outcome<_>>()?));
        }
        if hub.state().task_count() == all { Ok(hub) } else { Err("tasks are missing".into()) }
    }

    /// How many classes there are, those that nobody can run left out.
    #[must_use]
    pub const fn class_count(&self) -> usize {
        self.classes.0 * self.classes.1
    }

    /// The task with a number.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub fn draft(&self, number: usize) -> Outcome<Draft> {
        let mut draft = Draft::new(Kind::new("shell")?, Json::null());
        let (tools, sites) = self.classes;
        let mut rng = Rng::for_purpose(0, "task", number as u64);
        let mut below = |bound: usize| rng.below(bound as u64) as usize;
        draft.needs = vec![tool(below(tools))?, site(below(sites))?];
        draft.priority = Priority::ALL[below(4)];
        if number < self.unmatchable {
            draft.needs.push(Capability::new(ABSENT)?);
            draft.priority = Priority::Urgent;
        }
        let tenant = below(TENANTS);
        let key = |what: &str| Key::new(&format!("{what}-{tenant}"));
        draft.share = Share { fair_key: Some(key("tenant")?), ..draft.share };
        if self.limits {
            let max = u32::try_from(self.agents)?;
            draft.share.concurrency = Some(Concurrency { key: key("at-once")?, max });
            let rate =
                |key| Rate { key, limit: 1_000_000, per: Span::from_secs(1), burst: 1_000_000 };
            draft.share.rates = vec![rate(key("calls")?), rate(key("tokens")?)];
        }
        Ok(draft)
    }

    /// An agent connects, with tools and sites of its own.
    ///
    /// # Errors
    ///
    /// Never: the name is valid.
    pub fn join(&self, hub: &mut Hub, number: usize) -> Outcome<()> {
        let name = format!("agent-{number}");
        let mut token = [0; 32];
        token[..8].copy_from_slice(&(number as u64).to_be_bytes());
        call(hub, Command::AddAgent { id: AgentId::new(&name)?, token: TokenHash(token) });
        let (session, dialect) = (SessionId(number as u64 + 1), Dialect::V1);
        let _ = hub.step(now(0), Input::Opened { session, dialect, peer: "127.0.0.1".into() });
        self.identify(hub, number, 0)
    }

    /// An agent says what it can do; each `turn` that is something else.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub fn identify(&self, hub: &mut Hub, number: usize, turn: u64) -> Outcome<()> {
        let mut rng = Rng::for_purpose(turn, "abilities", number as u64);
        let tools = some_of(&mut rng, self.classes.0, self.fits.0);
        let sites = some_of(&mut rng, self.classes.1, self.fits.1);
        let tools = tools.into_iter().map(|number| format!("tool-{number}"));
        let sites = sites.into_iter().map(|number| format!("site-{number}"));
        let name = format!("agent-{number}");
        let frame = Ok(fleet::identify(&name, 1, tools.chain(sites).collect()));
        let mut token = [0; 32];
        token[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let (session, token) = (SessionId(number as u64 + 1), Some(TokenHash(token)));
        let _ = hub.step(now(0), Input::Frame { session, frame, token, facts: Facts::default() });
        Ok(())
    }
}

/// The time after so many milliseconds.
#[must_use]
pub const fn now(ms: u64) -> Now {
    Now { mono: Mono(1_000 + ms), wall: Wall(1_700_000_000_000 + ms) }
}

fn call(hub: &mut Hub, command: Command) {
    let (call, by, facts) = (CallId(1), Principal::Admin, Facts::default());
    let _ = hub.step(now(0), Input::Call { call, by, cause: None, command, facts });
    hub.settle(hub.state().seq());
}

fn tool(number: usize) -> Outcome<Capability> {
    Ok(Capability::new(&format!("tool-{number}"))?)
}

fn site(number: usize) -> Outcome<Capability> {
    Ok(Capability::new(&format!("site-{number}"))?)
}

/// So many of the numbers below `all`.
fn some_of(rng: &mut Rng, all: usize, count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..all).collect();
    for n in 0..count.min(all) {
        let other = n + rng.below((all - n) as u64) as usize;
        numbers.swap(n, other);
    }
    numbers.truncate(count);
    numbers
}
