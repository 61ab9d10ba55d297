//! This file holds proptest strategies: drafts, fleets, and scripts of what happens to a hub.
//!
//! Property-test your own scheduling policy: the rules of [`judge`](Play::judge) hold whatever a
//! policy says, and what yours promises beyond them you check beside them.
//!
//! ```
//! use agentcom_core::config::HubConfig;
//! use agentcom_core::hub::schedule::{AgentFacts, Policy, TaskFacts};
//! use agentcom_core::testing::bench::Bench;
//! use agentcom_core::testing::strategy::{Play, fleets, scripts};
//! use proptest::prelude::*;
//! use proptest::test_runner::TestRunner;
//!
//! /// Cheap tasks first.
//! #[derive(Debug)]
//! struct CheapFirst;
//!
//! impl Policy for CheapFirst {
//!     fn key(&self, task: &TaskFacts<'_>) -> u64 {
//!         task.spec.share.as_ref().map_or(1, |share| u64::from(share.cost))
//!     }
//!     fn fit(&self, _: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
//!         Some(1_000 - agent.load)
//!     }
//! }
//!
//! # let mut config = proptest::test_runner::Config::with_cases(8);
//! # config.failure_persistence = None;
//! # let mut runner = TestRunner::new(config);
//! # runner.run(&(fleets(1..5), scripts(1..40)), |(fleet, script)| {
//! // In `proptest! { fn my_policy(fleet in fleets(1..5), script in scripts(1..40)) { .. } }`:
//! let mut play = Play::new(Bench::over(HubConfig::default(), CheapFirst), fleet);
//! for happening in script {
//!     play.make(happening).map_err(TestCaseError::fail)?;
//! }
//! # Ok(())
//! # }).unwrap();
//! ```

mod judge;
mod life;
mod play;

pub use judge::Judge;
pub(in crate::testing) use life::life;
pub use life::{lives, submissions};
pub use play::{BEAT, Play};

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_oneof, sample};

use super::bench::KINDS;
use crate::command::Scope;
use crate::id::TaskId;
use crate::json::Json;
use crate::name::{AgentId, Capability, Key, Kind, Repo};
use crate::task::{Category, Concurrency, Dependency, Draft, Priority, Rate, Retry, Share, Times};
use crate::time::{Span, Wall};

/// The capabilities that drafts need and agents have.
pub const CAPABILITIES: [&str; 3] = ["gpu", "ssd", "net"];
/// The fair keys of drafts.
pub const TENANTS: [&str; 3] = ["ada", "bob", "cid"];
/// The most agents in a fleet; drafts are pinned to the first of them.
pub const FLEET_MAX: usize = 8;

/// An agent of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// How many tasks it works on at once.
    pub slots: u32,
    /// What it can do, of [`CAPABILITIES`].
    pub capabilities: Vec<&'static str>,
}

/// Something that happens to a hub. Numbers stand for one of what there is: they are taken modulo
/// the number of agents, of tasks at work or of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A task is submitted.
    Submit(Submission),
    /// A task is called off.
    Cancel(usize),
    /// An agent connects, unless it is there.
    Join(usize),
    /// The connection of an agent breaks.
    Leave(usize),
    /// A task at work is accepted.
    Accept(usize),
    /// A task at work is done.
    Complete(usize),
    /// A task at work is done in part.
    CompletePartly(usize),
    /// A task at work has failed.
    Fail(usize, Category),
    /// A task at work is given back.
    Release(usize),
    /// Time passes; agents that are connected beat.
    Pass(Span),
    /// No more work starts in a scope.
    Pause(Scope),
    /// Work starts again in a scope.
    Unpause(Scope),
    /// An agent gets no more work.
    Drain(usize),
    /// An agent gets work again.
    Resume(usize),
    /// A dead task gets another life.
    Revive(usize),
    /// A tenant's portion changes.
    Weigh(Key, u32),
    /// One in so many assignments goes to the oldest task; with 0 none does.
    OldestFirst(u32),
}

/// A task that is to be submitted, with what only the moment of its submission can fill in.
///
/// Its `Debug` says in one line what scheduling depends on, so that scripts can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Submission {
    /// What is asked for, but for the fields below.
    pub draft: Box<Draft>,
    /// The tasks that it depends on, each a number that is taken modulo the number of tasks.
    pub after: Vec<usize>,
    /// How long after its submission it may start.
    pub delay: Option<Span>,
    /// How long after its submission it dies.
    pub lifetime: Option<Span>,
}

impl From<Draft> for Submission {
    fn from(draft: Draft) -> Self {
        Self { draft: draft.into(), after: Vec::new(), delay: None, lifetime: None }
    }
}

impl Submission {
    /// What is submitted at `now`, when there are `tasks` already.
    #[must_use]
    pub fn draft(&self, now: Wall, tasks: &[TaskId]) -> Box<Draft> {
        let mut draft = self.draft.clone();
        let after = self.after.iter().filter_map(|at| pick(tasks, *at)).map(Dependency::Known);
        draft.depends_on.extend(after);
        draft.times.run_after = self.delay.map(|delay| now + delay);
        draft.times.complete_by = self.lifetime.map(|lifetime| now + lifetime);
        draft
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draft { op, priority, needs, repo, assign_to, share, times, retry, .. } = &*self.draft;
        write!(f, "{} {}", op.kind, priority.as_str())?;
        needs.iter().try_for_each(|need| write!(f, " +{need}"))?;
        repo.iter().try_for_each(|repo| write!(f, " in {repo}"))?;
        assign_to.iter().try_for_each(|agent| write!(f, " for {agent}"))?;
        let Share { concurrency, rates, fair_key, cost, .. } = share;
        fair_key.iter().try_for_each(|key| write!(f, " by {key}"))?;
        concurrency.iter().try_for_each(|cap| write!(f, " {}<{}", cap.key, cap.max))?;
        rates.iter().try_for_each(|Rate { key, limit, per, burst }| {
            write!(f, " {key}:{limit}/{per} ({burst})")
        })?;
        write!(f, " costs {cost}")?;
        if !self.after.is_empty() {
            write!(f, " after {:?} or {:?}", self.after, self.draft.after_dependency)?;
        }
        self.delay.iter().try_for_each(|delay| write!(f, " in {delay}"))?;
        self.lifetime.iter().try_for_each(|span| write!(f, " within {span}"))?;
        if *times != Times::default() {
            write!(f, " {times:?}")?;
        }
        if *retry != Retry::default() {
            write!(f, " {retry:?}")?;
        }
        Ok(())
    }
}

/// The item that a number stands for.
pub(super) fn pick<T: Copy>(items: &[T], at: usize) -> Option<T> {
    items.get(at.checked_rem(items.len())?).copied()
}

/// The name of an agent of a fleet, by its number.
///
/// # Panics
///
/// Never: the names are well-formed.
#[must_use]
pub fn agent_name(number: usize) -> AgentId {
    AgentId::new(&format!("agent-{number}")).expect("a word with a number is a name")
}

/// Any of the kinds that agents on a bench do.
pub fn kinds() -> impl Strategy<Value = Kind> {
    sample::select(&KINDS).prop_map(|kind| Kind::new(kind).expect("kinds are names"))
}

/// Any of the priorities.
pub fn priorities() -> impl Strategy<Value = Priority> {
    sample::select(&[Priority::Urgent, Priority::High, Priority::Normal, Priority::Low])
}

/// Some of [`CAPABILITIES`].
pub fn needs() -> impl Strategy<Value = Vec<Capability>> {
    let capability = |text: &str| Capability::new(text).expect("capabilities are names");
    let subset = sample::subsequence(&CAPABILITIES, 0..=2);
    subset.prop_map(move |needs| needs.into_iter().map(capability).collect())
}

/// One of [`TENANTS`], or nobody in particular.
pub fn tenants() -> impl Strategy<Value = Option<Key>> {
    option::of(sample::select(&TENANTS).prop_map(key))
}

/// A draft that nothing but capabilities holds back, with a lane, a tenant and a cost.
pub fn free_drafts() -> impl Strategy<Value = Draft> {
    (kinds(), priorities(), needs(), tenants(), 1..=5_u32).prop_map(
        |(kind, priority, needs, fair_key, cost)| Draft {
            priority,
            needs,
            share: Share { fair_key, cost, ..Share::default() },
            ..Draft::new(kind, Json::null())
        },
    )
}

/// A draft with whatever may hold it back: limits, rates, a repository, a pin.
pub fn drafts() -> impl Strategy<Value = Draft> {
    let rates = sample::subsequence(rate_figures(), 0..=2);
    let pin = option::weighted(0.1, (0..3_usize).prop_map(agent_name));
    let repo = option::weighted(0.3, repos());
    (free_drafts(), option::of(limits()), rates, pin, repo).prop_map(
        |(mut draft, concurrency, rates, assign_to, repo)| {
            draft.share.concurrency = concurrency;
            draft.share.rates = rates;
            Draft { assign_to, repo, ..draft }
        },
    )
}

/// Concurrency limits: few keys, so that tasks meet, each with figures of its own.
pub fn limits() -> impl Strategy<Value = Concurrency> {
    (0..2_usize).prop_map(|n| Concurrency { key: key(["one", "two"][n]), max: n as u32 + 1 })
}

/// A few repositories.
pub fn repos() -> impl Strategy<Value = Repo> {
    sample::select(&["https://host/a", "https://host/b"])
        .prop_map(|text| Repo::new(text).expect("these are addresses"))
}

/// Agents with 1 to 3 slots and some of [`CAPABILITIES`]; at most [`FLEET_MAX`] of them.
pub fn fleets(agents: Range<usize>) -> impl Strategy<Value = Vec<Member>> {
    let member = (1..=3_u32, sample::subsequence(&CAPABILITIES, 0..=3))
        .prop_map(|(slots, capabilities)| Member { slots, capabilities });
    vec(member, agents.start..agents.end.min(FLEET_MAX + 1))
}

/// What can be paused.
pub fn scopes() -> impl Strategy<Value = Scope> {
    let capability = |text: &str| Capability::new(text).expect("capabilities are names");
    prop_oneof![
        Just(Scope::All),
        repos().prop_map(Scope::Repo),
        sample::select(&CAPABILITIES).prop_map(move |text| Scope::Capability(capability(text))),
    ]
}

/// Things that happen to a hub, one after the other; work and agents come and go.
pub fn scripts(happenings: Range<usize>) -> impl Strategy<Value = Vec<Happening>> {
    let category = sample::select(&[Category::Retryable, Category::Permanent, Category::Crash]);
    let happening = prop_oneof![
        8 => drafts().prop_map(|draft| Happening::Submit(draft.into())),
        1 => any::<usize>().prop_map(Happening::Cancel),
        3 => any::<usize>().prop_map(Happening::Join),
        1 => any::<usize>().prop_map(Happening::Leave),
        4 => any::<usize>().prop_map(Happening::Accept),
        4 => any::<usize>().prop_map(Happening::Complete),
        2 => (any::<usize>(), category).prop_map(|(at, category)| Happening::Fail(at, category)),
        1 => any::<usize>().prop_map(Happening::Release),
        3 => (0..20_000_u64).prop_map(|ms| Happening::Pass(Span(ms))),
        1 => scopes().prop_map(Happening::Pause),
        2 => scopes().prop_map(Happening::Unpause),
        1 => any::<usize>().prop_map(Happening::Drain),
        1 => any::<usize>().prop_map(Happening::Resume),
    ];
    vec(happening, happenings)
}

fn key(text: &str) -> Key {
    Key::new(text).expect("keys are names")
}

/// Each key has figures of its own, so that no two drafts disagree about them.
fn rate_figures() -> Vec<Rate> {
    let rate = |text: &str, limit, secs, burst| Rate {
        key: key(text),
        limit,
        per: Span::from_secs(secs),
        burst,
    };
    Vec::from([rate("slow", 1, 10, 1), rate("bursty", 3, 7, 4)])
}

/// What a rule says when it is broken.
pub type Broken = String;
