//! This file plays the works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Arguments, Job, Outcome, Peer, Seen, Work};

/// How many jobs are handed over in one bulk submission; the peer cuts it as it likes.
const BULK: usize = 10_000;

pub(crate) async fn play<P: Peer>(arguments: Arguments) -> Outcome<Value> {
    let began = Instant::now();
    let opening = P::open(arguments.place.clone(), arguments.mode, arguments.classes);
    let peer = Arc::new(opening.await?);
    let mut figures = match arguments.work {
        Work::Submit => submit(&peer, &arguments).await,
        Work::Bulk => bulk(&peer, &arguments).await,
        Work::Cycle => cycle(&peer, &arguments).await,
        Work::Drain => drain(&peer, &arguments).await,
        Work::Latency => latency(&peer, &arguments).await,
        Work::Backlog => backlog(&peer, &arguments).await,
        Work::Ready => ready(&peer, &arguments, began).await,
    }?;
    figures["rss_kib"] = json!(resident("VmRSS:"));
    figures["rss_max_kib"] = json!(resident("VmHWM:"));
    Ok(figures)
}

async fn submit<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    let (began, span) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let number = Arc::new(AtomicU64::new(0));
    let mut callers: JoinSet<Outcome<Vec<u64>>> = JoinSet::new();
    for _ in 0..arguments.callers {
        let (peer, number) = (peer.clone(), number.clone());
        callers.spawn(async move {
            let mut spans = Vec::new();
            while began.elapsed() < span {
                let at = Instant::now();
                let number = number.fetch_add(1, Ordering::Relaxed);
                peer.submit(Job { number, class: 0 }).await?;
                spans.push(at.elapsed().as_micros() as u64);
            }
            Ok(spans)
        });
    }
    let mut spans = Vec::new();
    while let Some(ended) = callers.join_next().await {
        spans.extend(ended??);
    }
    let took = began.elapsed();
    spans.sort_unstable();
    Ok(figures(spans.len() as u64, took, &spans))
}

async fn bulk<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    let began = Instant::now();
    submit_bulk(peer, arguments.jobs, 1).await?;
    Ok(figures(arguments.jobs, began.elapsed(), &[]))
}

async fn submit_bulk<P: Peer>(peer: &Arc<P>, jobs: u64, classes: u32) -> Outcome<()> {
    let all: Vec<Job> = (0..jobs)
        .map(|number| Job { number, class: (number % u64::from(classes)) as u32 })
        .collect();
    for some in all.chunks(BULK) {
        peer.submit_all(some.to_vec()).await?;
    }
    Ok(())
}

async fn cycle<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    let seen = Seen::new(arguments.jobs, 0);
    peer.work(0, seen.clone()).await?;
    let began = Instant::now();
    let number = Arc::new(AtomicU64::new(0));
    let mut callers: JoinSet<Outcome<()>> = JoinSet::new();
    for _ in 0..arguments.callers {
        let (peer, number, jobs) = (peer.clone(), number.clone(), arguments.jobs);
        callers.spawn(async move {
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return Ok(());
                }
                peer.submit(Job { number, class: 0 }).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    until_done(peer, &seen, arguments.jobs, arguments.jobs).await?;
    Ok(figures(arguments.jobs, began.elapsed(), &[]))
}

async fn drain<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    submit_bulk(peer, arguments.jobs, 1).await?;
    let seen = Seen::new(arguments.jobs, 0);
    let began = Instant::now();
    peer.work(0, seen.clone()).await?;
    until_done(peer, &seen, arguments.jobs, arguments.jobs).await?;
    Ok(figures(arguments.jobs, began.elapsed(), &[]))
}

async fn latency<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    let jobs = arguments.rate * arguments.seconds;
    let seen = Seen::new(jobs, jobs as usize);
    peer.work(0, seen.clone()).await?;
    // Workers come to rest first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / arguments.rate));
    let mut submissions: JoinSet<Outcome<()>> = JoinSet::new();
    for number in 0..jobs {
        ticks.tick().await;
        seen.submitting(number);
        let peer = peer.clone();
        submissions.spawn(async move { peer.submit(Job { number, class: 0 }).await });
    }
    while let Some(ended) = submissions.join_next().await {
        ended??;
    }
    seen.all().await;
    Ok(figures(jobs, began.elapsed(), &seen.latencies()))
}

async fn backlog<P: Peer>(peer: &Arc<P>, arguments: &Arguments) -> Outcome<Value> {
    let began = Instant::now();
    submit_bulk(peer, arguments.jobs, arguments.classes).await?;
    let filled = began.elapsed();
    let own = arguments.jobs / u64::from(arguments.classes);
    let seen = Seen::new(own, 0);
    let began = Instant::now();
    peer.work(0, seen.clone()).await?;
    until_done(peer, &seen, own, arguments.jobs).await?;
    let mut figures = figures(own, began.elapsed(), &[]);
    figures["filled_s"] = json!(filled.as_secs_f64());
    Ok(figures)
}

async fn ready<P: Peer>(peer: &Arc<P>, arguments: &Arguments, began: Instant) -> Outcome<Value> {
    let seen = Seen::new(1, 0);
    peer.work(0, seen.clone()).await?;
    // The jobs of this class were done before; those of the others wait, and stay.
    peer.submit(Job { number: arguments.jobs, class: 0 }).await?;
    seen.all().await;
    Ok(json!({"ready_s": began.elapsed().as_secs_f64()}))
}

async fn until_done<P: Peer>(peer: &Arc<P>, seen: &Seen, own: u64, all: u64) -> Outcome<()> {
    seen.all().await;
    while peer.done(all).await? < own {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn figures(jobs: u64, took: Duration, spans: &[u64]) -> Value {
    let at = |percent: usize| spans.get((spans.len() * percent / 100).min(spans.len().max(1) - 1));
    json!({
        "jobs": jobs,
        "seconds": took.as_secs_f64(),
        "rate": jobs as f64 / took.as_secs_f64(),
        "p50_us": at(50),
        "p99_us": at(99),
    })
}

/// What the system says of this process's memory, in KiB.
fn resident(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
