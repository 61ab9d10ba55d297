//! This file checks what is out there against a hub that was restored from a backup.

use super::*;
use crate::change::{FORMAT, Head, decode, encode};
use crate::command::{OperatorCommand, Scope};
use crate::id::{Lease, QuestionId};
use crate::name::OperatorId;
use crate::operator::{Right, Validity};
use crate::port::store::{Batch, RowKey, Table};
use crate::question::Question;
use crate::state::{MetaKey, Rows, mend};
use crate::task::{Death, Dependency, Rate, TaskState};
use crate::time::{Span, Wall};

/// A copy of what is stored, on a disk of its own.
fn backup(rig: &mut Rig) -> MemoryDisk {
    let handle = rig.handle.clone();
    let seq = rig.ask(handle.view(|state| state.seq())).unwrap();
    let puts = rig.disk.rows().into_iter().collect();
    let copy = MemoryDisk::new();
    let committed = copy.open().commit(Batch { seq, puts, deletes: Vec::new() }).now_or_never();
    committed.unwrap().unwrap();
    copy
}

fn restored(disk: MemoryDisk) -> Rig {
    let clock = ManualClock(AtomicU64::new(2_000_000));
    let store = disk.open();
    let renewed = renew(&store, &clock, Incarnation(8)).now_or_never();
    renewed.unwrap().unwrap();
    drop(store);
    Rig::over(Arc::new(disk.open()), disk, Faults::new(), |builder| builder)
}

fn of(rig: &mut Rig, id: TaskId) -> crate::task::Task {
    let handle = rig.handle.clone();
    rig.ask(handle.task(id)).unwrap().unwrap()
}

#[test]
fn no_lease_task_or_event_gets_a_number_that_was_given_out_after_the_backup() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    let (old, _) = rig.submit(draft());
    let copy = backup(&mut rig);
    let (lost, _) = rig.submit(draft());
    let handle = rig.handle.clone();
    let seen = rig.ask(handle.stats()).unwrap();

    let mut rig = restored(copy);
    let stats = rig.handle.clone();
    let stats = rig.ask(stats.stats()).unwrap();
    assert_eq!((seen.incarnation, stats.incarnation), (Incarnation(7), Incarnation(8)));
    assert!(stats.seq > seen.seq + 1_000_000, "{} after {}", stats.seq, seen.seq);
    let _agent = rig.connect("a");
    let task = of(&mut rig, old);
    let hold = task.life.state.hold().expect("it is given out again");
    assert!(hold.lease.0 > 1 << 32, "lease {}", hold.lease);
    assert_eq!((task.life.failures, task.life.crashes), (0, 0), "the attempt is not spent");
    let handle = rig.handle.clone();
    assert_eq!(rig.ask(handle.task(lost)), Ok(None));
    assert!((0..10).all(|_| rig.submit(draft()).0 != lost));
}

#[test]
fn what_was_under_way_at_the_backup_waits_for_an_agent_after_the_restore() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    let (id, _) = rig.submit(draft());
    assert!(of(&mut rig, id).life.state.hold().is_some());
    let copy = backup(&mut rig);
    let mut rig = restored(copy);
    let task = of(&mut rig, id);
    assert!(matches!(task.life.state, TaskState::Ready { .. }), "{:?}", task.life.state);
    let handle = rig.handle.clone();
    let events = rig.ask(handle.events(0, 100)).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["hub.restored", "task.ready"]);
}

#[test]
fn an_empty_store_has_no_life_to_renew() {
    let clock = ManualClock(AtomicU64::new(1));
    let store = MemoryDisk::new().open();
    let error = renew(&store, &clock, Incarnation(8)).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.message, "there is no data set");
}

#[test]
fn a_data_set_can_be_restored_again_and_again() {
    let mut rig = Rig::new();
    rig.submit(draft());
    for _ in 0..5 {
        let copy = backup(&mut rig);
        rig = restored(copy);
    }
    rig.join("a");
    let meta = rig.disk.rows().keys().filter(|key| key.table == Table::Meta).count();
    assert_eq!(meta, 1);
}

#[test]
fn what_was_saved_from_damage_fits_together_again() {
    let mut rig = Rig::new();
    let (lost, _) = rig.submit(draft());
    let depends_on = Vec::from([Dependency::Known(lost)]);
    let (waits, _) = rig.submit(Draft { depends_on, ..draft() });
    let (kept, _) = rig.submit(draft());
    let mut rows = rig.disk.rows();
    let life = rows.keys().find(|row| row.table == Table::Life).cloned().unwrap();
    rows.remove(&life);
    let agent = RowKey::new(Table::Agent, "a");
    rows.insert(agent.clone(), b"?".to_vec());
    let (seq, aside) = mend(&mut rows).unwrap();
    let why: Vec<_> = aside.iter().map(|error| error.message.as_str()).collect();
    assert!(why[0].starts_with("table agent, row a: format 63 is newer"), "{why:?}");
    assert!(why[1].ends_with("its life is lost"), "{why:?}");
    assert_eq!((why.len(), rows.contains_key(&agent)), (2, false));

    let disk = MemoryDisk::new();
    let puts = rows.into_iter().collect();
    let committed = disk.open().commit(Batch { seq, puts, deletes: Vec::new() }).now_or_never();
    committed.unwrap().unwrap();
    let mut rig = restored(disk);
    assert_eq!(of(&mut rig, waits).life.state, TaskState::Dead(Death::Dependency));
    assert!(matches!(of(&mut rig, kept).life.state, TaskState::Ready { .. }));
    let handle = rig.handle.clone();
    assert_eq!(rig.ask(handle.task(lost)), Ok(None));
}

#[test]
fn of_a_task_that_lives_and_has_ended_the_end_counts_and_counters_go_past_what_is_there() {
    let mut rig = Rig::new();
    let (id, _) = rig.submit(draft());
    let before = rig.disk.rows();
    assert!(rig.call(Command::Cancel(id)).is_ok());
    let (later, _) = rig.submit(draft());
    let mut rows = rig.disk.rows();
    // Older rows, the head with them, as damage can bring them back.
    rows.extend(before);
    let (seq, aside) = mend(&mut rows).unwrap();
    assert_eq!(seq, 4, "founded, submitted, cancelled, submitted");
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(aside.iter().all(|error| error.message.ends_with("the task has ended")));
    let disk = MemoryDisk::new();
    let puts = rows.into_iter().collect();
    let committed = disk.open().commit(Batch { seq, puts, deletes: Vec::new() }).now_or_never();
    committed.unwrap().unwrap();
    let mut rig = restored(disk);
    assert_eq!(of(&mut rig, id).life.state, TaskState::Cancelled);
    assert!(matches!(of(&mut rig, later).life.state, TaskState::Ready { .. }));
}

#[test]
fn without_its_head_there_is_no_data_set() {
    let rig = Rig::new();
    let mut rows = rig.disk.rows();
    rows.remove(&RowKey::new(Table::Meta, "head"));
    let error = mend(&mut rows).unwrap_err();
    assert_eq!(error.message, "table meta, row head: without it there is no data set");
}

#[test]
fn questions_about_lost_tasks_go_and_numbers_go_on_past_those_that_are_there() {
    let mut rig = Rig::new();
    let (id, _) = rig.submit(draft());
    let mut rows = rig.disk.rows();
    let head_row = RowKey::new(Table::Meta, "head");
    let head = |rows: &Rows| decode::<Head>(Table::Meta, b"head", &rows[&head_row]).unwrap();
    let (ids, older) = (head(&rows).ids, Head { next_task: 1, ..head(&rows) });
    rows.insert(head_row.clone(), encode(&older));
    let mut ask = |counter: u64, task: TaskId| {
        let question = Question {
            choices: None,
            id: QuestionId(ids.hide(counter)),
            task,
            lease: Lease(1),
            asked_by: AgentId::new("a").unwrap(),
            text: "which?".into(),
            asked_at: Wall(1),
            deadline: Wall(2),
            default: Json::null(),
            spend: None,
        };
        let row = RowKey::new(Table::Question, question.id.0.to_be_bytes());
        rows.insert(row.clone(), encode(&question));
        row
    };
    let (kept, lost) = (ask(6, id), ask(7, TaskId(ids.hide(99))));
    rows.insert(RowKey::new(Table::Meta, "settings"), b"?".to_vec());
    let (_, aside) = mend(&mut rows).unwrap();
    let why: Vec<_> = aside.iter().map(|error| error.message.as_str()).collect();
    assert!(why[0].starts_with("table meta, row settings: format 63 is newer"), "{why:?}");
    assert!(why[1].ends_with("the task that it is about is lost"), "{why:?}");
    assert_eq!(why.len(), 2);
    assert_eq!([rows.contains_key(&kept), rows.contains_key(&lost)], [true, false]);
    assert_eq!([head(&rows).next_task, head(&rows).next_question], [2, 7]);
}

/// A kind of row: its table, and what it is about where one table has several.
type RowKind = (Table, Option<MetaKey>);

fn kind_of(row: &RowKey) -> RowKind {
    (row.table, (row.table == Table::Meta).then(|| MetaKey::of(&row.key).expect("it is known")))
}

/// The kinds of row that a hub has. Nobody has large results yet, and jobs are those of sidecars.
fn kinds() -> Vec<RowKind> {
    let elsewhere = [Table::Meta, Table::Artifact, Table::Job];
    let others = Table::ALL.into_iter().filter(|table| !elsewhere.contains(table));
    let of_meta = MetaKey::ALL.map(|about| (Table::Meta, Some(about)));
    of_meta.into_iter().chain(others.map(|table| (table, None))).collect()
}

/// A row of each kind at least.
fn rows_of_each_kind() -> Rows {
    let mut rig = Rig::new();
    let agent = rig.join("a");
    let mut asks = keyed("once");
    let key = Key::new("r").unwrap();
    asks.share.rates = Vec::from([Rate { key, limit: 1, per: Span::from_secs(9), burst: 3 }]);
    let (id, _) = rig.submit(asks);
    agent.outgoing.send(accept(id)).unwrap();
    for said in [
        r#"{"type":"task_question","task_id":"ID","generation":1,"question":"?","timeout_ms":9000}"#,
        r#"{"type":"spend_used","task_id":"ID","generation":1,"call":1,"model":"m","micros":5}"#,
    ] {
        agent.outgoing.send(said.replace("ID", &alloc::format!("{id}"))).unwrap();
    }
    rig.turn();
    let (ended, _) = rig.submit(draft());
    let (validity, token) = (Validity::USUAL, token::hash_of("ci"));
    let (id, rights) = (OperatorId::new("ci").unwrap(), [Right::TaskRead].into());
    let operator = OperatorCommand::Add { id, rights, validity, token };
    for command in [Command::Cancel(ended), Command::Pause(Scope::All), Command::Operator(operator)]
    {
        assert!(rig.call(command).is_ok());
    }
    rig.disk.rows()
}

#[test]
fn a_damaged_row_of_any_kind_is_set_aside_by_name_and_the_others_make_a_hub() {
    let whole = rows_of_each_kind();
    for kind in kinds() {
        let of_kind: Vec<&RowKey> = whole.keys().filter(|row| kind_of(row) == kind).collect();
        assert!(!of_kind.is_empty(), "there is no row of {kind:?} to damage");
        // The second reads well as what says nothing, or everything of which is optional.
        let damage: &[&[u8]] = match kind {
            (Table::Meta, Some(MetaKey::Settings)) => &[b"?"],
            // Its key says all.
            (Table::KeyEnd, _) => &[],
            _ => &[b"?", &[FORMAT, b'{', b'}']],
        };
        for (row, damage) in of_kind.iter().flat_map(|row| damage.iter().map(move |by| (*row, by)))
        {
            set_aside_when_damaged(&whole, row, damage);
        }
    }
}

fn set_aside_when_damaged(whole: &Rows, row: &RowKey, damage: &[u8]) {
    let mut rows = whole.clone();
    rows.insert(row.clone(), damage.into());
    let (seq, aside) = match mend(&mut rows) {
        Err(error) => {
            return assert_eq!((error.row.as_ref(), &*row.key), (Some(row), &b"head"[..]));
        }
        Ok(mended) => mended,
    };
    assert_eq!(aside.first().and_then(|error| error.row.as_ref()), Some(row));
    // What is left of its task goes with it.
    let with_it: &[Table] = if row.table == Table::Spec {
        &[Table::Life, Table::Question]
    } else if row.table == Table::Life {
        &[Table::Spec, Table::Question]
    } else {
        &[]
    };
    let others = aside[1..].iter().filter_map(|error| Some(error.row.as_ref()?.table));
    assert_eq!(others.collect::<Vec<_>>(), with_it, "{row:?}");
    assert_eq!(rows.len() + aside.len(), whole.len());
    let disk = MemoryDisk::new();
    let puts = rows.into_iter().collect();
    let committed = disk.open().commit(Batch { seq, puts, deletes: Vec::new() }).now_or_never();
    committed.unwrap().unwrap();
    restored(disk);
}

#[test]
fn a_task_whose_end_cannot_be_read_does_not_run_again() {
    let mut rig = Rig::new();
    let (id, _) = rig.submit(draft());
    let before = rig.disk.rows();
    assert!(rig.call(Command::Cancel(id)).is_ok());
    let mut rows = rig.disk.rows();
    // Older rows, the head with them, as damage can bring them back.
    rows.extend(before);
    let end = rows.keys().find(|row| row.table == Table::Ended).cloned().unwrap();
    rows.insert(end, b"?".to_vec());
    let (_, aside) = mend(&mut rows).unwrap();
    let tables: Vec<_> = aside.iter().filter_map(|error| Some(error.row.as_ref()?.table)).collect();
    assert_eq!(tables, [Table::Ended, Table::Spec, Table::Life]);
}
