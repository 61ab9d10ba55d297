//! This file measures one step of a hub, without a driver and without a store.
//!
//! `cargo xtask bench step [--tasks N --agents N --classes N] [--cycles N] [--runs N]`
//!
//! A cycle is five steps: a task is submitted, an agent says that it took on what it was given,
//! pings, and completes it, whereupon it is given the next. Agents and classes take turns. Without
//! a size, a ladder of sizes is measured.
//!
//! Instructions do not depend on who else uses the machine. Valgrind counts them:
//! `valgrind --tool=callgrind --toggle-collect='*Load::run' BINARY --tasks N --runs 1`

use std::collections::VecDeque;
use std::time::Instant;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::hub::GENESIS;
use agentcom_benches::report::{Runs, quantile, round, say};
use agentcom_benches::work::{Work, capabilities};
use agentcom_benches::{Outcome, fleet, machine};
use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, Facts};
use agentcom_core::hub::{Effect, Hub, Input, Step};
use agentcom_core::id::{CallId, SessionId};
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::time::{Mono, Now, Wall};
use agentcom_core::wire::{Dialect, Held, ToAgent, ToHub};

/// Steps between two milliseconds: a hub that is busy to the brim.
const STEPS_PER_MS: u64 = 50;
const KINDS: [&str; 4] = ["submit", "accept", "ping", "complete+assign"];

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
        return measure(size, cycles, runs).map(drop);
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

#[derive(Clone, Copy)]
struct Size {
    tasks: usize,
    agents: usize,
    classes: usize,
}

fn measure(size: Size, cycles: usize, runs: usize) -> Outcome<f64> {
    let mut all = Runs::default();
    let mut by_kind: [[Runs; 2]; 4] = Default::default();
    let mut load = Load::new(size)?;
    // The first cycles warm the caches up.
    load.run(cycles / 10)?;
    for _ in 0..runs {
        let mut nanos = load.run(cycles)?;
        nanos.iter_mut().for_each(|figures| figures.sort_unstable());
        // A step that the machine interrupts says nothing about steps, so means mislead.
        let middle: u32 = nanos.iter().map(|figures| quantile(figures, 0.5)).sum();
        all.add(f64::from(middle) / KINDS.len() as f64);
        for (kind, figures) in nanos.iter().enumerate() {
            by_kind[kind][0].add(f64::from(quantile(figures, 0.5)));
            by_kind[kind][1].add(f64::from(quantile(figures, 0.99)));
        }
    }
    let Size { tasks, agents, classes } = size;
    let kinds = KINDS.iter().zip(&by_kind).map(|(kind, [middle, most])| {
        format!("{kind} {} / {}", round(middle.median()), round(most.median()))
    });
    let kinds: Vec<String> = kinds.collect();
    say(&format!("{tasks}, {agents}, {classes}: {} ns; {}", all.spread(), kinds.join("; ")));
    Ok(all.median())
}

/// A hub with its queue full and all its agents at work.
struct Load {
    hub: Hub,
    work: Work,
    submitted: usize,
    steps: u64,
    /// What was assigned and not completed yet, with the session that holds it.
    assigned: VecDeque<(SessionId, Held)>,
}

impl Load {
    fn new(size: Size) -> Outcome<Self> {
        let mut hub = Hub::default();
        let _ = hub.found(Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) }, &GENESIS);
        let work = Work::new(size.classes)?;
        let mut load = Self { hub, work, submitted: 0, steps: 0, assigned: VecDeque::new() };
        while load.submitted < size.tasks {
            let count = (size.tasks - load.submitted).min(1_000);
            let drafts = (0..count).map(|n| load.work.draft(load.submitted + n));
            let drafts = drafts.collect::<Outcome<_>>()?;
            load.submitted += count;
            load.call(Command::SubmitBatch(drafts));
        }
        for agent in 0..size.agents {
            load.join(agent, size.classes)?;
        }
        if load.hub.state().task_count() != size.tasks || load.assigned.len() != size.agents {
            return Err("not every task is queued, or not every agent has one".into());
        }
        Ok(load)
    }

    /// Registers and connects an agent, which is given a task at once.
    fn join(&mut self, number: usize, classes: usize) -> Outcome<()> {
        let name = format!("agent-{number}");
        let mut token = [0; 32];
        token[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let token = TokenHash(token);
        self.call(Command::AddAgent { id: AgentId::new(&name)?, token });
        let session = SessionId(number as u64 + 1);
        let dialect = Dialect::V1;
        self.timed(Input::Opened { session, dialect, peer: "127.0.0.1".into() });
        let frame = Ok(fleet::identify(&name, 1, capabilities(number, classes)));
        self.timed(Input::Frame { session, frame, token: Some(token), facts: Facts::default() });
        Ok(())
    }

    /// The nanoseconds of each step of some cycles, by kind.
    fn run(&mut self, cycles: usize) -> Outcome<[Vec<u32>; 4]> {
        let mut nanos: [Vec<u32>; 4] = core::array::from_fn(|_| Vec::with_capacity(cycles));
        for _ in 0..cycles {
            let draft = self.work.draft(self.submitted)?;
            self.submitted += 1;
            nanos[0].push(self.call(Command::Submit(Box::new(draft))));
            let (session, held) = self.assigned.pop_front().ok_or("no task was assigned")?;
            nanos[1].push(self.frame(session, fleet::accepted(held)));
            nanos[2].push(self.frame(session, fleet::ping(vec![held])));
            nanos[3].push(self.frame(session, fleet::completed(held)?));
        }
        Ok(nanos)
    }

    fn call(&mut self, command: Command) -> u32 {
        let (call, by, facts) = (CallId(1), Principal::Admin, Facts::default());
        self.timed(Input::Call { call, by, cause: None, command, facts })
    }

    fn frame(&mut self, session: SessionId, frame: ToHub) -> u32 {
        let frame = Ok(frame);
        self.timed(Input::Frame { session, frame, token: None, facts: Facts::default() })
    }

    /// One step, and how many nanoseconds it took.
    fn timed(&mut self, input: Input) -> u32 {
        self.steps += 1;
        let ms = self.steps / STEPS_PER_MS;
        let now = Now { mono: Mono(1_000 + ms), wall: Wall(1_700_000_000_000 + ms) };
        let began = Instant::now();
        let step = self.hub.step(now, input);
        let took = began.elapsed().as_nanos();
        self.consume(step);
        u32::try_from(took).unwrap_or(u32::MAX)
    }

    /// Does what a driver would do with a step. As there, several steps share a commit.
    fn consume(&mut self, step: Step) {
        for effect in step.effects {
            if let Effect::Send(session, ToAgent::TaskAssign(assignment)) = effect {
                self.assigned.push_back((session, assignment.held()));
            }
        }
        if self.steps.is_multiple_of(32) {
            self.hub.settle(self.hub.state().seq());
        }
    }
}
