//! This file measures one step of a hub, without a driver and without a store.
//!
//! `cargo xtask bench step [--tasks N --agents N --classes N] [--cycles N] [--runs N]`
//!
//! A cycle is five steps: a task is submitted, an agent says that it took on what it was given,
//! pings, and completes it, whereupon it is given the next. Agents and classes take turns. Without
//! a size, a ladder of sizes is measured. Instructions, which do not depend on who else uses the
//! machine, are counted by `cargo xtask bench guard`.

use agentcom_benches::arguments::Arguments;
use agentcom_benches::report::{Runs, quantile, round, say};
use agentcom_benches::steps::{Kind, Load, Size};
use agentcom_benches::{Outcome, machine};

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let runs = arguments.number("runs", 3)?;
    let cycles = arguments.number("cycles", 20_000)?;
    machine::describe();
    say("tasks, agents, classes: ns of a step, mean of the medians by kind; median / 99% by kind");
    if arguments.text("tasks").is_some() {
        let size = Size {
            tasks: arguments.number("tasks", 0)?,
            agents: arguments.number("agents", 1_000)?,
            classes: arguments.number("classes", 100)?,
        };
        return measure(size, cycles, runs);
    }
    let ladder = [
        (10_000, 1_000, 100),
        (100_000, 1_000, 100),
        (1_000_000, 1_000, 100),
        (100_000, 100, 100),
        (100_000, 10_000, 100),
        (100_000, 1_000, 10),
        (100_000, 1_000, 1_000),
        (1_000_000, 10_000, 1_000),
    ];
    for (tasks, agents, classes) in ladder {
        measure(Size { tasks, agents, classes }, cycles, runs)?;
    }
    Ok(())
}

fn measure(size: Size, cycles: usize, runs: usize) -> Outcome<()> {
    let mut all = Runs::default();
    let mut by_kind: [[Runs; 2]; 4] = Default::default();
    let mut load = Load::new(size)?;
    // The first cycles warm the caches up.
    run(&mut load, cycles / 10)?;
    for _ in 0..runs {
        let mut nanos = run(&mut load, cycles)?;
        nanos.iter_mut().for_each(|figures| figures.sort_unstable());
        // A step that the machine interrupts says nothing about steps, so means mislead.
        let middle: u32 = nanos.iter().map(|figures| quantile(figures, 0.5)).sum();
        all.add(f64::from(middle) / nanos.len() as f64);
        for (kind, figures) in nanos.iter().enumerate() {
            by_kind[kind][0].add(f64::from(quantile(figures, 0.5)));
            by_kind[kind][1].add(f64::from(quantile(figures, 0.99)));
        }
    }
    let Size { tasks, agents, classes } = size;
    let kinds = Kind::ALL.iter().zip(&by_kind).map(|(kind, [middle, most])| {
        let (middle, most) = (round(middle.median()), round(most.median()));
        format!("{} {middle} / {most}", kind.as_str())
    });
    let kinds: Vec<String> = kinds.collect();
    say(&format!("{tasks}, {agents}, {classes}: {} ns; {}", all.spread(), kinds.join("; ")));
    Ok(())
}

/// The nanoseconds of each step of some cycles, by kind.
fn run(load: &mut Load, cycles: usize) -> Outcome<[Vec<u32>; 4]> {
    let mut nanos: [Vec<u32>; 4] = core::array::from_fn(|_| Vec::with_capacity(cycles));
    for _ in 0..cycles {
        for (all, one) in nanos.iter_mut().zip(load.cycle()?) {
            all.push(one);
        }
    }
    Ok(nanos)
}
