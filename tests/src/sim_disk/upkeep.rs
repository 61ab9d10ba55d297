//! This file interrupts the making, backup, restore and compaction of files at every call.

use std::collections::BTreeMap;

use agentcom_core::port::store::{Store as _, StoreError};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Disk, Fault, Folder, chance};

use super::losses::judge;
use super::model::Model;
use super::options;

const DATA: &str = "data/hub.redb";
const BACKUP: &str = "data/backups/hub-1.redb";
const KEPT: &str = "data/hub.redb.replaced-1";
/// What is left is looked at after so many power losses at each call.
const DRAWS: u64 = 8;
/// More calls than any of the works takes.
const CALLS_MAX: u64 = 20_000;

/// What is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// The first opening of a file that is not there, and its first batch.
    Create,
    /// A backup beside other work.
    Backup,
    /// Going back to a backup, with data in the way.
    Restore,
    /// A compaction.
    Compact,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Backup, Self::Restore, Self::Compact];
}

/// How it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Power is lost.
    PowerLoss,
    /// The process is killed.
    Kill,
    /// The disk is full, and later has room again.
    Full,
}

/// What interruptions led to.
#[derive(Clone, Debug, Default)]
pub struct Interrupted {
    /// How many there were of each work.
    pub by_work: BTreeMap<Work, u64>,
    /// Power losses among them.
    pub losses: u64,
    /// What went wrong.
    pub found: Vec<String>,
}

impl Interrupted {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_work.values().sum()
    }

    /// Adds up.
    pub fn add(&mut self, other: Self) {
        for (work, count) in other.by_work {
            *self.by_work.entry(work).or_default() += count;
        }
        self.losses += other.losses;
        self.found.extend(other.found);
    }
}

/// Two files of one store, and what is in them.
#[derive(Clone, Debug)]
pub struct Files {
    bytes: Vec<u8>,
    model: Model,
    earlier: (Vec<u8>, Model),
}

impl Files {
    /// A file in use as a killed process leaves it, and a closed one of some batches before.
    pub async fn new(seed: u64) -> Self {
        let (disk, mut model) = (Disk::new(), Model::default());
        let mut earlier = (Vec::new(), Model::default());
        let mut store = RedbStore::on(&disk, options()).await.expect("an empty disk is opened");
        for turn in 0..40 {
            if turn == 25 {
                drop(store);
                earlier = (disk.bytes(), model.clone());
                store = RedbStore::on(&disk, options()).await.expect("a good disk is opened");
            }
            let batch = model.batch(chance(seed, turn), 12);
            store.commit(batch.clone()).await.expect("a good disk takes batches");
            model.apply(&batch);
        }
        Self { bytes: disk.bytes(), model, earlier }
    }

    fn folder(&self, work: Work) -> Folder {
        match work {
            Work::Create => Folder::new(),
            Work::Backup | Work::Compact => Folder::holding([(DATA, self.bytes.clone())]),
            Work::Restore => {
                Folder::holding([(DATA, self.bytes.clone()), (BACKUP, self.earlier.0.clone())])
            }
        }
    }
}

/// Interrupts a work at one call in every `step` of those that it takes, in every way, until
/// something is found. With `lies`
/// one sync in so many does nothing.
pub async fn interrupt(
    files: &Files,
    work: Work,
    seed: u64,
    step: u64,
    lies: Option<u64>,
) -> Interrupted {
    let mut told = Interrupted::default();
    for end in [End::PowerLoss, End::Kill, End::Full] {
        let mut call = seed % step;
        while call < CALLS_MAX {
            let folder = files.folder(work);
            if let Some(syncs) = lies {
                folder.lie_about_one_sync_in(syncs);
            }
            match once(files, folder, work, end, call, seed).await {
                Ok(true) => {
                    *told.by_work.entry(work).or_default() += 1;
                    told.losses += if end == End::PowerLoss { DRAWS } else { 0 };
                }
                Ok(false) => break,
                Err(why) => {
                    told.found.push(format!("{work:?}, {end:?}, call {call}: {why}"));
                    break;
                }
            }
            call += step;
        }
    }
    told
}

/// Returns whether the work took so many calls.
async fn once(
    files: &Files,
    folder: Folder,
    work: Work,
    end: End,
    call: u64,
    seed: u64,
) -> Result<bool, String> {
    // A hub that makes a backup has its file open, and goes on.
    let store = match work {
        Work::Backup => Some(open(&folder, DATA).await?),
        Work::Create | Work::Restore | Work::Compact => None,
    };
    match end {
        End::PowerLoss | End::Kill => folder.fail_after(call, Fault::Device, true),
        End::Full => folder.fill_up_after(call),
    }
    let outcome = at_work(files, &folder, store.as_ref(), work).await;
    let reached = folder.heal().is_some();
    if !reached && let Err(error) = &outcome {
        return Err(format!("it failed without a cause: {error}"));
    }
    let mut model = files.model.clone();
    if let (Some(store), End::Full) = (&store, end) {
        let batch = model.batch(seed, 6);
        let taken = store.commit(batch.clone()).await;
        taken.map_err(|error| format!("the store does not go on: {error}"))?;
        model.apply(&batch);
    }
    drop(store);
    let left: Vec<Folder> = match end {
        End::PowerLoss => {
            (0..DRAWS).map(|draw| folder.power_loss(chance(seed, DRAWS * call + draw))).collect()
        }
        End::Kill | End::Full => vec![folder],
    };
    for after in left {
        look(files, &after, work, &model, outcome.is_ok()).await?;
        tidy(&after, work, end)?;
    }
    Ok(reached)
}

async fn at_work(
    files: &Files,
    folder: &Folder,
    store: Option<&RedbStore>,
    work: Work,
) -> Result<(), StoreError> {
    match (work, store) {
        (Work::Create, _) => folder.open(DATA, options()).await?.commit(first(files)).await,
        (Work::Backup, Some(store)) => {
            store.backup(BACKUP, &agentcom_store_redb::upkeep::Stop::default()).await.map(drop)
        }
        (Work::Backup, None) => unreachable!("the store was opened for it"),
        (Work::Restore, _) => folder.stage(BACKUP, DATA)?.publish().map(drop),
        (Work::Compact, _) => folder.compact(DATA).map(drop),
    }
}

fn first(files: &Files) -> agentcom_core::port::store::Batch {
    let mut batch = Model::default().batch(files.bytes.len() as u64, 12);
    batch.seq = 1;
    batch
}

async fn open(folder: &Folder, name: &str) -> Result<RedbStore, String> {
    folder.open(name, options()).await.map_err(|error| format!("{name} is not opened: {error}"))
}

async fn model(folder: &Folder, name: &str) -> Result<Model, String> {
    let store = open(folder, name).await?;
    Model::of(&store).await.map_err(|error| format!("{name}: {error}"))
}

/// Whatever has its name is whole, and what was there before is somewhere.
async fn look(
    files: &Files,
    after: &Folder,
    work: Work,
    before: &Model,
    is_done: bool,
) -> Result<(), String> {
    let found = model(after, DATA).await?;
    match work {
        Work::Create if is_done => judge(&found, &Model::default().with(&first(files)), None),
        Work::Create => judge(&found, &Model::default(), Some(&first(files))),
        Work::Compact => judge(&found, before, None),
        Work::Backup => {
            judge(&found, before, None)?;
            if after.holds(BACKUP) {
                return judge(&model(after, BACKUP).await?, &files.model, None);
            }
            if is_done { Err("the backup is lost".into()) } else { Ok(()) }
        }
        Work::Restore => {
            judge(&model(after, BACKUP).await?, &files.earlier.1, None)?;
            if !is_done && judge(&found, before, None).is_ok() {
                return Ok(());
            }
            judge(&found, &files.earlier.1, None)?;
            judge(&model(after, KEPT).await?, before, None)
        }
    }
}

/// What is left has a name that nobody takes for a good file, and is removed when the file that it
/// was to become is opened; a full disk leaves nothing.
fn tidy(after: &Folder, work: Work, end: End) -> Result<(), String> {
    for path in after.list() {
        let name = path.to_str().unwrap_or_default();
        let is_hidden = name.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        let may_be = match name {
            DATA | "data" => true,
            BACKUP | "data/backups" => matches!(work, Work::Backup | Work::Restore),
            KEPT => work == Work::Restore,
            // Retention removes it with the next backup.
            _ => is_hidden && work == Work::Backup && end != End::Full,
        };
        if !may_be {
            return Err(format!("{name} is left behind"));
        }
    }
    Ok(())
}
