//! This file is the hub's side of a stage: steps, groups, commits, and what is said after them.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::ledger::{LIMIT_MAX, RATE_PER, is_limited, is_rated};
use super::{Broken, Stage};
use crate::agent::TokenHash;
use crate::change::Genesis;
use crate::command::{Command, Reply};
use crate::guard::Guard;
use crate::hub::{Effect, Hub, Input, Step, command_needs};
use crate::id::{CallId, Incarnation, SessionId};
use crate::json::Json;
use crate::name::{Key, Kind, Principal};
use crate::port::store::Batch;
use crate::state::{Dirty, rows_of};
use crate::task::{Concurrency, Draft, Rate};
use crate::testing::bench;
use crate::testing::zoo::Plant;
use crate::time::{Mono, Span};
use crate::view::Event;

/// How long a hub that was replaced goes on at most before it knows: less than the leases last that
/// its successor granted anew.
const REPLACED_WITHIN: Span = Span::from_secs(10);
/// Calls that are not submissions have this number.
const REGISTERING: u64 = u64::MAX;

/// A hub that runs.
pub(super) struct Seat {
    pub(super) hub: Hub,
    pub(super) opening: u64,
    open: Group,
    flight: Option<Flight>,
    /// When it hears at the latest that another hub has taken over.
    pub(super) replaced_at: Option<Mono>,
    /// Which agent is at the other end of a connection.
    pub(super) links: BTreeMap<SessionId, usize>,
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        let (state, config) = (self.hub.state().clone(), self.hub.config().clone());
        Self {
            hub: Hub::new(state, config, Box::new(crate::hub::schedule::FairPolicy)),
            opening: self.opening,
            open: self.open.clone(),
            flight: self.flight.clone(),
            replaced_at: self.replaced_at,
            links: self.links.clone(),
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.hub.state();
        f.debug_list()
            .entry(&self.open)
            .entry(&self.flight)
            .entry(&self.links)
            .entry(state)
            .finish()
    }
}

/// Steps that wait for the commit under way.
#[derive(Clone, Debug, Default)]
struct Group {
    dirty: BTreeSet<Dirty>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    steps: usize,
}

/// A commit under way, and what may be said after it.
#[derive(Clone, Debug)]
struct Flight {
    batch: Batch,
    effects: Vec<Effect>,
    seq: u64,
}

impl Seat {
    pub(super) const fn is_committing(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether no task lives, and nothing is to be stored.
    pub(super) fn is_empty(&self) -> bool {
        self.flight.is_none() && self.hub.state().task_count() == 0
    }

    pub(super) fn wake(&self) -> Option<Mono> {
        self.hub.next_wake().into_iter().chain(self.replaced_at).min()
    }
}

impl Stage {
    pub(super) fn start(&mut self, place: usize) -> Result<(), Broken> {
        if self.seats[place].is_some() {
            return Ok(());
        }
        let opening = self.disk.open();
        let until = self.now.mono + REPLACED_WITHIN;
        for seat in self.seats.iter_mut().flatten() {
            seat.replaced_at.get_or_insert(until);
        }
        let plant = self.staging.plant;
        let state =
            self.disk.load(self.now, plant).map_err(|why| format!("a hub cannot start: {why}"))?;
        let founded = state.head().is_none();
        let mut config = self.staging.config.clone();
        config.guards = self.staging.guards;
        Plant::set(plant, &mut config);
        let mut hub = Hub::new(state, config, Box::new(crate::hub::schedule::FairPolicy));
        if founded {
            let genesis =
                Genesis { incarnation: Incarnation(7), seed: 42, admin: TokenHash([9; 32]) };
            let step = hub.found(self.now, &genesis);
            let batch = rows_of(hub.state(), &step.dirty, &step.events);
            self.disk.commit(opening, batch).map_err(|()| "a fresh disk takes no batch")?;
        }
        let step = hub.resume(self.now);
        Plant::resumed(plant, &mut hub);
        let links = BTreeMap::new();
        self.seats[place] = Some(Seat {
            hub,
            opening,
            open: Group::default(),
            flight: None,
            replaced_at: None,
            links,
        });
        self.stepped(place, step)
    }

    /// The hub is gone at once: what it had not stored never was, and its connections break.
    pub(super) fn kill(&mut self, place: usize) -> Result<(), Broken> {
        let Some(seat) = self.seats[place].take() else { return Ok(()) };
        self.ledger.died(seat.opening);
        if let Some(flight) = seat.flight
            && self.staging.plant == Some(Plant::BatchHalfApplied)
            && seat.opening == self.disk.openings
        {
            let Flight { mut batch, .. } = flight;
            batch.puts.truncate(batch.puts.len() / 2);
            self.disk.write(batch);
        }
        for (session, agent) in seat.links {
            self.broken(agent, session)?;
        }
        Ok(())
    }

    pub(super) fn register(&mut self) -> Result<(), Broken> {
        for n in 0..self.agents.len() {
            let id = self.agents[n].id();
            let token = bench::token(id.as_str());
            self.call(CallId(REGISTERING), Command::AddAgent { id, token })?;
        }
        self.drain()
    }

    pub(super) fn submit_next(&mut self) -> Result<(), Broken> {
        self.submitted += 1;
        self.submit(self.submitted - 1)
    }

    /// Submits a task; the answer may be lost with the hub.
    pub(super) fn submit(&mut self, number: usize) -> Result<(), Broken> {
        let mut draft = draft(number, self.staging.limits);
        Plant::submits(self.staging.plant, &mut draft);
        self.call(CallId(number as u64), Command::Submit(draft.into()))
    }

    fn call(&mut self, call: CallId, command: Command) -> Result<(), Broken> {
        let Some(place) = self.newest_place() else { return Ok(()) };
        let Some(seat) = &self.seats[place] else { return Ok(()) };
        let needs = command_needs(seat.hub.state(), &command);
        let facts = self.disk.facts(seat.hub.state(), &needs);
        let by = Principal::Admin;
        if call != CallId(REGISTERING) {
            self.ledger.asked(seat.opening, call.0);
        }
        self.hub_step(place, Input::Call { call, by, cause: None, command, facts })
    }

    pub(super) fn wake_hub(&mut self, place: usize) -> Result<(), Broken> {
        let Some(seat) = &self.seats[place] else { return Ok(()) };
        if seat.replaced_at.is_some_and(|at| at <= self.now.mono) {
            return self.kill(place);
        }
        let due = seat.wake().is_some_and(|at| at <= self.now.mono);
        if due || seat.hub.state().is_pending() {
            self.hub_step(place, Input::Wake)?;
        }
        Ok(())
    }

    pub(super) fn hub_step(&mut self, place: usize, input: Input) -> Result<(), Broken> {
        let Some(seat) = &mut self.seats[place] else { return Ok(()) };
        Plant::steps(self.staging.plant, &mut seat.hub, self.now);
        let step = seat.hub.step(self.now, input);
        Plant::stepped(self.staging.plant, &mut seat.hub, &step);
        seat.hub.state().check().map_err(|why| format!("a state contradicts itself: {why}"))?;
        self.stepped(place, step)
    }

    fn stepped(&mut self, place: usize, step: Step) -> Result<(), Broken> {
        let Some(seat) = &mut self.seats[place] else { return Ok(()) };
        let group = &mut seat.open;
        group.steps += 1;
        group.dirty.extend(step.dirty);
        group.events.extend(step.events);
        if self.staging.plant == Some(Plant::EffectLost) && group.steps > 1 {
            group.effects.clear();
        }
        group.effects.extend(step.effects);
        self.close_group(place)
    }

    /// As the driver: one commit at a time; what has nothing to store is said at once.
    fn close_group(&mut self, place: usize) -> Result<(), Broken> {
        let Some(seat) = &mut self.seats[place] else { return Ok(()) };
        if seat.flight.is_some() || seat.open.steps == 0 {
            return Ok(());
        }
        let group = core::mem::take(&mut seat.open);
        if group.events.is_empty() {
            return self.say(place, group.effects);
        }
        let mut batch = rows_of(seat.hub.state(), &group.dirty, &group.events);
        Plant::stores(self.staging.plant, &mut batch);
        let (seq, mut effects) = (seat.hub.state().seq(), group.effects);
        let early = self.staging.plant == Some(Plant::ReplyBeforeCommit)
            || !self.staging.guards.on(Guard::CommitFirst);
        let said = if early { core::mem::take(&mut effects) } else { Vec::new() };
        seat.flight = Some(Flight { batch, effects, seq });
        self.say(place, said)
    }

    pub(super) fn commit(&mut self, place: usize) -> Result<(), Broken> {
        let Some(seat) = &mut self.seats[place] else { return Ok(()) };
        let Some(Flight { mut batch, effects, seq }) = seat.flight.take() else { return Ok(()) };
        let mut opening = seat.opening;
        if self.staging.plant == Some(Plant::StaleHubRestamped) {
            opening = self.disk.openings;
            batch.seq = batch.seq.max(self.disk.seq.map_or(0, |last| last + 1));
        }
        if self.disk.commit(opening, batch).is_err() {
            return self.kill(place);
        }
        seat.hub.settle(seq);
        self.compare(place)?;
        self.say(place, effects)?;
        self.close_group(place)
    }

    /// Whether the disk adds up to what the hub knows, once all that it knows is stored.
    fn compare(&self, place: usize) -> Result<(), Broken> {
        let Some(seat) = &self.seats[place] else { return Ok(()) };
        if !seat.open.events.is_empty() {
            return Ok(());
        }
        let loaded = self.disk.load(self.now, None)?;
        if loaded.durable() == seat.hub.state().durable() {
            return Ok(());
        }
        Err("the disk does not add up to what the hub knows".into())
    }

    fn say(&mut self, place: usize, effects: Vec<Effect>) -> Result<(), Broken> {
        for effect in effects {
            match effect {
                Effect::Reply(call, Reply::Submitted(submitted)) => {
                    let Some(seat) = &self.seats[place] else { return Ok(()) };
                    let task = (submitted.id, seat.hub.state().number(submitted.id));
                    self.ledger.acknowledged(seat.opening, call.0, task, &self.disk)?;
                }
                Effect::Reply(CallId(REGISTERING), _) => {}
                Effect::Reply(_, reply) => {
                    return Err(format!("a submission was answered with {reply:?}"));
                }
                Effect::Send(session, frame) => self.said(place, session, frame)?,
                Effect::Close(session, _) => {
                    let seat = self.seats[place].as_mut();
                    let agent = seat.and_then(|seat| seat.links.remove(&session));
                    agent.map_or(Ok(()), |agent| self.broken(agent, session))?;
                }
            }
        }
        Ok(())
    }
}

/// The tasks of a stage: without limits all alike; with them a few share a limit or a rate.
fn draft(number: usize, limits: bool) -> Draft {
    let kind = Kind::new("shell").expect("a kind");
    let key = |text: &str| Key::new(text).expect("a key");
    let mut draft = Draft::new(kind, Json::of(&number).unwrap_or_default());
    draft.idempotency_key = Some(key(&format!("key-{number}")));
    if limits {
        let limit = || Concurrency { key: key("limited"), max: LIMIT_MAX };
        draft.share.concurrency = is_limited(number).then(limit);
        let rate = Rate { key: key("rated"), limit: 1, per: RATE_PER, burst: 1 };
        draft.share.rates.extend(is_rated(number).then_some(rate));
    }
    draft
}
