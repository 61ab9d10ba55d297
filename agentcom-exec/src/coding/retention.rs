//! This file decides how long worktrees stay that an attempt has left.
//!
//! What is clean and pushed is removed at the end of its attempt. What is left is for people: an
//! attempt that was stopped, or that could not push. After a while it is put away as well, when
//! another attempt begins: what is not committed is saved as a patch beside it, and what is committed
//! stays on its branch in the clone.
//!
//! **Invariant:** a worktree in which somebody works is not touched, and nothing that was not pushed is
//! deleted but for files that git is told to ignore.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use agentcom_core::id::TaskId;
use tokio::time::{Instant, sleep};

use super::place::CHECKED;
use crate::git::{Checkout, CheckoutError};

/// What the name of the file ends in that is locked while somebody works in a worktree. It was changed
/// last when that began.
const BUSY: &str = ".busy";

/// Work in a worktree. Dropping it lets others put the worktree away when its time is over.
#[derive(Debug)]
pub(super) struct Busy {
    _locked: File,
    path: PathBuf,
}

impl Busy {
    /// Says that somebody works in the worktree at `dir`.
    pub(super) fn in_worktree(dir: &Path) -> io::Result<Self> {
        let path = beside(dir, BUSY);
        let file = File::create(&path)?;
        // It is new for this attempt, so nobody else has it; where files cannot be locked, none is put
        // away before its time is over.
        let _ = file.try_lock();
        Ok(Self { _locked: file, path })
    }

    /// There is no such worktree after all.
    pub(super) fn forget(self) {
        // An empty file that is left is of no account.
        let _ = fs::remove_file(self.path);
    }
}

/// How long an attempt that has just ended, or been stopped, may take to let go of its worktree.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether nobody works in the worktree at `dir`, within a second.
pub(super) async fn is_let_go(dir: &Path) -> bool {
    let until = Instant::now() + LET_GO_WITHIN;
    while !is_free(dir) {
        if Instant::now() >= until {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}

/// Whether nobody works in a worktree, as far as there can be locks.
fn is_free(dir: &Path) -> bool {
    match File::open(busy_of(dir)) {
        Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        // One without such a file was made by an earlier release. Whose file it is that cannot be read,
        // has to say.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes a worktree and what is beside it but for patches; what is not committed is kept as a patch.
pub(super) async fn put_away(clone: &Checkout, dir: &Path) -> Result<(), CheckoutError> {
    // In one that is half made nobody has worked, and all that is missing there would be in the patch.
    if dir.is_dir() && !clone.is_half_made(dir).await? {
        let tree = clone.worktree(dir).await?;
        tree.unlock()?;
        tree.save_patch(&beside(dir, ".patch")).await?;
    }
    remove(clone, dir).await
}

/// Removes a worktree and what is beside it but for patches.
pub(super) async fn remove(clone: &Checkout, dir: &Path) -> Result<(), CheckoutError> {
    clone.remove_worktree(dir).await?;
    // An empty file that is left is of no account.
    let _ = fs::remove_file(beside(dir, BUSY));
    Ok(())
}

/// The most worktrees that are put away at once: others wait for the clone meanwhile.
const AT_ONCE_MAX: usize = 3;

/// Puts some of those worktrees away in which nobody works and whose attempt began longer than `kept`
/// before `now`; how many, and what kept others from it.
pub(super) async fn retire(
    clone: &Checkout,
    worktrees: &Path,
    kept: Duration,
    now: SystemTime,
) -> (usize, Option<CheckoutError>) {
    let (mut retired, mut failed) = (0, None);
    for dir in left(worktrees, kept, now).into_iter().take(AT_ONCE_MAX) {
        match put_away(clone, &dir).await {
            Ok(()) => retired += 1,
            Err(error) => failed = Some(error),
        }
    }
    (retired, failed)
}

/// Worktrees whose time is over.
fn left(worktrees: &Path, kept: Duration, now: SystemTime) -> Vec<PathBuf> {
    let entries = fs::read_dir(worktrees).into_iter().flatten().flatten();
    let dirs = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && is_ours(path));
    dirs.filter(|dir| is_over(dir, kept, now)).collect()
}

/// Whether an attempt has made it, of this agent or another one on the same clone: what it is called
/// says so.
pub(super) fn is_ours(dir: &Path) -> bool {
    let name = attempt_of(dir);
    let mut parts = name.rsplitn(3, '-');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u64>().is_ok());
    is_number(parts.next())
        && is_number(parts.next())
        && parts.next().is_some_and(|task| task.parse::<TaskId>().is_ok())
}

/// The name of the attempt that has made a worktree, or a checkout for its checks.
fn attempt_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(CHECKED).unwrap_or(&name).to_owned()
}

fn is_over(dir: &Path, kept: Duration, now: SystemTime) -> bool {
    let since = fs::metadata(busy_of(dir)).or_else(|_| fs::metadata(dir));
    let since = since.and_then(|it| it.modified());
    let is_old = since.is_ok_and(|since| now.duration_since(since).is_ok_and(|age| age > kept));
    is_old && is_free(dir)
}

/// The file that is locked while somebody works in a worktree, or checks what was done there.
fn busy_of(dir: &Path) -> PathBuf {
    dir.with_file_name(format!("{}{BUSY}", attempt_of(dir)))
}

/// The path of a file that belongs to a worktree.
fn beside(dir: &Path, ending: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!("{name}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

    fn made(worktrees: &Path, name: &str) -> PathBuf {
        let dir = worktrees.join(name);
        fs::create_dir(&dir).unwrap();
        dir
    }

    const LEFT: &str = "task-00000000000000ab-1-7";
    const BUSY_ONE: &str = "task-00000000000000cd-2-9";

    #[test]
    fn only_worktrees_whose_time_is_over_and_in_which_nobody_works_are_put_away() {
        let folder = tempfile::tempdir().unwrap();
        let worktrees = folder.path();
        let (left_one, busy_one) = (made(worktrees, LEFT), made(worktrees, BUSY_ONE));
        let checked = made(worktrees, &format!("{BUSY_ONE}{CHECKED}"));
        drop(Busy::in_worktree(&left_one).unwrap());
        let busy = Busy::in_worktree(&busy_one).unwrap();
        for name in ["of-somebody-else", "task-1-2", "task-00000000000000ab-1-x"] {
            made(worktrees, name);
        }
        // What another test has just forked may hold a lock for a moment.
        let at = |after: Duration, count: usize| loop {
            let mut found = left(worktrees, WEEK, SystemTime::now() + after);
            if found.len() >= count {
                found.sort();
                return found;
            }
            std::thread::yield_now();
        };
        assert!(at(Duration::ZERO, 0).is_empty());
        assert_eq!(at(2 * WEEK, 1), std::slice::from_ref(&left_one));
        drop(busy);
        assert_eq!(at(2 * WEEK, 3), [left_one, busy_one, checked]);
    }

    #[test]
    fn one_of_an_earlier_release_goes_by_its_own_time() {
        let folder = tempfile::tempdir().unwrap();
        let old = made(folder.path(), LEFT);
        assert!(left(folder.path(), WEEK, SystemTime::now()).is_empty());
        assert_eq!(left(folder.path(), WEEK, SystemTime::now() + 2 * WEEK), [old]);
    }
}
