//! This file chooses the model for a task: by how demanding the task is, by what serves, and by what
//! is at hand.
//!
//! What a model on one's own machine can do costs nothing; what it cannot do costs rounds. So it comes
//! first for what is trivial or usual, and last for what is complex. What cannot be asked is passed
//! over, whichever comes first: another endpoint of the same class, then the next class, then models
//! for higher tiers, while those for its own are out of order and not only at work; then the task
//! waits, and what it waits for is told.
//!
//! Where a model failed at a task, others are a [`Fallback`]: what is meant for the tier and did not
//! fail comes first, then models for higher tiers, and who failed last.

use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::endpoint::Api;
use crate::name::{Capability, Credential, EndpointId, Kind};
use crate::task::{Complexity, Spec, Task, Tier};
use crate::time::Wall;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// On a machine of one's own.
    Local,
    /// Elsewhere, for money.
    Cloud,
}

/// The classes of models for a task, the one to ask first, first.
#[must_use]
pub fn order(tier: Tier) -> [Class; 2] {
    match tier {
        Tier::Trivial | Tier::Standard | Tier::Unknown => [Class::Local, Class::Cloud],
        Tier::Complex => [Class::Cloud, Class::Local],
    }
}

/// The chain of fallbacks for a task at which a model of `failed` failed last: what one on a machine of
/// one's own could not do, one elsewhere tries first, if the chain has any.
#[must_use]
pub fn escalated(mut chain: Vec<Class>, failed: Option<Class>) -> Vec<Class> {
    if failed == Some(Class::Local) {
        chain.sort_by_key(|class| *class == Class::Local);
    }
    chain
}

/// The tiers above one, the next first.
const fn above(tier: Tier) -> &'static [Tier] {
    match tier {
        Tier::Trivial => &[Tier::Standard, Tier::Complex],
        Tier::Standard | Tier::Unknown => &[Tier::Complex],
        Tier::Complex => &[],
    }
}

/// Why a model comes behind others for a task at which some failed: the later, the farther behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Another model of its server failed at the task.
    SameServer,
    /// It is for tasks of this higher tier.
    HigherTier(Tier),
    /// It failed at the task itself.
    Again,
}

impl Fallback {
    /// Why a model of a server comes behind others, if it does: `for_tier` is the higher tier that it is
    /// for, if it is not for the task's own, and `failed` are the models of that server that failed.
    #[must_use]
    pub fn of<'a>(
        model: &str,
        for_tier: Option<Tier>,
        failed: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let mut failed = failed.into_iter().peekable();
        let is_other = failed.peek().is_some().then_some(Self::SameServer);
        match for_tier {
            _ if failed.any(|it| it == model) => Some(Self::Again),
            Some(tier) => Some(Self::HigherTier(tier)),
            None => is_other,
        }
    }
}

/// The kind of operation that any model may do.
pub const KIND: &str = "code";

/// The kind of an operation of which nobody said what it is: [`KIND`] where there are endpoints, and
/// else one that wakes a session.
pub const AUTO: &str = "auto";

/// The kinds of operations that models, or agents of others, do in worktrees of their own.
pub const MODEL_KINDS: [&str; 5] = ["acp", "claude", "claude-code", KIND, "ollama"];

/// Whether a model does it in a worktree of its own.
#[must_use]
pub fn is_of_models(kind: &Kind) -> bool {
    MODEL_KINDS.contains(&kind.as_str())
}

/// Whether an operation is routed where there are endpoints for it.
#[must_use]
pub fn is_routed(kind: &Kind) -> bool {
    kind.as_str() == KIND || Api::of(kind).is_some()
}

/// What a task wants of whoever serves it. Tasks that want the same are routed alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// How demanding it is.
    pub tier: Tier,
    /// The one model that is to do it, if the submitter named one.
    pub model: Option<Box<str>>,
    /// The program that is to do it, if its kind says so.
    pub api: Option<Api>,
    /// Whether a model failed at it, so that those for higher tiers may do it as well. They may, too, while
    /// all that is for its own is out of order.
    pub failed: bool,
}

/// The part of an operation's input that routing reads.
#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    model: Option<Box<str>>,
}

impl Wanted {
    /// Comes before all others.
    pub const FIRST: Self = Self { tier: Tier::Trivial, model: None, api: None, failed: false };

    /// What a task wants; nothing if it is not routed.
    #[must_use]
    pub fn of(task: &Task) -> Option<Self> {
        let failed = task.life.failed_with().next().is_some();
        Some(Self { failed, ..Self::at_first(&task.spec)? })
    }

    /// What a task wants at which nobody failed; nothing if it is not routed.
    #[must_use]
    pub fn at_first(spec: &Spec) -> Option<Self> {
        if !is_routed(&spec.op.kind) {
            return None;
        }
        // What is wrong with the input its executor says.
        let named: Named = spec.op.input.read().unwrap_or_default();
        let (tier, api) = (Complexity::of(spec).effective(), Api::of(&spec.op.kind));
        Some(Self { tier, model: named.model, api, failed: false })
    }

    /// Whether a model for these tiers may do it, and the higher tier that it is for, if it is not for the
    /// task's own. For no tier is for all; a task of which nothing is known counts as a standard one.
    #[must_use]
    pub fn is_met_for(&self, tiers: &[Tier]) -> Option<Option<Tier>> {
        let is_unknown = self.tier == Tier::Unknown;
        let is_own = |tier: &Tier| *tier == self.tier || is_unknown && *tier == Tier::Standard;
        if tiers.is_empty() || tiers.iter().any(is_own) {
            return Some(None);
        }
        let mut higher = above(self.tier).iter().filter(|_| self.failed);
        higher.find(|tier| tiers.contains(tier)).map(|tier| Some(*tier))
    }

    /// Whether an endpoint that is spoken to like this can be it.
    #[must_use]
    pub fn is_met_by(&self, api: Api) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
    }
}

/// A model at an endpoint, as it stands at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where it is.
    pub class: Class,
    /// The model.
    pub model: Box<str>,
    /// How well it suits, or why it cannot be asked.
    pub verdict: Verdict,
    /// Why it comes behind others, if it does.
    pub fallback: Option<Fallback>,
}

/// How well a model suits, or why it cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It can be asked, and suits so well.
    Suits(u32),
    /// The endpoint fails, and is left alone until a time.
    Open(Wall),
    /// The endpoint failed, and is tried with one task.
    Tried,
    /// The quota of a key is used up until a time.
    Parked(Credential, Wall),
    /// The quota of a key was renewed, and its users come back one by one.
    Returning(Credential),
    /// The model works on as many tasks as it may.
    Full(u32),
    /// Other models of the endpoint are at work.
    Occupied(Box<str>),
    /// Tasks for the model that is loaded come first, since loading another takes time.
    Batch(Box<str>),
    /// No agent that is connected can do what its use takes.
    NoAgent(Capability),
    /// Agents that could have it asked have no room, or do not suit the task.
    NoRoom,
    /// Its server does not have it.
    Missing,
    /// It cannot call tools, as its server says.
    NoTools,
    /// There are caps on what is spent, and nobody has said what it costs.
    NoPrice,
}

impl Verdict {
    /// Whether the model can be asked, or will be as soon as others are done.
    pub(crate) const fn is_near(&self) -> bool {
        match self {
            Self::Suits(_)
            | Self::Tried
            | Self::Returning(_)
            | Self::Full(_)
            | Self::Occupied(_)
            | Self::Batch(_)
            | Self::NoRoom => true,
            Self::Open(_)
            | Self::Parked(..)
            | Self::NoAgent(_)
            | Self::Missing
            | Self::NoTools
            | Self::NoPrice => false,
        }
    }

    /// Whether the model can be asked, or will be when something passes by itself.
    const fn is_passing(&self) -> bool {
        match self {
            Self::Suits(_)
            | Self::Open(_)
            | Self::Tried
            | Self::Parked(..)
            | Self::Returning(_)
            | Self::Full(_)
            | Self::Occupied(_)
            | Self::Batch(_)
            | Self::NoRoom => true,
            Self::NoAgent(_) | Self::Missing | Self::NoTools | Self::NoPrice => false,
        }
    }
}

/// What was decided on, and what else there was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// How demanding the task is.
    pub tier: Tier,
    /// What was chosen, if anything could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// What else there was, the best first; of a decision that is kept, at most
    /// [`Decision::ALTERNATIVES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// A model that is to do a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The model.
    pub model: Box<str>,
    /// How well it suits.
    pub score: u32,
    /// Why it comes behind others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// What was not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The model.
    pub model: Box<str>,
    /// How well it suits, or why it could not be asked.
    pub verdict: Verdict,
    /// Why it comes behind others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Decision {
    /// The most alternatives that are kept.
    pub const ALTERNATIVES_MAX: usize = 8;

    /// Passes over what was chosen, for want of an agent with room, and chooses the next that suits, if
    /// there is one.
    pub(crate) fn pass_over(&mut self) {
        let Some(Chosen { endpoint, model, fallback, .. }) = self.chosen.take() else { return };
        let suits = |it: &Alternative| matches!(it.verdict, Verdict::Suits(_));
        let next = self.alternatives.iter().position(suits);
        let next = next.map(|position| self.alternatives.remove(position));
        let verdict = Verdict::NoRoom;
        self.alternatives.push(Alternative { endpoint, model, verdict, fallback });
        self.chosen = next.and_then(|Alternative { endpoint, model, verdict, fallback }| {
            Some(Chosen { endpoint, model, score: rank(&verdict)?, fallback })
        });
    }

    /// Whether there is a model that did not fail at the task and can be asked, now or when something
    /// passes by itself.
    pub(crate) fn has_other(&self) -> bool {
        let chosen = self.chosen.iter().map(|it| (it.fallback, true));
        let others = self.alternatives.iter().map(|it| (it.fallback, it.verdict.is_passing()));
        chosen.chain(others).any(|(behind, passes)| passes && behind != Some(Fallback::Again))
    }

    /// Leaves what is kept with an attempt.
    pub(crate) fn shorten(&mut self) {
        self.alternatives.truncate(Self::ALTERNATIVES_MAX);
    }
}

/// Chooses among candidates: what is no fallback, then the least of fallbacks; of those the first class
/// of the chain of which one can be asked, and of those the one that suits best; among equals the
/// first by name. Fallbacks have a chain of their own ([`escalated`]).
///
/// Candidates of a class that is not in the chain are not there.
#[must_use]
pub fn route(
    tier: Tier,
    chain: &[Class],
    fallbacks: &[Class],
    candidates: Vec<Candidate>,
) -> Decision {
    let step = |candidate: &Candidate| {
        let chain = if candidate.fallback.is_some() { fallbacks } else { chain };
        chain.iter().position(|link| *link == candidate.class)
    };
    let mut ranked: Vec<(_, Candidate)> = candidates
        .into_iter()
        .filter_map(|it| Some(((rank(&it.verdict), it.fallback, step(&it)?), it)))
        .collect();
    // What can be asked stands before what cannot; then what did not fail, then the chain decides, then
    // how well it suits.
    ranked.sort_by(|((a, a_behind, a_step), a_is), ((b, b_behind, b_step), b_is)| {
        let name = |it: &Candidate| (it.endpoint.clone(), it.model.clone());
        (b.is_some(), a_behind, a_step, b)
            .cmp(&(a.is_some(), b_behind, b_step, a))
            .then_with(|| name(a_is).cmp(&name(b_is)))
    });
    let mut ranked = ranked.into_iter().map(|(_, candidate)| candidate).peekable();
    let first = ranked.next_if(|first| rank(&first.verdict).is_some());
    let chosen = first.and_then(|Candidate { endpoint, model, verdict, fallback, .. }| {
        Some(Chosen { endpoint, model, score: rank(&verdict)?, fallback })
    });
    let alternatives = ranked.map(|Candidate { endpoint, model, verdict, fallback, .. }| {
        Alternative { endpoint, model, verdict, fallback }
    });
    Decision { tier, chosen, alternatives: alternatives.collect() }
}

fn rank(verdict: &Verdict) -> Option<u32> {
    match verdict {
        Verdict::Suits(score) => Some(*score),
        Verdict::Open(_)
        | Verdict::Tried
        | Verdict::Parked(..)
        | Verdict::Returning(_)
        | Verdict::Full(_)
        | Verdict::Occupied(_)
        | Verdict::Batch(_)
        | Verdict::NoAgent(_)
        | Verdict::NoRoom
        | Verdict::Missing
        | Verdict::NoPrice
        | Verdict::NoTools => None,
    }
}

/// What is known of a machine and of a model on it, to say how well it suits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How busy the processor is, in per mille.
    pub cpu: Option<u32>,
    /// How much memory there is, in MiB.
    pub ram_mib: Option<u32>,
    /// How much memory of the graphics card is in use, in per mille.
    pub vram_used: Option<u32>,
    /// How many tasks the endpoint works on.
    pub held: u32,
    /// Whether the model is loaded.
    pub is_warm: bool,
    /// Whether it was asked last of the models there.
    pub is_last: bool,
}

impl Facts {
    /// How well it suits: the weights are those of the original, in per mille, divided by what it
    /// works on already.
    #[must_use]
    pub fn score(&self) -> u32 {
        let load = 1_000 - self.cpu.unwrap_or(500).min(1_000);
        let capacity =
            self.ram_mib.map_or(1_000, |mib| (u64::from(mib) * 1_000 / 16_384).min(1_500));
        let vram = 800 + (1_000 - self.vram_used.unwrap_or(500).min(1_000)) / 5;
        let warm = if self.is_warm { 1_150 } else { 1_000 };
        let last = if self.is_last { 1_050 } else { 1_000 };
        // A machine that is at its limit is still better than none.
        let load = u64::from(load.max(10));
        let score = [capacity, u64::from(vram), warm, last]
            .into_iter()
            .fold(load * 1_000, |score, weight| score * weight / 1_000);
        u32::try_from(score / (1 + u64::from(self.held))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
