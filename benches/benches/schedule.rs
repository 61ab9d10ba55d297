//! This file measures scheduling alone: what it takes to choose a task and an agent.
//!
//! `cargo xtask bench schedule [SUITE] [--tasks N] [--decisions N] [--runs N] [--plots DIR]`
//!
//! A decision picks a task and an agent and records that in the indexes: queue, fleet, shares and
//! counts of limits. What else a step does (events, rows, frames, the life of the task) is left out.
//! All agents are at work; one is done, which is not timed, and is given the next task, which is.
//! The suites are `goals`, `hostile` and `growth`, which draws its figures; without one, all run.

use std::path::Path;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::decisions::Decisions;
use agentcom_benches::plot::{Chart, Line};
use agentcom_benches::report::{Runs, quantile, round, say};
use agentcom_benches::scene::Scene;
use agentcom_benches::{Outcome, machine};

/// Decisions between two agents that change what they can do, in the hostile suite: at 20,000
/// decisions a second that is 1,000 changes a second.
const DECISIONS_PER_CHURN: usize = 20;
/// The slowest of so many decisions are left out of means: they are those that the machine
/// interrupted.
const INTERRUPTED: usize = 1_000;

const TYPICAL: Scene = Scene {
    tasks: 1_000_000,
    agents: 10_000,
    classes: (40, 25),
    fits: (5, 4),
    limits: false,
    unmatchable: 0,
};

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let bench = Bench {
        tasks: arguments.number("tasks", 1_000_000)?,
        decisions: arguments.number("decisions", 100_000)?,
        runs: arguments.number("runs", 5)?,
    };
    let plots = arguments.text("plots").map(Path::new);
    machine::describe();
    say("decisions per second; ns of one, 50 % / 99 % / 99.9 %");
    match arguments.word(0) {
        None => {
            bench.goals()?;
            bench.hostile()?;
            bench.growth(plots)
        }
        Some("goals") => bench.goals(),
        Some("hostile") => bench.hostile(),
        Some("growth") => bench.growth(plots),
        Some(other) => Err(format!("there is no suite `{other}`").into()),
    }
}

struct Bench {
    tasks: usize,
    decisions: usize,
    runs: usize,
}

impl Bench {
    fn goals(&self) -> Outcome<()> {
        let typical = Scene { tasks: self.tasks, ..TYPICAL };
        let wide = Scene { fits: (20, 15), ..typical };
        let limited = Scene { limits: true, ..typical };
        let without = self.measure("20 of 1,000 classes fit", typical, None)?;
        self.measure("300 of 1,000 classes fit", wide, None)?;
        let with = self.measure("20 fit, three limits", limited, None)?;
        say(&format!("with limits {} of the rate without", round(without / with)));
        Ok(())
    }

    fn hostile(&self) -> Outcome<()> {
        let unmatchable = self.tasks / 10;
        let narrow = Scene { tasks: self.tasks, classes: (160, 125), unmatchable, ..TYPICAL };
        let wide = Scene { fits: (20, 15), ..narrow };
        let churn = Some(DECISIONS_PER_CHURN);
        self.measure("hostile, 20 of 20,000 classes fit", narrow, churn)?;
        self.measure("hostile, 300 of 20,000 classes fit", wide, churn)?;
        Ok(())
    }

    /// How the cost grows with tasks, and with the classes that every agent can run.
    fn growth(&self, plots: Option<&Path>) -> Outcome<()> {
        let mut by_tasks = [Vec::new(), Vec::new()];
        for tasks in [1_000, 10_000, 100_000, 1_000_000] {
            let agents = (tasks / 10).min(10_000);
            for (fits, points) in [(5, 4), (20, 15)].into_iter().zip(&mut by_tasks) {
                let scene = Scene { tasks, agents, fits, ..TYPICAL };
                points.push((tasks as f64, self.measure("growth", scene, None)?));
            }
        }
        let mut by_classes = Vec::new();
        for classes in [(5, 2), (10, 10), (40, 25), (100, 100), (160, 125)] {
            let scene = Scene { tasks: 100_000, agents: 1_000, classes, fits: classes, ..TYPICAL };
            let cost = self.measure("all classes fit", scene, None)?;
            by_classes.push((scene.class_count() as f64, cost));
        }
        let Some(dir) = plots else { return Ok(()) };
        let axes = |x: &str| (x.to_owned(), "ns".to_owned());
        let [narrow, wide] = by_tasks;
        let narrow = Line { name: "20 of 1,000 classes fit an agent".into(), points: narrow };
        let wide = Line { name: "300 of 1,000 classes fit".into(), points: wide };
        let title = "What a decision costs as the queue grows".into();
        let tasks = Chart { title, axes: axes("ready tasks"), lines: vec![narrow, wide] };
        let line = Line { name: "100,000 tasks, 1,000 agents".into(), points: by_classes };
        let title = "What a decision costs as classes grow that every agent can run".into();
        let classes = Chart { title, axes: axes("requirement classes"), lines: vec![line] };
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("schedule-tasks.svg"), tasks.svg())?;
        Ok(std::fs::write(dir.join("schedule-classes.svg"), classes.svg())?)
    }

    /// The nanoseconds of a decision in the mean of the median run.
    fn measure(&self, name: &str, scene: Scene, churn: Option<usize>) -> Outcome<f64> {
        let decisions = self.decisions.min(scene.tasks / 4);
        let more = Scene { tasks: scene.tasks + (self.runs + 1) * decisions, ..scene };
        let mut load = Decisions::new(more, churn)?;
        load.timed(decisions)?;
        let [mut means, mut rates, mut half, mut most, mut extreme]: [Runs; 5] = Default::default();
        for _ in 0..self.runs {
            let mut nanos = load.timed(decisions)?;
            nanos.sort_unstable();
            let kept = &nanos[..decisions - decisions.div_ceil(INTERRUPTED)];
            let sum: u64 = kept.iter().map(|nanos| u64::from(*nanos)).sum();
            means.add(sum as f64 / kept.len() as f64);
            rates.add(kept.len() as f64 * 1e9 / sum as f64);
            half.add(f64::from(quantile(&nanos, 0.5)));
            most.add(f64::from(quantile(&nanos, 0.99)));
            extreme.add(f64::from(quantile(&nanos, 0.999)));
        }
        let [half, most, extreme] = [half, most, extreme].map(|runs| round(runs.median()));
        let (tasks, agents, classes) = (scene.tasks, scene.agents, scene.class_count());
        let rates = rates.spread();
        say(&format!(
            "{name}, {tasks} tasks, {agents} agents, {classes} classes: {rates}; {half} / {most} / {extreme}"
        ));
        Ok(means.median())
    }
}
