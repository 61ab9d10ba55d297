//! This file is a model of a hub: what starts next and for whom, written to be believed, not fast.
//!
//! Everything is a list that is looked through from end to end; nothing is indexed, nothing is
//! parked, and after each happening every task is considered anew. A hub has to agree with it to
//! the last assignment, whatever happens and whatever its policy says:
//!
//! ```
//! use std::rc::Rc;
//! use agentcom_core::config::HubConfig;
//! use agentcom_core::hub::schedule::FairPolicy;
//! use agentcom_core::testing::bench::Bench;
//! use agentcom_core::testing::model::Model;
//! use agentcom_core::testing::strategy::{Happening, Play, fleets, lives};
//! use proptest::prelude::*;
//! use proptest::test_runner::TestRunner;
//!
//! # let mut config = proptest::test_runner::Config::with_cases(8);
//! # config.failure_persistence = None;
//! # let mut runner = TestRunner::new(config);
//! # runner.run(&(fleets(1..5), lives(1..40)), |(fleet, script)| {
//! let mut model = Model::new(HubConfig::default(), Rc::new(FairPolicy), &fleet);
//! let mut play = Play::new(Bench::over(HubConfig::default(), FairPolicy), fleet);
//! for happening in script {
//!     model.make(&happening);
//!     play.make(happening).map_err(TestCaseError::fail)?;
//!     model.agrees_with(&play.bench).map_err(TestCaseError::fail)?;
//! }
//! # Ok(())
//! # }).unwrap();
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`make`](Model::make) | what happens, and who says what |
//! | `life` | how a task moves on: retries, dependencies, deadlines |
//! | `start` | which task starts next, and who gets it |
//! | `limit` | caps, rates, pauses, fair shares |
//! | `time` | what becomes due, instant by instant |
//! | `agree` | the comparison with a hub |
//! | [`machine`] | the model as a state machine of `proptest-state-machine` |
//!
//! It knows agents of version 1 that renew what they hold, one data set without restarts, and no
//! waiting for the agent that has a repository at hand.

mod agree;
mod life;
mod limit;
pub mod machine;
mod make;
mod start;
mod time;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;

use super::bench::{KINDS, SEED, START};
use super::strategy::{Member, agent_name};
use crate::agent::{Profile, Trust};
use crate::command::Scope;
use crate::config::HubConfig;
use crate::hub::schedule::Policy;
use crate::id::{Boot, Cipher, Lease, TaskId};
use crate::name::{AgentId, Capability, Key, Kind, Repo};
use crate::rng::Rng;
use crate::task::{Spec, TaskState};
use crate::time::Wall;

/// A hub, its queue and its fleet, as the documentation describes them.
#[derive(Clone)]
pub struct Model {
    now: Wall,
    config: HubConfig,
    policy: Rc<dyn Policy>,
    ids: Cipher,
    /// All tasks that were taken in, in that order.
    tasks: Vec<ModelTask>,
    agents: Vec<ModelAgent>,
    /// What was given out, in order.
    starts: Vec<ModelStart>,
    paused: BTreeSet<Scope>,
    weights: BTreeMap<Key, u32>,
    oldest_first: u32,
    /// The start tag of the task that was served last in each lane.
    virtual_time: [u64; 4],
    /// The finish tag of the latest task of each tenant in each lane.
    finish_tags: BTreeMap<(usize, Option<Key>), u64>,
    /// What is left in each bucket, and as of when.
    buckets: BTreeMap<Key, (u64, Wall)>,
    /// Who worked last on each repository.
    warm: BTreeMap<Repo, AgentId>,
    /// Tasks that ended in this instant, for those that wait for them.
    over: Vec<usize>,
}

/// A task of a [`Model`].
#[derive(Clone, Debug)]
struct ModelTask {
    id: TaskId,
    spec: Spec,
    state: TaskState,
    lease: Lease,
    failures: u32,
    crashes: u32,
    /// When what it is doing becomes due, if it does.
    backoff_ends: Option<Wall>,
    lease_ends: Option<Wall>,
    accept_by: Option<Wall>,
    times_out: Option<Wall>,
}

/// An agent of a [`Model`].
#[derive(Clone, Debug)]
struct ModelAgent {
    id: AgentId,
    profile: Profile,
    connected: bool,
    draining: bool,
    trust: Trust,
    /// When it was last seen to have crashed: whatever it held by then is no crash of its own.
    crashed_at: Option<Wall>,
    /// The number of the assignment that it was last given; 0 is none.
    last_assigned: u64,
}

/// A task that was given to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStart {
    /// When.
    pub at: Wall,
    /// Which task.
    pub task: TaskId,
    /// Under which lease.
    pub lease: Lease,
    /// To whom.
    pub agent: AgentId,
}

impl Model {
    /// A hub without tasks whose agents are connected, as [`Play::new`](super::strategy::Play::new)
    /// makes it.
    ///
    /// # Panics
    ///
    /// If a capability is no name.
    #[must_use]
    pub fn new(config: HubConfig, policy: Rc<dyn Policy>, fleet: &[Member]) -> Self {
        Self {
            now: START.wall,
            config,
            policy,
            ids: Cipher::new(Rng::for_purpose(SEED, "ids", 0).next_u64()),
            tasks: Vec::new(),
            agents: fleet.iter().enumerate().map(|(n, member)| agent(n, member)).collect(),
            starts: Vec::new(),
            paused: BTreeSet::new(),
            weights: BTreeMap::new(),
            oldest_first: 0,
            virtual_time: [0; 4],
            finish_tags: BTreeMap::new(),
            buckets: BTreeMap::new(),
            warm: BTreeMap::new(),
            over: Vec::new(),
        }
    }

    /// What was given out, in order.
    #[must_use]
    pub fn starts(&self) -> &[ModelStart] {
        &self.starts
    }

    /// The fleet, as it has to be given to a [`Play`](super::strategy::Play).
    #[must_use]
    pub fn fleet(&self) -> Vec<Member> {
        let capabilities = |agent: &ModelAgent| {
            let known = super::strategy::CAPABILITIES.into_iter();
            let has =
                |text: &&str| agent.profile.capabilities.iter().any(|has| has.as_str() == *text);
            known.filter(has).collect()
        };
        let member = |agent: &ModelAgent| Member {
            slots: agent.profile.slots,
            capabilities: capabilities(agent),
        };
        self.agents.iter().map(member).collect()
    }

    /// The tasks that an agent holds, by their positions.
    fn held_by(&self, agent: usize) -> Vec<usize> {
        let name = &self.agents[agent].id;
        let holds = |task: &ModelTask| task.state.hold().is_some_and(|hold| hold.agent == *name);
        (0..self.tasks.len()).filter(|n| holds(&self.tasks[*n])).collect()
    }

    /// The agent of a name that has once connected.
    fn agent_called(&self, name: &AgentId) -> usize {
        let named = self.agents.iter().position(|agent| agent.id == *name);
        named.expect("only agents of the fleet hold tasks")
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} tasks", self.fleet(), self.tasks.len())
    }
}

fn agent(number: usize, member: &Member) -> ModelAgent {
    let capability = |text: &&str| Capability::new(text).expect("capabilities are names");
    let mut capabilities: Vec<Capability> = member.capabilities.iter().map(capability).collect();
    capabilities.sort();
    let profile = Profile {
        name: None,
        capabilities,
        kinds: KINDS.iter().map(|kind| Kind::new(kind).expect("kinds are names")).collect(),
        slots: member.slots,
        labels: BTreeMap::new(),
        version: None,
        boot: Boot(number as u64 + 1),
    };
    let (connected, draining, trust, last_assigned) = (true, false, Trust::Good, 0);
    let (id, crashed_at) = (agent_name(number), None);
    ModelAgent { id, profile, connected, draining, trust, crashed_at, last_assigned }
}

/// What a model says when a hub does not agree with it.
fn differs(what: &str, model: &impl fmt::Debug, hub: &impl fmt::Debug) -> super::strategy::Broken {
    format!("{what}\n  model: {model:?}\n  hub:   {hub:?}")
}
