//! This file is the protocol in small: everything that two hubs, agents and links can do, in any
//! order.
//!
//! Two hubs decide by what they have in memory, over one store that takes a batch from the one that
//! opened it last. What is said may be late, repeated or lost. Leases may run out at any time, so
//! no property depends on a clock.

use stateright::{Model, Property};

/// The most tasks and agents that a state has room for.
const TASKS: usize = 2;
const AGENTS: usize = 3;
const HUBS: usize = 2;

/// How large the world is, and which guards stand.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) tasks: u8,
    pub(crate) agents: u8,
    /// How often a task is given out before it is given up.
    pub(crate) leases: u8,
    /// How often a hub starts.
    pub(crate) epochs: u8,
    /// How often an agent is killed.
    pub(crate) crashes: u8,
    /// The guard that was taken away.
    pub(crate) without: Option<Check>,
}

/// What stands between a fault and a broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The store refuses a hub that was replaced.
    Fence,
    /// A result counts only with the number of the current lease.
    Lease,
    /// A result counts only from whoever holds the task.
    Owner,
    /// A result counts only for a task that is held.
    Held,
    /// The number of a lease is stored with the task, and the next is larger.
    LeaseGrows,
    /// Nothing is said before it is stored.
    CommitFirst,
}

impl Check {
    pub(crate) const ALL: [Self; 6] =
        [Self::Fence, Self::Lease, Self::Owner, Self::Held, Self::LeaseGrows, Self::CommitFirst];
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    #[default]
    Unknown,
    Ready,
    Held(u8),
    Done,
    Dead,
}

/// A task, as stored and as remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    row: Row,
    lease: u8,
}

/// What a hub says when its decision is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Word {
    Queued,
    Given { agent: u8, lease: u8 },
    TakenIn,
    Nothing,
}

/// A decision whose commit is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    task: u8,
    after: Task,
    word: Word,
}

/// A hub that runs, with what it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hub {
    epoch: u8,
    memory: [Task; TASKS],
    flight: Option<Flight>,
}

/// An agent: what it works on, and which results it has yet to see acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Agent {
    work: Option<(u8, u8)>,
    /// The largest lease of each task that it took on; it is in its journal.
    taken: [u8; TASKS],
    /// Results by lease, a bit each, for each task.
    outbox: [u8; TASKS],
}

/// Everything that is the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    epoch: u8,
    store: [Task; TASKS],
    hubs: [Option<Hub>; HUBS],
    agents: [Agent; AGENTS],
    /// Assignments that were said, by lease, a bit each: they may arrive late, again, or never.
    said: [[u8; TASKS]; AGENTS],
    crashes: u8,
    /// Submissions that were answered, a bit each.
    acknowledged: u8,
    /// How many results of each task were taken in.
    taken_in: [u8; TASKS],
    /// A rule was broken that shows only in the moment.
    wrong: Option<Wrong>,
}

/// What shows only in the moment when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wrong {
    StaleHubWrote,
    StaleResult,
    LeaseReused,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Submit(u8, u8),
    Assign(u8, u8, u8),
    Expire(u8, u8),
    Commit(u8),
    Kill(u8),
    Start(u8),
    Take(u8, u8, u8),
    Finish(u8),
    Crash(u8),
    Hear(u8, u8, u8, u8),
    Acknowledge(u8, u8, u8),
}

impl Protocol {
    fn stands(&self, check: Check) -> bool {
        self.without != Some(check)
    }

    /// What a hub does with a result that it hears.
    fn judge(&self, agent: u8, lease: u8, task: Task) -> bool {
        let holder = match task.row {
            Row::Held(holder) => Some(holder),
            Row::Ready if !self.stands(Check::Held) => Some(agent),
            Row::Unknown | Row::Ready | Row::Done | Row::Dead => None,
        };
        holder.is_some_and(|holder| holder == agent || !self.stands(Check::Owner))
            && (lease == task.lease || !self.stands(Check::Lease))
    }

    fn decide(&self, world: &mut World, hub: u8, flight: Flight) {
        if !self.stands(Check::CommitFirst) {
            say(world, flight);
        }
        if let Some(hub) = &mut world.hubs[usize::from(hub)] {
            hub.memory[usize::from(flight.task)] = flight.after;
            hub.flight = Some(flight);
        }
    }

    fn commit(&self, world: &mut World, place: u8) {
        let Some(hub) = &mut world.hubs[usize::from(place)] else { return };
        let Some(flight) = hub.flight.take() else { return };
        let stale = hub.epoch != world.epoch;
        if stale && self.stands(Check::Fence) {
            world.hubs[usize::from(place)] = None;
            return;
        }
        if stale {
            world.wrong = Some(Wrong::StaleHubWrote);
        }
        let before = &mut world.store[usize::from(flight.task)];
        *before = flight.after;
        if !self.stands(Check::LeaseGrows) {
            before.lease = before.lease.saturating_sub(1);
        }
        if self.stands(Check::CommitFirst) {
            say(world, flight);
        }
    }

    fn hub_actions(&self, world: &World, place: u8, actions: &mut Vec<Action>) {
        let Some(hub) = &world.hubs[usize::from(place)] else {
            if world.epoch < self.epochs {
                actions.push(Action::Start(place));
            }
            return;
        };
        actions.push(Action::Kill(place));
        if hub.flight.is_some() {
            return actions.push(Action::Commit(place));
        }
        for task in 0..self.tasks {
            let known = hub.memory[usize::from(task)];
            match known.row {
                Row::Unknown => actions.push(Action::Submit(place, task)),
                Row::Ready => {
                    actions.extend((0..self.agents).map(|a| Action::Assign(place, task, a)));
                }
                Row::Held(holder) => {
                    actions.push(Action::Expire(place, task));
                    // Anybody may claim to have done what somebody else holds.
                    let others = (0..self.agents).filter(|agent| *agent != holder);
                    actions.extend(others.map(|a| Action::Hear(place, a, task, known.lease)));
                }
                Row::Done | Row::Dead => {}
            }
            for agent in 0..self.agents {
                let outbox = world.agents[usize::from(agent)].outbox[usize::from(task)];
                let waiting = (1..=self.leases).filter(|lease| outbox & (1 << lease) != 0);
                actions.extend(waiting.map(|lease| Action::Hear(place, agent, task, lease)));
            }
        }
    }

    fn agent_actions(&self, world: &World, n: u8, actions: &mut Vec<Action>) {
        let agent = &world.agents[usize::from(n)];
        if agent.work.is_some() {
            actions.push(Action::Finish(n));
            actions.extend((world.crashes < self.crashes).then_some(Action::Crash(n)));
            return;
        }
        for task in 0..self.tasks {
            let said = world.said[usize::from(n)][usize::from(task)];
            let fresh = agent.taken[usize::from(task)] + 1..=self.leases;
            let said = fresh.filter(|lease| said & (1 << lease) != 0);
            actions.extend(said.map(|lease| Action::Take(n, task, lease)));
        }
    }

    /// Whether everything ends when nothing more goes wrong: somebody runs a hub, it hears what
    /// agents have to say, and gives out what is ready.
    fn ends_in_peace(&self, world: &World) -> bool {
        let mut world = *world;
        // What a hub has not stored may be lost: then whoever asked asks again.
        world.hubs = [None; HUBS];
        world.epoch += 1;
        world.hubs[0] = Some(Hub { epoch: world.epoch, memory: world.store, flight: None });
        for _ in 0..40 {
            let Some(action) = self.next_in_peace(&world) else {
                let over = |task: &Task| matches!(task.row, Row::Done | Row::Dead);
                return world.store[..usize::from(self.tasks)].iter().all(over);
            };
            match self.next_state(&world, action) {
                Some(next) => world = next,
                None => return false,
            }
        }
        false
    }

    fn next_in_peace(&self, world: &World) -> Option<Action> {
        let mut actions = Vec::new();
        (0..self.agents).for_each(|n| self.agent_actions(world, n, &mut actions));
        self.hub_actions(world, 0, &mut actions);
        actions.retain(|action| match action {
            Action::Kill(_) | Action::Crash(_) | Action::Start(_) | Action::Acknowledge(..) => {
                false
            }
            Action::Hear(place, agent, task, lease) => {
                let hub = world.hubs[usize::from(*place)].as_ref();
                hub.is_some_and(|hub| self.judge(*agent, *lease, hub.memory[usize::from(*task)]))
            }
            // Whoever works on it is waited for.
            Action::Expire(place, task) => {
                let hub = world.hubs[usize::from(*place)].as_ref();
                !hub.is_some_and(|hub| is_alive(world, hub.memory[usize::from(*task)], *task))
            }
            Action::Submit(..)
            | Action::Assign(..)
            | Action::Commit(_)
            | Action::Take(..)
            | Action::Finish(_) => true,
        });
        actions.into_iter().min_by_key(|action| match action {
            Action::Commit(_) => 0,
            Action::Take(..) | Action::Finish(_) | Action::Hear(..) => 1,
            Action::Submit(..)
            | Action::Assign(..)
            | Action::Expire(..)
            | Action::Kill(_)
            | Action::Start(_)
            | Action::Crash(_)
            | Action::Acknowledge(..) => 2,
        })
    }
}

/// Whether the holder of a task has it at work, has its result, or has yet to hear of it.
fn is_alive(world: &World, known: Task, task: u8) -> bool {
    let Row::Held(holder) = known.row else { return false };
    let agent = &world.agents[usize::from(holder)];
    agent.work == Some((task, known.lease))
        || agent.outbox[usize::from(task)] & (1 << known.lease) != 0
}

fn say(world: &mut World, flight: Flight) {
    let task = usize::from(flight.task);
    match flight.word {
        Word::Queued => world.acknowledged |= 1 << flight.task,
        Word::Given { agent, lease } => {
            let given = world.said.iter().any(|said| said[task] & (1 << lease) != 0);
            if given {
                world.wrong = Some(Wrong::LeaseReused);
            }
            world.said[usize::from(agent)][task] |= 1 << lease;
        }
        // The acknowledgement may be lost, so the agent says it again until it hears one.
        Word::TakenIn => world.taken_in[task] += 1,
        Word::Nothing => {}
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        Vec::from([World {
            epoch: 0,
            store: [Task::default(); TASKS],
            hubs: [None; HUBS],
            agents: [Agent::default(); AGENTS],
            said: [[0; TASKS]; AGENTS],
            crashes: 0,
            acknowledged: 0,
            taken_in: [0; TASKS],
            wrong: None,
        }])
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        (0..HUBS as u8).for_each(|place| self.hub_actions(world, place, actions));
        (0..self.agents).for_each(|n| self.agent_actions(world, n, actions));
        for agent in 0..self.agents {
            for task in 0..self.tasks {
                let outbox = world.agents[usize::from(agent)].outbox[usize::from(task)];
                let over = |lease: &u8| outbox & (1 << lease) != 0 && is_void(world, task, *lease);
                let over = (1..=self.leases).filter(over);
                actions.extend(over.map(|lease| Action::Acknowledge(agent, task, lease)));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = *last;
        match action {
            Action::Submit(hub, task) => {
                let after = Task { row: Row::Ready, lease: 0 };
                self.decide(&mut world, hub, Flight { task, after, word: Word::Queued });
            }
            Action::Assign(hub, task, agent) => {
                let known = world.hubs[usize::from(hub)]?.memory[usize::from(task)];
                let lease = known.lease + 1;
                let after = Task { row: Row::Held(agent), lease };
                let word = Word::Given { agent, lease };
                self.decide(&mut world, hub, Flight { task, after, word });
            }
            Action::Expire(hub, task) => {
                let known = world.hubs[usize::from(hub)]?.memory[usize::from(task)];
                let row = if known.lease >= self.leases { Row::Dead } else { Row::Ready };
                let after = Task { row, lease: known.lease };
                self.decide(&mut world, hub, Flight { task, after, word: Word::Nothing });
            }
            Action::Commit(hub) => self.commit(&mut world, hub),
            Action::Kill(hub) => world.hubs[usize::from(hub)] = None,
            Action::Start(hub) => {
                world.epoch += 1;
                let memory = world.store;
                world.hubs[usize::from(hub)] =
                    Some(Hub { epoch: world.epoch, memory, flight: None });
            }
            Action::Take(agent, task, lease) => {
                let agent = &mut world.agents[usize::from(agent)];
                agent.taken[usize::from(task)] = lease;
                agent.work = Some((task, lease));
            }
            Action::Finish(agent) => {
                let agent = &mut world.agents[usize::from(agent)];
                let (task, lease) = agent.work.take()?;
                agent.outbox[usize::from(task)] |= 1 << lease;
            }
            Action::Crash(agent) => {
                world.crashes += 1;
                world.agents[usize::from(agent)].work = None;
            }
            Action::Hear(hub, agent, task, lease) => {
                let known = world.hubs[usize::from(hub)]?.memory[usize::from(task)];
                if !self.judge(agent, lease, known) {
                    return None;
                }
                if known.row != Row::Held(agent) || known.lease != lease {
                    world.wrong = Some(Wrong::StaleResult);
                }
                let after = Task { row: Row::Done, lease: known.lease };
                self.decide(&mut world, hub, Flight { task, after, word: Word::TakenIn });
            }
            Action::Acknowledge(agent, task, lease) => {
                world.agents[usize::from(agent)].outbox[usize::from(task)] &= !(1 << lease);
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Vec::from([
            Property::always("at most one result of a task is taken in", |_, world: &World| {
                world.taken_in.iter().all(|count| *count <= 1)
            }),
            Property::always("no acknowledged task is lost", |_, world: &World| {
                let stored = |task: &usize| world.store[*task].row != Row::Unknown;
                let acknowledged = |task: &usize| world.acknowledged & (1 << task) != 0;
                (0..TASKS).filter(acknowledged).all(|task| stored(&task))
            }),
            Property::always("a hub that was replaced changes nothing", |_, world: &World| {
                world.wrong != Some(Wrong::StaleHubWrote)
            }),
            Property::always("a result counts for its own lease only", |_, world: &World| {
                world.wrong != Some(Wrong::StaleResult)
            }),
            Property::always("no lease is given out twice", |_, world: &World| {
                world.wrong != Some(Wrong::LeaseReused)
            }),
            Property::always("everything can end", |model: &Self, world: &World| {
                world.wrong.is_some() || model.ends_in_peace(world)
            }),
            Property::sometimes("a task is done", |_, world: &World| world.taken_in[0] == 1),
            Property::sometimes("a task is given up", |_, world: &World| {
                world.store[0].row == Row::Dead
            }),
            Property::sometimes("two hubs run at once", |_, world: &World| {
                world.hubs.iter().all(Option::is_some)
            }),
        ])
    }
}

/// Whether the store says that a result comes too late: then the hub answers so.
fn is_void(world: &World, task: u8, lease: u8) -> bool {
    let stored = world.store[usize::from(task)];
    stored.lease > lease || matches!(stored.row, Row::Done | Row::Dead)
}
