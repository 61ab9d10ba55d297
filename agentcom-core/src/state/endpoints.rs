//! This file knows how endpoints are doing, which tasks they serve, and which tasks wait for them.
//!
//! What operators say of endpoints, and which keys are parked, is durable and part of the settings.
//! How endpoints are doing is believed only while the hub runs; after a start they are asked again.
//!
//! **Invariant:** a slot of a model is a live lease and not a counter, whatever its server is called,
//! and no task waits for an endpoint that would take it.

mod choose;
mod wanting;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use self::wanting::Waiting;
use super::{Due, State, When};
use crate::endpoint::{Api, Breaker, Calls, Endpoint, ModelOptions, Routing, Seen, Served, Server};
use crate::id::TaskId;
use crate::name::{Credential, EndpointId};
use crate::route::{Chosen, Verdict, Wanted};
use crate::task::{Spec, Task, Tier};
use crate::time::{Mono, Span, Wall};

/// How long tasks for the model that is loaded come before those for others: a load is paid once for
/// all that are there, and nobody waits for longer than this.
const BATCH: Span = Span::from_mins(10);

/// The kind of operation that looks at an endpoint.
pub const PROBE: &str = "probe";

/// How an endpoint is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it is given tasks.
    pub breaker: Breaker,
    /// What was seen of it when it last answered.
    pub seen: Option<Box<Seen>>,
    /// What went wrong last, if nothing has gone well since.
    pub error: Option<Box<str>>,
    /// When it was last heard of.
    pub heard_at: Option<Wall>,
}

/// What is known of endpoints beside what operators say.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    health: BTreeMap<EndpointId, Health>,
    /// The server of each, and what each server is called.
    servers: BTreeMap<EndpointId, Server>,
    names: BTreeMap<Server, BTreeSet<EndpointId>>,
    /// The model of each server that was last given a task, and, while tasks for it come first, the
    /// name by which it is known when that ends.
    last: BTreeMap<Server, (Box<str>, Option<EndpointId>)>,
    held: BTreeMap<(EndpointId, Box<str>), BTreeSet<TaskId>>,
    waiting: Waiting,
    /// Living tasks that look at an endpoint.
    probes: BTreeMap<EndpointId, BTreeSet<TaskId>>,
    /// Keys whose quota was renewed, and how many tasks may use each at once for the time being.
    returning: BTreeMap<Credential, u32>,
}

impl Endpoints {
    /// How an endpoint is doing.
    #[must_use]
    pub fn health(&self, id: &EndpointId) -> Option<&Health> {
        self.health.get(id)
    }

    /// An endpoint, and all others that are the same server.
    fn mates<'a>(&'a self, id: &EndpointId) -> impl Iterator<Item = &'a EndpointId> + use<'a> {
        let server = self.servers.get(id);
        server.and_then(|server| self.names.get(server)).into_iter().flatten()
    }

    /// Whether two endpoints are the same server.
    fn is_one_server(&self, one: &EndpointId, other: &EndpointId) -> bool {
        let server = self.servers.get(one);
        one == other || server.is_some() && server == self.servers.get(other)
    }

    /// How many tasks work with the models of the server of an endpoint, by model, whatever it was
    /// called when they were given to it.
    fn held_at<'a>(&'a self, id: &EndpointId) -> Vec<(&'a str, usize)> {
        let mut held: Vec<(&str, usize)> = Vec::new();
        for (model, tasks) in self.mates(id).flat_map(|mate| self.held(mate)) {
            match held.iter_mut().find(|(known, _)| *known == model) {
                Some((_, known)) => *known += tasks,
                None => held.push((model, tasks)),
            }
        }
        held
    }

    /// The tasks that work with models of an endpoint, by model.
    pub fn held(&self, id: &EndpointId) -> impl Iterator<Item = (&str, usize)> {
        let from = (id.clone(), Box::default());
        let of = self.held.range(from..).take_while(move |((endpoint, _), _)| endpoint == id);
        of.map(|((_, model), tasks)| (&**model, tasks.len()))
    }

    /// The model of an endpoint's server that was last given a task.
    #[must_use]
    pub fn last(&self, id: &EndpointId) -> Option<&str> {
        self.batch(id).map(|(model, _)| model)
    }

    /// The same, and whether tasks for it come first.
    fn batch(&self, id: &EndpointId) -> Option<(&str, bool)> {
        let (model, comes_first) = self.last.get(self.servers.get(id)?)?;
        Some((model, comes_first.is_some()))
    }

    /// Whether a task looks at an endpoint.
    #[must_use]
    pub fn is_probed(&self, id: &EndpointId) -> bool {
        self.probes.contains_key(id)
    }

    /// Whether a task is a look at an endpoint that the hub asked for.
    pub(crate) fn is_look(&self, id: TaskId) -> bool {
        self.probes.values().any(|tasks| tasks.contains(&id))
    }

    /// How many tasks may use a key at once whose quota was renewed.
    #[must_use]
    pub fn returning(&self, key: &Credential) -> Option<u32> {
        self.returning.get(key).copied()
    }
}

/// The endpoint that a task looks at, if the hub asked it to.
#[must_use]
pub fn probed_by(spec: &Spec) -> Option<EndpointId> {
    if spec.op.kind.as_str() != PROBE || spec.submitted_by != crate::name::Principal::System {
        return None;
    }
    #[derive(serde::Deserialize)]
    struct Input {
        endpoint: EndpointId,
    }
    spec.op.input.read::<Input>().ok().map(|input| input.endpoint)
}

impl State {
    /// What is known of endpoints beside what operators say.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// An endpoint, as an operator describes it.
    #[must_use]
    pub fn endpoint(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.settings.routing.endpoints.get(id)
    }

    /// Follows what operators say. Of what they changed nothing is believed any more.
    pub(super) fn set_routing(&mut self, before: &Routing) {
        let after = self.settings.routing.clone();
        for id in before.endpoints.keys().filter(|id| !after.endpoints.contains_key(*id)) {
            self.forget_endpoint(id);
        }
        for (id, endpoint) in &after.endpoints {
            let is_there = |old: &Endpoint| old.url == endpoint.url && old.api == endpoint.api;
            if !before.endpoints.get(id).is_some_and(is_there) {
                self.forget_endpoint(id);
                self.endpoints.health.insert(id.clone(), Health::default());
                self.alarms.set(Due::Probe(id.clone()), Some(When::Mono(self.now.mono)));
            }
        }
        self.set_servers(&after);
        for key in before.parked.keys().filter(|key| !after.parked.contains_key(*key)) {
            self.endpoints.returning.remove(key);
            self.alarms.set(Due::Parked(key.clone()), None);
        }
        for (key, until) in &after.parked {
            if before.parked.get(key) != Some(until) {
                self.endpoints.returning.remove(key);
                self.alarms.set(Due::Parked(key.clone()), Some(When::Wall(*until)));
            }
        }
        self.wake_routed();
    }

    /// What it serves at the moment is not forgotten, for these tasks are not over.
    fn forget_endpoint(&mut self, id: &EndpointId) {
        self.endpoints.health.remove(id);
        self.alarms.set(Due::Probe(id.clone()), None);
    }

    /// Says anew which endpoints are one server.
    fn set_servers(&mut self, routing: &Routing) {
        let (servers, names) = servers(routing);
        // Those whose name is another's now; all before any has a new one, for names may be swapped.
        let mut renamed = Vec::new();
        for (server, (_, comes_first)) in &mut self.endpoints.last {
            if let Some(id) = comes_first.take_if(|id| servers.get(id) != Some(server)) {
                renamed.push((server.clone(), self.alarms.when(&Due::Batch(id.clone()))));
                self.alarms.set(Due::Batch(id), None);
            }
        }
        for (server, until) in renamed {
            let name = names.get(&server).and_then(BTreeSet::first);
            let Some((name, (_, comes_first))) = name.zip(self.endpoints.last.get_mut(&server))
            else {
                continue;
            };
            *comes_first = Some(name.clone());
            self.alarms.set(Due::Batch(name.clone()), until);
        }
        self.endpoints.last.retain(|server, _| names.contains_key(server));
        (self.endpoints.servers, self.endpoints.names) = (servers, names);
    }

    pub(super) fn set_health(&mut self, id: &EndpointId, health: Health) {
        if let Some(known) = self.endpoints.health.get_mut(id) {
            *known = health;
            self.wake_routed();
        }
    }

    pub(super) fn set_probe(&mut self, id: EndpointId, at: Mono) {
        if self.endpoints.health.contains_key(&id) {
            self.alarms.set(Due::Probe(id), Some(When::Mono(at)));
        }
    }

    /// An agent connected. What was never heard of is looked at, now that somebody may.
    pub(super) fn look_at_strangers(&mut self) {
        let health = self.endpoints.health.iter();
        let strangers = health.filter(|(_, health)| health.heard_at.is_none());
        for id in strangers.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.alarms.set(Due::Probe(id), Some(When::Mono(self.now.mono)));
        }
    }

    /// A key whose quota was renewed may be used by so many tasks at once, until a time.
    pub(super) fn set_returning(&mut self, key: Credential, users: u32, until: Mono) {
        if self.settings.routing.parked.contains_key(&key) {
            self.alarms.set(Due::Parked(key.clone()), Some(When::Mono(until)));
            self.endpoints.returning.insert(key, users);
            self.wake_routed();
        }
    }

    /// A batch of tasks for one model had its time.
    pub(super) fn end_batch(&mut self, id: &EndpointId) {
        let mut last = self.endpoints.last.values_mut();
        if let Some((_, comes_first)) = last.find(|(_, it)| it.as_ref() == Some(id)) {
            *comes_first = None;
            self.wake_routed();
        }
    }

    /// A task works with a model.
    pub(super) fn start_routed(&mut self, task: &Task) {
        let Some(Chosen { endpoint, model, .. }) = chosen(task) else { return };
        let place = (endpoint.clone(), model.clone());
        self.endpoints.held.entry(place).or_default().insert(task.id);
        let begins = match self.endpoints.batch(endpoint) {
            Some((last, comes_first)) if last == &**model => {
                // Nobody has waited through the one before.
                !comes_first && self.endpoints.is_wanted_alone(model)
            }
            Some(_) | None => true,
        };
        if let Some(server) = self.endpoints.servers.get(endpoint).filter(|_| begins).cloned() {
            let until = self.now.mono + BATCH;
            let last = (model.clone(), Some(endpoint.clone()));
            if let Some((_, Some(before))) = self.endpoints.last.insert(server, last) {
                self.alarms.set(Due::Batch(before), None);
            }
            self.alarms.set(Due::Batch(endpoint.clone()), Some(When::Mono(until)));
        }
        self.note_loaded(endpoint, model);
        self.wake_held_back();
    }

    /// A server that has one model loaded at a time loads this one. It is looked at now and then only, and
    /// not while nobody has room to.
    fn note_loaded(&mut self, id: &EndpointId, model: &str) {
        if self.endpoint(id).is_none_or(|endpoint| endpoint.models_at_once != 1) {
            return;
        }
        for mate in self.endpoints.mates(id).cloned().collect::<Vec<_>>() {
            let health = self.endpoints.health.get_mut(&mate);
            let seen = health.and_then(|health| health.seen.as_mut());
            for served in seen.into_iter().flat_map(|seen| &mut seen.models) {
                served.warm = served.is_called(model);
            }
        }
    }

    /// A task no longer works with a model.
    pub(super) fn stop_routed(&mut self, task: &Task) {
        let Some(Chosen { endpoint, model, .. }) = chosen(task) else { return };
        let place = (endpoint.clone(), model.clone());
        if let Some(held) = self.endpoints.held.get_mut(&place) {
            held.remove(&task.id);
            if held.is_empty() {
                self.endpoints.held.remove(&place);
            }
            self.wake_routed();
        }
    }

    /// A task that looks at an endpoint lives, or ended.
    pub(super) fn note_probe(&mut self, task: &Task, lives: bool) {
        let Some(id) = probed_by(&task.spec) else { return };
        if lives {
            self.endpoints.probes.entry(id).or_default().insert(task.id);
        } else if let Some(probes) = self.endpoints.probes.get_mut(&id) {
            probes.remove(&task.id);
            if probes.is_empty() {
                self.endpoints.probes.remove(&id);
            }
        }
    }

    /// Compares the indexes with a full scan.
    pub(super) fn routes_agree(&self) -> bool {
        let mut scanned = Endpoints::default();
        for task in self.tasks() {
            if let Some(Chosen { endpoint, model, .. }) = chosen(task) {
                let place = (endpoint.clone(), model.clone());
                scanned.held.entry(place).or_default().insert(task.id);
            }
            if let (Some(wanted), Some(place)) = (Wanted::of(task), self.place_of(task)) {
                scanned
                    .waiting
                    .entry(wanted)
                    .or_default()
                    .entry(place)
                    .or_default()
                    .insert(task.id);
            }
            if let Some(id) = probed_by(&task.spec) {
                scanned.probes.entry(id).or_default().insert(task.id);
            }
        }
        let Endpoints { health, servers: _, names, last, held, waiting, probes, returning } =
            &self.endpoints;
        let routing = &self.settings.routing;
        (scanned.servers, scanned.names) = servers(routing);
        (held, waiting, probes) == (&scanned.held, &scanned.waiting, &scanned.probes)
            && health.keys().eq(routing.endpoints.keys())
            && (&self.endpoints.servers, names) == (&scanned.servers, &scanned.names)
            && last.keys().all(|server| names.contains_key(server))
            && returning.keys().all(|key| routing.parked.contains_key(key))
            && health.keys().all(|id| self.alarms.when(&Due::Probe(id.clone())).is_some())
            && routing
                .parked
                .keys()
                .all(|key| self.alarms.when(&Due::Parked(key.clone())).is_some())
            && last.iter().all(|(server, (_, comes_first))| {
                comes_first.as_ref().is_none_or(|id| {
                    self.endpoints.servers.get(id) == Some(server)
                        && self.alarms.when(&Due::Batch(id.clone())).is_some()
                })
            })
    }
}

/// The server of each endpoint, and what each server is called.
type Servers = (BTreeMap<EndpointId, Server>, BTreeMap<Server, BTreeSet<EndpointId>>);

fn servers(routing: &Routing) -> Servers {
    let of = |(id, endpoint): (&EndpointId, &Endpoint)| (id.clone(), Server::of(id, endpoint));
    let servers: BTreeMap<_, _> = routing.endpoints.iter().map(of).collect();
    let mut names = BTreeMap::<Server, BTreeSet<EndpointId>>::new();
    for (id, server) in &servers {
        names.entry(server.clone()).or_default().insert(id.clone());
    }
    (servers, names)
}

/// The model that a held task works with.
fn chosen(task: &Task) -> Option<&Chosen> {
    task.life.state.hold()?;
    task.life.chosen()
}

/// A model that a task could be given, as far as its endpoint is known to have it.
struct Offer<'a> {
    model: &'a str,
    /// What its server says of it.
    served: Option<&'a Served>,
    /// What keeps it from every task, whoever else works with the endpoint.
    lack: Option<Verdict>,
    /// The higher tier that it is for, if it is not for the task's own.
    for_tier: Option<Tier>,
}

impl<'a> Offer<'a> {
    /// A model that is asked so.
    fn of(model: &'a str, served: Option<&'a Served>, options: ModelOptions) -> Self {
        let is_untrained = served.is_some_and(|it| it.tools == Some(false));
        let cannot = is_untrained && options.calls != Some(Calls::Format);
        Self { model, served, lack: cannot.then_some(Verdict::NoTools), for_tier: None }
    }

    fn missing(model: &'a str) -> Self {
        Self { model, served: None, lack: Some(Verdict::Missing), for_tier: None }
    }
}

/// The models of an endpoint that a task may be given, with what is known of each.
fn offers<'a>(endpoint: &'a Endpoint, health: &'a Health, wanted: &'a Wanted) -> Vec<Offer<'a>> {
    let seen = health.seen.as_deref();
    let knows_aliases = endpoint.api == Api::Messages;
    let options = |name: &str| endpoint.tuning.of(name);
    let served = |name: &str| {
        let listed = &seen?.models;
        let alias = || listed.iter().find(|it| knows_aliases && it.has_alias(name));
        listed.iter().find(|it| it.is_called(name)).or_else(alias)
    };
    // What was never asked is believed to have what it is said to have; and others than Ollama know
    // models by more names than they list. A list of as many as are kept may have been longer.
    let is_whole = |seen: &Seen| seen.models.len() < Endpoint::MODELS_MAX;
    let is_sure = endpoint.api == Api::Ollama && seen.is_some_and(is_whole);
    let said = |name: &'a str| match served(name) {
        None if is_sure => Offer::missing(name),
        served => Offer::of(name, served, options(name)),
    };
    if let Some(model) = wanted.model.as_deref() {
        let is_said = endpoint.models.iter().any(|it| &*it.model == model);
        let is_open = endpoint.models.is_empty() || endpoint.others;
        let offer = match served(model) {
            _ if is_said => Some(said(model)),
            _ if !is_open => None,
            Some(it) => Some(Offer::of(model, Some(it), options(model))),
            // A program knows models by names that nobody lists.
            None if wanted.api.is_some() => Some(Offer::of(model, None, options(model))),
            None => is_sure.then(|| Offer::missing(model)),
        };
        return offer.into_iter().collect();
    }
    if endpoint.models.is_empty() && endpoint.api.program().is_some() {
        return Vec::from([Offer::of(Endpoint::OWN, None, ModelOptions::default())]);
    }
    if endpoint.models.is_empty() {
        let all = seen.into_iter().flat_map(|seen| &seen.models);
        // Of models that nobody names, what is said of all does not hold: some cannot even chat.
        let named = |name: &str| endpoint.tuning.models.get(name).copied().unwrap_or_default();
        let all = all.map(|it| Offer::of(&it.model, Some(it), named(&it.model)));
        return all.filter(|offer| offer.lack.is_none()).collect();
    }
    let meant = endpoint.models.iter().filter_map(|meant| {
        Some(Offer { for_tier: wanted.is_met_for(&meant.tiers)?, ..said(&meant.model) })
    });
    meant.collect()
}
