//! This file is a step in the making: the only place from which the state is changed.

mod end;
mod event;
mod late;
mod money;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::schedule::{Policy, TaskFacts};
use super::{Effect, Step, assignment, endpoints};
use crate::agent::{LastOutcome, TrustEvent};
use crate::change::{Change, Settings};
use crate::config::HubConfig;
use crate::guard::Guard;
use crate::id::{Lease, QuestionId, SessionId, TaskId};
use crate::json::Json;
use crate::name::{AgentId, Key, Principal};
use crate::question::Question;
use crate::state::{Clocks, Session, State};
use crate::state::{Dirty, PROBE, Pulse};
use crate::task::{
    Answer, Category, Ended, Fence, Hold, LeaseLoss, Outcome, Place, Refused, Spec, Task,
    TaskEvent, TaskState,
};
use crate::time::{Mono, Now, Span, Wall};
use crate::view::{Event, ProgressView};
use crate::wire::{Answered, Dialect, ToAgent};

/// A step in the making.
pub(super) struct Tx<'a> {
    pub(super) state: &'a mut State,
    pub(super) config: &'a HubConfig,
    pub(super) policy: &'a dyn Policy,
    /// On whose behalf things are recorded.
    pub(super) by: Principal,
    cause: Option<Box<str>>,
    /// Tasks that ended in this step and may have others waiting for them.
    pub(super) over: Vec<TaskId>,
    step: Step,
}

/// How long a plain client is left alone after a task that has no timeout was taken from it.
const BARRED_WITHOUT_TIMEOUT: Span = Span::from_mins(10);
/// How long a task waits for a quota when the agent does not say.
const QUOTA_WAIT: Span = Span::from_secs(60);
/// The most bytes of a description that an event repeats.
const EVENT_TEXT_MAX: usize = 120;

impl<'a> Tx<'a> {
    pub(super) fn new(
        state: &'a mut State,
        config: &'a HubConfig,
        policy: &'a dyn Policy,
        by: Principal,
        cause: Option<Box<str>>,
    ) -> Self {
        Self { state, config, policy, by, cause, over: Vec::new(), step: Step::default() }
    }

    pub(super) fn finish(self) -> Step {
        self.step
    }

    /// Whether a guard stands.
    pub(super) const fn on(&self, guard: Guard) -> bool {
        self.config.guards.on(guard)
    }

    pub(super) fn now(&self) -> Now {
        self.state.now()
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    pub(super) fn send(&mut self, session: SessionId, frame: ToAgent) {
        self.effect(Effect::Send(session, frame));
    }

    pub(super) fn progress(&mut self, news: ProgressView) {
        self.step.progress.push(news);
    }

    /// Makes a volatile change true.
    pub(super) fn feel(&mut self, pulse: Pulse) {
        self.state.feel(pulse);
    }

    /// Changes a connection.
    pub(super) fn session(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.state.session(id) {
            let mut session = session.clone();
            change(&mut session);
            self.feel(Pulse::Session(session.into()));
        }
    }

    /// Changes how the hub runs; what changes nothing is not recorded.
    pub(super) fn change_settings(&mut self, kind: &str, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.state.settings().clone();
        change(&mut settings);
        if settings != *self.state.settings() {
            self.record_as(kind, Change::Settings(settings.into()));
        }
    }

    /// Makes a durable change true, under a word of its own in the feed.
    pub(super) fn record_as(&mut self, kind: &str, change: Change) {
        self.record_with(kind, None, change);
    }

    /// As [`Tx::record_as`], and tells more of it in the feed.
    pub(super) fn record_with(&mut self, kind: &str, detail: Option<Json>, change: Change) {
        let mut event = self.event(kind);
        self.touch(&mut event, &change);
        event.detail = detail.or(event.detail);
        let founded = matches!(change, Change::Head(_));
        if founded {
            self.state.apply(change);
            event.seq = self.state.next_seq();
        } else {
            event.seq = self.state.next_seq();
            self.state.apply(change);
        }
        self.step.events.push(event);
    }

    /// Makes a change true that belongs to the next recorded one, and is told with it.
    pub(super) fn record_with_next(&mut self, change: Change) {
        if let Change::KeyUsed(key, _) = &change {
            self.dirty(Dirty::Key(key.clone()));
        }
        if let Change::Drawn(key, _) = &change {
            self.dirty(Dirty::Bucket(key.clone()));
        }
        self.state.apply(change);
    }

    /// An earlier use of a key is over, and its row goes with the next recorded change.
    pub(super) fn key_over(&mut self, key: Key, until: Wall) {
        self.dirty(Dirty::KeyOver(key, until));
    }

    fn event(&self, kind: &str) -> Event {
        Event {
            seq: 0,
            at: self.now().wall,
            by: self.by.clone(),
            cause: self.cause.clone(),
            kind: kind.into(),
            task_id: None,
            agent_id: None,
            operator: None,
            generation: None,
            detail: None,
        }
    }

    fn dirty(&mut self, fact: Dirty) {
        self.step.dirty.insert(fact);
    }

    /// A number that a fresh task or question is named by.
    pub(super) fn draw_number(
        &mut self,
        which: impl FnOnce(&mut crate::change::Head) -> &mut u64,
    ) -> (u64, u64) {
        let Some(mut head) = self.state.head().cloned() else { return (0, 0) };
        let counter = which(&mut head);
        let number = *counter;
        *counter += 1;
        let public = head.ids.hide(number);
        self.state.apply(Change::Head(head.into()));
        (number, public)
    }

    /// Brings an ended task back.
    pub(super) fn revive(&mut self, old: &Task) -> Result<(), Refused> {
        let place = self.place(&old.spec, old.id, 0);
        let life =
            old.life.on_under(self.config.guards, self.now().wall, TaskEvent::Revive(place))?;
        self.dirty(Dirty::Revived(old.id));
        let task = Task { id: old.id, spec: old.spec.clone(), life };
        self.record_as("task.revived", Change::TaskRevived(task.into()));
        Ok(())
    }

    /// Lets `event` happen to a task.
    pub(super) fn transition(&mut self, id: TaskId, event: TaskEvent) -> Result<(), Refused> {
        let task = self.state.task(id).ok_or(Refused::Over)?;
        // Most tasks have to do with neither models nor endpoints.
        let looks = task.spec.op.kind.as_str() == PROBE;
        let event = if looks { endpoints::undying(&task.spec, event) } else { event };
        let mut life = Box::new(task.life.on_under(self.config.guards, self.now().wall, event)?);
        let held = task.life.state.hold().cloned();
        let ended = life.attempts.last().and_then(|attempt| attempt.ended.clone());
        let kind = event::word(&life.state);
        let stays = life.state.hold().is_some();
        let is_routed = life.last_attempt().is_some_and(|attempt| attempt.route.is_some());
        if let (Some(hold), Some(ended), false) = (&held, &ended, stays)
            && (life.spend.is_some() || ended.tokens.is_some())
        {
            let spec = task.spec.clone();
            self.close_books(&spec, &mut life, hold, ended);
        }
        if life.state.is_over() {
            if looks {
                endpoints::looked(self, id, &life);
            }
            self.record_as(kind, Change::TaskEnded { id, life });
            self.over.push(id);
        } else {
            self.record_as(kind, Change::TaskMoved { id, life });
        }
        if let (Some(hold), Some(ended), false) = (held, ended, stays) {
            self.drop_spend_questions(id);
            if is_routed {
                endpoints::served(self, id, &ended);
            }
            self.attempt_ended(id, &hold, &ended);
        }
        Ok(())
    }

    /// Lets `event` happen to a task whose agent does not know of it, and tells the agent.
    pub(super) fn take_away(
        &mut self,
        id: TaskId,
        event: TaskEvent,
        reason: &str,
    ) -> Result<(), Refused> {
        let hold = self.state.task(id).and_then(|task| task.life.state.hold().cloned());
        let told = self.state.task(id).is_some_and(|task| task.spec.times().timeout.is_some());
        let timeout = self.state.clocks(id).filter(|_| told).and_then(|clocks| clocks.timeout);
        self.transition(id, event)?;
        if let Some(hold) = hold {
            self.tell_lost(id, &hold, timeout, reason);
        }
        Ok(())
    }

    fn tell_lost(&mut self, id: TaskId, hold: &Hold, timeout: Option<Mono>, reason: &str) {
        let now = self.now();
        let Some(session) = self.state.session_of(&hold.agent) else { return };
        let (session, dialect) = (session.id, session.dialect);
        if dialect == Dialect::Plain && self.on(Guard::Barred) {
            // A plain client does not stop what it runs: it is left alone until that must be over.
            let until = timeout.unwrap_or(now.mono + BARRED_WITHOUT_TIMEOUT);
            self.session(session, |session| {
                session.barred_until = Some(until.max(session.barred_until.unwrap_or_default()));
                session.shunned.insert(id);
            });
        }
        let frame = ToAgent::TaskCancelled {
            task_id: id,
            generation: hold.lease,
            reason: reason.into(),
            timestamp: now.wall,
        };
        self.send(session, frame);
    }

    fn attempt_ended(&mut self, id: TaskId, hold: &Hold, ended: &Ended) {
        let (agent, outcome) = (hold.agent.clone(), ended.outcome);
        let last = LastOutcome { task: id, outcome, at: ended.at };
        self.feel(Pulse::LastOutcome(agent.clone(), last));
        let since = self.now().wall;
        if matches!(outcome, Outcome::LeaseLost | Outcome::Failed(Category::Crash)) {
            // An agent that goes down has crashed once, however many leases it loses and whenever
            // that is known of each.
            if self.state.crashed_at(&agent).is_some_and(|crashed| hold.since < crashed) {
                return;
            }
            self.feel(Pulse::Crashed(agent.clone(), since));
        }
        let until = since + self.config.quarantine;
        let limit = self.config.agent_crashes_max;
        self.trust(
            &agent,
            match outcome {
                Outcome::NotAccepted => TrustEvent::Missed,
                Outcome::LeaseLost | Outcome::Failed(Category::Crash) => {
                    TrustEvent::Crashed { limit, since, until }
                }
                Outcome::Completed
                | Outcome::Partial
                | Outcome::Failed(_)
                | Outcome::TimedOut
                | Outcome::CalledOff => TrustEvent::Ended,
                Outcome::Released => return,
            },
        );
    }

    /// Lets `event` bear on the trust in an agent.
    pub(super) fn trust(&mut self, agent: &AgentId, event: TrustEvent) {
        let Some(agent) = self.state.agent(agent) else { return };
        let trust = agent.trust.on(event);
        if trust != agent.trust {
            let agent = crate::agent::Agent { trust, ..agent.clone() };
            self.record_as("agent.trust", Change::AgentSet(agent.into()));
        }
    }

    /// The deadlines of a hold that starts or starts anew.
    pub(super) fn grant(&mut self, id: TaskId) {
        let Some(task) = self.state.task(id) else { return };
        let Some(hold) = task.life.state.hold() else { return };
        let now = self.now().mono;
        let times = task.spec.times();
        // Of whoever is not connected nothing is known, and nothing more is granted.
        let session = self.state.session_of(&hold.agent);
        let dialect = session.map_or(Dialect::V1, |session| session.dialect);
        let assigned = matches!(task.life.state, TaskState::Assigned(_));
        let lenient = self.state.lenient_until();
        let clocks = Clocks {
            lease: self.lease_end(&task.spec, dialect),
            accept: assigned.then(|| (now + self.config.accept_within).max(lenient)),
            timeout: Some(now + times.timeout.unwrap_or(self.config.timeout)),
            stuck: (dialect == Dialect::Plain).then(|| now + self.config.stuck_after),
            told: now,
            missing: 0,
        };
        self.feel(Pulse::Clocks(id, clocks));
    }

    /// When a lease is over that is granted at this moment.
    pub(super) fn lease_end(&self, spec: &Spec, dialect: Dialect) -> Mono {
        let end = self.now().mono + assignment::lease_ttl(self.config, spec, dialect);
        end.max(self.state.lenient_until())
    }

    /// When a connection that is heard at this moment counts as silent.
    pub(super) fn silent_at(&self, dialect: Dialect) -> Mono {
        let after = match dialect {
            Dialect::V1 => self.config.silent_after,
            Dialect::Plain => self.config.plain_silent_after,
        };
        self.now().mono + after
    }

    /// Changes the deadlines of a held task.
    pub(super) fn clocks(&mut self, id: TaskId, change: impl FnOnce(&mut Clocks)) {
        if let Some(clocks) = self.state.clocks(id) {
            let mut clocks = *clocks;
            change(&mut clocks);
            self.feel(Pulse::Clocks(id, clocks));
        }
    }

    /// The place that a task gets that becomes ready.
    pub(super) fn place(&self, spec: &Spec, id: TaskId, failures: u32) -> Place {
        let flow = (spec.priority.lane(), spec.fair_key().cloned());
        let start_tag = self.state.fair().start_tag(&flow);
        let facts = TaskFacts { id, spec, failures, ready_at: self.now().wall, start_tag };
        // The smallest number is the front, and the largest marks an empty lane.
        let order = self.policy.key(&facts).saturating_add(1).min(u64::MAX - 1);
        Place { order, tag: start_tag }
    }

    /// The state in which a task waits for an agent from this moment on.
    pub(super) fn ready(&self, task: &Task) -> TaskState {
        let place = self.place(&task.spec, task.id, task.life.failures);
        TaskState::Ready { since: self.now().wall, place }
    }

    /// The state of a task that was given back: in front of its lane.
    pub(super) fn front(&self, task: &Task) -> TaskState {
        let tag = self.place(&task.spec, task.id, task.life.failures).tag;
        TaskState::Ready { since: self.now().wall, place: Place { order: Place::FRONT, tag } }
    }

    /// Tells whoever asked what the answer is, unless somebody was given the task since: what was said
    /// of one attempt allows nothing in another, which may be asking for something else.
    pub(super) fn tell_who_asked(&mut self, question: &Question, answer: &Json, defaulted: bool) {
        let life = self.state.life(question.task);
        let session = self.state.session_of(&question.asked_by).map(|session| session.id);
        let of_latest = life.is_some_and(|life| life.lease == question.lease);
        let Some(session) = session.filter(|_| of_latest) else { return };
        let (question_id, task_id, answer) = (question.id, question.task, answer.clone());
        let frame = Answered { question_id, task_id, answer, defaulted };
        self.send(session, ToAgent::QuestionAnswered(frame));
    }

    /// Lets a task go on that was parked for the answer to a question, if it still is.
    pub(super) fn go_on_with(
        &mut self,
        id: TaskId,
        question: QuestionId,
        answer: Answer,
    ) -> Result<(), Refused> {
        match self.state.task(id) {
            Some(task) if task.life.state.waits_for(question) => {
                let place = self.place(&task.spec, id, task.life.failures);
                self.transition(id, TaskEvent::Due(place, Some(answer.into())))
            }
            _ => Ok(()),
        }
    }

    /// Takes a held task away from an agent that lost it.
    pub(super) fn lose(&mut self, id: TaskId, outcome: Outcome, why: &str) {
        let Some(task) = self.state.task(id) else { return };
        let Some(fence) = task.life.state.hold().map(Hold::fence) else { return };
        let (ended, then) = self.end_of(task, outcome, Some(why.into()), None);
        let works_on =
            outcome == Outcome::LeaseLost && task.spec.on_lease_loss == LeaseLoss::Continue;
        let dialect = self.state.session_of(&fence.agent).map(|session| session.dialect);
        let event = TaskEvent::End(fence, ended, then);
        // The hold was read in this step, so the fence fits.
        let _ = if works_on && dialect == Some(Dialect::V1) {
            // It hears from the next heartbeat that its result may come too late.
            self.transition(id, event)
        } else {
            self.take_away(id, event, why)
        };
    }

    /// What a message about a task has to match, if the agent names no assignment.
    pub(super) fn fence(&self, id: TaskId, agent: &AgentId, lease: Option<Lease>) -> Option<Fence> {
        let lease = match lease {
            Some(lease) => lease,
            None => {
                let hold = self.state.task(id)?.life.state.hold()?;
                (hold.agent == *agent || !self.on(Guard::Owner)).then_some(hold.lease)?
            }
        };
        Some(Fence { agent: agent.clone(), lease })
    }
}
