//! This file holds what a submitter asks for; it never changes after submission.

use core::fmt;
use core::str::FromStr;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::json::Json;
use crate::money::Micros;
use crate::name::{AgentId, Capability, GoalId, Key, Kind, Principal, Repo, Tag};
use crate::route::is_of_models;
use crate::sandbox::Level;
use crate::task::AfterDependency;
use crate::time::{Span, Wall};

/// What to run: the kind selects the executor, which alone understands the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Which executor runs it: `shell`, `wake`, or a handler of an embedder.
    pub kind: Kind,
    /// What the executor is told.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub input: Json,
}

/// The lane of a task. Lanes are served in this order, except that no task is overtaken by one
/// that became ready more than 60 s later.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// First.
    Urgent,
    /// Before normal work.
    High,
    /// Where nothing else is said.
    #[default]
    Normal,
    /// When there is time.
    Low,
}

/// A word that is no priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown priority `{0}`; allowed are urgent (or critical), high, normal, low and 0 to 3")]
pub struct BadPriority(pub String);

impl Priority {
    /// All lanes, first served first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The number of the lane, 0 to 3.
    #[must_use]
    pub const fn lane(self) -> usize {
        self as usize
    }

    /// The word for the lane.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = BadPriority;

    fn from_str(word: &str) -> Result<Self, BadPriority> {
        match word {
            "urgent" | "critical" | "0" => Ok(Self::Urgent),
            "high" | "1" => Ok(Self::High),
            "normal" | "2" => Ok(Self::Normal),
            "low" | "3" => Ok(Self::Low),
            _ => Err(BadPriority(word.chars().take(40).collect())),
        }
    }
}

/// What an agent does with running work when it can no longer renew its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseLoss {
    /// It stops before the lease runs out.
    #[default]
    Stop,
    /// It works on; a late result counts if nobody was given the task since.
    Continue,
}

impl LeaseLoss {
    /// What is usual for a kind of operation: what a model does in a worktree of its own has no other
    /// effect than those that the lease fences, and took a while.
    #[must_use]
    pub fn usual(kind: &Kind) -> Self {
        if is_of_models(kind) { Self::Continue } else { Self::Stop }
    }
}

/// The least sandbox that a task of a kind is content with which does not say: what a model does nobody
/// has read before, and what a person wrote runs as that person wants it to.
#[must_use]
pub fn usual_sandbox(kind: &Kind) -> Level {
    if is_of_models(kind) { Level::L2 } else { Level::L0 }
}

/// At most `max` tasks with this key run at once, as far as this task is concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Concurrency {
    /// Tasks with equal keys count together.
    pub key: Key,
    /// The task starts only while fewer than this many of them are held.
    pub max: u32,
}

/// A token bucket: `limit` starts per `per`, of which `burst` may come at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rate {
    /// Tasks with equal keys draw from one bucket.
    pub key: Key,
    /// How many starts the bucket allows in each span.
    pub limit: u32,
    /// The span.
    pub per: Span,
    /// How many starts it saves up at most.
    pub burst: u32,
}

/// What a task counts against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The limit on tasks at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The limits on starts over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rate>,
    /// Who shares the fleet with whom: equal keys share one portion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fair_key: Option<Key>,
    /// How much of its portion one start of the task uses up.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub cost: u32,
    /// How much money the task may cost; the cap for all tasks if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Micros>,
}

/// When a task may, must and must not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// It does not start before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_after: Option<Wall>,
    /// It dies with reason `deadline` when this passes, whatever attempts are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_by: Option<Wall>,
    /// It dies with reason `expired` if it stays ready this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
    /// How long one attempt may take; the hub's configuration says so for tasks that do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How long an agent keeps the task without renewing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ttl: Option<Span>,
}

/// How failures are answered; what is not said comes from the hub's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in total, the first one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// The wait after the first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_base: Option<Span>,
    /// The longest wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_cap: Option<Span>,
}

/// What a task belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The goal that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_id: Option<GoalId>,
    /// The task that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// How many parents it has above it.
    #[serde(default)]
    pub spawn_depth: u32,
}

/// A file that matters for the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHint {
    /// Where it is, relative to the repository.
    pub path: String,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A check that shows whether the task is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationStep {
    /// The kind of check, such as `file_exists`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is checked.
    pub target: String,
    /// What it means for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How demanding a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// No thinking needed.
    Trivial,
    /// Work for a local model.
    Standard,
    /// Work for the best model there is.
    Complex,
    /// Nobody said.
    Unknown,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Trivial, Self::Standard, Self::Complex, Self::Unknown];
}

/// What a coding task says about the change that it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// The branch to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Files that matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_hints: Vec<FileHint>,
    /// When the change is good, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_criteria: Vec<String>,
    /// When the change is good, as checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verification_steps: Vec<VerificationStep>,
    /// How demanding the submitter takes the task to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Whether the checks are left out.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub skip_verification: bool,
    /// How long the checks may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_timeout: Option<Span>,
    /// How many corrective rounds may follow failed checks, at most 5.
    #[serde(default)]
    pub verification_retries_max: u32,
}

/// What a submitter asks for. Rare parts are boxed groups, so that a plain task stays small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What to do, for people and models.
    pub description: Box<str>,
    /// What to run.
    pub op: Op,
    /// Its lane.
    #[serde(default)]
    pub priority: Priority,
    /// What an agent must be able to do, sorted, without repeats.
    #[serde(default, skip_serializing_if = "no_items")]
    pub needs: Box<[Capability]>,
    /// The least sandbox that it is content with; as is [usual](usual_sandbox) for its kind if it is not
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Level>,
    /// Passed on to the agent.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub metadata: Json,
    /// The repository that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Repo>,
    /// The one agent that may run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_to: Option<AgentId>,
    /// Tasks that have to end first.
    #[serde(default, skip_serializing_if = "no_items")]
    pub depends_on: Box<[TaskId]>,
    /// What happens when one of those ends without being completed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after_dependency: AfterDependency,
    /// What an agent does when it loses the lease.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_lease_loss: LeaseLoss,
    /// Who asked.
    pub submitted_by: Principal,
    /// What makes a repeated submission the same submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Key>,
    /// When it may, must and must not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Box<Times>>,
    /// How failures are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
    /// What it counts against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Box<Share>>,
    /// What it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<Group>>,
    /// The change that it wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<Box<Coding>>,
}

impl Coding {
    /// All texts in it.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let hints = self.file_hints.iter().flat_map(|hint| hint.reason.iter().chain([&hint.path]));
        let steps = self.verification_steps.iter();
        let steps =
            steps.flat_map(|step| step.description.iter().chain([&step.kind, &step.target]));
        self.success_criteria.iter().chain(&self.branch).chain(hints).chain(steps)
    }
}

impl Spec {
    /// The goal that the task serves.
    #[must_use]
    pub fn goal_id(&self) -> Option<&GoalId> {
        self.group.as_ref()?.goal_id.as_ref()
    }

    /// The limit on tasks at once that it counts against.
    #[must_use]
    pub fn concurrency(&self) -> Option<&Concurrency> {
        self.share.as_ref()?.concurrency.as_ref()
    }

    /// The limits on starts over time that it counts against.
    #[must_use]
    pub fn rates(&self) -> &[Rate] {
        self.share.as_ref().map_or(&[], |share| &share.rates)
    }

    /// Who it shares the fleet as; `None` is everybody who does not say.
    #[must_use]
    pub fn fair_key(&self) -> Option<&Key> {
        self.share.as_ref()?.fair_key.as_ref()
    }

    /// How much of its portion one start uses up, at least 1.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.share.as_ref().map_or(1, |share| share.cost.max(1))
    }

    /// How much money it may cost, if the submitter said so.
    #[must_use]
    pub fn budget(&self) -> Option<Micros> {
        self.share.as_ref()?.budget
    }

    /// Its limits in time.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times.as_deref().cloned().unwrap_or_default()
    }

    /// The sandbox that an agent must have proved to be given it: what it says, or what is usual, and
    /// no less than what it needs by name.
    #[must_use]
    pub fn least_sandbox(&self) -> Level {
        let said = self.sandbox.unwrap_or_else(|| usual_sandbox(&self.op.kind));
        self.needs.iter().filter_map(Level::of_capability).fold(said, Level::max)
    }

    /// How demanding it is, if the submitter said so.
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        self.coding.as_ref()?.tier
    }
}

fn no_items<T>(items: &[T]) -> bool {
    items.is_empty()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_one(cost: &u32) -> bool {
    *cost == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn priorities_are_read_from_words_and_lane_numbers() {
        let read = |word: &str| word.parse::<Priority>();
        assert_eq!(read("critical"), Ok(Priority::Urgent));
        assert_eq!(read("3"), Ok(Priority::Low));
        assert_eq!(
            read("asap").map_err(|bad| bad.to_string()),
            Err("unknown priority `asap`; allowed are urgent (or critical), high, normal, low and 0 to 3".into())
        );
    }

    #[test]
    fn models_work_on_without_a_lease_and_commands_do_not() {
        let usual = |kind: &str| LeaseLoss::usual(&Kind::new(kind).unwrap());
        assert_eq!([usual("shell"), usual("wake")], [LeaseLoss::Stop; 2]);
        assert_eq!([usual("code"), usual("ollama"), usual("acp")], [LeaseLoss::Continue; 3]);
    }

    #[test]
    fn what_models_do_is_confined_unless_it_is_said_otherwise() {
        let usual = |kind: &str| usual_sandbox(&Kind::new(kind).unwrap());
        assert_eq!(["code", "ollama", "claude-code", "acp"].map(usual), [Level::L2; 4]);
        assert_eq!(["shell", "wake", "mine"].map(usual), [Level::L0; 3]);
    }

    #[test]
    fn a_plain_spec_is_small() {
        assert!(size_of::<Spec>() <= 320, "{}", size_of::<Spec>());
    }
}
