//! This file takes tasks in: single ones, and graphs of them that come whole or not at all.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::super::tx::Tx;
use super::settle;
use crate::change::Change;
use crate::command::{Facts, KeyUse, Rejected, Reply, Submitted};
use crate::guard::Guard;
use crate::id::TaskId;
use crate::name::Principal;
use crate::rng::scramble;
use crate::state::bytes_of;
use crate::task::{Delay, Dependency, Draft, Life, Spec, Task, TaskState};
use crate::time::{Span, Wall};

/// When to try again if the queue is full.
const RETRY_AFTER: Span = Span::from_secs(1);

pub(super) fn submit(tx: &mut Tx<'_>, draft: Draft, facts: &Facts) -> Result<Reply, Rejected> {
    let mut submitted = take_all(tx, vec![draft], facts)?;
    Ok(submitted.pop().map_or(Reply::Done, Reply::Submitted))
}

pub(super) fn submit_batch(
    tx: &mut Tx<'_>,
    drafts: Vec<Draft>,
    facts: &Facts,
) -> Result<Reply, Rejected> {
    let max = tx.config.batch_max;
    if drafts.is_empty() || drafts.len() > max && tx.on(Guard::BatchMax) {
        return Err(Rejected::BatchSize { found: drafts.len(), max });
    }
    take_all(tx, drafts, facts).map(Reply::SubmittedBatch)
}

/// A task of a batch that is to be added.
struct Fresh {
    id: TaskId,
    spec: Spec,
    body: u64,
    /// Those of its dependencies that have yet to end.
    open: Vec<TaskId>,
    /// When the time of an earlier use of its key was over.
    key_over: Option<Wall>,
}

enum Taken {
    Existing(Submitted),
    Fresh(Box<Fresh>),
}

fn take_all(
    tx: &mut Tx<'_>,
    drafts: Vec<Draft>,
    facts: &Facts,
) -> Result<Vec<Submitted>, Rejected> {
    let order = order(&drafts)?;
    let bodies: Vec<u64> = drafts.iter().map(digest).collect();
    let known: Vec<Option<KeyUse>> =
        drafts.iter().map(|draft| used_key(tx, draft, facts)).collect();
    for (body, used) in bodies.iter().zip(&known) {
        if let Some(used) = used.as_ref().filter(|used| used.body != *body && tx.on(Guard::KeyBody))
        {
            return Err(Rejected::KeyConflict { id: used.task });
        }
    }
    twins(&drafts)?;
    let asked = check_fresh(tx, drafts, &known, facts)?;
    // Ids are given in the order of the batch, so that they sort like it.
    let ids: Vec<TaskId> = known
        .iter()
        .map(|used| match used {
            Some(used) => used.task,
            None => TaskId(tx.draw_number(|head| &mut head.next_task).1),
        })
        .collect();
    let mut taken: Vec<Option<Taken>> = Vec::new();
    for (index, asked) in asked.into_iter().enumerate() {
        taken.push(match (asked, &known[index]) {
            (Some(asked), _) => {
                let fresh = fresh(tx, asked, ids[index], &ids, bodies[index], facts);
                Some(Taken::Fresh(fresh.into()))
            }
            (None, used) => used.as_ref().map(|used| Taken::Existing(existing(tx, used, facts))),
        });
    }
    Ok(add_in_order(tx, order, taken))
}

/// Adds tasks so that each comes after those that it depends on, and answers in batch order.
fn add_in_order(
    tx: &mut Tx<'_>,
    order: Vec<usize>,
    mut taken: Vec<Option<Taken>>,
) -> Vec<Submitted> {
    let mut submitted: Vec<Option<Submitted>> = vec![None; taken.len()];
    for index in order {
        submitted[index] = match taken[index].take() {
            Some(Taken::Existing(existing)) => Some(existing),
            Some(Taken::Fresh(fresh)) => Some(add(tx, *fresh)),
            None => None,
        };
    }
    submitted.into_iter().flatten().collect()
}

/// A valid task whose dependencies have no ids yet.
struct Asked {
    spec: Spec,
    depends_on: Vec<Dependency>,
    /// When the time of an earlier use of its key was over.
    key_over: Option<Wall>,
}

/// What is to be added, if it may be added and fits. What was submitted before is there already,
/// whatever has become of the queue and of its dependencies since.
fn check_fresh(
    tx: &Tx<'_>,
    drafts: Vec<Draft>,
    known: &[Option<KeyUse>],
    facts: &Facts,
) -> Result<Vec<Option<Asked>>, Rejected> {
    let (mut tasks, mut bytes) = (tx.state.task_count(), tx.state.bytes());
    let mut asked = Vec::with_capacity(drafts.len());
    for (index, mut draft) in drafts.into_iter().enumerate() {
        if known[index].is_some() {
            asked.push(None);
            continue;
        }
        check_dependencies(tx, index, &draft, known, facts)?;
        settle::settle(tx, &mut draft);
        let rates = check_rates(tx, &draft);
        let key_over = last_use(tx, &draft, facts).map(|used| used.until);
        let depends_on = draft.depends_on.clone();
        let spec = draft.into_spec(tx.by.clone(), Vec::new());
        let spec = spec.map_err(|bad| Rejected::Draft { index, bad })?;
        rates?;
        tasks += 1;
        bytes += bytes_of(&spec);
        asked.push(Some(Asked { spec, depends_on, key_over }));
    }
    let grows = tasks > tx.state.task_count();
    let full = tasks > tx.config.tasks_max && tx.on(Guard::TasksMax)
        || bytes > tx.config.bytes_max && tx.on(Guard::BytesMax);
    if grows && full {
        return Err(Rejected::QueueFull { retry_after: RETRY_AFTER });
    }
    Ok(asked)
}

/// The positions of a batch, each after those that it depends on.
fn order(drafts: &[Draft]) -> Result<Vec<usize>, Rejected> {
    let siblings = |index: usize| {
        drafts[index].depends_on.iter().filter_map(|dependency| match dependency {
            Dependency::Sibling(sibling) => Some(*sibling),
            Dependency::Known(_) => None,
        })
    };
    for index in 0..drafts.len() {
        if let Some(sibling) = siblings(index).find(|sibling| *sibling >= drafts.len()) {
            return Err(Rejected::UnknownSibling { index, sibling });
        }
    }
    let mut order = Vec::with_capacity(drafts.len());
    let mut seen = vec![Mark::New; drafts.len()];
    for root in 0..drafts.len() {
        // Depth first, without recursion: a batch may be one long chain.
        let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
        if seen[root] == Mark::New {
            seen[root] = Mark::OnPath;
            path.push((root, siblings(root).collect()));
        }
        while let Some((index, rest)) = path.last_mut() {
            let Some(next) = rest.pop() else {
                seen[*index] = Mark::Placed;
                order.push(*index);
                path.pop();
                continue;
            };
            match seen[next] {
                Mark::Placed => {}
                Mark::OnPath => return Err(Rejected::Cycle(cycle(&path, next))),
                Mark::New => {
                    seen[next] = Mark::OnPath;
                    path.push((next, siblings(next).collect()));
                }
            }
        }
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Placed,
}

fn cycle(path: &[(usize, Vec<usize>)], back_to: usize) -> Vec<usize> {
    let on_path = path.iter().map(|(index, _)| *index);
    on_path.skip_while(|index| *index != back_to).chain([back_to]).collect()
}

/// Two drafts of one batch with one key would be one submission with two bodies.
fn twins(drafts: &[Draft]) -> Result<(), Rejected> {
    let mut seen = alloc::collections::BTreeSet::new();
    for (index, draft) in drafts.iter().enumerate() {
        if draft.idempotency_key.as_ref().is_some_and(|key| !seen.insert(key)) {
            let bad = crate::task::BadDraft {
                field: "idempotency_key",
                why: "is the key of an earlier task of the batch".into(),
            };
            return Err(Rejected::Draft { index, bad });
        }
    }
    Ok(())
}

fn check_dependencies(
    tx: &Tx<'_>,
    index: usize,
    draft: &Draft,
    known: &[Option<KeyUse>],
    facts: &Facts,
) -> Result<(), Rejected> {
    let there = draft.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Known(id) => Some(*id),
        Dependency::Sibling(sibling) => known[*sibling].as_ref().map(|used| used.task),
    });
    for id in there.filter(|id| tx.state.task(*id).is_none()) {
        let ended = tx.state.just_ended(id).or_else(|| facts.tasks.get(&id));
        let ended = ended.ok_or(Rejected::UnknownDependency { index, id })?;
        if let Some(ended) = draft.after_dependency.forbids(&ended.life.state) {
            return Err(Rejected::DeadDependency { index, id, ended });
        }
    }
    Ok(())
}

/// A bucket that is in use keeps its figures.
fn check_rates(tx: &Tx<'_>, draft: &Draft) -> Result<(), Rejected> {
    let now = tx.now().wall;
    let clash = draft.share.rates.iter().find(|rate| {
        let level = tx.state.level(&rate.key);
        level.is_some_and(|(figures, bucket)| figures != *rate && !bucket.is_full(figures, now))
    });
    clash.map_or(Ok(()), |rate| Err(Rejected::RateConflict { key: rate.key.clone() }))
}

fn used_key(tx: &Tx<'_>, draft: &Draft, facts: &Facts) -> Option<KeyUse> {
    let lasts = |used: &&KeyUse| used.until > tx.now().wall && tx.on(Guard::IdempotencyKey);
    last_use(tx, draft, facts).filter(lasts).cloned()
}

/// The latest use of a draft's key, whether its time is over or not.
fn last_use<'a>(tx: &'a Tx<'_>, draft: &Draft, facts: &'a Facts) -> Option<&'a KeyUse> {
    let key = draft.idempotency_key.as_ref()?;
    tx.state.just_used(key).or_else(|| facts.keys.get(key))
}

/// A digest of what was asked for, in which siblings are named by their position. Only used keys
/// are compared by it, so a draft without a key needs none.
fn digest(draft: &Draft) -> u64 {
    if draft.idempotency_key.is_none() {
        return 0;
    }
    let (mut known, mut siblings) = (Vec::new(), Vec::new());
    for dependency in &draft.depends_on {
        match dependency {
            Dependency::Known(id) => known.push(*id),
            Dependency::Sibling(sibling) => siblings.push(*sibling),
        }
    }
    // The stored form leaves out what is not said, so it stays the same when releases add fields.
    let mut draft = draft.clone();
    if settle::is_open(&draft) {
        // As what it was before there were endpoints, so that a repeated submission stays the same.
        settle::wake(&mut draft);
    }
    let spec = draft.into_spec(Principal::System, known);
    let text = spec.ok().and_then(|spec| serde_json::to_string(&(spec, siblings)).ok());
    let text = text.unwrap_or_default();
    text.bytes().fold(text.len() as u64, |sum, byte| scramble(sum ^ u64::from(byte)))
}

fn existing(tx: &Tx<'_>, used: &KeyUse, facts: &Facts) -> Submitted {
    let task = tx.state.task(used.task).or_else(|| tx.state.just_ended(used.task));
    let task = task.or_else(|| facts.tasks.get(&used.task));
    let created_at = task.map_or(tx.now().wall, |task| task.life.created_at);
    Submitted { id: used.task, created_at, existing: true }
}

fn fresh(tx: &Tx<'_>, asked: Asked, id: TaskId, ids: &[TaskId], body: u64, facts: &Facts) -> Fresh {
    let Asked { mut spec, depends_on, key_over } = asked;
    let mut depends_on: Vec<TaskId> = depends_on
        .into_iter()
        .map(|dependency| match dependency {
            Dependency::Known(id) => id,
            Dependency::Sibling(sibling) => ids[sibling],
        })
        .collect();
    depends_on.sort();
    depends_on.dedup();
    // What has ended is known to the store or to this very step; everything else is open.
    let ended = |id: &TaskId| tx.state.just_ended(*id).is_some() || facts.tasks.contains_key(id);
    let open = depends_on.iter().copied().filter(|id| !ended(id)).collect();
    spec.depends_on = depends_on.into();
    Fresh { id, spec, body, open, key_over }
}

fn add(tx: &mut Tx<'_>, fresh: Fresh) -> Submitted {
    let Fresh { id, spec, body, open, key_over } = fresh;
    let at = tx.now().wall;
    let run_after = spec.times.as_ref().and_then(|times| times.run_after);
    let run_after = run_after.filter(|after| *after > at && tx.on(Guard::NotBefore));
    let state = match (open.is_empty() || !tx.on(Guard::DependencyGate), run_after) {
        (false, _) => TaskState::Blocked { on: open },
        (true, Some(after)) => TaskState::Delayed(Delay::Until(after)),
        (true, None) => TaskState::Ready { since: at, place: tx.place(&spec, id, 0) },
    };
    if let Some(key) = spec.idempotency_key.clone() {
        let until = at + tx.config.key_kept;
        if let Some(over) = key_over {
            tx.key_over(key.clone(), over);
        }
        tx.record_with_next(Change::KeyUsed(key, KeyUse { task: id, body, until }));
    }
    let task = Task { id, spec: spec.into(), life: Life::new(state, at) };
    tx.record_as("task.submitted", Change::TaskAdded(task.into()));
    Submitted { id, created_at: at, existing: false }
}
