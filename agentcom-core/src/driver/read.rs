//! This file answers readers: pages of tasks, events, agents, figures.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{CallError, Handle};
use crate::agent::Phase;
use crate::change::decode;
use crate::command::Parking;
use crate::endpoint::{Breaker, Endpoint};
use crate::id::Incarnation;
use crate::ledger::{Account, Period, Subject};
use crate::name::EndpointId;
use crate::port::store::{Range, RowKey, Store, StoreError, Table};
use crate::repo::{Registered, capability_of};
use crate::state::{EndedEntry, Group, State, ended_row, index_entries, index_prefix, task_key};
use crate::task::{Task, Tier};
use crate::view::{
    AccountView, AgentView, EndpointView, Event, Lag, MoneyView, RepoView, RoutingView, Stats,
    TaskPage, TaskQuery,
};
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

/// How many rows of an index are read at once.
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 256;

/// Where a page starts: behind a living task, or behind an ended one in its index.
enum Cursor {
    Living(u64),
    Ended(Place),
}

/// Where a reader is in an index of ended tasks.
struct Place {
    /// The key of the row that it read last.
    row: Vec<u8>,
    /// How many of the tasks in it were seen, from the one that ended last on.
    seen: usize,
}

impl Place {
    /// The key behind that of its row, so that the row is read again.
    fn behind_row(&self) -> Vec<u8> {
        [&self.row[..], &[0]].concat()
    }

    fn read(text: &str) -> Option<Self> {
        let (row, seen) = text.split_once('.')?;
        Some(Self { row: from_hex(row)?, seen: seen.parse().ok()? })
    }

    fn write(&self) -> String {
        format!("{}.{}", to_hex(&self.row), self.seen)
    }
}

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self, CallError> {
        let Some(text) = text else { return Ok(Self::Living(0)) };
        match text.split_once('.') {
            Some(("l", number)) => {
                number.parse().map(Self::Living).map_err(|_| CallError::BadCursor)
            }
            Some(("e", place)) => Place::read(place).map(Self::Ended).ok_or(CallError::BadCursor),
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
    let mut place = match Cursor::read(query.after.as_deref())? {
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
        Cursor::Ended(place) => Some(place),
    };
    if !wants(&query, true) {
        return Ok(TaskPage { tasks, next: None });
    }
    let next = ended_page(store, &query, &mut place, &mut tasks).await?;
    let next = place.filter(|_| next).map(|place| format!("e.{}", place.write()));
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

/// Adds ended tasks to a page; says whether there may be more behind `place`.
async fn ended_page(
    store: &dyn Store,
    query: &TaskQuery,
    place: &mut Option<Place>,
    tasks: &mut Vec<Task>,
) -> Result<bool, CallError> {
    let prefix = index_for(query);
    let mut scanned = 0;
    loop {
        let limit = (query.limit - tasks.len()).clamp(ROWS_MIN, ROWS_MAX);
        let range = Range {
            table: Table::EndedIndex,
            prefix: prefix.clone(),
            after: place.as_ref().map(Place::behind_row),
            backwards: true,
            limit,
        };
        let rows = store.history(range).await?;
        let is_last = rows.len() < limit;
        for (key, value) in rows {
            let entries = index_entries(&prefix, &key, &value)?;
            let was_here = place.take().filter(|place| place.row == key);
            let place = place.insert(was_here.unwrap_or(Place { row: key, seen: 0 }));
            let mut unseen = &entries[..entries.len().saturating_sub(place.seen)];
            while !unseen.is_empty() {
                if tasks.len() >= query.limit || scanned >= SCANNED_MAX {
                    return Ok(true);
                }
                let some = unseen.len().min((query.limit - tasks.len()).max(ROWS_MIN));
                let latest = &unseen[unseen.len() - some..];
                let seen = add_ended(store, query, latest, tasks).await?;
                place.seen += seen;
                scanned += seen;
                unseen = &unseen[..unseen.len() - seen];
            }
        }
        if is_last {
            return Ok(false);
        }
    }
}

/// Adds the tasks of some entries of an index to a page, the latest first, until it is full; returns
/// how many it looked at.
async fn add_ended(
    store: &dyn Store,
    query: &TaskQuery,
    entries: &[EndedEntry],
    tasks: &mut Vec<Task>,
) -> Result<usize, CallError> {
    let key = |entry: &EndedEntry| RowKey::new(Table::Ended, task_key(entry.number));
    let keys: Vec<RowKey> = entries.iter().rev().map(key).collect();
    let rows = store.get(&keys).await?;
    for (seen, (entry, (key, row))) in entries.iter().rev().zip(keys.iter().zip(rows)).enumerate() {
        if tasks.len() >= query.limit {
            return Ok(seen);
        }
        let task = row.map(|row| ended_row(&key.key, &row)).transpose()?;
        // One that came back since is elsewhere, if it has ended again; or here as well, if all of
        // that took less than the clock can tell.
        let task = task.filter(|task| task.life.updated_at == entry.at);
        let of_that_time = tasks.iter().rev().take_while(|task| task.life.updated_at == entry.at);
        let listed = |task: &Task| of_that_time.clone().any(|listed| listed.id == task.id);
        let task = task.filter(|task| !listed(task) && fits(task, query));
        tasks.extend(task);
    }
    Ok(entries.len())
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

/// What is spent, on accounts whose names begin with `prefix`.
pub(super) fn money(state: &State, prefix: &str) -> MoneyView {
    let (settings, ledger, now) = (state.settings(), state.ledger(), state.now().wall);
    let fits = |subject: &Subject| prefix.is_empty() || subject.to_string().starts_with(prefix);
    let mut accounts = ledger.accounts().filter(|(subject, _)| fits(subject));
    let view = |(subject, account): (&Subject, &Account)| AccountView {
        account: subject.clone(),
        day: account.tally(Period::Day, now),
        month: account.tally(Period::Month, now),
        ever: account.tally(Period::Ever, now),
        reserved: ledger.reserved(subject),
    };
    MoneyView {
        accounts: accounts.by_ref().take(MoneyView::ACCOUNTS_MAX).map(view).collect(),
        more: accounts.next().is_some(),
        caps: settings.caps.iter().map(|(cap, limit)| (cap.clone(), *limit)).collect(),
        prices: settings.prices.iter().map(|(model, price)| (model.clone(), *price)).collect(),
        stopped: settings.stopped,
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

/// All servers of models, and how they are doing.
pub(super) fn routing(state: &State) -> RoutingView {
    let routing = &state.settings().routing;
    let known = state.endpoints();
    let view = |(id, endpoint): (&EndpointId, &Endpoint)| {
        let health = known.health(id).cloned().unwrap_or_default();
        let (seen, now) = (health.seen.unwrap_or_default(), state.now());
        let account = endpoint.account(id);
        EndpointView {
            name: id.clone(),
            endpoint: endpoint.clone(),
            breaker: health.breaker.as_str(),
            open_until: match health.breaker {
                Breaker::Open { until, .. } => Some(now.wall + (until - now.mono)),
                Breaker::Closed { .. } | Breaker::HalfOpen { .. } => None,
            },
            error: health.error,
            heard_at: health.heard_at,
            version: seen.version,
            served: seen.models,
            machine: seen.machine,
            held: known.held(id).map(|(model, tasks)| (model.to_string(), tasks)).collect(),
            last_model: known.last(id).map(String::from),
            parked_until: routing.parked.get(&account).copied(),
            users_at_once: known.returning(&account),
        }
    };
    RoutingView {
        endpoints: routing.endpoints.iter().map(view).collect(),
        chains: Tier::ALL.map(|tier| (tier, routing.chain(tier))).into(),
        executors: routing.executors.clone(),
        parking: if routing.parking_off { Parking::Off } else { Parking::On },
    }
}

/// All registered repositories, the one that tasks without one are about first.
pub(super) fn repos(state: &State) -> Vec<RepoView> {
    let settings = state.settings();
    let view = |repo: &Registered| {
        let own = capability_of(repo.url.as_str());
        let has = |group: &Group| own.as_ref().is_ok_and(|own| group.abilities.has(own));
        let groups = state.fleet().groups().map(|(_, group)| group);
        RepoView {
            repo: repo.clone(),
            paused: settings.is_paused(&repo.url),
            agents: groups.filter(|group| has(group)).map(Group::len).sum(),
        }
    };
    settings.repos.iter().map(view).collect()
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
        stopped: state.settings().stopped,
        quiet_for: state.quiet_for(),
        lag: Lag::default(),
    }
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
