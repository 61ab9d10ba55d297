//! This file keeps the indexes of the scheduler in step with the facts: who waits, and who has room.

use alloc::vec::Vec;

use super::{
    Abilities, AgentNo, Class, ClassId, Due, Entry, Gate, LimitsNo, Requirements, Spot, State,
    Terms, When,
};
use crate::agent::Profile;
use crate::change::Settings;
use crate::guard::Guard;
use crate::id::{SessionId, TaskId};
use crate::name::AgentId;
use crate::route::{Wanted, is_routed};
use crate::task::{Task, TaskState};

/// Where a ready task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its class.
    pub class: ClassId,
    /// Its lane.
    pub lane: usize,
    /// Its place in the lane.
    pub spot: Spot,
}

impl State {
    /// A task becomes ready. Returns its class.
    pub(super) fn enqueue(&mut self, task: &Task, limits: LimitsNo) -> Option<ClassId> {
        let TaskState::Ready { place, .. } = task.life.state else { return None };
        let (lane, spot) = self.spot_of(task)?;
        let spec = &task.spec;
        let weight = self.weight(spec.fair_key());
        let flow = (lane, spec.fair_key().cloned());
        let flow = self.fair.queued(flow, place.tag, spec.cost(), weight);
        let requirements = Requirements::of(spec);
        let paused = self.pause_on(&requirements).is_some();
        let (class, made) = self.ready.class_for(requirements, paused);
        if made {
            self.link_class(class);
        }
        self.ready.insert(class, lane, Entry { spot, tag: place.tag, flow, limits });
        self.pending.classes.insert(class);
        if let Some(span) = spec.times.as_ref().and_then(|times| times.expires_after) {
            self.alarms.set(Due::Expiry(task.id), Some(When::Wall(spot.since + span)));
        }
        Some(class)
    }

    /// A task of a class is no longer ready.
    pub(super) fn dequeue(&mut self, task: &Task, class: ClassId) -> Option<Entry> {
        let (lane, spot) = self.spot_of(task)?;
        let entry = self.leave(Queued { class, lane, spot });
        if task.spec.times.as_ref().is_some_and(|times| times.expires_after.is_some()) {
            self.alarms.set(Due::Expiry(task.id), None);
        }
        if task.spec.repo.is_some() {
            self.alarms.set(Due::Affinity(task.id), None);
        }
        entry
    }

    /// A task leaves the queue.
    pub(super) fn leave(&mut self, queued: Queued) -> Option<Entry> {
        let Queued { class, lane, spot } = queued;
        let let_on_by = self.ready.let_on_by(spot.number).cloned();
        let entry = self.ready.remove(class, lane, &spot)?;
        self.fair.left(entry.flow);
        if let Some(required) = self.ready.give_up(class) {
            self.fleet.unlink(class, required.pin.as_ref());
            self.pending.classes.remove(&class);
        } else if let_on_by.is_some_and(|gate| self.ready.wake_first(&gate, class)) {
            self.pending.classes.insert(class);
        }
        Some(entry)
    }

    /// A task that left the queue is given to an agent.
    pub(super) fn note_assignment(&mut self, lane: usize, tag: u64, agent: AgentNo) {
        self.fair.served(lane, tag);
        self.assignments += 1;
        self.fleet.assigned(agent, self.assignments);
    }

    /// An agent holds a task.
    pub(super) fn hold(&mut self, task: TaskId, limits: LimitsNo, agent: AgentNo) {
        self.fleet.hold(agent, task);
        self.limits.start(limits, task);
        if limits != LimitsNo::NONE {
            // What it counts against may keep from starting what others stand back for.
            self.wake_held_back();
        }
    }

    /// An agent holds a task no longer, and others may start in its stead.
    pub(super) fn let_off(&mut self, task: TaskId, limits: LimitsNo, agent: AgentNo) {
        self.fleet.release(agent, task);
        if let Some(gate) = self.limits.stop(limits, task) {
            self.wake(&gate);
        }
    }

    /// Records that a task goes to an agent, in the indexes alone.
    #[cfg(feature = "testing")]
    pub(crate) fn place(&mut self, queued: Queued, agent: AgentNo) {
        let Some(entry) = self.leave(queued) else { return };
        self.note_assignment(queued.lane, entry.tag, agent);
        self.limits.draw(entry.limits, self.now.wall);
        self.hold(self.id_of(queued.spot.number), entry.limits, agent);
        self.refresh_room(agent);
    }

    /// The limits that the living task with a number counts against.
    #[cfg(feature = "testing")]
    pub(crate) fn limits_of(&self, number: u64) -> LimitsNo {
        self.tasks.get(&number).map_or(LimitsNo::NONE, |live| live.limits)
    }

    /// Records that an agent is done with a task, in the indexes alone.
    #[cfg(feature = "testing")]
    pub(crate) fn displace(&mut self, number: u64, limits: LimitsNo, agent: AgentNo) {
        self.let_off(self.id_of(number), limits, agent);
        self.refresh_room(agent);
    }

    /// Where a task waits, if it is ready.
    #[must_use]
    pub fn queued(&self, id: TaskId) -> Option<Queued> {
        let live = self.tasks.get(&self.number(id))?;
        let (lane, spot) = self.spot_of(live.task.as_deref()?)?;
        Some(Queued { class: live.class, lane, spot })
    }

    pub(super) fn spot_of(&self, task: &Task) -> Option<(usize, Spot)> {
        let TaskState::Ready { since, place } = task.life.state else { return None };
        let spot = Spot { order: place.order, since, number: self.number(task.id) };
        Some((task.spec.priority.lane(), spot))
    }

    /// The scheduler holds a ready task back.
    pub(crate) fn park(&mut self, queued: Queued, gate: Gate) {
        let Queued { class, lane, spot } = queued;
        let before = self.ready.let_on_by(spot.number).cloned();
        let unfit = gate == Gate::Fit;
        let moved = before.filter(|before| *before != gate);
        self.ready.park(class, lane, &spot, gate);
        let behind = moved.is_some_and(|gate| self.ready.wake_first(&gate, class));
        if behind | (unfit && self.ready.wake_next_unfit(class)) {
            self.pending.classes.insert(class);
        }
    }

    /// The scheduler lets tasks that are held back try again.
    pub(crate) fn wake(&mut self, gate: &Gate) {
        let woken = self.ready.wake(gate, |_| true);
        self.pending.classes.extend(woken);
    }

    /// Something about endpoints changed: tasks that none would take try again, and those whose
    /// endpoints had no agent with room.
    pub(super) fn wake_routed(&mut self) {
        self.wake(&Gate::Route(Wanted::FIRST));
        let is_of_models = |(_, class): &(ClassId, &Class)| is_routed(&class.requirements.kind);
        let unfit = self.ready.unfit().filter(is_of_models).map(|(id, _)| id);
        let unfit: Vec<ClassId> = unfit.collect();
        if !unfit.is_empty() {
            let woken = self.ready.wake(&Gate::Fit, |class| unfit.contains(&class));
            self.pending.classes.extend(woken);
        }
    }

    /// An agent has room: tasks that suited nobody try again, if it can run them.
    fn wake_unfit(&mut self, agent: AgentNo) {
        let fleet = &self.fleet;
        let woken = self.ready.wake(&Gate::Fit, |class| fleet.runs(agent, class));
        self.pending.classes.extend(woken);
    }

    /// The scheduler lets one task try again that is held back.
    pub(super) fn wake_one(&mut self, id: TaskId) {
        if let Some(Queued { lane, spot, .. }) = self.queued(id) {
            self.pending.classes.extend(self.ready.wake_one(lane, &spot));
        }
    }

    fn link_class(&mut self, class: ClassId) {
        let Some(found) = self.ready.class(class) else { return };
        if let Some(agent) = self.pin(&found.requirements) {
            self.fleet.pin(agent, class);
            return;
        }
        let able = if self.guards.on(Guard::Capabilities) {
            self.fleet.able(&found.requirements)
        } else {
            self.fleet.groups().map(|(id, _)| id).collect()
        };
        for group in able {
            self.fleet.link(group, class);
        }
    }

    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.ready.sort_by_age(settings.oldest_first > 0);
        let before = core::mem::replace(&mut self.settings, settings);
        if before.routing != self.settings.routing {
            self.set_routing(&before.routing);
        } else if (&before.caps, &before.prices) != (&self.settings.caps, &self.settings.prices) {
            // What has no price is not asked where there are caps.
            self.wake_routed();
        }
        let verdicts = self
            .ready
            .classes()
            .map(|(id, class)| (id, class.paused, self.pause_on(&class.requirements).is_some()));
        let verdicts: Vec<(ClassId, bool, bool)> = verdicts.collect();
        if verdicts.iter().any(|(_, before, paused)| paused & !before) {
            self.wake_held_back();
        }
        for (id, before, paused) in verdicts {
            self.ready.set_paused(id, paused);
            if before && !paused {
                self.pending.classes.insert(id);
            }
        }
    }

    pub(super) fn set_profile(&mut self, session: SessionId, profile: Profile) {
        let Some(agent) = self.sessions.get(&session).and_then(|session| session.agent.clone())
        else {
            return;
        };
        let abilities = Abilities::of(&profile);
        let number = self.fleet.enrol(&agent);
        let (group, made) = self.fleet.join(number, abilities.clone());
        if made {
            let classes = if self.guards.on(Guard::Capabilities) && self.guards.on(Guard::Pin) {
                self.ready.runnable_by(&abilities)
            } else {
                let able = |class: &Class| {
                    self.pin(&class.requirements).is_none()
                        && self.meets(&abilities, &class.requirements)
                };
                let classes = self.ready.classes().filter(|(_, class)| able(class));
                classes.map(|(id, _)| id).collect()
            };
            for class in classes {
                self.fleet.link(group, class);
            }
        }
        self.profiles.insert(agent.clone(), profile);
        self.refresh_agent(&agent);
        // It may have a key that nobody else has.
        self.wake_routed();
        self.look_at_strangers();
    }

    /// An agent is no longer connected.
    pub(super) fn part_with(&mut self, agent: &AgentId) {
        if let Some(number) = self.fleet.number(agent) {
            self.pending.drop(number);
            self.fleet.leave(number);
            // Others need not stand back for what it alone could do, and where it alone had what a model
            // wants, another model may do.
            self.wake_routed();
        }
    }

    /// Says anew on which terms an agent is given work, and whether it has room.
    pub(super) fn refresh_agent(&mut self, id: &AgentId) {
        self.refresh_terms(id);
        if let Some(number) = self.fleet.number(id) {
            self.refresh_room(number);
        }
    }

    /// Says anew on which terms an agent is given work, if that leaves it the room it had.
    pub(super) fn refresh_terms(&mut self, id: &AgentId) {
        if let Some(number) = self.fleet.number(id) {
            let terms = self.terms(id).unwrap_or_default();
            self.fleet.set_terms(number, terms);
            if !terms.gives_work() {
                self.wake_held_back();
            }
        }
    }

    /// Says anew whether an agent has room.
    pub(super) fn refresh_room(&mut self, number: AgentNo) {
        if self.fleet.refresh(number) {
            self.pending.add(number);
            self.wake_unfit(number);
        } else {
            self.pending.drop(number);
        }
    }

    /// What the rules and the connection of an agent allow it.
    pub(super) fn terms(&self, id: &AgentId) -> Option<Terms> {
        let agent = self.agents.get(id)?;
        if agent.draining && self.guards.on(Guard::Drained)
            || agent.trust.is_quarantined() && self.guards.on(Guard::Quarantine)
        {
            return None;
        }
        let session = self.session_of(id).filter(|session| session.takes_work())?;
        let probation = agent.trust.is_on_probation();
        let slots = if probation { 1 } else { self.profiles.get(id)?.slots };
        let overfull = !self.guards.on(Guard::Slots);
        Some(Terms { slots, probation, overfull, shuns: !session.shunned.is_empty() })
    }
}
