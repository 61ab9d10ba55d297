//! This file opens a store of its own kind, commits to it, restarts, and prints what is there.

use std::io::Write as _;

use agentcom_core::port::store::{Batch, Range, RowKey, Store as _, Table};
use agentcom_custom_store::LogStore;
use anyhow::Result;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "custom-store.log".into());
    futures_executor::block_on(async {
        let store = LogStore::open(&path)?;
        let last = store.load(&mut |_, _, _| Ok(())).await?.unwrap_or(0);
        for seq in last + 1..=last + 3 {
            let row = RowKey::new(Table::Event, seq.to_be_bytes());
            let puts = vec![(row, format!("this is event {seq}").into_bytes())];
            store.commit(Batch { seq, puts, deletes: vec![] }).await?;
        }

        // A hub holds a `Box<dyn Store>`; what follows is what it finds after a restart.
        drop(store);
        let store = LogStore::open(&path)?;
        let newest_five =
            Range { table: Table::Event, prefix: vec![], after: None, backwards: true, limit: 5 };
        let mut out = std::io::stdout().lock();
        for (_, value) in store.history(newest_five).await? {
            writeln!(out, "{}", String::from_utf8_lossy(&value))?;
        }
        Ok(())
    })
}
