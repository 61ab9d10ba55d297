//! This file proves by random sequences that hubs and stores do what their models do.

mod hubs;
mod stores;

use std::process::ExitCode;
use std::time::Instant;

use agentcom_tests::proof::{Outcome, Usage, prove, say};
use serde_json::json;

const HELP: &str = "\
cargo xtask models [PART..] [--sequences N] [--seed N] [--figures FILE]

Plays random sequences on a hub under loads of each kind and on each store, and compares every
answer with a model. A sequence that differs is shrunk and printed. The parts are hub-lives,
hub-scheduler, hub-ageing, hub-caps and hub-policy, and store-memory, store-redb, store-redb-small,
which folds its log all the time, store-journal and store-custom; without one all are played.

--sequences N  so many for each kind of load and for each store (10000; 200 are a slice for CI)
--seed N       which sequences (0)
--figures FILE writes the figures as one JSON object
";

fn main() -> ExitCode {
    let parts: Vec<&str> = hubs::ALL.iter().chain(stores::ALL).map(|(name, _)| *name).collect();
    let numbers = [("sequences", 10_000), ("seed", 0)];
    let usage = Usage { parts: &parts, ..Usage::new(HELP, &numbers) };
    prove(&usage, |arguments| {
        let each = arguments.number("sequences");
        let count = u32::try_from(each).map_err(|error| format!("--sequences {each}: {error}"))?;
        let mut played = 0;
        let mut found = Vec::new();
        let wanted = hubs::ALL.iter().chain(stores::ALL).filter(|(name, _)| arguments.wants(name));
        for (name, play) in wanted {
            let began = Instant::now();
            let differs = play(count, arguments.number("seed")).err();
            played += each;
            let told = differs.as_deref().unwrap_or("no difference");
            say(&format!("{name}: {each} sequences, {told} ({} s)", began.elapsed().as_secs()));
            found.extend(differs.map(|differs| format!("{name}: {differs}")));
        }
        let figures = json!({ "sequences": played, "differences": found.len() });
        Ok(Outcome::new(figures, found))
    })
}
