//! This file holds defects of what is kept on disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentcom_core::change::Genesis;
use agentcom_core::command::{Command, OperatorCommand, Reply};
use agentcom_core::driver::Handle;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::token::Token;
use agentcom_core::name::{OperatorId, Principal};
use agentcom_core::operator::{Right, Validity};
use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Visit,
};
use agentcom_core::testing::memory::{MemoryDisk, MemoryStore};
use agentcom_core::view::TaskQuery;
use agentcom_store_redb::RedbStore;
use async_trait::async_trait;
use futures_util::future::{Either, select};

use super::{agent_id, draft};

/// Runs a hub over a file, for as long as it takes to do something with it.
async fn with_hub<T>(path: &Path, does: impl AsyncFnOnce(Handle) -> T) -> Result<T, StoreError> {
    over(Arc::new(RedbStore::open(path, "default").await?), does).await
}

/// As [`with_hub`], over any store.
async fn over<T>(
    store: Arc<dyn Store>,
    does: impl AsyncFnOnce(Handle) -> T,
) -> Result<T, StoreError> {
    let admin = Token::generate().unwrap();
    let genesis = Genesis::random(admin.hash()).unwrap();
    let builder = HubBuilder::new(store, Arc::new(SystemClock::new()));
    let (handle, driver) = builder.open(genesis).await?;
    let asks = Box::pin(does(handle));
    match select(asks, Box::pin(driver.run())).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right((ended, _)) => panic!("the hub ended: {ended:?}"),
    }
}

async fn submit(handle: &Handle, count: usize) {
    let command = Command::SubmitBatch(vec![draft(); count]);
    let reply = handle.call(Principal::Admin, command).await.unwrap();
    assert!(matches!(reply, Reply::SubmittedBatch(_)), "{reply:?}");
}

async fn count(path: &Path) -> Result<usize, StoreError> {
    with_hub(path, async |handle| handle.view(|state| state.task_count()).await.unwrap()).await
}

#[tokio::test]
async fn a11_a_damaged_file_is_never_taken_for_an_empty_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.redb");
    with_hub(&path, async |handle| submit(&handle, 50).await).await.unwrap();
    let whole = fs::read(&path).unwrap();
    for damaged in [
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
        [&whole[..1_000], &vec![0; whole.len() - 1_000]].concat(),
        vec![0xA5; whole.len()],
    ] {
        fs::write(&path, damaged).unwrap();
        match count(&path).await {
            Ok(found) => assert_eq!(found, 50, "all of it or an error"),
            Err(error) => assert_ne!(error.kind, StoreErrorKind::Fenced, "{error}"),
        }
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(count(&path).await.unwrap(), 50);
}

#[tokio::test]
async fn a19_a_store_is_the_file_that_it_was_opened_on() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    with_hub(&paths[0], async |handle| submit(&handle, 3).await).await.unwrap();
    with_hub(&paths[1], async |handle| submit(&handle, 5).await).await.unwrap();
    fs::remove_file(&paths[0]).unwrap();
    assert_eq!(count(&paths[0]).await.unwrap(), 0, "another file of that name is another store");
    assert_eq!(count(&paths[1]).await.unwrap(), 5);
}

#[tokio::test]
async fn a29_the_file_holds_no_token_that_could_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.redb");
    let token = Token::generate().unwrap();
    // Of an operator: one that is replaced, and the one in its place.
    let of_operator = [Token::generate().unwrap(), Token::generate().unwrap()];
    let all = of_operator.iter().chain([&token]);
    let secrets: Vec<String> = all.map(|token| token.reveal().to_owned()).collect();
    with_hub(&path, async move |handle| {
        let command = Command::AddAgent { id: agent_id("a"), token: token.hash() };
        assert_eq!(handle.call(Principal::Admin, command).await, Ok(Reply::Done));
        let known = handle.authenticate(token.reveal()).await.unwrap();
        assert_eq!(known, Some(Principal::Agent(agent_id("a"))));
        let id = OperatorId::new("ci").unwrap();
        let [old, new] = of_operator.map(|token| token.hash());
        let rights = Right::ALL.into();
        let validity = Validity::USUAL;
        let add = OperatorCommand::Add { id: id.clone(), rights, validity, token: old };
        for command in [add, OperatorCommand::Rotate { id, validity: None, token: new }] {
            let reply = handle.call(Principal::Admin, Command::Operator(command)).await;
            assert_eq!(reply, Ok(Reply::Done));
        }
    })
    .await
    .unwrap();
    let content = fs::read(&path).unwrap();
    let inside = |what: &[u8]| content.windows(what.len()).any(|part| part == what);
    for event in ["agent.added", "token.added", "token.rotated"] {
        assert!(inside(event.as_bytes()), "the file is what is looked at");
    }
    for secret in secrets {
        assert!(!inside(secret.as_bytes()));
        let middle = &secret.as_bytes()[secret.len() / 4..secret.len() * 3 / 4];
        assert!(!inside(middle));
    }
}

#[tokio::test]
async fn a30_what_was_acknowledged_is_in_the_file_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.redb");
    let copies = with_hub(&path, async |handle| {
        let mut copies = Vec::new();
        for n in 0..8 {
            submit(&handle, 10).await;
            // What a process that is killed at this moment leaves.
            let copy = folder.path().join(format!("copy-{n}"));
            fs::copy(&path, &copy).unwrap();
            copies.push((copy, (n + 1) * 10));
        }
        copies
    })
    .await
    .unwrap();
    for (copy, acknowledged) in copies {
        assert_eq!(count(&copy).await.unwrap(), acknowledged);
    }
}

/// Counts the rows that are read.
#[derive(Debug)]
struct Counting(MemoryStore, Arc<AtomicUsize>);

#[async_trait]
impl Store for Counting {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.0.load(visit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.0.commit(batch).await
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.1.fetch_add(keys.len(), Ordering::Relaxed);
        self.0.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        let rows = self.0.history(range).await?;
        self.1.fetch_add(rows.len(), Ordering::Relaxed);
        Ok(rows)
    }
}

#[tokio::test]
async fn b50_a_page_reads_little_more_than_it_shows() {
    let (disk, read) = (MemoryDisk::new(), Arc::new(AtomicUsize::new(0)));
    let store = Arc::new(Counting(disk.open(), read.clone()));
    let looked = over(store, async |handle| {
        let command = Command::SubmitBatch(vec![draft(); 1_000]);
        let Ok(Reply::SubmittedBatch(ids)) = handle.call(Principal::Admin, command).await else {
            panic!("they are taken")
        };
        for one in &ids {
            let reply = handle.call(Principal::Admin, Command::Cancel(one.id)).await;
            assert!(matches!(reply, Ok(Reply::Cancelled { .. })), "{reply:?}");
        }
        let asked = |state: &str| TaskQuery {
            states: vec![state.into()],
            limit: 10,
            ..TaskQuery::default()
        };
        let before = read.load(Ordering::Relaxed);
        assert_eq!(handle.tasks(asked("cancelled")).await.unwrap().tasks.len(), 10);
        // There is none of these, and to find that out nothing else is read.
        assert_eq!(handle.tasks(asked("dead_letter")).await.unwrap().tasks.len(), 0);
        read.load(Ordering::Relaxed) - before
    });
    let looked = looked.await.unwrap();
    assert!(looked <= 50, "{looked} rows for a page of 10");
}
