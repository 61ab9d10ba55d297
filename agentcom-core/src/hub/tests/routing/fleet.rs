//! This file is a bench with endpoints, and agents that do coding tasks and look at endpoints.

use super::super::*;
use crate::command::EndpointCommand;
use crate::endpoint::{Announced, Breaker, Endpoint, Fault, Seen};
use crate::id::{Boot, SessionId};
use crate::ledger::{Call, Granted, Spending};
use crate::money::Usage;
use crate::name::{EndpointId, ModelName};
use crate::task::{Category, Tier, Traces};
use crate::wire::{Complete, Failed, Identify, SpendCall};
use alloc::string::String;
use alloc::vec::Vec;

/// The endpoint and the model that a task was given.
pub(super) type At = Option<(String, String)>;

pub(in super::super) struct Fleet {
    pub(in super::super) bench: Bench,
    sessions: Vec<(u64, &'static str)>,
}

impl Fleet {
    pub(in super::super) fn new() -> Self {
        Self { bench: Bench::new(), sessions: Vec::new() }
    }

    pub(super) fn tell(&mut self, command: EndpointCommand) -> Reply {
        self.bench.call(Command::Endpoint(command))
    }

    pub(super) fn set(&mut self, name: &str, endpoint: Endpoint) {
        let id = EndpointId::new(name).unwrap();
        assert_eq!(self.tell(EndpointCommand::Set(id, endpoint.into())), Reply::Done);
    }

    /// An agent connects that codes.
    pub(super) fn join(&mut self, name: &'static str, slots: u32, can: &[&str]) -> u64 {
        self.join_with(name, &["code"], slots, can)
    }

    /// An agent connects that looks at endpoints.
    pub(super) fn looker(&mut self) -> u64 {
        self.join_with("looker", &["probe"], 4, &["key-me"])
    }

    /// An agent connects that has executors of these kinds, and the sandbox that models work in.
    pub(super) fn join_with(
        &mut self,
        name: &'static str,
        kinds: &[&str],
        slots: u32,
        can: &[&str],
    ) -> u64 {
        self.join_as(name, kinds, slots, &[can, &["sandbox-l2"]].concat())
    }

    /// An agent connects that has executors of these kinds, and nothing but these capabilities.
    pub(in super::super) fn join_as(
        &mut self,
        name: &'static str,
        kinds: &[&str],
        slots: u32,
        can: &[&str],
    ) -> u64 {
        self.identify(
            name,
            Identify {
                capabilities: Some(can.iter().map(|can| String::from(*can)).collect()),
                executors: Some(kinds.iter().map(|kind| String::from(*kind)).collect()),
                slots: Some(slots),
                ..Identify::default()
            },
        )
    }

    /// An agent connects that codes and looks, and announces these.
    pub(super) fn join_announcing(&mut self, name: &'static str, models: Option<Announced>) -> u64 {
        let kinds = ["acp", "code"].map(String::from).into();
        let capabilities = Some(["sandbox-l2"].map(String::from).into());
        let frame = Identify {
            executors: Some(kinds),
            capabilities,
            slots: Some(9),
            models,
            ..Identify::default()
        };
        self.identify(name, frame)
    }

    pub(super) fn identify(&mut self, name: &'static str, frame: Identify) -> u64 {
        let (id, token) = (agent_id(name), crate::testing::bench::token(name));
        if self.bench.hub.state().agent(&id).is_none() {
            self.bench.call(Command::AddAgent { id, token });
        }
        let session = 1_000 + self.sessions.len() as u64;
        self.sessions.push((session, name));
        self.bench.open(session, Dialect::V1);
        let frame =
            ToHub::Identify(Identify { agent_id: name.into(), boot: Some(Boot(session)), ..frame });
        let (session, token) = (SessionId(session), Some(token));
        self.bench.step(Input::Frame { session, frame: Ok(frame), token, facts: Facts::default() });
        session.0
    }

    pub(super) fn submit(&mut self, tier: Tier, model: Option<&str>) -> TaskId {
        let input = match model {
            Some(model) => Json::parse(&alloc::format!(r#"{{"model":{model:?}}}"#)).unwrap(),
            None => Json::null(),
        };
        let mut draft = Draft::new(Kind::new("code").unwrap(), input);
        draft.coding.tier = Some(tier);
        self.bench.submit(draft)
    }

    /// The coding tasks that a session was sent since it was last asked.
    pub(super) fn given(&mut self, session: u64) -> Vec<(TaskId, At)> {
        let mut given = Vec::new();
        for frame in self.bench.said(session) {
            if let ToAgent::TaskAssign(job) = frame {
                let at = job.route.map(|it| (it.endpoint.as_str().into(), it.model));
                given.push((job.task_id, at));
            }
        }
        given
    }

    /// The endpoints of these.
    pub(super) fn names(&mut self, session: u64) -> Vec<String> {
        self.given(session)
            .into_iter()
            .map(|(_, at)| at.map_or_else(String::new, |at| at.0))
            .collect()
    }

    fn agent(&self, session: u64) -> AgentId {
        let found = self.sessions.iter().find(|(own, _)| *own == session);
        agent_id(found.unwrap().1)
    }

    /// How many tasks the agent of a session holds.
    pub(super) fn holds(&self, session: u64) -> usize {
        self.bench.holds(&self.agent(session)).len()
    }

    /// What it holds of one kind, the longest held first.
    fn held(&self, session: u64, kind: &str) -> Option<Held> {
        let held = self.bench.holds(&self.agent(session));
        held.into_iter().find(|held| self.bench.task(held.task_id).spec.op.kind.as_str() == kind)
    }

    /// A task that looks at an endpoint, if the agent holds one.
    pub(super) fn look(&self, session: u64) -> Option<Held> {
        self.held(session, "probe")
    }

    /// The agent has looked.
    pub(super) fn saw(&mut self, session: u64, look: Held, seen: &Seen) {
        self.bench.accept(session, look);
        let frame = Complete {
            task_id: look.task_id,
            generation: look.generation,
            incarnation: None,
            result: Json::of(seen).ok(),
            partial: None,
            tokens_used: None,
            verification_report: None,
            left: Default::default(),
        };
        self.bench.frame(session, ToHub::TaskComplete(frame));
    }

    /// The endpoint does not serve the coding task that an agent holds.
    pub(super) fn fault(&mut self, session: u64, fault: Fault, after: Option<Span>) {
        self.fault_of(session, "code", fault, after);
    }

    /// The endpoint does not serve the task of a kind that an agent holds.
    pub(super) fn fault_of(&mut self, session: u64, kind: &str, fault: Fault, after: Option<Span>) {
        let held = self.held(session, kind).unwrap();
        self.bench.accept(session, held);
        let frame = Failed {
            task_id: held.task_id,
            generation: held.generation,
            incarnation: None,
            error: Some("boom".into()),
            reason: None,
            category: Some(Category::Quota),
            fault: Some(fault),
            retry_after_ms: after,
            tokens_used: None,
            left: Default::default(),
        };
        self.bench.frame(session, ToHub::TaskFailed(frame));
    }

    /// What the hub grants for a call of a model of which the agent does not say what it costs.
    pub(super) fn asks_to_pay(&mut self, session: u64, model: &str) -> Granted {
        let Held { task_id, generation } = self.held(session, "code").unwrap();
        self.bench.accept(session, Held { task_id, generation });
        self.bench.said(session);
        let usage = Usage { input_tokens: 1_000, ..Usage::default() };
        let model = ModelName::new(model).unwrap();
        let call = Call { number: 1, spending: Spending { model, usage, micros: None } };
        let frame = SpendCall { task_id, generation, call };
        self.bench.frame(session, ToHub::SpendReserve(frame));
        let said = self.bench.said(session).into_iter().find_map(|frame| {
            if let ToAgent::SpendAnswered(answer) = frame { answer.granted } else { None }
        });
        said.unwrap()
    }

    /// The agent does the coding task that it holds: which, and with which model.
    pub(super) fn serve(&mut self, session: u64) -> Option<(TaskId, String)> {
        let held = self.held(session, "code")?;
        let attempt = self.bench.task(held.task_id).life.last_attempt()?.clone();
        let model = attempt.route.and_then(|it| it.chosen).map(|it| it.model.into());
        self.bench.accept(session, held);
        self.bench.complete(session, held);
        Some((held.task_id, model.unwrap_or_default()))
    }

    /// The agent is done with the coding task that it holds, having taken so many tokens; of its model it
    /// says nothing.
    pub(super) fn completes(&mut self, session: u64, tokens_used: Option<u64>) {
        let held = self.held(session, "code").unwrap();
        self.bench.accept(session, held);
        let frame = Complete {
            task_id: held.task_id,
            generation: held.generation,
            incarnation: None,
            result: None,
            partial: None,
            tokens_used,
            verification_report: None,
            left: None,
        };
        self.bench.frame(session, ToHub::TaskComplete(frame));
    }

    /// The attempt of an agent at its coding task ends with a part, or with a failure if there is none,
    /// having taken so many tokens; what it says of its model.
    pub(super) fn stops(&mut self, session: u64, part: bool, tokens: u64, answered: Option<bool>) {
        let held = self.held(session, "code").unwrap();
        self.bench.accept(session, held);
        let Held { task_id, generation } = held;
        let (incarnation, tokens_used) = (None, Some(tokens));
        let left = Some(Traces { answered, ..Traces::default() });
        let frame = if part {
            let (result, partial, verification_report) = (None, Some(true), None);
            ToHub::TaskComplete(Complete {
                task_id,
                generation,
                incarnation,
                result,
                partial,
                tokens_used,
                verification_report,
                left,
            })
        } else {
            ToHub::TaskFailed(Failed {
                task_id,
                generation,
                incarnation,
                error: None,
                reason: None,
                category: Some(Category::Permanent),
                fault: None,
                retry_after_ms: None,
                tokens_used,
                left,
            })
        };
        self.bench.frame(session, frame);
    }

    /// Lets time pass in which an agent is heard; what it was asked to look at it has not seen yet.
    pub(super) fn pass_hearing(&mut self, session: u64, span: Span) {
        let end = self.bench.now.mono + span;
        while self.bench.now.mono < end {
            let step = Span::from_secs(5).min(end - self.bench.now.mono);
            let held = self.bench.holds(&self.agent(session));
            for task in &held {
                if self.bench.word(task.task_id) == "assigned" {
                    self.bench.accept(session, *task);
                }
            }
            self.bench.ping(session, &held);
            self.bench.pass(step);
        }
    }

    pub(super) fn breaker(&self, name: &str) -> Breaker {
        let id = EndpointId::new(name).unwrap();
        self.bench.hub.state().endpoints().health(&id).unwrap().breaker
    }

    /// Whether an agent holds a coding task.
    pub(super) fn coding(&self, session: u64) -> bool {
        self.held(session, "code").is_some()
    }

    /// The coding task that an agent holds fails.
    pub(super) fn fail(&mut self, session: u64, category: Category) {
        if let Some(held) = self.held(session, "code") {
            self.bench.fail(session, held, category);
        }
    }

    /// Tasks that have not ended.
    pub(super) fn living(&self) -> Vec<TaskId> {
        self.bench.hub.state().tasks().map(|task| task.id).collect()
    }
}
