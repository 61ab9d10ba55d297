//! This file lists the routes: one file for each resource.

mod agents;
mod backups;
mod batch;
mod dead_letter;
mod endpoints;
mod events;
mod health;
mod money;
mod operators;
mod pauses;
mod push_task;
mod questions;
mod repos;
mod schemas;
mod stats;
mod tasks;
mod tokens;
mod weights;

use crate::route::Route;

/// All routes.
pub(crate) fn all() -> Vec<Route> {
    let routes = [
        tasks::routes(),
        batch::routes(),
        dead_letter::routes(),
        push_task::routes(),
        stats::routes(),
        agents::routes(),
        tokens::routes(),
        operators::routes(),
        pauses::routes(),
        weights::routes(),
        money::routes(),
        endpoints::routes(),
        repos::routes(),
        backups::routes(),
        questions::routes(),
        events::routes(),
        schemas::routes(),
        health::routes(),
    ];
    routes.into_iter().flatten().collect()
}
