//! This file plays the hub in the tests of single routes: it notes what it is asked and answers
//! what the test told it to.

pub(crate) mod client;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, Reply, Submitted};
use agentcom_core::driver::token::hash_of;
use agentcom_core::driver::{CallError, Feed, FeedItem};
use agentcom_core::id::{Incarnation, TaskId};
use agentcom_core::name::{AgentId, OperatorId, Principal};
use agentcom_core::operator::{Bearer, Holder, Operator, Right};
use agentcom_core::question::Question;
use agentcom_core::task::Task;
use agentcom_core::time::{Span, Wall};
use agentcom_core::view::{
    AgentView, Event, Lag, MoneyView, RepoView, RoutingView, Stats, TaskPage, TaskQuery, Why,
};
use futures_util::StreamExt as _;

/// The token of the admin.
pub(crate) const ADMIN: &str = "admin-token";
/// The token of the agent `a-1`.
pub(crate) const AGENT: &str = "agent-token";

/// The token of the agent `a-2`.
pub(crate) const OTHER: &str = "other-token";
/// A token of the operator `ci` that has expired. The words for rights are tokens that have them.
pub(crate) const EXPIRED: &str = "expired-token";

/// What a call was.
pub(crate) type Heard = (Principal, Option<Box<str>>, Command);

/// What the hub answers, and what it was asked.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) replies: VecDeque<Result<Reply, CallError>>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) pages: VecDeque<Result<TaskPage, CallError>>,
    pub(crate) queries: Vec<TaskQuery>,
    pub(crate) agents: Vec<AgentView>,
    pub(crate) whys: BTreeMap<TaskId, Why>,
    pub(crate) questions: Vec<Question>,
    pub(crate) money: MoneyView,
    pub(crate) prefixes: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) feed: Vec<FeedItem>,
    pub(crate) feed_stays_open: bool,
    pub(crate) oldest: u64,
    pub(crate) stats: Result<Stats, CallError>,
    pub(crate) panics: bool,
    pub(crate) operators: Vec<Operator>,
    /// Tokens that are not valid any more,
    pub(crate) ended: Vec<&'static str>,
    /// .. and those that end when the feed tells of the event of this number.
    pub(crate) ends_with: BTreeMap<u64, &'static str>,
    /// One that ends when a feed begins.
    pub(crate) ends_at_follow: Option<&'static str>,
}

/// A hub that follows a script.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Mutex<Script>>);

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Script {
            replies: VecDeque::new(),
            heard: Vec::new(),
            tasks: BTreeMap::new(),
            pages: VecDeque::new(),
            queries: Vec::new(),
            agents: Vec::new(),
            whys: BTreeMap::new(),
            questions: Vec::new(),
            money: MoneyView::default(),
            prefixes: Vec::new(),
            events: Vec::new(),
            feed: Vec::new(),
            feed_stays_open: false,
            oldest: 0,
            stats: Ok(figures()),
            panics: false,
            operators: Vec::new(),
            ended: Vec::new(),
            ends_with: BTreeMap::new(),
            ends_at_follow: None,
        })))
    }
}

fn figures() -> Stats {
    Stats {
        incarnation: Incarnation(7),
        seq: 42,
        tasks: vec![("ready", 3), ("working", 2)],
        ready_by_lane: [0, 1, 2, 0],
        ended: vec![("completed", 5), ("partial", 1), ("dead_letter", 4)],
        agents: vec![("offline", 2), ("idle", 1), ("working", 3)],
        questions: 1,
        stopped: false,
        paused: vec![agentcom_core::command::Scope::All],
        quiet_for: Span(30_000),
        lag: Lag { samples: 9, p50: Span(1), p99: Span(20), max: Span(33) },
    }
}

/// What a hub answers when all goes well.
fn usual(command: &Command) -> Reply {
    let submitted =
        |n: usize| Submitted { id: TaskId(n as u64 + 1), created_at: Wall(1_000), existing: false };
    match command {
        Command::Submit(_) => Reply::Submitted(submitted(0)),
        Command::SubmitBatch(drafts) => {
            Reply::SubmittedBatch((0..drafts.len()).map(submitted).collect())
        }
        Command::Cancel(_) => Reply::Cancelled { previous: "working" },
        Command::Revive(ids) => Reply::Revived { revived: ids.clone(), skipped: Vec::new() },
        Command::AddAgent { .. }
        | Command::RotateToken { .. }
        | Command::RemoveAgent(_)
        | Command::Drain(_)
        | Command::Resume(_)
        | Command::Restart { .. }
        | Command::Pause(_)
        | Command::Unpause(_)
        | Command::SetWeight { .. }
        | Command::SetOldestFirst { .. }
        | Command::SetCap { .. }
        | Command::SetPrice { .. }
        | Command::Estop { .. }
        | Command::Operator(_)
        | Command::Endpoint(_)
        | Command::Repo(_)
        | Command::Answer { .. } => Reply::Done,
    }
}

#[expect(clippy::unused_async, reason = "the real hub is asked in the same words")]
impl Hub {
    /// Reads or changes the script.
    pub(crate) fn script<T>(&self, with: impl FnOnce(&mut Script) -> T) -> T {
        with(&mut self.0.lock().unwrap())
    }

    /// A hub that answers one command so.
    pub(crate) fn answering(reply: Result<Reply, CallError>) -> Self {
        let hub = Self::default();
        hub.script(|script| script.replies.push_back(reply));
        hub
    }

    pub(crate) async fn call_for(
        &self,
        by: Principal,
        cause: Option<Box<str>>,
        command: Command,
    ) -> Result<Reply, CallError> {
        self.script(|script| {
            let usual = usual(&command);
            script.heard.push((by, cause, command));
            script.replies.pop_front().unwrap_or(Ok(usual))
        })
    }

    pub(crate) async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        Ok(self.script(|script| script.tasks.get(&id).cloned()))
    }

    pub(crate) async fn tasks(&self, query: TaskQuery) -> Result<TaskPage, CallError> {
        self.script(|script| {
            script.queries.push(query);
            let empty = TaskPage { tasks: Vec::new(), next: None };
            script.pages.pop_front().unwrap_or(Ok(empty))
        })
    }

    pub(crate) async fn why(&self, id: TaskId) -> Result<Option<Why>, CallError> {
        Ok(self.script(|script| script.whys.get(&id).cloned()))
    }

    pub(crate) async fn agents(&self) -> Result<Vec<AgentView>, CallError> {
        Ok(self.script(|script| script.agents.clone()))
    }

    pub(crate) async fn money(&self, prefix: String) -> Result<MoneyView, CallError> {
        Ok(self.script(|script| {
            script.prefixes.push(prefix);
            script.money.clone()
        }))
    }

    pub(crate) async fn routing(&self) -> Result<RoutingView, CallError> {
        Ok(RoutingView::default())
    }

    pub(crate) async fn repos(&self) -> Result<Vec<RepoView>, CallError> {
        Ok(Vec::new())
    }

    pub(crate) async fn questions(&self) -> Result<Vec<Question>, CallError> {
        Ok(self.script(|script| script.questions.clone()))
    }

    pub(crate) async fn stats(&self) -> Result<Stats, CallError> {
        let (panics, stats) = self.script(|script| (script.panics, script.stats.clone()));
        assert!(!panics, "secret detail");
        stats
    }

    pub(crate) async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, CallError> {
        self.script(|script| {
            if after < script.oldest {
                return Err(CallError::Gone { oldest: script.oldest });
            }
            let later = script.events.iter().filter(|event| event.seq > after);
            Ok(later.take(limit).cloned().collect())
        })
    }

    pub(crate) async fn follow(&self, after: Option<u64>) -> Result<Feed, CallError> {
        self.script(|script| {
            let oldest = script.oldest;
            if after.is_some_and(|after| after < oldest) {
                return Err(CallError::Gone { oldest });
            }
            script.ended.extend(script.ends_at_follow);
            let hub = self.clone();
            let items = futures_util::stream::iter(script.feed.clone());
            let items = items.inspect(move |item| hub.told(item));
            let open = script.feed_stays_open;
            Ok(match open {
                true => Box::new(items.chain(futures_util::stream::pending())) as Feed,
                false => Box::new(items),
            })
        })
    }

    /// What the feed told has happened.
    fn told(&self, item: &FeedItem) {
        let FeedItem::Event(event) = item else { return };
        self.script(|script| script.ended.extend(script.ends_with.get(&event.seq)));
    }

    pub(crate) async fn operators(&self) -> Result<Vec<Operator>, CallError> {
        Ok(self.script(|script| script.operators.clone()))
    }

    pub(crate) async fn bearer(&self, token: TokenHash) -> Result<Bearer, CallError> {
        let agent = |name: &str| Bearer::Holder(Holder::Agent(AgentId::new(name).unwrap()));
        let operator = |right: Right| {
            let name = OperatorId::new("ci").unwrap();
            Bearer::Holder(Holder::Operator(name, [right].into()))
        };
        let known = [
            (ADMIN, Bearer::Holder(Holder::Admin)),
            (AGENT, agent("a-1")),
            (OTHER, agent("a-2")),
            (EXPIRED, Bearer::Expired(OperatorId::new("ci").unwrap(), Wall(86_400_000))),
        ];
        let operators = Right::ALL.map(|right| (right.as_str(), operator(right)));
        let mut known = known.into_iter().chain(operators);
        let found = known.find(|(text, _)| hash_of(text).matches(&token));
        let ended = self.script(|script| script.ended.clone());
        let found = found.filter(|(text, _)| !ended.contains(text));
        Ok(found.map_or(Bearer::Nobody, |(_, bearer)| bearer))
    }
}
