//! This file is a file system in memory that loses its power: names, and a disk for each file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentcom_core::port::store::StoreError;

use super::disk::{Disk, chance};
use super::meter::{Call, Fault, Meter, Plan};
use crate::files::{FileSystem, Files, Found, Lock, Opened};
use crate::upkeep::{self, InTheWay, Staged, Stop, Told};
use crate::{Options, RedbStore, file};

/// A file system in memory. Clones are the same one.
///
/// Until their directory is synced, each name that was made, changed or removed may be so or not
/// after a power loss, whatever became of the others; what is in a file fares as on a [`Disk`]. A
/// rename happens whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    names: Arc<Mutex<Names>>,
    meter: Meter,
}

#[derive(Debug, Default)]
struct Names {
    /// What a running system sees.
    seen: BTreeMap<PathBuf, Entry>,
    /// What survives for certain.
    synced: BTreeMap<PathBuf, Entry>,
    /// What was done since.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Entry {
    Dir,
    File(Disk),
}

#[derive(Clone, Debug)]
enum Change {
    Set(PathBuf, Entry),
    Rename(PathBuf, PathBuf, Entry),
    Remove(PathBuf),
}

impl Folder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One in which files are safe, each with its bytes, and the directories that they are in.
    #[must_use]
    pub fn holding<const N: usize>(files: [(&str, Vec<u8>); N]) -> Self {
        let folder = Self::default();
        let mut seen = BTreeMap::new();
        for (name, bytes) in files {
            let above = Path::new(name).ancestors().skip(1);
            let dirs = above.filter(|dir| !dir.as_os_str().is_empty());
            seen.extend(dirs.map(|dir| (dir.to_path_buf(), Entry::Dir)));
            seen.insert(name.into(), Entry::File(Disk::holding(bytes).with(&folder.meter)));
        }
        *folder.names() = Names { synced: seen.clone(), seen, unsynced: Vec::new() };
        folder
    }

    /// The call behind the next `calls`, of whatever file or name, fails; if `for_good` all after
    /// it.
    pub fn fail_after(&self, calls: u64, fault: Fault, for_good: bool) {
        self.meter.plan(Plan { from: calls, fault, for_good, changes_only: false });
    }

    /// From the change behind the next `changes` on, every one fails for want of room.
    pub fn fill_up_after(&self, changes: u64) {
        let fault = Fault::NoRoom;
        self.meter.plan(Plan { from: changes, fault, for_good: true, changes_only: true });
    }

    /// No call fails any more. Returns the kind of the first that did.
    pub fn heal(&self) -> Option<Call> {
        self.meter.heal()
    }

    /// One sync in `syncs`, of whatever file or directory, does nothing, and says that it did.
    pub fn lie_about_one_sync_in(&self, syncs: u64) {
        self.meter.lie_about_one_sync_in(syncs);
    }

    /// Whether there is a file of this name.
    #[must_use]
    pub fn holds(&self, name: impl AsRef<Path>) -> bool {
        self.names().seen.contains_key(&clean(name.as_ref()))
    }

    /// The names of all files.
    #[must_use]
    pub fn list(&self) -> Vec<PathBuf> {
        self.names().seen.keys().cloned().collect()
    }

    /// The file system after a power loss. Of the changes of names that were not synced there is,
    /// as `seed` says: none; all; all up to a moment; or any.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> Self {
        let names = self.names();
        let mut left = names.synced.clone();
        let coin = |at: usize| chance(seed, 100 + at as u64).is_multiple_of(2);
        let kind = chance(seed, 0) % 4;
        let up_to = chance(seed, 1) as usize % (names.unsynced.len() + 1);
        for (at, change) in names.unsynced.iter().enumerate() {
            let is_kept = match kind {
                0 => false,
                1 => true,
                2 => at < up_to,
                _ => coin(at),
            };
            if is_kept {
                change.apply(&mut left);
            }
        }
        drop_orphans(&mut left);
        let after = Self::default();
        let seen = after.lose_content(left, seed);
        *after.names() = Names { synced: seen.clone(), seen, unsynced: Vec::new() };
        after
    }

    /// What becomes of the content of files. One with two names is still one.
    fn lose_content(&self, left: BTreeMap<PathBuf, Entry>, seed: u64) -> BTreeMap<PathBuf, Entry> {
        let mut lost: Vec<(Disk, Disk)> = Vec::new();
        let mut entry = |entry: Entry| match entry {
            Entry::Dir => Entry::Dir,
            Entry::File(before) => {
                let known = lost.iter().find(|(disk, _)| disk.is(&before));
                let after = known.map(|(_, after)| after.clone()).unwrap_or_else(|| {
                    let after = before.power_loss(chance(seed, 2 + lost.len() as u64));
                    let after = after.with(&self.meter);
                    lost.push((before, after.clone()));
                    after
                });
                Entry::File(after)
            }
        };
        left.into_iter().map(|(name, found)| (name, entry(found))).collect()
    }

    /// Opens a store in it.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore::open`].
    pub async fn open(
        &self,
        name: impl Into<PathBuf>,
        options: Options,
    ) -> Result<RedbStore, StoreError> {
        RedbStore::open_in(self.files(), name.into(), options).await
    }

    /// As [`upkeep::verify`].
    ///
    /// # Errors
    ///
    /// Those of [`upkeep::verify`].
    pub fn verify(&self, name: impl AsRef<Path>) -> Result<Told, StoreError> {
        upkeep::verify_in(&self.files(), name.as_ref(), &Stop::default())
    }

    /// As [`upkeep::compact`].
    ///
    /// # Errors
    ///
    /// Those of [`upkeep::compact`].
    pub fn compact(&self, name: impl AsRef<Path>) -> Result<(Told, u64), StoreError> {
        upkeep::compact_in(&self.files(), name.as_ref(), &Stop::default())
    }

    /// As [`upkeep::stage`]; a file that is in the way is kept.
    ///
    /// # Errors
    ///
    /// Those of [`upkeep::stage`].
    pub fn stage(
        &self,
        backup: impl AsRef<Path>,
        target: impl AsRef<Path>,
    ) -> Result<Staged, StoreError> {
        let (backup, target) = (backup.as_ref(), target.as_ref());
        upkeep::stage_in(&self.files(), backup, target, InTheWay::IsKept, &Stop::default())
    }

    fn files(&self) -> Files {
        Arc::new(self.clone())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // A test that panics meanwhile leaves no half call behind.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &Path) -> io::Result<Disk> {
        self.meter.check(Call::Find)?;
        match self.names().seen.get(&clean(path)) {
            Some(Entry::File(disk)) => Ok(disk.clone()),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&self, call: Call, change: Change) -> io::Result<()> {
        self.meter.check(call)?;
        let mut names = self.names();
        change.apply(&mut names.seen);
        names.unsynced.push(change);
        Ok(())
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Set(name, entry) => drop(names.insert(name.clone(), entry.clone())),
            Self::Rename(from, to, entry) => {
                names.remove(from);
                names.insert(to.clone(), entry.clone());
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }

    fn name(&self) -> &Path {
        match self {
            Self::Set(name, _) | Self::Rename(_, name, _) | Self::Remove(name) => name,
        }
    }
}

impl Entry {
    fn found(&self) -> Found {
        match self {
            Self::Dir => Found { bytes: 0, identity: None },
            Self::File(disk) => {
                Found { bytes: disk.bytes().len() as u64, identity: Some((0, disk.number())) }
            }
        }
    }
}

/// Names in a directory that is gone are gone, too.
fn drop_orphans(left: &mut BTreeMap<PathBuf, Entry>) {
    let dirs = left.clone();
    left.retain(|name, _| {
        let above = name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        above.into_iter().all(|above| dirs.contains_key(above))
    });
}

/// Without what only says *here*.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

fn opened(disk: Disk) -> Opened {
    let found = Entry::File(disk.clone()).found();
    Opened { content: Box::new(disk), found }
}

impl FileSystem for Folder {
    fn open(&self, path: &Path) -> io::Result<Opened> {
        self.file(path).map(opened)
    }

    fn create(&self, path: &Path) -> io::Result<Opened> {
        let path = clean(path);
        if let Some(Entry::File(disk)) = self.names().seen.get(&path) {
            self.meter.check(Call::SetLen)?;
            disk.cut();
            return Ok(opened(disk.clone()));
        }
        let disk = Disk::metered(&self.meter);
        self.change(Call::Name, Change::Set(path, Entry::File(disk.clone())))?;
        Ok(opened(disk))
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        self.meter.check(Call::Find)?;
        let path = clean(path);
        if path.as_os_str().is_empty() {
            return Ok(Entry::Dir.found());
        }
        self.names().seen.get(&path).map(Entry::found).ok_or(io::ErrorKind::NotFound.into())
    }

    fn has(&self, path: &Path) -> io::Result<bool> {
        self.meter.check(Call::Find)?;
        Ok(self.holds(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.meter.check(Call::Find)?;
        let dir = clean(dir);
        let names = self.names();
        Ok(names.seen.keys().filter(|name| name.parent() == Some(&dir)).cloned().collect())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<(Lock, Found)>> {
        self.file(path).map(|disk| {
            let found = Entry::File(disk).found();
            let lock: Lock = Box::new(());
            Some((lock, found))
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if !self.meter.sync()? {
            return Ok(());
        }
        let path = clean(path);
        let mut names = self.names();
        if let Some(Entry::File(disk)) = names.seen.get(&path) {
            disk.settle();
            return Ok(());
        }
        let (here, elsewhere) =
            core::mem::take(&mut names.unsynced).into_iter().partition(|change: &Change| {
                file::parent(change.name()) == file::parent(&path.join("x"))
            });
        names.unsynced = elsewhere;
        here.iter().for_each(|change: &Change| change.apply(&mut names.synced));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.holds(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let disk = self.file(from)?;
        self.change(Call::Name, Change::Set(clean(to), Entry::File(disk)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let disk = self.file(from)?;
        self.change(Call::Name, Change::Rename(clean(from), clean(to), Entry::File(disk)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Call::Remove, Change::Remove(clean(path)))
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if self.holds(dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(Call::Name, Change::Set(clean(dir), Entry::Dir))
    }
}
