//! This file indexes ready tasks by what they want of models, and says for which models others stand
//! back: those that a task wants which could start there soon.
//!
//! **Invariant:** nobody stands back for a task that a pause or a limit bars, or that no agent at the
//! endpoint may run.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Endpoints, Health, offers};
use crate::endpoint::{Api, Endpoint};
use crate::id::TaskId;
use crate::name::{Capability, EndpointId};
use crate::route::Wanted;
use crate::state::{Abilities, ClassId, LimitsNo, State};
use crate::task::{Task, Tier};

/// Ready tasks, by what they want, and by what decides on whether they may start: their class and
/// their limits.
pub(super) type Waiting = BTreeMap<Wanted, BTreeMap<Place, BTreeSet<TaskId>>>;

/// The class of a ready task, and its limits.
pub(in crate::state) type Place = (ClassId, LimitsNo);

impl Endpoints {
    /// Whether tasks want endpoints, or work with the models of this one.
    #[must_use]
    pub fn is_wanted(&self, id: &EndpointId, api: Api) -> bool {
        self.waiting.keys().any(|wanted| wanted.is_met_by(api)) || self.held(id).next().is_some()
    }

    /// Whether no ready task wants anything but this model, as far as can be told from what it names.
    pub(super) fn is_wanted_alone(&self, model: &str) -> bool {
        self.waiting.keys().all(|wanted| wanted.model.as_deref() == Some(model))
    }

    /// Whether tasks for the model that is loaded come first at any endpoint.
    fn is_in_batch(&self) -> bool {
        self.last.values().any(|(_, comes_first)| comes_first.is_some())
    }

    /// The places of ready tasks of a tier that want a model, by its name or since an endpoint has it for
    /// their tier. What a model failed at is to go elsewhere, and wants none that it does not name.
    fn seekers<'a>(
        &'a self,
        tier: Tier,
        endpoint: &'a Endpoint,
        health: &'a Health,
        model: &'a str,
    ) -> impl Iterator<Item = Place> + use<'a> {
        let all = [None, Some(endpoint.api)].into_iter().flat_map(move |api| {
            let any = Wanted { tier, model: None, api, failed: false };
            let named = |failed| Wanted { model: Some(model.into()), failed, ..any.clone() };
            let named = [named(false), named(true)];
            let has = || {
                let is_it = |offer: &super::Offer<'_>| offer.model == model && offer.lack.is_none();
                offers(endpoint, health, &any).iter().any(is_it)
            };
            let unnamed = self.waiting.get(&any).filter(|_| has());
            named.map(|it| self.waiting.get(&it)).into_iter().chain([unnamed])
        });
        all.flatten().flat_map(BTreeMap::keys).copied()
    }
}

impl State {
    /// Whether others stand back for ready tasks that want a model of the server of an endpoint, by
    /// whatever name they can have it: one of them could start there soon.
    pub(super) fn is_awaited_at(&self, id: &EndpointId, model: &str) -> bool {
        let mut mates = self.endpoints.mates(id);
        mates.any(|mate| match (self.endpoint(mate), self.endpoints.health(mate)) {
            (Some(endpoint), Some(health)) => self.is_awaited(mate, endpoint, health, model),
            (None, _) | (_, None) => false,
        })
    }

    fn is_awaited(
        &self,
        id: &EndpointId,
        endpoint: &Endpoint,
        health: &Health,
        model: &str,
    ) -> bool {
        let chain = |tier: &Tier| self.settings.routing.chain(*tier).contains(&endpoint.class);
        self.out_of_order(id, endpoint, health).is_none()
            && !self.is_unpriced(endpoint, model)
            && Tier::ALL.into_iter().filter(chain).any(|tier| {
                let mut seekers = self.endpoints.seekers(tier, endpoint, health, model);
                seekers.any(|place| self.could_start(place, endpoint))
            })
    }

    /// Whether tasks could start at an endpoint as soon as there is room.
    fn could_start(&self, (class, limits): Place, endpoint: &Endpoint) -> bool {
        let Some(found) = self.ready.class(class).filter(|class| !class.paused) else {
            return false;
        };
        if self.limits.shut(limits, self.now.wall, self.guards).is_some() {
            return false;
        }
        let has_all =
            |abilities: &Abilities| endpoint.needs().all(|need: Capability| abilities.has(&need));
        let Some(pin) = self.pin(&found.requirements) else {
            let mut groups = self.fleet.groups_for(class);
            return groups.any(|group| group.works() && has_all(&group.abilities));
        };
        let agent = self.fleet.named(pin).filter(|agent| agent.terms.gives_work());
        let group = agent.and_then(|agent| self.fleet.group(agent.group?));
        group.is_some_and(|group| {
            self.meets(&group.abilities, &found.requirements) && has_all(&group.abilities)
        })
    }

    /// Something came about that may keep tasks from starting: others need not stand back for those.
    pub(in crate::state) fn wake_held_back(&mut self) {
        if self.endpoints.is_in_batch() {
            self.wake_routed();
        }
    }

    /// A task becomes ready in a place, and may want an endpoint.
    pub(in crate::state) fn await_route(&mut self, task: &Task, place: Place) {
        if let Some(wanted) = Wanted::of(task) {
            let places = self.endpoints.waiting.entry(wanted).or_default();
            places.entry(place).or_default().insert(task.id);
        }
    }

    /// A task is ready no longer. With the last of its place that wants a model others need not stand
    /// back.
    pub(in crate::state) fn await_route_no_longer(&mut self, task: &Task, place: Place) {
        let Some(wanted) = Wanted::of(task) else { return };
        let Some(places) = self.endpoints.waiting.get_mut(&wanted) else { return };
        let Some(waiting) = places.get_mut(&place) else { return };
        waiting.remove(&task.id);
        if waiting.is_empty() {
            places.remove(&place);
            if places.is_empty() {
                self.endpoints.waiting.remove(&wanted);
            }
            self.wake_routed();
        }
    }

    /// Where a ready task waits.
    pub(super) fn place_of(&self, task: &Task) -> Option<Place> {
        let class = self.queued(task.id)?.class;
        Some((class, self.tasks.get(&self.number(task.id))?.limits))
    }
}
