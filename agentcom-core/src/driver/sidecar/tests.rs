//! This file runs whole sidecars against a scripted hub, on a clock that only tests move.

use alloc::string::{String, ToString};
use core::future::Future;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Waker};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::*;
use crate::config::Secret;
use crate::driver::local::{LocalListener, local};
use crate::driver::queue::Capacity;
use crate::id::{Boot, Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::name::AgentId;
use crate::port::executor::{JobContext, JobOutcome, News};
use crate::port::store::Table;
use crate::port::transport::{Connection, Transport};
use crate::task::{Op, Trace};
use crate::testing::memory::MemoryDisk;
use crate::time::{Now, Wall};
use crate::wire::{
    Acked, Assignment, Held, Identified, TaskAck, ToAgent, ToHub, read_to_hub, write,
};

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
struct ManualClock {
    ms: Mutex<(u64, Vec<Waker>)>,
}

impl ManualClock {
    fn advance(&self, ms: u64) {
        let mut time = self.ms.lock().unwrap_or_else(PoisonError::into_inner);
        time.0 += ms;
        time.1.drain(..).for_each(Waker::wake);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Now {
        let ms = self.ms.lock().unwrap_or_else(PoisonError::into_inner).0;
        Now { mono: Mono(ms), wall: Wall(ms) }
    }

    async fn sleep_until(&self, at: Mono) {
        poll_fn(|cx| {
            let mut time = self.ms.lock().unwrap_or_else(PoisonError::into_inner);
            if time.0 >= at.0 {
                return Poll::Ready(());
            }
            time.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Does what its input says.
#[derive(Debug)]
struct Scripted;

#[async_trait]
impl Executor for Scripted {
    fn kind(&self) -> Kind {
        Kind::new("script").unwrap()
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let word: String = job.op.input.read().unwrap();
        match &*word {
            "done" => JobOutcome::done(Json::text("ok")),
            "news" => {
                ctx.report(News { percent: Some(50), event: None, left: None });
                core::future::pending().await
            }
            "ask" => {
                let result = ctx.ask("may I?".into(), Span::from_secs(60), Json::text("no")).await;
                JobOutcome::done(result)
            }
            "heed" => {
                ctx.cancelled().await;
                JobOutcome::Stopped
            }
            "leave" => {
                // More than is kept of what may be lost.
                for _ in 0..1_000 {
                    ctx.report(News { percent: Some(50), event: None, left: None });
                }
                ctx.report(News::of_trace(Trace::Transcript("00ab".parse().unwrap())));
                core::future::pending().await
            }
            "hang" => core::future::pending().await,
            other => panic!("told to {other}"),
        }
    }
}

/// A sidecar and the hub's end of its connection, polled by hand.
struct Scene {
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    listener: LocalListener,
    connection: Option<Connection>,
    handle: SidecarHandle,
    sidecar: Option<BoxFuture<'static, Result<Exit, SidecarError>>>,
    ended: Option<Result<Exit, SidecarError>>,
}

impl Scene {
    fn new(disk: MemoryDisk) -> Self {
        Self::with(disk, None)
    }

    fn with(disk: MemoryDisk, meter: Option<Arc<dyn Meter>>) -> Self {
        let (listener, connector) = local(Capacity::default());
        let clock = Arc::new(ManualClock::default());
        let mut config = SidecarConfig::new(AgentId::new("a-1").unwrap(), Secret::new("t"));
        config.slots = 4;
        let driver = SidecarDriver::new(
            config,
            Arc::new(connector),
            Box::new(disk.open()),
            alloc::vec![Arc::new(Scripted)],
            Arc::clone(&clock) as Arc<dyn Clock>,
            Entropy { boot: Boot(1), seed: 1 },
        )
        .unwrap();
        let driver = match meter {
            Some(meter) => driver.with_meter(meter),
            None => driver,
        };
        let handle = driver.handle();
        let sidecar = Some(driver.run().boxed());
        Self { clock, disk, listener, connection: None, handle, sidecar, ended: None }
    }

    /// One that the hub knows, behind its first ping.
    fn online(disk: MemoryDisk) -> Self {
        let mut scene = Self::new(disk);
        scene.meet();
        scene
    }

    /// One with a meter, as [`Scene::online`].
    fn measured(meter: impl Meter + 'static) -> Self {
        let mut scene = Self::with(MemoryDisk::new(), Some(Arc::new(meter)));
        scene.meet();
        assert_eq!(scene.types(), ["ping"]);
        scene
    }

    fn meet(&mut self) {
        self.poll();
        self.connection = now(self.listener.open()).map(Result::unwrap);
        assert!(matches!(self.hear()[..], [ToHub::Identify(_)]));
        self.say(&ToAgent::Identified(Identified {
            agent_id: AgentId::new("a-1").unwrap(),
            incarnation: Some(Incarnation(7)),
            heartbeat_ms: None,
        }));
    }

    /// Lets time pass with every ping answered; what the sidecar says beside pings.
    fn beats(&mut self, beats: usize) -> Vec<ToHub> {
        let mut said = Vec::new();
        for _ in 0..beats {
            self.advance(5000);
            let frames = self.hear();
            assert!(frames.iter().any(|frame| matches!(frame, ToHub::Ping(_))), "{frames:?}");
            said.extend(frames.into_iter().filter(|frame| !matches!(frame, ToHub::Ping(_))));
            self.say(&ToAgent::Pong { timestamp: Wall(0), nonce: None, lost: Vec::new() });
        }
        said
    }

    fn poll(&mut self) {
        for _ in 0..50 {
            let Some(sidecar) = &mut self.sidecar else { return };
            if let Some(ended) = now(sidecar) {
                self.ended = Some(ended);
                self.sidecar = None;
            }
        }
    }

    fn advance(&mut self, ms: u64) {
        self.clock.advance(ms);
        self.poll();
    }

    /// What the sidecar has said since.
    fn hear(&mut self) -> Vec<ToHub> {
        self.poll();
        let connection = self.connection.as_mut().unwrap();
        let mut frames = Vec::new();
        while let Some(Some(text)) = now(connection.incoming.recv()) {
            frames.push(read_to_hub(&text).unwrap());
        }
        frames
    }

    fn types(&mut self) -> Vec<String> {
        let of = |frame: &ToHub| write(frame).split('"').nth(3).unwrap().to_string();
        self.hear().iter().map(of).collect()
    }

    fn say(&mut self, frame: &ToAgent) {
        self.connection.as_ref().unwrap().outgoing.send(write(frame)).unwrap();
        self.poll();
    }

    fn assign(&mut self, task: u64, word: &str) {
        self.say(&ToAgent::TaskAssign(Box::new(assignment(task, word))));
    }

    fn ack(&mut self, task: u64, status: Acked) {
        let generation = Some(Lease(1));
        self.say(&ToAgent::TaskAck(TaskAck { task_id: TaskId(task), status, generation }));
    }

    fn cancel(&mut self, task: u64) {
        self.say(&ToAgent::TaskCancelled {
            task_id: TaskId(task),
            generation: Lease(1),
            reason: String::new(),
            timestamp: Wall(0),
        });
    }

    fn jobs_stored(&self) -> usize {
        self.disk.rows().keys().filter(|key| key.table == Table::Job).count()
    }
}

fn now<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    match future.poll_unpin(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn assignment(task: u64, word: &str) -> Assignment {
    let held = Held { task_id: TaskId(task), generation: Lease(1) };
    let op = Op { kind: Kind::new("script").unwrap(), input: Json::text(word) };
    Assignment::new(held, Incarnation(7), op)
}

/// Measures once, fails once, and then never ends.
#[derive(Debug, Default)]
struct Moody(AtomicUsize);

#[async_trait]
impl Meter for Moody {
    async fn figures(&self) -> Option<Figures> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Some(Figures { cpu_per_mille: Some(37), ..Figures::default() }),
            1 => None,
            _ => core::future::pending().await,
        }
    }
}

#[test]
fn a_task_goes_through_and_leaves_the_journal_empty() {
    let mut scene = Scene::online(MemoryDisk::new());
    assert_eq!(scene.types(), ["ping"]);
    scene.assign(1, "done");
    assert_eq!(scene.types(), ["task_accepted", "task_complete"]);
    assert_eq!(scene.jobs_stored(), 1);
    scene.ack(1, Acked::Complete);
    assert_eq!(scene.jobs_stored(), 0);
}

#[test]
fn a_job_that_panics_has_crashed_and_takes_nobody_along() {
    let mut scene = Scene::online(MemoryDisk::new());
    scene.assign(1, "explode");
    let frames = scene.hear();
    let Some(ToHub::TaskFailed(failed)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(failed.category, Some(crate::task::Category::Crash));
    assert_eq!(failed.error.as_deref(), Some("panicked: told to explode"));
    scene.assign(2, "done");
    assert!(scene.types().contains(&"task_complete".into()));
}

#[test]
fn waiting_jobs_do_not_delay_heartbeats() {
    let mut scene = Scene::online(MemoryDisk::new());
    for task in 0..4 {
        scene.assign(task, "hang");
    }
    scene.types();
    scene.advance(5000);
    assert_eq!(scene.types(), ["ping"]);
}

#[test]
fn work_that_heeds_and_work_that_does_not_both_end_when_cancelled() {
    let mut scene = Scene::online(MemoryDisk::new());
    scene.assign(1, "heed");
    scene.assign(2, "hang");
    scene.cancel(1);
    assert_eq!(scene.jobs_stored(), 1);
    scene.cancel(2);
    assert_eq!(scene.jobs_stored(), 1);
    scene.advance(1000);
    assert_eq!(scene.jobs_stored(), 0);
}

#[test]
fn news_and_questions_travel_to_the_hub_and_answers_back() {
    let mut scene = Scene::online(MemoryDisk::new());
    scene.assign(1, "news");
    assert!(scene.types().contains(&"task_progress".into()));
    scene.assign(2, "ask");
    assert!(scene.types().contains(&"task_question".into()));
    scene.say(&ToAgent::QuestionAnswered(crate::wire::Answered {
        question_id: crate::id::QuestionId(1),
        task_id: TaskId(2),
        answer: Json::text("yes"),
        defaulted: false,
    }));
    let frames = scene.hear();
    let Some(ToHub::TaskComplete(complete)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(complete.result, Some(Json::text("yes")));
}

#[test]
fn what_work_left_behind_that_ran_out_of_time_and_did_not_heed_is_told() {
    let mut scene = Scene::online(MemoryDisk::new());
    let mut job = assignment(1, "leave");
    job.timeout_ms = Some(Span(2000));
    scene.say(&ToAgent::TaskAssign(Box::new(job)));
    scene.advance(2000);
    scene.advance(1000);
    let frames = scene.hear();
    let Some(ToHub::TaskFailed(failed)) = frames.last() else { panic!("{frames:?}") };
    let left = failed.left.as_ref().unwrap();
    assert_eq!(left.transcripts, ["00ab".parse().unwrap()]);
}

#[test]
fn a_killed_sidecar_reports_its_work_as_lost_when_it_runs_again() {
    let disk = MemoryDisk::new();
    let mut scene = Scene::online(disk.clone());
    scene.assign(1, "hang");
    assert_eq!(scene.jobs_stored(), 1);
    drop(scene);
    let mut scene = Scene::online(disk);
    assert_eq!(scene.types(), ["task_failed", "ping"]);
    scene.ack(1, Acked::Retried);
    assert_eq!(scene.jobs_stored(), 0);
}

#[test]
fn a_drained_sidecar_gives_back_what_it_cannot_finish_and_ends() {
    let mut scene = Scene::online(MemoryDisk::new());
    scene.assign(1, "hang");
    scene.handle.drain();
    scene.advance(0);
    assert!(scene.types().contains(&"agent_draining".into()));
    for _ in 0..31 {
        let nonce = None;
        scene.say(&ToAgent::Pong { timestamp: Wall(0), nonce, lost: Vec::new() });
        scene.advance(1000);
    }
    assert!(scene.types().contains(&"task_released".into()));
    scene.ack(1, Acked::Released);
    scene.connection = None;
    scene.advance(1000);
    assert!(matches!(scene.ended, Some(Ok(Exit::Clean))), "{:?}", scene.ended);
}

#[test]
fn a_journal_in_use_ends_the_sidecar_with_a_typed_error() {
    let disk = MemoryDisk::new();
    let mut scene = Scene::online(disk.clone());
    // A second opener fences the first, or is refused.
    let mut second = Scene::new(disk);
    second.poll();
    scene.assign(1, "done");
    let fenced = |ended: &Option<Result<Exit, SidecarError>>| match ended {
        Some(Err(SidecarError::Store(error))) => {
            error.kind == crate::port::store::StoreErrorKind::Fenced
        }
        Some(Ok(_) | Err(SidecarError::TwoExecutors(_))) | None => false,
    };
    assert!(fenced(&scene.ended) || fenced(&second.ended));
    assert!(!fenced(&scene.ended) || !scene.types().contains(&"task_accepted".into()));
}

#[test]
fn what_is_measured_is_told_and_a_measurement_that_fails_or_never_ends_holds_nothing_up() {
    let mut scene = Scene::measured(Moody::default());
    let frame = Figures { cpu_per_mille: Some(37), ..Figures::default() }.frame(Wall(5000));
    assert_eq!(scene.beats(1), [frame]);
    assert_eq!(scene.beats(30), []);
    scene.assign(1, "done");
    assert_eq!(scene.types(), ["task_accepted", "task_complete"]);
}
