//! This file measures scheduling alone: what it takes to choose a task and an agent.
//!
//! `cargo xtask bench schedule [SUITE] [--tasks N] [--decisions N] [--runs N] [--plots DIR]`
//!
//! A decision picks a task and an agent and records that in the indexes: queue, fleet, shares and
//! counts of limits. What else a step does (events, rows, frames, the life of the task) is left out.
//! All agents are at work; one is done, which is not timed, and is given the next task, which is.
//! The suites are `goals`, `hostile` and `growth`, which draws its figures into a folder named from
//! the root of the repository; without one, all run.
//! `count` makes decisions for an instrument, which finds them by the function `counted_decision`.

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
    // Benches are run in the folder of their package.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let plots = arguments.text("plots").map(|dir| root.join(dir));
    machine::describe();
    say("decisions per second; ns of one, 50 % / 99 % / 99.9 %");
    match arguments.word(0) {
        None => {
            bench.goals()?;
            bench.hostile()?;
            bench.growth(plots.as_deref())
        }
        Some("goals") => bench.goals(),
        Some("hostile") => bench.hostile(),
        Some("growth") => bench.growth(plots.as_deref()),
        Some("count") => bench.count(arguments.text("limits") == Some("yes")),
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
        self.measure("300 of 1,000 classes fit", wide, None)?;
        // Runs with and without limits take turns, and neighbours are compared: whoever else uses
        // the machine slows both down.
        let (mut without, mut with) = (self.load(typical, None)?, self.load(limited, None)?);
        let mut ratios = Runs::default();
        for _ in 0..self.runs {
            ratios.add(without.run()? / with.run()?);
        }
        without.say("20 of 1,000 classes fit");
        with.say("20 fit, three limits");
        say(&format!("the rate with limits, of the one without: {}", ratios.spread()));
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
        for classes in [(5, 2), (10, 10), (40, 25), (100, 100)] {
            let scene = Scene { tasks: 100_000, agents: 1_000, classes, fits: classes, ..TYPICAL };
            let cost = self.measure("all classes fit", scene, None)?;
            by_classes.push((scene.class_count() as f64, cost));
        }
        let Some(dir) = plots else { return Ok(()) };
        let axes = |x: &str| (x.to_owned(), "nanoseconds".to_owned());
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

    fn count(&self, limits: bool) -> Outcome<()> {
        let all = (self.runs + 1) * self.decisions;
        let scene = Scene { tasks: self.tasks + all, limits, ..TYPICAL };
        let mut load = Decisions::new(scene, None)?;
        load.timed(self.decisions)?;
        load.counted(self.runs * self.decisions)
    }

    /// The nanoseconds of a decision in the mean of the median run.
    fn measure(&self, name: &str, scene: Scene, churn: Option<usize>) -> Outcome<f64> {
        let mut load = self.load(scene, churn)?;
        for _ in 0..self.runs {
            load.run()?;
        }
        load.say(name);
        Ok(load.means.median())
    }

    /// A scene with everybody at work, and enough tasks for all runs.
    fn load(&self, scene: Scene, churn: Option<usize>) -> Outcome<Load> {
        let count = self.decisions.min(scene.tasks / 4);
        let tasks = scene.tasks + (self.runs + 1) * count;
        let mut decisions = Decisions::new(Scene { tasks, ..scene }, churn)?;
        decisions.timed(count)?;
        let [means, rates, half, most, extreme]: [Runs; 5] = Default::default();
        Ok(Load { scene, decisions, count, means, rates, half, most, extreme })
    }
}

/// A scene at work, and what was measured so far.
struct Load {
    scene: Scene,
    decisions: Decisions,
    count: usize,
    means: Runs,
    rates: Runs,
    half: Runs,
    most: Runs,
    extreme: Runs,
}

impl Load {
    /// The nanoseconds of a decision in the mean of one more run.
    fn run(&mut self) -> Outcome<f64> {
        let mut nanos = self.decisions.timed(self.count)?;
        nanos.sort_unstable();
        let kept = &nanos[..self.count - self.count.div_ceil(INTERRUPTED)];
        let sum: u64 = kept.iter().map(|nanos| u64::from(*nanos)).sum();
        let mean = sum as f64 / kept.len() as f64;
        self.means.add(mean);
        self.rates.add(1e9 / mean);
        self.half.add(f64::from(quantile(&nanos, 0.5)));
        self.most.add(f64::from(quantile(&nanos, 0.99)));
        self.extreme.add(f64::from(quantile(&nanos, 0.999)));
        Ok(mean)
    }

    fn say(&self, name: &str) {
        let [half, most, extreme] =
            [&self.half, &self.most, &self.extreme].map(|runs| round(runs.median()));
        let Scene { tasks, agents, .. } = self.scene;
        let (classes, rates) = (self.scene.class_count(), self.rates.spread());
        say(&format!(
            "{name}, {tasks} tasks, {agents} agents, {classes} classes: {rates}; {half} / {most} / {extreme}"
        ));
    }
}
