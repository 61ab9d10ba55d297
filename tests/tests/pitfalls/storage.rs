//! This file holds the pitfall of tables that swell under churn.

use agentcom_core::port::store::{Batch, Range, RowKey, Store, Table};
use agentcom_store_redb::RedbStore;

/// Writes and removes the rows of a few tasks, again and again, while somebody reads.
async fn churn(store: &RedbStore, seqs: std::ops::Range<u64>) {
    let key = |table, n: u64| RowKey::new(table, (n % 40).to_be_bytes().as_slice());
    for seq in seqs {
        let mut batch = Batch { seq, ..Batch::default() };
        batch.puts.push((key(Table::Spec, seq), vec![1; 400]));
        batch.puts.push((key(Table::Life, seq), vec![2; 300]));
        batch.deletes.push(key(Table::Spec, seq + 20));
        batch.deletes.push(key(Table::Life, seq + 20));
        store.commit(batch).await.unwrap();
        let all = Range {
            table: Table::Life,
            prefix: Vec::new(),
            after: None,
            backwards: false,
            limit: 100,
        };
        assert!(store.history(all).await.unwrap().len() <= 40);
    }
}

#[tokio::test]
async fn p17_a_file_does_not_swell_under_churn_though_somebody_reads_all_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.redb");
    let store = RedbStore::open(&path, "default").await.unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    churn(&store, 1..200).await;
    let settled = size();
    churn(&store, 200..500).await;
    assert!(size() <= settled * 2, "{settled} bytes after 200 commits, {} after 500", size());
}
