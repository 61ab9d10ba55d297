//! This file is apalis on SQLite, made durable: its own set-up turns syncing off.

use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteStorage};
use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::CONCURRENCY;
use crate::apalis_any::{peer, started};

peer!(SqliteStorage, SqlitePool, "SELECT count(*) FROM Jobs WHERE status = 'Done'");

async fn connect(place: Place) -> Outcome<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(place.dir.join("apalis.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().max_connections(10).connect_with(options).await?;
    if !place.reopen {
        SqliteStorage::migrations().run(&pool).await?;
    }
    Ok(pool)
}
