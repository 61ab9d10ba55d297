//! This file runs simulated fleets from many seeds, and holds one seed to one trace.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use agentcom_core::guard::{Guard, Guards};
use agentcom_core::hub::schedule::{AgentFacts, FairPolicy, Policy, TaskFacts};
use agentcom_core::testing::sim::{Fault, Mark, Options, Report, run, run_with, shrink};
use agentcom_core::time::Span;

/// Seeds of the normal test run. `AGENTCOM_SIM_SEEDS=FROM..TO` runs others.
const SEEDS: Range<u64> = 0..100;

/// Of how many seeds one is run twice, in two processes.
const TWICE: usize = 50;

/// Situations that a run of this length need not reach; `cargo xtask sim` has to.
const RARE: &[Mark] =
    &[Mark::LateResult, Mark::OldHubReached, Mark::Answered, Mark::ReportedOff, Mark::Forgotten];

/// A world that broke a promise once.
struct Regression {
    seed: u64,
    options: fn() -> Options,
    about: &'static str,
}

const REGRESSIONS: &[Regression] = &[
    Regression {
        seed: 20,
        options: Options::default,
        about: "a hub that was taken over and had nothing to commit kept its agents",
    },
    Regression {
        seed: 33,
        options: Options::default,
        about: "a restart after the clock was set back changed a bucket without storing it",
    },
    Regression {
        seed: 251,
        options: Options::default,
        about: "a hub that was taken over let an agent in and took its work from it",
    },
    Regression {
        seed: 7_444,
        options: || Options {
            sidecars: 3,
            plain: 1,
            tasks: 40,
            trouble: Span::from_secs(300),
            ..Options::default()
        },
        about: "the operator brought a dead task back while the world was being judged",
    },
    Regression {
        seed: 9_853,
        options: || Options { agents_well: true, ..Options::long() },
        about: "an agent reached a hub that stood still twice in a row, and was late at the next",
    },
];

fn seeds() -> Range<u64> {
    let Ok(said) = std::env::var("AGENTCOM_SIM_SEEDS") else { return SEEDS };
    let read = |text: &str| text.parse().expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    let (from, to) = said.split_once("..").expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    read(from)..read(to)
}

/// Runs every `step`-th seed from `first` on, up to the first that breaks a promise.
fn run_some(first: usize, step: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    for seed in seeds().skip(first).step_by(step) {
        reports.push(run(seed, &Options::default()));
        if reports.last().is_some_and(|report| report.verdict.is_err()) {
            break;
        }
    }
    reports
}

/// Fails with the smallest world that can be found in the time that a test has.
fn hold(report: &Report) {
    if report.verdict.is_err() {
        let found = shrink(report, 20);
        let arguments = report.options.arguments();
        panic!("seed {}{arguments}; smaller:\n{}", report.seed, found.report.story());
    }
}

#[test]
fn no_seed_breaks_a_promise_and_together_they_see_trouble() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let reports: Vec<Report> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|n| scope.spawn(move || run_some(n, threads))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    reports.iter().for_each(hold);
    let mut marks: BTreeMap<Mark, u64> = BTreeMap::new();
    for (mark, count) in reports.iter().flat_map(|report| &report.marks) {
        *marks.entry(*mark).or_default() += count;
    }
    let wanted = Mark::ALL.iter().filter(|mark| !RARE.contains(mark));
    let missed: Vec<_> = wanted.filter(|mark| !marks.contains_key(mark)).collect();
    assert!(seeds() != SEEDS || missed.is_empty(), "never reached: {missed:?} among {marks:?}");
}

#[test]
fn nobody_pays_where_only_hubs_and_their_stores_have_trouble() {
    for seed in SEEDS.step_by(4) {
        hold(&run(seed, &Options { agents_well: true, ..Options::default() }));
    }
}

#[test]
fn worlds_that_broke_a_promise_once_do_so_no_more() {
    for Regression { seed, options, about } in REGRESSIONS {
        let report = run(*seed, &options());
        assert_eq!(report.verdict, Ok(()), "{about}: {}", report.story());
    }
}

#[test]
fn one_seed_gives_one_trace_in_every_process() {
    const CHILD: &str = "AGENTCOM_SIM_DIGESTS";
    let digests = || -> Vec<String> {
        let digest = |seed| format!("digest {}", run(seed, &Options::default()).digest);
        SEEDS.step_by(TWICE).map(digest).collect()
    };
    let here = digests();
    if std::env::var_os(CHILD).is_some() {
        writeln!(std::io::stdout(), "\n{}", here.join("\n")).expect("somebody listens");
        return;
    }
    assert_eq!(digests(), here, "in one process");
    let program = std::env::current_exe().expect("this program has a name");
    let name = "one_seed_gives_one_trace_in_every_process";
    let child =
        Command::new(program).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output();
    let said = String::from_utf8(child.expect("it runs").stdout).expect("digests are text");
    let there: Vec<_> = said.lines().filter(|line| line.starts_with("digest ")).collect();
    assert_eq!(there, here, "in two processes");
}

#[test]
fn a_hub_or_a_store_that_is_broken_is_found_out() {
    let without = |guard: Guard| {
        let guards = Guards::all().without(guard);
        Options { guards, ..Options::default() }
    };
    let broken = [
        ("speaks before the commit", without(Guard::CommitFirst)),
        ("takes results of earlier attempts", without(Guard::Lease)),
        ("lets anybody speak for a task", without(Guard::Owner)),
        ("runs too many of a key at once", without(Guard::Concurrency)),
        ("starts too many of a rate", without(Guard::Rate)),
        ("forgets keys", without(Guard::IdempotencyKey)),
        ("takes two bodies for a key", without(Guard::KeyBody)),
        ("goes on beside another", without(Guard::OneWriter)),
        ("forgets a row", Options { forgets: 7, ..Options::default() }),
    ];
    for (what, options) in broken {
        let found = (0..60).any(|seed| run(seed, &options).verdict.is_err());
        assert!(found, "nobody notices a hub that {what}");
    }
}

/// The usual order, and nothing for the first agent.
#[derive(Debug)]
struct NotTheFirst;

impl Policy for NotTheFirst {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        FairPolicy.key(task)
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        FairPolicy.fit(task, agent).filter(|_| agent.id.as_str() != "agent-0")
    }
}

#[test]
fn a_policy_of_ones_own_is_put_to_the_same_trials() {
    for seed in 0..4 {
        let options = Options::default();
        let report = run_with(seed, &options, Arc::new(|builder| builder.policy(NotTheFirst)));
        assert_eq!(report.verdict, Ok(()), "{}", report.story());
        assert_ne!(report.digest, run(seed, &options).digest, "it makes a difference");
    }
}

#[test]
fn a_failing_world_is_made_smaller() {
    let guards = Guards::all().without(Guard::Concurrency);
    let options = Options { guards, ..Options::default() };
    let failing = (0..60).map(|seed| run(seed, &options)).find(|report| report.verdict.is_err());
    let failing = failing.expect("a world in which the limit matters");
    let found = shrink(&failing, 60);
    assert!(found.report.verdict.is_err());
    assert!(found.options.tasks < options.tasks || found.options.without.len() > 10);
    assert!(found.report.story().contains("may"), "{}", found.report.story());
    assert!(found.report.trace.iter().any(|line| line.contains("task_assign")));
}

#[test]
fn a_world_is_what_its_arguments_say() {
    let options = Options {
        trouble: Span::from_secs(90),
        without: [Fault::Loss, Fault::HubKill].into(),
        ..Options::default()
    };
    let arguments = " --sidecars 3 --plain 1 --tasks 40 --trouble 90 --without loss,hub-kill";
    assert_eq!(options.arguments(), arguments);
    assert_eq!("hub-kill".parse(), Ok(Fault::HubKill));
}
