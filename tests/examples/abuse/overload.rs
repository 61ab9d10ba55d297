//! This file offers a hub ten times the work that its agents can do, and measures what gets done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agentcom_tests::proof::{Outcome, say};
use agentcom_tests::real::api::{Api, Line};
use agentcom_tests::real::process::{Program, Swept, Up, within};
use serde_json::{Value, json};

use crate::crowd::{Crowd, p99, runtime};

/// The agents: together they can do 80 tasks a second.
const AGENTS: usize = 4;
const SLOTS: u32 = 4;
const TAKES: Duration = Duration::from_millis(200);
const CAPACITY: u64 = 80;
/// The most living tasks: some seconds of work, so that a full queue can be worked off in time.
const TASKS_MAX: u64 = 400;
/// Clients while there is enough work, and while there is too much, and what the latter offer
/// together in a second.
const FEW: usize = 2;
const CLIENTS: usize = 32;
const OFFERED: u64 = 10 * CAPACITY;
/// Tasks that are sent at once to keep the queue from running dry.
const BATCH: usize = 25;
/// How long the peak is measured.
const PEAK: Duration = Duration::from_secs(10);
/// What has to hold.
const GOODPUT_MIN_PERCENT: u64 = 90;
/// How quick refusals are, or at least no slower than what is taken in while all is well.
const REFUSED_P99_MAX: Duration = Duration::from_millis(10);
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn run(program: &Program, span: Duration) -> Outcome {
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let dir = swept.0.path();
    let up = Up::serve(program, dir, &format!("[limits]\ntasks_max = {TASKS_MAX}\n"));
    let api = up.api(dir);
    let runtime = runtime();
    let _crowd = Crowd::start(&runtime, &api, AGENTS, SLOTS, TAKES);
    let connected = || api.get("/health")["agents_connected"] == AGENTS;
    assert!(within(RECOVERED_WITHIN, connected), "the agents come");
    let quiet = round_trip(&api);
    let peak = goodput(&api, PEAK, Offer::Enough);
    say(&format!("peak: {} tasks/s done", peak.done_per_second));
    let over = goodput(&api, span, Offer::TooMuch);
    let ended = Instant::now();
    // Recovered is who answers a fresh task as quickly as before.
    let recovered = within(2 * RECOVERED_WITHIN, || {
        api.living() < 2 * u64::from(SLOTS) * AGENTS as u64
            && round_trip(&api) <= 2 * quiet.max(TAKES)
    });
    let recovery = ended.elapsed();
    let percent = over.done_per_second * 100 / peak.done_per_second.max(1);
    let figures = json!({
        "overload_capacity_per_second": CAPACITY,
        "overload_offered_per_second": over.offered_per_second,
        "overload_peak_per_second": peak.done_per_second,
        "overload_goodput_per_second": over.done_per_second,
        "overload_goodput_percent_of_peak": percent,
        "overload_refused": over.refused,
        "overload_refused_without_a_reason": over.untyped,
        "overload_refused_p99_us": over.refused_p99.as_micros() as u64,
        "overload_taken_at_peak_p99_us": peak.taken_p99.as_micros() as u64,
        "overload_recovered_after_ms": recovery.as_millis() as u64,
    });
    let wrongs = [
        (over.refused == 0, "it was not too much".to_owned()),
        (over.untyped > 0, format!("{} refusals do not say when to come again", over.untyped)),
        (
            over.refused_p99 > REFUSED_P99_MAX.max(2 * peak.taken_p99),
            format!("it takes {:?} to refuse", over.refused_p99),
        ),
        (
            percent < GOODPUT_MIN_PERCENT,
            format!("{percent} % of the peak is done when there is too much"),
        ),
        (
            !recovered || recovery > RECOVERED_WITHIN,
            format!("a fresh task takes too long {recovery:?} after there was too much"),
        ),
    ];
    let found = wrongs.into_iter().filter_map(|(wrong, what)| wrong.then_some(what));
    Outcome::new(figures, found.collect())
}

/// How much is offered.
#[derive(Clone, Copy, Debug)]
enum Offer {
    /// As much as keeps all agents busy.
    Enough,
    /// Ten times what they can do, whatever is answered.
    TooMuch,
}

struct Goodput {
    offered_per_second: u64,
    done_per_second: u64,
    refused: u64,
    untyped: u64,
    refused_p99: Duration,
    taken_p99: Duration,
}

/// What one client was answered.
#[derive(Default)]
struct Answers {
    offered: u64,
    untyped: u64,
    refused: Vec<Duration>,
    taken: Vec<Duration>,
}

fn goodput(api: &Api, span: Duration, offer: Offer) -> Goodput {
    let stop = AtomicBool::new(false);
    let (began, done) = (Instant::now(), completed(api));
    let answers: Vec<Answers> = std::thread::scope(|scope| {
        let count = match offer {
            Offer::Enough => FEW,
            Offer::TooMuch => CLIENTS,
        };
        let clients: Vec<_> =
            (0..count).map(|_| scope.spawn(|| client(api, &stop, offer))).collect();
        let _load = within(span, || false);
        stop.store(true, Ordering::Release);
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let per_second = |count: u64| (count as f64 / seconds).round() as u64;
    let offered = answers.iter().map(|answers| answers.offered).sum();
    let untyped = answers.iter().map(|answers| answers.untyped).sum();
    let (mut refused, mut taken) = (Vec::new(), Vec::new());
    for answers in answers {
        refused.extend(answers.refused);
        taken.extend(answers.taken);
    }
    Goodput {
        offered_per_second: per_second(offered),
        done_per_second: per_second(completed(api) - done),
        refused: refused.len() as u64,
        untyped,
        refused_p99: p99(refused),
        taken_p99: p99(taken),
    }
}

fn client(api: &Api, stop: &AtomicBool, offer: Offer) -> Answers {
    let mut line = Line::to(api).expect("the hub is there");
    let mut answers = Answers::default();
    let task = json!({ "shell": "true" });
    let began = Instant::now();
    let every = Duration::from_secs(1) * CLIENTS as u32 / OFFERED as u32;
    while !stop.load(Ordering::Acquire) {
        match offer {
            Offer::Enough if api.living() >= TASKS_MAX / 2 => {
                let _while = within(Duration::from_millis(50), || false);
                continue;
            }
            // The queue must not run dry while the agents are counted.
            Offer::Enough => {
                let _taken = api.submit(&vec![task.clone(); BATCH]);
            }
            // By the clock and not by the answers, as strangers do.
            Offer::TooMuch => {
                let at = every * u32::try_from(answers.offered).unwrap_or(u32::MAX);
                std::thread::sleep(at.saturating_sub(began.elapsed()));
            }
        }
        let asked = Instant::now();
        let (status, body) = line.ask("POST", "/api/tasks", Some(&task)).expect("it answers");
        answers.offered += 1;
        if status >= 400 {
            answers.refused.push(asked.elapsed());
            answers.untyped += u64::from(!says_when(status, &body));
        } else {
            answers.taken.push(asked.elapsed());
        }
    }
    answers
}

/// Whether a refusal is typed, and says when to come again.
fn says_when(status: u16, body: &Value) -> bool {
    [429, 503].contains(&status)
        && body["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0)
        && body["error"].as_str().is_some_and(|error| ["queue_full", "busy"].contains(&error))
}

fn completed(api: &Api) -> u64 {
    api.get("/api/stats")["tasks"]["ended"]["completed"].as_u64().unwrap_or_default()
}

/// How long a task takes from its submission to its end.
fn round_trip(api: &Api) -> Duration {
    let began = Instant::now();
    let ids = api.submit(&[json!({ "shell": "true", "priority": "normal" })]);
    let Some(id) = ids.and_then(|ids| ids.into_iter().next()) else { return Duration::MAX };
    let path = format!("/api/tasks/{id}");
    let ended = within(RECOVERED_WITHIN, || api.get(&path)["state"] == "completed");
    if ended { began.elapsed() } else { Duration::MAX }
}
