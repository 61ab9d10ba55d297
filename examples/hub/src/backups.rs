//! This file makes backups while the hub runs: when they are due, and when they are asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use agentcom_core::port::store::StoreError;
use agentcom_http::NoBackup;
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::upkeep::{Stop, Told};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::BackupPlan;

/// The names of backups: `hub-DATE.redb`, so that they sort by date.
const NAME: (&str, &str) = ("hub-", ".redb");
/// How long to wait after a backup that failed, if the next is not due sooner.
const RETRY_AFTER: Duration = Duration::from_secs(600);
/// A backup is stale when it is older than so many intervals.
const STALE_AFTER: u32 = 2;

/// Makes backups of one running hub.
#[derive(Debug)]
pub struct Backups {
    store: Arc<RedbStore>,
    dir: PathBuf,
    plan: BackupPlan,
    stop: Stop,
    /// Held by whoever makes one.
    turn: tokio::sync::Mutex<()>,
    went: Mutex<Went>,
}

/// How backups went.
#[derive(Clone, Debug, Default)]
struct Went {
    /// The newest good one, and when it was made.
    newest: Option<(PathBuf, SystemTime)>,
    /// Why the last attempt failed, if it did.
    error: Option<String>,
}

impl Backups {
    /// Backups of what `store` holds, in the directory that the plan names.
    #[must_use]
    pub fn new(store: Arc<RedbStore>, data_dir: &Path, plan: &BackupPlan) -> Self {
        let dir = plan.dir_in(data_dir);
        let newest = list(&dir).pop().and_then(|path| {
            let made = fs::metadata(&path).and_then(|found| found.modified()).ok()?;
            Some((path, made))
        });
        Self {
            store,
            dir,
            plan: plan.clone(),
            stop: Stop::default(),
            turn: tokio::sync::Mutex::default(),
            went: Mutex::new(Went { newest, error: None }),
        }
    }

    /// Makes one whenever it is due, until it is stopped or dropped.
    pub async fn run(&self) {
        let Some(every) = self.plan.every() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(self.due_in(every)).await;
            if self.make().await.is_err() {
                tokio::time::sleep(RETRY_AFTER.min(every)).await;
            }
        }
    }

    /// Ends the one that is being made, which leaves nothing behind.
    pub fn stop(&self) {
        self.stop.ask();
    }

    fn due_in(&self, every: Duration) -> Duration {
        let newest = self.went().newest.clone();
        let age = newest.and_then(|(_, made)| made.elapsed().ok());
        age.map_or(Duration::ZERO, |age| every.saturating_sub(age))
    }

    /// Makes one, and removes those that are too old.
    async fn make(&self) -> Result<Told, StoreError> {
        let _turn = self.turn.lock().await;
        let target = place(&self.dir);
        let made = self.store.backup(&target, &self.stop).await;
        let mut went = self.went();
        match &made {
            Ok(told) => {
                *went = Went { newest: Some((target, SystemTime::now())), error: None };
                drop(went);
                tracing::info!(file = %told.path.display(), rows = told.rows(), bytes = told.bytes, "a backup is made");
                self.remove_old();
            }
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "no backup could be made");
                went.error = Some(error.message.clone());
            }
        }
        made
    }

    fn remove_old(&self) {
        let backups = list(&self.dir);
        let old = backups.len().saturating_sub(self.plan.keep);
        for path in backups.iter().take(old).chain(&left_behind(&self.dir)) {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(file = %path.display(), %error, "an old backup could not be removed");
            }
        }
    }

    fn went(&self) -> MutexGuard<'_, Went> {
        // No change of it is made in parts.
        self.went.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl agentcom_http::Backups for Backups {
    async fn back_up(&self) -> Result<Value, NoBackup> {
        let told = self.make().await.map_err(|error| NoBackup(error.message))?;
        Ok(json!({ "path": told.path, "bytes": told.bytes, "rows": told.rows() }))
    }

    fn health(&self) -> Value {
        let went = self.went().clone();
        let age = went.newest.as_ref().and_then(|(_, made)| made.elapsed().ok());
        let every = self.plan.every();
        let stale = every.is_some_and(|every| age.is_none_or(|age| age > every * STALE_AFTER));
        json!({
            "newest": went.newest.map(|(path, _)| path),
            "age_ms": age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            "stale": stale,
            "last_error": went.error,
        })
    }
}

/// Where a backup goes that is made at this moment.
#[must_use]
pub fn place(dir: &Path) -> PathBuf {
    let (before, behind) = NAME;
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    dir.join(format!("{before}{now}{behind}"))
}

/// The backups in a directory, the oldest first.
#[must_use]
pub fn list(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| name.starts_with(NAME.0) && name.ends_with(NAME.1))
}

/// What backups left behind that were killed.
fn left_behind(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| name.starts_with(".hub-") && name.ends_with(".partial"))
}

fn files(dir: &Path, is_one: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let named =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_one);
    let mut found: Vec<PathBuf> = paths.filter(named).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::port::store::{Batch, RowKey, Store as _, Table};
    use agentcom_http::Backups as _;

    async fn hub(dir: &Path, plan: BackupPlan) -> Backups {
        let store = RedbStore::open(dir.join("hub.redb"), "default").await.unwrap();
        let puts = vec![(RowKey::new(Table::Spec, "k"), vec![1])];
        store.commit(Batch { seq: 1, puts, deletes: vec![] }).await.unwrap();
        Backups::new(Arc::new(store), dir, &plan)
    }

    #[tokio::test]
    async fn as_many_backups_are_kept_as_the_plan_says() {
        let dir = tempfile::tempdir().unwrap();
        let backups = hub(dir.path(), BackupPlan { keep: 2, ..BackupPlan::default() }).await;
        let place = dir.path().join("backups");
        fs::create_dir(&place).unwrap();
        for other in [".hub-1.redb.7.partial", "mine.redb", "hub-19700101T000000000Z.redb"] {
            fs::write(place.join(other), "").unwrap();
        }
        let mut made = Vec::new();
        for _ in 0..3 {
            let told = backups.back_up().await.unwrap();
            assert_eq!(told["rows"], 1);
            made.push(PathBuf::from(told["path"].as_str().unwrap()));
        }
        assert_eq!(list(&place), made[1..]);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 3, "and what is none of ours");
        let health = backups.health();
        assert_eq!((&health["stale"], &health["last_error"]), (&json!(false), &Value::Null));
        assert_eq!(health["newest"], json!(made[2]));
    }

    #[tokio::test]
    async fn a_backup_that_fails_shows_in_health_and_leaves_the_older_ones() {
        let dir = tempfile::tempdir().unwrap();
        let plan = BackupPlan { keep: 1, ..BackupPlan::default() };
        let backups = hub(dir.path(), plan).await;
        let told = backups.back_up().await.unwrap();
        backups.stop();
        backups.back_up().await.unwrap_err();
        let health = backups.health();
        assert_eq!(health["newest"], told["path"]);
        assert!(health["last_error"].as_str().unwrap().contains("interrupted"), "{health}");
        assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_backup_is_made_at_once_if_there_is_none_and_otherwise_when_it_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let backups = hub(dir.path(), BackupPlan::default()).await;
        let every = Duration::from_secs(86_400);
        assert_eq!(backups.health()["stale"], true);
        assert_eq!(backups.due_in(every), Duration::ZERO);
        backups.back_up().await.unwrap();
        assert!(backups.due_in(every) > Duration::from_secs(86_000));
        drop(backups);
        // The next run of the hub goes on from there.
        let backups = hub_again(dir.path()).await;
        assert!(backups.due_in(every) > Duration::from_secs(86_000));
        assert_eq!(backups.health()["stale"], false);
    }

    async fn hub_again(dir: &Path) -> Backups {
        let store = RedbStore::open(dir.join("hub.redb"), "default").await.unwrap();
        Backups::new(Arc::new(store), dir, &BackupPlan::default())
    }
}
