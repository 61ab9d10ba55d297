//! This file is the sidecar's side of a stage: its journal, its link, and its jobs.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Action, Broken, Stage, Staging};
use crate::command::Facts;
use crate::config::{Secret, SidecarConfig};
use crate::hub::{Input as HubInput, frame_needs};
use crate::id::{Boot, SessionId};
use crate::json::Json;
use crate::name::{AgentId, Kind};
use crate::port::executor::JobOutcome;
use crate::port::store::{Batch, RowKey};
use crate::sidecar::{Claim, Effect, Input, Journal, Sidecar, Step};
use crate::testing::bench;
use crate::testing::zoo::Plant;
use crate::time::Mono;
use crate::wire::{Dialect, ToAgent, ToHub};

/// A sidecar over all its lives.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    config: SidecarConfig,
    sidecar: Option<Sidecar>,
    journal: BTreeMap<RowKey, Arc<[u8]>>,
    /// What is decided and, by a planted bug, not written down yet.
    unwritten: Option<Batch>,
    boots: u64,
    /// Connections since it started.
    connections: u32,
    link: Option<Link>,
    running: BTreeSet<Claim>,
}

/// A connection.
#[derive(Clone, Debug)]
struct Link {
    hub: usize,
    session: SessionId,
    up: VecDeque<ToHub>,
    /// `None` is the end of it.
    down: VecDeque<Option<ToAgent>>,
    mute: bool,
}

fn kind() -> Kind {
    Kind::new("shell").expect("a kind")
}

impl Agent {
    pub(super) fn new(number: usize, staging: &Staging) -> Self {
        let id = AgentId::new(&format!("agent-{number}")).expect("a name");
        let secret = Secret::new(id.as_str());
        let mut config = SidecarConfig::new(id, secret);
        (config.slots, config.guards) = (staging.slots, staging.guards);
        Self {
            config,
            sidecar: None,
            journal: BTreeMap::new(),
            unwritten: None,
            boots: 0,
            connections: 0,
            link: None,
            running: BTreeSet::new(),
        }
    }

    pub(super) fn id(&self) -> AgentId {
        self.config.agent.clone()
    }

    pub(super) fn wake(&self) -> Option<Mono> {
        self.sidecar.as_ref()?.next_wake().map(|(at, _)| at)
    }

    pub(super) fn has_up(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.up.is_empty())
    }

    pub(super) fn has_down(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.down.is_empty())
    }

    /// Whether it has nothing to do and nothing to say.
    pub(super) fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.journal.is_empty()
    }

    pub(super) fn mute(&mut self) {
        if let Some(link) = &mut self.link {
            link.mute = true;
        }
    }

    pub(super) fn unmute(&mut self) {
        if let Some(link) = &mut self.link {
            link.mute = false;
        }
    }

    pub(super) fn actions(&self, number: usize, actions: &mut Vec<Action>) {
        match &self.sidecar {
            None => actions.push(Action::Rise(number)),
            Some(_) => {
                actions.push(Action::Fell(number));
                actions.extend(self.has_up().then_some(Action::Up(number)));
                actions.extend(self.has_down().then_some(Action::Down(number)));
                actions.extend(self.link.as_ref().map(|_| Action::Cut(number)));
                let muted = self.link.as_ref().is_some_and(|link| !link.mute);
                actions.extend(muted.then_some(Action::Mute(number)));
                if !self.running.is_empty() {
                    actions.extend([Action::Finish(number), Action::Fail(number)]);
                }
            }
        }
    }

    /// Writes down what was decided; a planted bug does so one step late.
    fn write(&mut self, batch: Option<Batch>, plant: Option<Plant>) {
        let batch = match plant {
            Some(Plant::JournalAfterAccept) => core::mem::replace(&mut self.unwritten, batch),
            _ => batch,
        };
        let Some(batch) = batch else { return };
        self.journal.extend(batch.puts.into_iter().map(|(key, value)| (key, value.into())));
        batch.deletes.iter().for_each(|key| drop(self.journal.remove(key)));
    }
}

impl Stage {
    pub(super) fn rise(&mut self, n: usize) -> Result<(), Broken> {
        let agent = &mut self.agents[n];
        if agent.sidecar.is_some() {
            return Ok(());
        }
        let mut journal = Journal::default();
        for (key, value) in &agent.journal {
            journal.visit(key.table, &key.key, value).map_err(|bad| format!("{bad}"))?;
        }
        agent.boots += 1;
        agent.connections = 0;
        let (config, boot) = (agent.config.clone(), Boot(agent.boots));
        let kinds = Vec::from([kind()]);
        agent.sidecar = Some(Sidecar::new(config, kinds, boot, agent.boots, journal, 0));
        self.agent_step(n, Input::Wake)
    }

    /// The agent is gone at once, and its jobs with it.
    pub(super) fn fell(&mut self, n: usize) -> Result<(), Broken> {
        let agent = &mut self.agents[n];
        agent.sidecar = None;
        agent.unwritten = None;
        for claim in core::mem::take(&mut agent.running) {
            self.ledger.stopped(n, claim);
        }
        self.hang_up(n)
    }

    pub(super) fn cut(&mut self, n: usize) -> Result<(), Broken> {
        self.hang_up(n)?;
        self.agent_step(n, Input::Disconnected)
    }

    fn hang_up(&mut self, n: usize) -> Result<(), Broken> {
        let Some(link) = self.agents[n].link.take() else { return Ok(()) };
        let seat = self.seats[link.hub].as_mut();
        let known = seat.is_some_and(|seat| seat.links.remove(&link.session).is_some());
        if known { self.hub_step(link.hub, HubInput::Closed(link.session)) } else { Ok(()) }
    }

    /// The hub, or its end of the connection, is gone.
    pub(super) fn broken(&mut self, n: usize, session: SessionId) -> Result<(), Broken> {
        if let Some(link) = self.agents[n].link.as_mut().filter(|link| link.session == session) {
            link.up.clear();
            link.down.push_back(None);
        }
        Ok(())
    }

    pub(super) fn said(
        &mut self,
        place: usize,
        session: SessionId,
        mut frame: ToAgent,
    ) -> Result<(), Broken> {
        let Some(seat) = &self.seats[place] else { return Ok(()) };
        let Some(&n) = seat.links.get(&session) else { return Ok(()) };
        if let ToAgent::TaskAssign(assignment) = &frame {
            let number = seat.hub.state().number(assignment.task_id);
            self.ledger.assigned(n, assignment, number, &self.disk)?;
        }
        self.ledger.heard(&frame)?;
        if !Plant::says(self.staging.plant, &mut frame) {
            return Ok(());
        }
        if let Some(link) = self.agents[n].link.as_mut().filter(|link| link.session == session) {
            link.down.push_back(Some(frame));
        }
        Ok(())
    }

    pub(super) fn up(&mut self, n: usize) -> Result<(), Broken> {
        let Some(link) = &mut self.agents[n].link else { return Ok(()) };
        let Some(frame) = link.up.pop_front() else { return Ok(()) };
        let (place, session, mute) = (link.hub, link.session, link.mute);
        let Some(seat) = &self.seats[place] else { return Ok(()) };
        if mute || !seat.links.contains_key(&session) {
            return Ok(());
        }
        let token = matches!(frame, ToHub::Identify(_))
            .then(|| bench::token(self.agents[n].config.agent.as_str()));
        let needs = frame_needs(seat.hub.state(), &frame);
        let facts: Facts = self.disk.facts(seat.hub.state(), &needs);
        self.hub_step(place, HubInput::Frame { session, frame: Ok(frame), token, facts })
    }

    pub(super) fn down(&mut self, n: usize) -> Result<(), Broken> {
        let Some(link) = &mut self.agents[n].link else { return Ok(()) };
        match link.down.pop_front() {
            Some(Some(_)) if link.mute => Ok(()),
            Some(Some(frame)) => self.agent_step(n, Input::Frame(frame)),
            Some(None) => {
                self.agents[n].link = None;
                self.agent_step(n, Input::Disconnected)
            }
            None => Ok(()),
        }
    }

    pub(super) fn wake_agent(&mut self, n: usize) -> Result<(), Broken> {
        if self.agents[n].wake().is_some_and(|at| at <= self.now.mono) {
            self.agent_step(n, Input::Wake)?;
        }
        Ok(())
    }

    /// The first job of an agent ends.
    pub(super) fn end_job(&mut self, n: usize, well: bool) -> Result<(), Broken> {
        let Some(claim) = self.agents[n].running.pop_first() else { return Ok(()) };
        self.ledger.stopped(n, claim);
        let outcome = match well {
            true => JobOutcome::done(Json::null()),
            false => JobOutcome::retryable("it went badly"),
        };
        self.agent_step(n, Input::JobEnded { claim, outcome })
    }

    /// Steps, and does what follows, until nothing more does.
    fn agent_step(&mut self, n: usize, input: Input) -> Result<(), Broken> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let Some(sidecar) = &mut self.agents[n].sidecar else { return Ok(()) };
            let Step { batch, effects } = sidecar.step(now, input);
            self.agents[n].write(batch, self.staging.plant);
            for effect in effects {
                self.perform(n, effect, &mut inputs)?;
            }
        }
        Ok(())
    }

    fn perform(
        &mut self,
        n: usize,
        effect: Effect,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), Broken> {
        match effect {
            Effect::Connect => inputs.push_back(self.connect(n)?),
            Effect::Disconnect => self.hang_up(n)?,
            Effect::Send(frame) => {
                let agent = &mut self.agents[n];
                if Plant::reports(self.staging.plant, agent.connections, &frame) {
                    if self.staging.plant == Some(Plant::ReportErasedEarly)
                        && matches!(frame, ToHub::TaskComplete(_))
                    {
                        agent.journal.clear();
                    }
                    agent.link.iter_mut().for_each(|link| link.up.push_back(frame.clone()));
                }
            }
            Effect::Start(assignment) => {
                let claim = Claim::of(&assignment);
                self.agents[n].running.insert(claim);
                self.ledger.started(n, claim)?;
            }
            Effect::Stop(claim) => {
                if self.agents[n].running.remove(&claim) {
                    self.ledger.stopped(n, claim);
                    inputs.push_back(Input::JobEnded { claim, outcome: JobOutcome::Stopped });
                }
            }
            Effect::Answer { .. }
            | Effect::Grant { .. }
            | Effect::Measure
            | Effect::Log(_)
            | Effect::Exit(_) => {}
        }
        Ok(())
    }

    fn connect(&mut self, n: usize) -> Result<Input, Broken> {
        let Some(place) = self.newest_place() else {
            return Ok(Input::Unreachable("no hub runs".into()));
        };
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.agents[n].connections += 1;
        let (up, down) = (VecDeque::new(), VecDeque::new());
        self.agents[n].link = Some(Link { hub: place, session, up, down, mute: false });
        if let Some(seat) = &mut self.seats[place] {
            seat.links.insert(session, n);
        }
        let peer = "10.0.0.1".into();
        self.hub_step(place, HubInput::Opened { session, dialect: Dialect::V1, peer })?;
        Ok(Input::Connected)
    }
}
