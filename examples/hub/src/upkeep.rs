//! This file looks after the data of a hub that does not run: restores it and saves it from damage.
//!
//! The store's part, which never looks inside a row, is [`agentcom_store_redb::upkeep`] and
//! [`agentcom_store_redb::salvage`]. What is done here besides is to begin another life of the
//! data, since what was given out after a backup is still out there.

use std::path::{Path, PathBuf};

use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::renew;
use agentcom_core::id::Incarnation;
use agentcom_core::port::store::{StoreError, StoreErrorKind};
use agentcom_core::state::mend;
use agentcom_store_redb::salvage::{self, Lost};
use agentcom_store_redb::upkeep::{self, InTheWay, Staged, Stop, Told};
use agentcom_store_redb::{Namespace, RedbStore};

use crate::config::Settings;
use crate::error::HubError;
use crate::{backups, ground};

/// The name of the file with the data, in the data directory.
pub const DATA_FILE: &str = "hub.redb";
/// The store in that file which is the hub's.
pub const NAMESPACE: &str = "default";

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// From which backup.
    pub from: PathBuf,
    /// What was in it.
    pub told: Told,
    /// Where the file is that was in the way.
    pub kept: Option<PathBuf>,
    /// Newer backups that could not be used, and why.
    pub passed_over: Vec<String>,
}

/// What was saved from a damaged file, and what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Where the saved data is.
    pub path: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them may be older than they should be.
    pub unlinked: u64,
    /// What is lost, one line for each row as far as it is known by name.
    pub lost: Vec<String>,
}

/// Restores the data to `target` from a backup, and begins another life of it. Blocks.
///
/// # Errors
///
/// Those of [`upkeep::stage`]; `Corrupt` if there is no hub's data in the backup. Then nothing is
/// changed.
pub fn restore(
    backup: &Path,
    target: &Path,
    in_the_way: InTheWay,
    stop: &Stop,
) -> Result<Restored, StoreError> {
    let staged = upkeep::stage(backup, target, in_the_way, stop)?;
    begin_another_life(&staged)?;
    let told = staged.told().clone();
    let kept = staged.publish()?;
    Ok(Restored { from: backup.into(), told, kept, passed_over: Vec::new() })
}

/// Restores the data to `target` from the newest backup in `dir` that is good. Blocks.
///
/// # Errors
///
/// `Unavailable` if there is none; `Fenced` if the data is in use. Then nothing is changed.
pub fn restore_latest(dir: &Path, target: &Path, stop: &Stop) -> Result<Restored, StoreError> {
    let mut passed_over = Vec::new();
    for backup in backups::list(dir).into_iter().rev() {
        match restore(&backup, target, InTheWay::IsKept, stop) {
            Ok(restored) => return Ok(Restored { passed_over, ..restored }),
            Err(error) if error.kind == StoreErrorKind::Fenced => return Err(error),
            Err(error) => passed_over.push(error.message),
        }
    }
    let none = format!("there is no good backup in {}", dir.display());
    let why = [vec![none], passed_over].concat().join("; ");
    Err(StoreError::new(StoreErrorKind::Unavailable, why))
}

/// Restores the data of a hub that is about to start from its newest good backup, and says so.
/// Blocks.
///
/// # Errors
///
/// Those of [`restore_latest`], and of making the data directory.
pub fn restore_loudly(settings: &Settings) -> Result<(), HubError> {
    let data_dir = ground::data_dir(&settings.data_dir)?;
    let (dir, target) = (settings.backup.dir_in(&data_dir), data_dir.join(DATA_FILE));
    let restored = restore_latest(&dir, &target, &Stop::default()).map_err(HubError::Store)?;
    for why in &restored.passed_over {
        tracing::warn!("a newer backup could not be used: {why}");
    }
    let kept = restored.kept.as_deref().unwrap_or(Path::new("nowhere"));
    tracing::warn!(
        from = %restored.from.display(),
        rows = restored.told.rows(),
        kept = %kept.display(),
        "THE DATA WAS RESTORED FROM A BACKUP: whatever was acknowledged after it is lost"
    );
    Ok(())
}

/// Saves what can be saved of a damaged file to `target`, which must not exist, and begins another
/// life of it. The damaged file is only read. Blocks.
///
/// # Errors
///
/// `Fenced` if the file is in use, `Corrupt` if too little is left for a hub to go on from; those
/// of [`salvage::Salvage::stage`]. Then there is no `target`.
pub fn salvage(path: &Path, target: &Path, stop: &Stop) -> Result<Salvaged, StoreError> {
    let namespace = namespace()?;
    let mut saved = salvage::salvage(path, &namespace)?;
    let (seq, aside) = mend(&mut saved.rows)?;
    saved.seq = Some(seq);
    let mut lost: Vec<String> = saved.lost.iter().map(Lost::to_string).collect();
    lost.extend(aside.into_iter().map(|error| error.message));
    lost.extend(saved.differs.iter().filter(|(_, rows)| *rows < 0).map(|(table, rows)| {
        format!("table {table}: {} rows in all are missing or doubtful", rows.unsigned_abs())
    }));
    let (rows, unlinked) = (saved.rows.len() as u64, saved.unlinked);
    let staged = saved.stage(target, &namespace, stop)?;
    begin_another_life(&staged)?;
    staged.publish()?;
    Ok(Salvaged { path: target.into(), rows, unlinked, lost })
}

fn namespace() -> Result<Namespace, StoreError> {
    Namespace::new(NAMESPACE).map_err(|bad| StoreError::new(StoreErrorKind::Unavailable, bad))
}

fn begin_another_life(staged: &Staged) -> Result<(), StoreError> {
    let unavailable = |why: String| StoreError::new(StoreErrorKind::Unavailable, why);
    if !staged.has(&namespace()?) {
        let why = format!("{}: there is no hub's data in it", staged.path().display());
        return Err(StoreError::new(StoreErrorKind::Corrupt, why));
    }
    let incarnation = Incarnation::random().map_err(|error| unavailable(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| unavailable(error.to_string()))?;
    let renewed = runtime.block_on(async {
        let store = RedbStore::open(staged.path(), NAMESPACE).await?;
        renew(&store, &SystemClock::new(), incarnation).await
    });
    // Waits for the file to be closed.
    drop(runtime);
    renewed
}
