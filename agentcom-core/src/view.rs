//! This file holds what readers get to see: owned data, never a reference into the state.

mod endpoint;
mod repo;

pub use endpoint::{EndpointView, RoutingView};
pub use repo::RepoView;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, LastOutcome, Phase, Profile};
use crate::command::Scope;
use crate::id::{Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::ledger::{Cap, Subject, Tally};
use crate::money::Micros;
use crate::name::{AgentId, GoalId, Key, ModelName, OperatorId, Principal};
use crate::price::Price;
use crate::question::Question;
use crate::route::{Alternative, Decision};
use crate::task::{AfterDependency, Priority, Task, Tier};
use crate::time::{Span, Wall};
use crate::wire::{Dialect, Held};

/// Something that happened, as the durable feed tells it. Sequence numbers have no gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; a reader that has seen it asks for those after it.
    pub seq: u64,
    /// When.
    pub at: Wall,
    /// Who asked for it.
    pub by: Principal,
    /// The request or trace that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<str>>,
    /// What happened: `task.` and the state that the task moved to, or a word such as
    /// `agent.added`.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// The task that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The agent that it happened to or that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The operator that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorId>,
    /// The assignment in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Lease>,
    /// More, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Json>,
}

/// News about running work. Readers that are too slow miss some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgressView {
    /// The task.
    pub task_id: TaskId,
    /// Who works on it.
    pub agent_id: AgentId,
    /// How far it is, in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// What happened, as the agent sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Json>,
}

/// Which tasks to list: those that fit all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// In one of these states, by the words of [`TaskState::WORDS`](crate::task::TaskState::WORDS);
    /// empty is all.
    pub states: Vec<String>,
    /// In this lane.
    pub priority: Option<Priority>,
    /// Held by this agent, or ended with it.
    pub agent: Option<AgentId>,
    /// For this goal.
    pub goal: Option<GoalId>,
    /// Asked for by.
    pub submitted_by: Option<Principal>,
    /// Behind this point, from [`TaskPage::next`].
    pub after: Option<String>,
    /// At most this many, 1 to [`TaskQuery::LIMIT_MAX`]; 0 counts as 50.
    pub limit: usize,
}

impl TaskQuery {
    /// The longest page.
    pub const LIMIT_MAX: usize = 200;
}

/// Tasks: living ones in the order of submission, then ended ones, the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// Where the next page starts, if there may be one.
    pub next: Option<String>,
}

/// A registered agent, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// What the hub remembers of it.
    pub agent: Agent,
    /// What it is about.
    pub phase: Phase,
    /// What it said of itself, if it is connected.
    pub profile: Option<Profile>,
    /// Which rules it follows, if it is connected.
    pub dialect: Option<Dialect>,
    /// Since when it is connected.
    pub connected_at: Option<Wall>,
    /// How long ago it last gave a sign of life, if it is connected.
    pub silent_for: Option<Span>,
    /// Free text that it says of itself.
    pub status: Option<Box<str>>,
    /// How its host is doing, as it sent it.
    pub resources: Option<Json>,
    /// How its latest attempt since the hub started ended.
    pub last_outcome: Option<LastOutcome>,
    /// The tasks that it holds.
    pub held: Vec<Held>,
}

/// Figures about a hub, kept up to date step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Which life of the data set.
    pub incarnation: Incarnation,
    /// The number of the latest event.
    pub seq: u64,
    /// Tasks that live, by state.
    pub tasks: Vec<(&'static str, u64)>,
    /// Ready tasks by lane, urgent first.
    pub ready_by_lane: [u64; 4],
    /// Tasks that ended since the data set was made, by state.
    pub ended: Vec<(&'static str, u64)>,
    /// Registered agents, by phase.
    pub agents: Vec<(&'static str, u64)>,
    /// Open questions.
    pub questions: u64,
    /// What is paused.
    pub paused: Vec<Scope>,
    /// Whether all spending is stopped, so that nothing starts.
    pub stopped: bool,
    /// How long work has been under way without a task being completed; 0 when nothing is. When it
    /// is longer than tasks take, the fleet is busy and gets nothing done.
    pub quiet_for: Span,
    /// How late the hub is.
    pub lag: Lag,
}

/// How late a hub took in what was due or came in, over the last one or two minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// How often it was measured.
    pub samples: u64,
    /// The lag of half of the samples is at most this.
    #[serde(rename = "p50_ms")]
    pub p50: Span,
    /// The lag of 99 in 100 samples is at most this.
    #[serde(rename = "p99_ms")]
    pub p99: Span,
    /// The longest lag.
    #[serde(rename = "max_ms")]
    pub max: Span,
}

/// Why a task is where it is, and what would move it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The task.
    pub task_id: TaskId,
    /// The word for its state.
    pub state: &'static str,
    /// The one predicate that holds it up.
    pub reason: Reason,
    /// The model that was chosen for its latest attempt, and what else there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Decision>>,
}

/// The predicate that holds a task up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Other tasks have to end first.
    Dependencies {
        /// Which.
        on: Vec<TaskId>,
        /// What happens when one of them ends without being completed.
        on_dependency_failure: AfterDependency,
    },
    /// It is not to start before a time.
    NotBefore {
        /// The time.
        until: Wall,
    },
    /// It failed, and the next attempt waits.
    Backoff {
        /// How much longer.
        remaining: Span,
        /// What went wrong.
        error: Option<String>,
    },
    /// All spending is stopped, and nothing starts.
    Stopped,
    /// Its scope is paused.
    Paused {
        /// Which scope.
        scope: Scope,
    },
    /// As many tasks with its concurrency key run as may.
    Concurrency {
        /// The key.
        key: Key,
        /// How many may run.
        max: u32,
        /// Those that run.
        held_by: Vec<TaskId>,
    },
    /// The bucket of one of its rates is empty.
    Rate {
        /// The key of the rate.
        key: Key,
        /// When there will be enough.
        until: Wall,
    },
    /// No endpoint that serves what it wants takes it.
    Endpoints {
        /// How demanding it is.
        tier: Tier,
        /// The model that it names.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// What there is, and why it cannot be asked; nothing if nobody serves such a model.
        passed_over: Vec<Alternative>,
    },
    /// No connected agent can run it.
    NoAgent {
        /// The agent that lacks least, if there is any.
        nearest: Option<Nearest>,
    },
    /// No agent that can run it takes work.
    AgentsBusy {
        /// How many can run it.
        able: u64,
        /// What keeps them, and how many of the first thousand: `full`, `silent`, `draining`,
        /// `quarantined`, `resting` (it had no room lately, or may still run what was taken from
        /// it), or `unsuited` (the policy wants another).
        kept_by: BTreeMap<&'static str, u64>,
    },
    /// It waits for a while for the agent that has its repository at hand.
    Affinity {
        /// How much longer.
        remaining: Span,
    },
    /// An agent was given it and has not accepted it yet.
    Accepting {
        /// Who.
        agent: AgentId,
        /// How much longer it may take.
        remaining: Span,
    },
    /// An agent works on it.
    Working {
        /// Who.
        agent: AgentId,
        /// When the agent loses it unless it renews.
        lease_remaining: Span,
    },
    /// An agent works on it and waits for an answer.
    Question {
        /// The question.
        question: Question,
    },
    /// Its agent may not work before a time.
    Quota {
        /// The time.
        until: Wall,
    },
    /// It has ended.
    Ended {
        /// Why, if it died.
        death: Option<String>,
        /// What went wrong.
        error: Option<String>,
    },
}

/// What is spent and how much may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyView {
    /// Accounts, by subject, at most [`MoneyView::ACCOUNTS_MAX`].
    pub accounts: Vec<AccountView>,
    /// Whether there are more of them.
    pub more: bool,
    /// How much may be spent.
    pub caps: Vec<(Cap, Micros)>,
    /// What models cost, where it is not as listed.
    pub prices: Vec<(ModelName, Price)>,
    /// Whether everything is stopped.
    pub stopped: bool,
}

impl MoneyView {
    /// How many accounts are shown at once.
    pub const ACCOUNTS_MAX: usize = 1_000;
}

/// What was booked on an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// Whose it is.
    pub account: Subject,
    /// Today, in UTC.
    pub day: Tally,
    /// This month.
    pub month: Tally,
    /// Ever.
    pub ever: Tally,
    /// What calls that are under way may cost.
    pub reserved: Micros,
}

/// The agent that lacks least of what a task needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// Who.
    pub agent: AgentId,
    /// What it lacks, such as `exec:shell`, `gpu`, `online` or `trust`.
    pub lacks: Vec<String>,
}
