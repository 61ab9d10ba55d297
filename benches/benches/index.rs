//! This file measures the memory that a queued task takes: its record, and its places in indexes.
//!
//! `cargo xtask bench index [--tasks N]`
//!
//! Counted are the bytes that the state asks the allocator for. Of these, the record is what a copy
//! of the task takes; the rest are indexes, the list of living tasks with them.

use std::alloc::System;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::report::{round, say};
use agentcom_benches::scene::Scene;
use agentcom_benches::{Outcome, machine};
use agentcom_core::task::Task;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PLAIN: Scene = Scene {
    tasks: 1_000_000,
    agents: 10_000,
    classes: (40, 25),
    fits: (0, 0),
    limits: false,
    unmatchable: 0,
};

fn main() -> Outcome<()> {
    let tasks = Arguments::read()?.number("tasks", PLAIN.tasks)?;
    let plain = Scene { tasks, ..PLAIN };
    machine::describe();
    say("bytes of a queued task: all; of these the record; indexes");
    measure("1,000 classes", plain)?;
    measure("1,000 classes, three limits on each task", Scene { limits: true, ..plain })?;
    measure("20,000 classes", Scene { classes: (160, 125), ..plain })?;
    measure("one class", Scene { classes: (1, 1), ..plain })
}

fn measure(name: &str, scene: Scene) -> Outcome<()> {
    let (all, hub) = sized(|| scene.hub());
    let hub = hub?;
    let (records, copies) = sized(|| hub.state().tasks().cloned().collect::<Vec<Task>>());
    let records = records - (copies.capacity() - copies.len()) * size_of::<Task>();
    let each = |bytes: usize| round(bytes as f64 / scene.tasks as f64);
    let (all, records, indexes) = (each(all), each(records), each(all - records));
    say(&format!("{name}, {} tasks: {all}; {records}; {indexes}", copies.len()));
    Ok(())
}

/// What something takes in memory, in bytes.
fn sized<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated, made)
}
