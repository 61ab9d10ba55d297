//! This file weighs the models that could do a task: what keeps each from it, or how well it suits.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Health, Offer, offers};
use crate::endpoint::{Breaker, Endpoint, Server};
use crate::ledger::Who;
use crate::name::{Capability, EndpointId};
use crate::price;
use crate::route::{
    Candidate, Chosen, Class, Decision, Facts, Fallback, Verdict, Wanted, escalated, route,
};
use crate::state::{Abilities, Requirements, State};
use crate::wire::Figures;

/// What none of these has who has all else that the use of an endpoint takes; nothing if one has all.
fn lacking(endpoint: &Endpoint, able: &[&Abilities]) -> Option<Capability> {
    let lacks = |abilities: &&Abilities| {
        endpoint.needs().filter(|need| !abilities.has(need)).collect::<Vec<_>>()
    };
    let least = able.iter().map(lacks).min_by_key(Vec::len);
    // Where nobody can do the task itself, `why` says that of the task.
    least.map_or_else(|| endpoint.needs().next(), |lacks| lacks.into_iter().next())
}

impl State {
    /// Chooses the model for a task that wants `wanted`, has these requirements and was `failed` at by
    /// these, the latest last; `None` if there are no endpoints that could serve it, whatever they are
    /// about, so that whoever runs the task sees to it.
    ///
    /// Whether one can be asked does not depend on who failed before.
    #[must_use]
    pub fn route(
        &self,
        wanted: &Wanted,
        requirements: &Requirements,
        failed: &[&Chosen],
    ) -> Option<Decision> {
        let routing = &self.settings.routing;
        let mut endpoints = routing.endpoints.values();
        endpoints.find(|endpoint| wanted.is_met_by(endpoint.api))?;
        let chain = routing.chain(wanted.tier);
        let mut candidates = self.candidates(wanted, requirements, failed);
        let is_near = |it: &Candidate| it.verdict.is_near() && chain.contains(&it.class);
        let may_come = || self.has_strangers(wanted, &chain);
        if !wanted.failed && !candidates.iter().any(is_near) && !may_come() {
            // All that is for its tier is out of order, and not only at work or yet to be found.
            let wider = Wanted { failed: true, ..wanted.clone() };
            candidates = self.candidates(&wider, requirements, failed);
        }
        let last = failed.last().and_then(|it| routing.endpoints.get(&it.endpoint));
        let fallbacks = escalated(chain.clone(), last.map(|it| it.class));
        Some(route(wanted.tier, &chain, &fallbacks, candidates))
    }

    /// Whether there are endpoints for a task of which nobody knows yet what models they have.
    fn has_strangers(&self, wanted: &Wanted, chain: &[Class]) -> bool {
        let endpoints = self.settings.routing.endpoints.iter();
        let mut could = endpoints.filter(|(_, it)| wanted.is_met_by(it.api) && it.is_discovered());
        could.any(|(id, endpoint)| {
            let is_new =
                |it: &Health| it.seen.is_none() && !matches!(it.breaker, Breaker::Open { .. });
            chain.contains(&endpoint.class) && self.endpoints.health(id).is_some_and(is_new)
        })
    }

    /// The models that a task may be given, as they stand.
    fn candidates(
        &self,
        wanted: &Wanted,
        requirements: &Requirements,
        failed: &[&Chosen],
    ) -> Vec<Candidate> {
        let could = |(_, endpoint): &(&EndpointId, &Endpoint)| wanted.is_met_by(endpoint.api);
        let able = self.abilities_for(requirements);
        let mut candidates = Vec::new();
        for (id, endpoint) in self.settings.routing.endpoints.iter().filter(could) {
            let Some(health) = self.endpoints.health(id) else { continue };
            for offer in offers(endpoint, health, wanted) {
                let verdict = self.verdict(id, endpoint, health, &offer, &able);
                let (endpoint, class, model) = (id.clone(), endpoint.class, offer.model.into());
                let fallback =
                    Fallback::of(offer.model, offer.for_tier, self.failed_at(id, failed));
                candidates.push(Candidate { endpoint, class, model, verdict, fallback });
            }
        }
        candidates
    }

    /// Those of `failed` that are models of the server of an endpoint.
    fn failed_at<'a>(
        &self,
        id: &EndpointId,
        failed: &'a [&Chosen],
    ) -> impl Iterator<Item = &'a str> {
        let is_it = |it: &&&Chosen| self.endpoints.is_one_server(&it.endpoint, id);
        failed.iter().filter(is_it).map(|it| &*it.model)
    }

    fn verdict(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
        health: &Health,
        offer: &Offer<'_>,
        able: &[&Abilities],
    ) -> Verdict {
        let Offer { model, served, lack, for_tier: _ } = offer;
        if let Some(verdict) = self.out_of_order(id, endpoint, health) {
            return verdict;
        }
        if let Some(lack) = lack {
            return lack.clone();
        }
        if self.is_unpriced(endpoint, model) {
            return Verdict::NoPrice;
        }
        if let Some(need) = lacking(endpoint, able) {
            return Verdict::NoAgent(need);
        }
        let held = self.endpoints.held_at(id);
        let all: usize = held.iter().map(|(_, tasks)| tasks).sum();
        let own = held.iter().find(|(name, _)| name == model).map_or(0, |(_, tasks)| *tasks);
        if own >= endpoint.slots as usize {
            return Verdict::Full(endpoint.slots);
        }
        let others = held.iter().filter(|(name, _)| name != model);
        let bound = endpoint.models_at_once as usize;
        if bound > 0 && own == 0 && others.clone().count() >= bound {
            let other = others.map(|(name, _)| Box::from(*name)).next();
            return Verdict::Occupied(other.unwrap_or_default());
        }
        // Where more may be loaded, another is loaded beside the last, and nothing is paid for twice.
        if let Some((last, true)) = self.endpoints.batch(id)
            && bound == 1
            && last != *model
            && self.is_awaited_at(id, last)
        {
            return Verdict::Batch(last.into());
        }
        let facts = Facts {
            held: u32::try_from(all).unwrap_or(u32::MAX),
            is_warm: served.is_some_and(|served| served.warm),
            is_last: self.endpoints.last(id) == Some(*model),
            ..self.machine(id, endpoint, health)
        };
        Verdict::Suits(facts.score())
    }

    /// What connected agents can do that can do what is required.
    fn abilities_for(&self, requirements: &Requirements) -> Vec<&Abilities> {
        let pinned = self.pin(requirements).map(|agent| self.fleet.named(agent)?.group);
        let groups = self.fleet.able(requirements).into_iter();
        let meant = groups.filter(|group| pinned.is_none_or(|pinned| pinned == Some(*group)));
        meant.filter_map(|group| Some(&self.fleet.group(group)?.abilities)).collect()
    }

    /// Whether a server is paid for a model, that is bounded, and nobody has said what the model costs.
    pub(super) fn is_unpriced(&self, endpoint: &Endpoint, model: &str) -> bool {
        let is_bounded = || {
            self.settings.caps.keys().any(|cap| match cap.who() {
                Who::Model(Some(capped)) => capped.as_str() == model,
                Who::All
                | Who::Task
                | Who::Goal(_)
                | Who::Agent(_)
                | Who::Repo(_)
                | Who::Model(None) => true,
            })
        };
        endpoint.wants_prices()
            && is_bounded()
            && price::find(&self.settings.prices, model).is_none()
    }

    /// What keeps all models of an endpoint from being asked.
    pub(super) fn out_of_order(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
        health: &Health,
    ) -> Option<Verdict> {
        let is_at_work = || self.endpoints.held(id).next().is_some();
        match health.breaker {
            Breaker::Open { until, .. } => {
                return Some(Verdict::Open(self.now.wall + (until - self.now.mono)));
            }
            Breaker::HalfOpen { .. } if is_at_work() => return Some(Verdict::Tried),
            Breaker::HalfOpen { .. } | Breaker::Closed { .. } => {}
        }
        let account = endpoint.account(id);
        let until = self.settings.routing.parked.get(&account)?;
        match self.endpoints.returning(&account) {
            None => Some(Verdict::Parked(account, *until)),
            Some(users) => {
                let uses =
                    |(id, endpoint): &(&EndpointId, &Endpoint)| endpoint.account(id) == account;
                let all = self.settings.routing.endpoints.iter().filter(uses);
                let used: usize =
                    all.flat_map(|(id, _)| self.endpoints.held(id)).map(|(_, tasks)| tasks).sum();
                (used >= users as usize).then_some(Verdict::Returning(account))
            }
        }
    }

    /// How busy the machine is on which an endpoint runs, as its sidecar says, or who looked last.
    fn machine(&self, id: &EndpointId, endpoint: &Endpoint, health: &Health) -> Facts {
        let seen = health.seen.as_deref().and_then(|seen| seen.machine);
        // All who announce a loopback address are on its machine, and whoever is there says how it does.
        let has_neighbours = self.endpoints.servers.get(id).is_some_and(Server::has_neighbours);
        let neighbours = endpoint.announced_by.iter().filter(|_| has_neighbours);
        let mut hosts = endpoint.host.iter().chain(neighbours);
        let figures = hosts.find_map(|host| self.session_of(host)?.resources.as_ref());
        let figures: Figures = figures.and_then(|it| it.read().ok()).unwrap_or_default();
        let per_mille = |part: u64, whole: u64| {
            u32::try_from(part.saturating_mul(1_000) / whole.max(1)).unwrap_or(u32::MAX)
        };
        Facts {
            cpu: figures.cpu_per_mille.or(seen.map(|machine| machine.cpu_per_mille)),
            ram_mib: figures
                .ram_total_bytes
                .and_then(|bytes| u32::try_from(bytes >> 20).ok())
                .or(seen.map(|machine| machine.ram_mib)),
            vram_used: figures
                .vram_used_bytes
                .zip(figures.vram_total_bytes)
                .map(|(used, total)| per_mille(used, total)),
            ..Facts::default()
        }
    }
}
