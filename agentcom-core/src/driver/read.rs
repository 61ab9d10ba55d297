//! This file answers readers: pages of tasks, events, agents, figures.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{CallError, Handle};
use crate::agent::{Phase, TokenHash};
use crate::change::decode;
use crate::id::Incarnation;
use crate::name::Principal;
use crate::port::store::{Range, RowKey, Store, StoreError, Table};
use crate::state::{State, ended_row, index_prefix, task_key};
use crate::task::Task;
use crate::view::{AgentView, Event, Lag, Stats, TaskPage, TaskQuery};
use crate::wire::Held;

/// How many rows one page looks at, so that a filter that fits little does not read for ever.
const SCANNED_MAX: usize = 5_000;

/// An ended task by its number.
pub(super) async fn ended(store: &dyn Store, number: u64) -> Result<Option<Task>, StoreError> {
    let key = RowKey::new(Table::Ended, task_key(number));
    let mut rows = store.get(core::slice::from_ref(&key)).await?;
    match rows.pop().flatten() {
        Some(row) => ended_row(&key.key, &row).map(Some),
        None => Ok(None),
    }
}

/// Where a page starts: behind a living task, or behind an ended one in its index.
enum Cursor {
    Living(u64),
    Ended(Option<Vec<u8>>),
}

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self, CallError> {
        let Some(text) = text else { return Ok(Self::Living(0)) };
        match text.split_once('.') {
            Some(("l", number)) => {
                number.parse().map(Self::Living).map_err(|_| CallError::BadCursor)
            }
            Some(("e", "")) => Ok(Self::Ended(None)),
            Some(("e", hex)) => {
                from_hex(hex).map(|key| Self::Ended(Some(key))).ok_or(CallError::BadCursor)
            }
            _ => Err(CallError::BadCursor),
        }
    }
}

pub(super) async fn page(
    handle: &Handle,
    store: &dyn Store,
    mut query: TaskQuery,
) -> Result<TaskPage, CallError> {
    query.limit = if query.limit == 0 { 50 } else { query.limit.min(TaskQuery::LIMIT_MAX) };
    let mut tasks = Vec::new();
    let mut after = match Cursor::read(query.after.as_deref())? {
        Cursor::Living(number) if wants(&query, false) => {
            let asked = query.clone();
            let (found, next) = handle.view(move |state| living(state, &asked, number)).await?;
            tasks = found;
            if let Some(next) = next {
                return Ok(TaskPage { tasks, next: Some(format!("l.{next}")) });
            }
            None
        }
        Cursor::Living(_) => None,
        Cursor::Ended(after) => after,
    };
    if !wants(&query, true) {
        return Ok(TaskPage { tasks, next: None });
    }
    let next = ended_page(store, &query, &mut after, &mut tasks).await?;
    let next = next.then(|| format!("e.{}", to_hex(after.as_deref().unwrap_or_default())));
    Ok(TaskPage { tasks, next })
}

/// Whether a query asks for living or for ended tasks.
fn wants(query: &TaskQuery, over: bool) -> bool {
    let is_over = |word: &String| {
        matches!(word.as_str(), "completed" | "partial" | "dead_letter" | "cancelled")
    };
    query.states.is_empty() || query.states.iter().any(|word| is_over(word) == over)
}

fn living(state: &State, query: &TaskQuery, after: u64) -> (Vec<Task>, Option<u64>) {
    let mut found = Vec::new();
    for (scanned, (number, task)) in state.tasks_after(after).enumerate() {
        if found.len() == query.limit || scanned == SCANNED_MAX {
            return (found, Some(number - 1));
        }
        if fits(task, query) {
            found.push(task.clone());
        }
    }
    (found, None)
}

/// Adds ended tasks to a page; says whether there may be more behind `after`.
async fn ended_page(
    store: &dyn Store,
    query: &TaskQuery,
    after: &mut Option<Vec<u8>>,
    tasks: &mut Vec<Task>,
) -> Result<bool, CallError> {
    let prefix = index_for(query);
    let mut scanned = 0;
    while scanned < SCANNED_MAX {
        if tasks.len() >= query.limit {
            return Ok(true);
        }
        let limit = (query.limit - tasks.len()).max(16);
        let range = Range {
            table: Table::EndedIndex,
            prefix: prefix.clone(),
            after: after.clone(),
            backwards: true,
            limit,
        };
        let rows = store.history(range).await?;
        let last = rows.len() < limit;
        scanned += rows.len();
        let number = |key: &[u8]| key.last_chunk::<8>().map(|number| u64::from_be_bytes(*number));
        let keys: Vec<RowKey> = rows
            .iter()
            .filter_map(|(key, _)| Some(RowKey::new(Table::Ended, task_key(number(key)?))))
            .collect();
        for ((index, _), (key, row)) in rows.iter().zip(keys.iter().zip(store.get(&keys).await?)) {
            if tasks.len() >= query.limit {
                return Ok(true);
            }
            *after = Some(index.clone());
            let task = row.map(|row| ended_row(&key.key, &row)).transpose()?;
            tasks.extend(task.filter(|task| fits(task, query)));
        }
        if last {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The narrowest index for a query.
fn index_for(query: &TaskQuery) -> Vec<u8> {
    if let Some(agent) = &query.agent {
        return index_prefix(b'a', agent.as_str());
    }
    if let Some(goal) = &query.goal {
        return index_prefix(b'g', goal.as_str());
    }
    if let [state] = &query.states[..] {
        return index_prefix(b's', state);
    }
    match &query.submitted_by {
        Some(by) => index_prefix(b'b', &by.to_string()),
        None => index_prefix(b't', ""),
    }
}

fn fits(task: &Task, query: &TaskQuery) -> bool {
    let state = task.life.state.as_str();
    let agent = || match (&task.life.state, task.life.attempts.last()) {
        (state, _) if !state.is_over() => state.hold().map(|hold| &hold.agent),
        (_, last) => last.map(|attempt| &attempt.agent),
    };
    (query.states.is_empty() || query.states.iter().any(|word| word == state))
        && query.priority.is_none_or(|priority| priority == task.spec.priority)
        && query.agent.as_ref().is_none_or(|wanted| agent() == Some(wanted))
        && query.goal.as_ref().is_none_or(|goal| task.spec.goal_id() == Some(goal))
        && query.submitted_by.as_ref().is_none_or(|by| task.spec.submitted_by == *by)
}

/// Events after a number; a row holds those of one commit.
pub(super) async fn events(
    store: &dyn Store,
    after: u64,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let mut found: Vec<Event> = Vec::new();
    // The row that `after` lies in may hold later ones as well.
    let first = Range {
        table: Table::Event,
        prefix: Vec::new(),
        after: Some(after.saturating_add(1).to_be_bytes().into()),
        backwards: true,
        limit: 1,
    };
    let mut rows = store.history(first).await?;
    let mut at = after.to_be_bytes().to_vec();
    loop {
        for (key, row) in &rows {
            let events: Vec<Event> = decode(Table::Event, key, row)?;
            found.extend(events.into_iter().filter(|event| event.seq > after));
            at = at.max(key.clone());
        }
        if found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
        let next = Range {
            table: Table::Event,
            prefix: Vec::new(),
            after: Some(at.clone()),
            backwards: false,
            limit: 64,
        };
        rows = store.history(next).await?;
        if rows.is_empty() {
            return Ok(found);
        }
    }
}

pub(super) fn agents(state: &State) -> Vec<AgentView> {
    let view = |agent: &crate::agent::Agent| {
        let session = state.session_of(&agent.id);
        let lease = |id| state.task(id).map(|task| task.life.lease).unwrap_or_default();
        AgentView {
            agent: agent.clone(),
            phase: state.phase(&agent.id),
            profile: state.profile(&agent.id).cloned(),
            dialect: session.map(|session| session.dialect),
            connected_at: session.map(|session| session.opened_at),
            silent_for: session.map(|session| state.now().mono - session.seen),
            status: session.and_then(|session| session.status.clone()),
            resources: session.and_then(|session| session.resources.clone()),
            last_outcome: state.last_outcome(&agent.id).cloned(),
            held: state
                .held_by(&agent.id)
                .map(|id| Held { task_id: id, generation: lease(id) })
                .collect(),
        }
    };
    state.agents().map(view).collect()
}

pub(super) fn stats(state: &State) -> Stats {
    const LIVING: [&str; 6] = ["blocked", "delayed", "ready", "assigned", "working", "waiting"];
    const ENDED: [&str; 4] = ["completed", "partial", "dead_letter", "cancelled"];
    const PHASES: [Phase; 6] = [
        Phase::Offline,
        Phase::Idle,
        Phase::Assigned,
        Phase::Working,
        Phase::Blocked,
        Phase::Draining,
    ];
    let mut agents = PHASES.map(|phase| (phase.as_str(), 0));
    for agent in state.agents() {
        let phase = state.phase(&agent.id);
        agents.iter_mut().filter(|(word, _)| *word == phase.as_str()).for_each(|(_, n)| *n += 1);
    }
    let head = state.head();
    Stats {
        incarnation: head.map_or(Incarnation(0), |head| head.incarnation),
        seq: state.seq(),
        tasks: LIVING.into_iter().zip(state.by_state()).collect(),
        ready_by_lane: state.ready().by_lane(),
        ended: ENDED.into_iter().zip(head.map_or([0; 4], |head| head.ended)).collect(),
        agents: agents.to_vec(),
        questions: state.questions().len() as u64,
        paused: state.settings().paused.iter().cloned().collect(),
        quiet_for: state.quiet_for(),
        lag: Lag::default(),
    }
}

/// Who holds the token with this digest. Every token is compared, so that time tells nothing.
pub(super) fn holder(state: &State, token: &TokenHash) -> Option<Principal> {
    let admin = state.head().is_some_and(|head| head.admin.matches(token));
    let mut found = admin.then_some(Principal::Admin);
    for agent in state.agents() {
        for known in &agent.tokens {
            if known.matches(token) && found.is_none() {
                found = Some(Principal::Agent(agent.id.clone()));
            }
        }
    }
    found
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    for pair in text.as_bytes().chunks(2) {
        let pair = core::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
    }
    Some(bytes)
}
