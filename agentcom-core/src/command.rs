//! This file lists what can be asked of a hub, and how it can answer.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::agent::TokenHash;
use crate::endpoint::{BadEndpoint, Endpoint};
use crate::id::{QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::Cap;
use crate::money::Micros;
use crate::name::{
    AgentId, Capability, EndpointId, Key, Kind, ModelName, OperatorId, Repo, RepoName,
};
use crate::operator::{Right, Validity};
use crate::price::Price;
use crate::repo::{Registered, is_same};
use crate::route::Class;
use crate::task::{BadDraft, Draft, Refused, Shortfall, Task, Tier};
use crate::time::{Span, Wall};

/// What is paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All work.
    All,
    /// Work on one repository.
    Repo(Repo),
    /// Work that needs one capability.
    Capability(Capability),
}

impl Scope {
    /// Whether it is one repository, by whatever address.
    #[must_use]
    pub fn is_of(&self, repo: &Repo) -> bool {
        matches!(self, Self::Repo(paused) if is_same(paused, repo))
    }

    /// Whether work with these requirements is within it.
    #[must_use]
    pub fn holds(&self, repo: Option<&Repo>, needs: &[Capability]) -> bool {
        match self {
            Self::All => true,
            Self::Repo(_) => repo.is_some_and(|repo| self.is_of(repo)),
            Self::Capability(capability) => needs.contains(capability),
        }
    }
}

/// What can be asked of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Queue a task.
    Submit(Box<Draft>),
    /// Queue tasks that may depend on each other: all of them or none.
    SubmitBatch(Vec<Draft>),
    /// Call a task off.
    Cancel(TaskId),
    /// Give dead tasks another life; unknown and living ones are skipped and named.
    Revive(Vec<TaskId>),
    /// Register an agent.
    AddAgent {
        /// Its name.
        id: AgentId,
        /// The token that will prove it.
        token: TokenHash,
    },
    /// Give an agent another token; the latest two are valid, and a connection by an earlier one is
    /// closed.
    RotateToken {
        /// The agent.
        id: AgentId,
        /// The token that will prove it as well.
        token: TokenHash,
    },
    /// Forget an agent: its tokens end, its connection is closed, its work goes back.
    RemoveAgent(AgentId),
    /// Give an agent no more work; what it holds it may finish.
    Drain(AgentId),
    /// Give a drained or quarantined agent work again.
    Resume(AgentId),
    /// Ask an agent's sidecar to restart itself.
    Restart {
        /// The agent.
        id: AgentId,
        /// Why, for its log.
        reason: String,
    },
    /// Start no more work in a scope.
    Pause(Scope),
    /// Start work in a scope again.
    Unpause(Scope),
    /// Set how large a portion of the fleet a fair key gets beside others; 100 is usual.
    SetWeight {
        /// The fair key.
        key: Key,
        /// Its weight.
        weight: u32,
    },
    /// Pick the oldest task instead of the fairest every so often; 0 is never.
    SetOldestFirst {
        /// Of how many assignments one goes to the oldest task.
        every: u32,
    },
    /// Set how much may be spent, or that it is not bounded.
    SetCap {
        /// By whom, in which time.
        cap: Cap,
        /// How much.
        limit: Option<Micros>,
    },
    /// Set what a model costs, or that it costs what is listed.
    SetPrice {
        /// The model.
        model: ModelName,
        /// What it costs.
        price: Option<Price>,
    },
    /// Stop all that costs money and start nothing more; or let work go on again.
    Estop {
        /// Whether to stop.
        stop: bool,
    },
    /// Say something about operators.
    Operator(OperatorCommand),
    /// Say something about servers of models.
    Endpoint(EndpointCommand),
    /// Say something about repositories.
    Repo(RepoCommand),
    /// Answer a question.
    Answer {
        /// Which.
        id: QuestionId,
        /// With what.
        answer: Json,
    },
}

impl Command {
    /// The right that an operator needs for it; none suffices for what is for the admin alone.
    #[must_use]
    pub const fn right(&self) -> Option<Right> {
        match self {
            Self::Submit(_)
            | Self::SubmitBatch(_)
            | Self::Cancel(_)
            | Self::Revive(_)
            | Self::Answer { .. } => Some(Right::TaskSubmit),
            Self::Drain(_)
            | Self::Resume(_)
            | Self::Restart { .. }
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::SetWeight { .. }
            | Self::SetOldestFirst { .. }
            | Self::SetCap { .. }
            | Self::SetPrice { .. }
            | Self::Estop { .. }
            | Self::Endpoint(_)
            | Self::Repo(_) => Some(Right::AdminWrite),
            // A token that could make others would outlive its end.
            Self::AddAgent { .. }
            | Self::RotateToken { .. }
            | Self::RemoveAgent(_)
            | Self::Operator(_) => None,
        }
    }
}

/// What can be said about operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// There is one of this name.
    Add {
        /// Its name.
        id: OperatorId,
        /// What it may do.
        rights: BTreeSet<Right>,
        /// For how long its tokens are valid.
        validity: Validity,
        /// The token that will prove it.
        token: TokenHash,
    },
    /// It has another token; the latest two are valid.
    Rotate {
        /// The operator.
        id: OperatorId,
        /// For how long this token and later ones are valid, if not for as long as those before.
        validity: Option<Validity>,
        /// The token that will prove it as well.
        token: TokenHash,
    },
    /// There is none of this name; its tokens end.
    Remove(OperatorId),
}

/// What can be said about servers of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointCommand {
    /// There is one, as described; one of that name is replaced.
    Set(EndpointId, Box<Endpoint>),
    /// There is none of that name; what it works on it may finish.
    Remove(EndpointId),
    /// Do not use the key of an endpoint for so long, at none of its endpoints.
    Park(EndpointId, Span),
    /// Use the key of an endpoint again.
    Unpark(EndpointId),
    /// Try these classes of models for tasks of a tier, in this order; the usual if there are none.
    Chain(Tier, Vec<Class>),
    /// Do tasks of a tier that do not say by operations of this kind; by the usual one if there is
    /// none.
    Executor(Tier, Option<Kind>),
    /// Park keys whose quota is used up, or only the tasks that meet its end.
    Parking(Parking),
}

/// What can be said about repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoCommand {
    /// There is one, as described; one of that name is replaced where it stands, another comes last.
    Set(Box<Registered>),
    /// There is none of that name, and so none that is paused. Tasks about it stay.
    Remove(RepoName),
    /// It stands at this place, 1 for the first; at the last one if there are not so many.
    Move(RepoName, u32),
    /// Start no more work on it.
    Pause(RepoName),
    /// Start work on it again.
    Unpause(RepoName),
}

/// What a used-up quota concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parking {
    /// All that use the key.
    #[default]
    On,
    /// The task that met it.
    Off,
}

/// What a command or a frame has to know of what is not in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tasks that have ended, if they exist.
    pub tasks: Vec<TaskId>,
    /// Idempotency keys, if they are in use.
    pub keys: Vec<Key>,
}

/// What the store says to [`Needs`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The ended tasks among those asked for.
    pub tasks: BTreeMap<TaskId, Task>,
    /// The keys in use among those asked for.
    pub keys: BTreeMap<Key, KeyUse>,
}

/// A submission that made use of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The task that it made.
    pub task: TaskId,
    /// A digest of what was asked for.
    pub body: u64,
    /// When the key may be used again.
    pub until: Wall,
}

/// A task that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its name.
    pub id: TaskId,
    /// When it was taken in.
    pub created_at: Wall,
    /// Whether an earlier submission with the same key and body had made it.
    pub existing: bool,
}

/// What a hub answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// The task is queued.
    Submitted(Submitted),
    /// The tasks are queued, in the order of the batch.
    SubmittedBatch(Vec<Submitted>),
    /// The task is called off.
    Cancelled {
        /// The word for the state in which it was.
        previous: &'static str,
    },
    /// These tasks live again.
    Revived {
        /// Those that were dead.
        revived: Vec<TaskId>,
        /// Those that were not, and why not.
        skipped: Vec<(TaskId, Rejected)>,
    },
    /// Nothing was changed.
    Rejected(Rejected),
}

/// Why a hub does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A draft breaks a rule.
    #[error("task {index}: {bad}")]
    Draft {
        /// Its position in the batch, 0 for a single one.
        index: usize,
        /// The rule.
        bad: BadDraft,
    },
    /// A batch holds no task, or too many.
    #[error("a batch holds 1 to {max} tasks, not {found}")]
    BatchSize {
        /// How many it holds.
        found: usize,
        /// How many it may hold.
        max: usize,
    },
    /// A draft depends on a task that does not exist.
    #[error("task {index} depends on {id}, which does not exist")]
    UnknownDependency {
        /// The position of the draft.
        index: usize,
        /// The task that does not exist.
        id: TaskId,
    },
    /// A draft depends on a position that the batch does not have.
    #[error("task {index} depends on task {sibling} of the batch, which does not exist")]
    UnknownSibling {
        /// The position of the draft.
        index: usize,
        /// The position that does not exist.
        sibling: usize,
    },
    /// Tasks of a batch wait for each other.
    #[error("the tasks wait for each other: {}", path(.0))]
    Cycle(Vec<usize>),
    /// A draft depends on one that ended without what it needs, as its policy has it.
    #[error("task {index} depends on {id}, which {ended}")]
    DeadDependency {
        /// The position of the draft.
        index: usize,
        /// The task that ended.
        id: TaskId,
        /// How it ended.
        ended: Shortfall,
    },
    /// The key was used for something else.
    #[error("the idempotency key was used for {id} with another body")]
    KeyConflict {
        /// The task that was made with the key.
        id: TaskId,
    },
    /// Limits or rates with one key do not agree.
    #[error("rate `{key}` is in use with other figures")]
    RateConflict {
        /// The key.
        key: Key,
    },
    /// The queue holds as much as it may.
    #[error("the queue is full; try again in {retry_after}")]
    QueueFull {
        /// When to try again.
        retry_after: Span,
    },
    /// There is no such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// The task is not in a state for this.
    #[error("{id}: {refused}")]
    Task {
        /// The task.
        id: TaskId,
        /// Why not.
        refused: Refused,
    },
    /// There is no such agent.
    #[error("there is no agent `{0}`")]
    UnknownAgent(AgentId),
    /// The agent is registered.
    #[error("agent `{0}` is registered")]
    AgentExists(AgentId),
    /// There are as many agents as there may be.
    #[error("at most {max} agents can be registered")]
    TooManyAgents {
        /// The bound.
        max: usize,
    },
    /// There is no operator of this name.
    #[error("there is no token `{0}`")]
    UnknownOperator(OperatorId),
    /// There is an operator of this name.
    #[error("there is a token `{0}`")]
    OperatorExists(OperatorId),
    /// There are as many operators as there may be.
    #[error("at most {max} tokens can be given names")]
    TooManyOperators {
        /// The bound.
        max: usize,
    },
    /// The agent is not connected.
    #[error("agent `{0}` is not connected")]
    NotConnected(AgentId),
    /// There is no such question, or it was answered.
    #[error("{0} is not open")]
    UnknownQuestion(QuestionId),
    /// The question takes some answers only, and this is none of them. It stays open.
    #[error("this is no answer to {id}, which stays open; it takes {}", takes.join(", "))]
    UnclearAnswer {
        /// The question.
        id: QuestionId,
        /// What it takes, in words.
        takes: Vec<String>,
    },
    /// A cap on a model whose price nobody knows would bound nothing.
    #[error("`{0}` has no price, so what it costs cannot be capped; set its price first")]
    NoPrice(ModelName),
    /// There is a cap on what the model costs.
    #[error("there is a cap on `{0}`, which would bound nothing without a price")]
    PriceInUse(ModelName),
    /// There are as many caps, or prices, as there may be.
    #[error("at most {max} caps and {max} prices can be set")]
    TooManyCaps {
        /// The bound.
        max: usize,
    },
    /// An endpoint breaks a rule.
    #[error("endpoint: {0}")]
    BadEndpoint(BadEndpoint),
    /// There is no such endpoint.
    #[error("there is no endpoint `{0}`")]
    UnknownEndpoint(EndpointId),
    /// There are as many endpoints as there may be.
    #[error("at most {max} endpoints can be set")]
    TooManyEndpoints {
        /// The bound.
        max: usize,
    },
    /// There is no such repository.
    #[error("there is no repository `{0}`")]
    UnknownRepo(RepoName),
    /// The address of a repository holds a password.
    #[error("the address must hold neither a password nor a token; agents have their own")]
    RepoSecret,
    /// The repository is registered under another name.
    #[error("the repository is registered as `{0}`")]
    RepoExists(RepoName),
    /// There are as many repositories as there may be.
    #[error("at most {max} repositories can be registered")]
    TooManyRepos {
        /// The bound.
        max: usize,
    },
    /// More is said of a repository than there is room for.
    #[error("at most {max} executors can be said of a repository")]
    TooManyExecutors {
        /// The bound.
        max: usize,
    },
    /// Tasks of this kind are not done, but made into others, or the hub's own.
    #[error("`{0}` does no tasks")]
    BadExecutor(Kind),
    /// A weight must be 1 to 10,000.
    #[error("a weight must be 1 to 10000, not {0}")]
    BadWeight(u32),
    /// Whoever asks may not.
    #[error("{0} may not do this")]
    NotAllowed(crate::name::Principal),
}

fn path(positions: &[usize]) -> String {
    let mut text = String::new();
    for (n, position) in positions.iter().enumerate() {
        let arrow = if n == 0 { "" } else { " -> " };
        text.push_str(arrow);
        text.push_str(&alloc::format!("{position}"));
    }
    text
}
