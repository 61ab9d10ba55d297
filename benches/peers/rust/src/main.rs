//! This file plays work on the queue that the first argument names.

mod apalis_any;
mod apalis_pg;
mod apalis_sqlite;
mod awa_pg;
mod graphile;
mod river;
mod rustq;
mod underway_pg;

use std::process::ExitCode;

use peers_subject::{Arguments, failed, run};

/// How many jobs may run at once, for all.
const CONCURRENCY: usize = 100;

/// Waits on this thread, for futures that cannot be moved to another.
fn here<F: Future>(future: F) -> F::Output {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return failed(&error.to_string()),
    };
    match arguments.peer.as_str() {
        "apalis-postgres" => run::<apalis_pg::Apalis>(arguments),
        "apalis-sqlite" => run::<apalis_sqlite::Apalis>(arguments),
        "awa" => run::<awa_pg::Awa>(arguments),
        "graphile_worker" => run::<graphile::Graphile>(arguments),
        "riverqueue" => run::<river::River>(arguments),
        "rustqueue" => run::<rustq::Rustq>(arguments),
        "underway" => run::<underway_pg::Underway>(arguments),
        other => failed(&format!("there is no peer {other} here")),
    }
}
