//! This file is apalis on PostgreSQL.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};
use sqlx::postgres::PgPoolOptions;

use crate::CONCURRENCY;
use crate::apalis_any::{peer, started};

peer!(PostgresStorage, PgPool, "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'");

async fn connect(place: Place) -> Outcome<PgPool> {
    let pool = PgPoolOptions::new().max_connections(50).connect(&place.url).await?;
    if !place.reopen {
        sqlx::query("CREATE EXTENSION IF NOT EXISTS hstore").execute(&pool).await?;
        PostgresStorage::setup(&pool).await?;
    }
    Ok(pool)
}
