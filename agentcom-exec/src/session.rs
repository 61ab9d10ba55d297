//! This file runs one guarded command: drains what it prints, tells how it ended, stops it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentcom_core::port::executor::JobContext;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep_until, timeout};

use crate::egress::Contact;
use crate::guard::{GuardCommand, How, Leftovers, Refusal, Running, Said, Spawner, TooMuch};
use crate::output::{Fresh, Kept, report, survived};
use crate::sandbox::{Excess, Quota, Sandbox};

/// How long news of output is gathered before it is passed on.
const NEWS_WINDOW: Duration = Duration::from_millis(100);

/// How long output is awaited after the job has ended: somebody else may hold its pipes.
const DRAIN: Duration = Duration::from_millis(200);

/// How much longer than its grace a job may take to be stopped.
const STOP_MARGIN: Duration = Duration::from_millis(200);

/// A command under its guard. Dropping it kills the command at once.
#[derive(Debug)]
pub(crate) struct Session {
    running: Running,
    pub(crate) printed: Printed,
    grace: Duration,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It ran.
    Ran(How),
    /// It could not be started.
    Refused(Refusal),
    /// It was stopped, since its time was over.
    Late,
    /// Its files are more than they may be: it was stopped for that, or has left so many.
    DiskFull(Excess),
    /// It had more of something than it may, and was killed for that.
    TooMuch(TooMuch),
    /// Its guard is gone, and nobody knows.
    Lost,
}

impl Session {
    pub(crate) async fn start(
        spawner: &Spawner,
        command: &GuardCommand,
        output_bytes_max: usize,
    ) -> io::Result<Self> {
        let mut running = spawner.spawn(command).await?;
        let (out, err) = running.take_output();
        let printed = Printed {
            out: Stream::new(out, "stdout", output_bytes_max),
            err: Stream::new(err, "stderr", output_bytes_max),
            news_at: None,
        };
        Ok(Self { running, printed, grace: spawner.grace() })
    }

    /// Waits until the command ends. Cancel safe.
    pub(crate) async fn ended(&mut self, ctx: &dyn JobContext) -> Ended {
        loop {
            match self.heard(ctx).await {
                Ok(Said::Exited(how)) => return Ended::Ran(how),
                Ok(Said::Refused(refusal)) => return Ended::Refused(refusal),
                Ok(Said::TooMuch(too_much)) => return Ended::TooMuch(too_much),
                Ok(Said::Started { .. } | Said::Contact(_) | Said::Clear { .. }) => {}
                Err(_) => return Ended::Lost,
            }
        }
    }

    /// Waits until nothing is left of the command, and takes in what it last printed.
    pub(crate) async fn settled(&mut self, ctx: &dyn JobContext) {
        while let Ok(said) = self.heard(ctx).await {
            if let Said::Clear { survivors } = said {
                survived(ctx, survivors);
                break;
            }
        }
        self.catch_up(ctx).await;
    }

    /// Has the command run to its end, or stops it when it takes longer than `within` or its files are
    /// more than the quota lets them be; and waits until nothing is left of it.
    pub(crate) async fn finish(
        &mut self,
        within: Duration,
        quota: Option<&Quota>,
        ctx: &dyn JobContext,
    ) -> Ended {
        let held = quota.map(|quota| quota.with_held_by(&self.running));
        let passed = async {
            match &held {
                Some(quota) => quota.passed().await,
                None => pending().await,
            }
        };
        let ended = tokio::select! {
            ended = timeout(within, self.ended(ctx)) => ended.unwrap_or(Ended::Late),
            excess = passed => Ended::DiskFull(excess),
        };
        if matches!(ended, Ended::Late | Ended::DiskFull(_)) {
            self.stop(ctx).await;
        } else {
            self.settled(ctx).await;
        }
        match (&ended, quota) {
            (Ended::Ran(_) | Ended::Late, Some(quota)) => {
                quota.excess().await.map_or(ended, Ended::DiskFull)
            }
            _ => ended,
        }
    }

    /// Takes in what the command printed before it ended; what it left behind may still print.
    pub(crate) async fn catch_up(&mut self, ctx: &dyn JobContext) {
        let _ = timeout(DRAIN, self.printed.drain(ctx)).await;
        self.printed.report(ctx);
    }

    /// Takes in what the command prints, so that it never waits for a reader. Cancel safe.
    pub(crate) async fn listen(&mut self, ctx: &dyn JobContext) -> Infallible {
        while self.heard(ctx).await.is_ok() {}
        self.printed.drain(ctx).await;
        pending().await
    }

    /// Stops the command: TERM, a grace, KILL.
    pub(crate) async fn stop(&mut self, ctx: &dyn JobContext) {
        self.running.stop();
        let _ = timeout(self.grace + STOP_MARGIN, self.settled(ctx)).await;
    }

    /// The next thing that the guard says; takes in output meanwhile.
    async fn heard(&mut self, ctx: &dyn JobContext) -> io::Result<Said> {
        let said = tokio::select! {
            said = self.running.next() => said,
            never = async { self.printed.drain(ctx).await; pending().await } => never,
        };
        if let Ok(Said::Contact(contact)) = &said {
            report(ctx, Contact::EVENT, &contact.to_string());
        }
        said
    }
}

/// Whether the files of some work are known to be no more than they may be, from when its last command
/// was looked at: then the next one need not be looked at before it begins.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicBool);

impl Room {
    /// In work that has just [begun](Sandbox::for_work_in).
    pub(crate) fn of_new_work() -> Self {
        Self(AtomicBool::new(true))
    }

    /// Whether it is known until something begins that may change it.
    fn is_known_until_now(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    /// A command has ended so.
    fn learn(&self, ended: &Ended) {
        self.0.store(matches!(ended, Ended::Ran(_) | Ended::Late), Ordering::Release);
    }
}

/// A command line for `/bin/sh` in a sandbox whose workspace is the folder that it runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confined<'a> {
    pub(crate) spawner: &'a Spawner,
    pub(crate) sandbox: &'a Sandbox,
    /// What is known of its files.
    pub(crate) room: &'a Room,
    /// All that it sees of the environment.
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) dir: &'a Path,
    pub(crate) within: Duration,
    /// How much of each output is kept.
    pub(crate) output_bytes_max: usize,
}

/// What became of a confined command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether output is missing.
    pub(crate) truncated: bool,
}

impl Confined<'_> {
    /// Runs `line` to its end, or until its time is over. Dropping the future kills it.
    pub(crate) async fn run(&self, line: &str, ctx: &dyn JobContext) -> io::Result<Outcome> {
        let cell = self.sandbox.around(self.dir)?;
        let command = GuardCommand {
            argv: ["/bin/sh", "-c", line].map(str::to_owned).into(),
            env: self.env.clone(),
            cwd: self.dir.to_owned(),
            stdin: None,
            leftovers: Leftovers::Kill,
            sandbox: Some(cell.policy()),
        };
        let quota = if self.room.is_known_until_now() {
            cell.quota_with_room()
        } else {
            cell.quota().await
        };
        let mut session = Session::start(self.spawner, &command, self.output_bytes_max).await?;
        let ended = session.finish(self.within, Some(&quota), ctx).await;
        self.room.learn(&ended);
        let (stdout, out_cut) = session.printed.out.kept.text(self.output_bytes_max);
        let (stderr, err_cut) = session.printed.err.kept.text(self.output_bytes_max);
        Ok(Outcome { ended, stdout, stderr, truncated: out_cut || err_cut })
    }
}

/// What a command prints.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) out: Stream<ChildStdout>,
    pub(crate) err: Stream<ChildStderr>,
    news_at: Option<Instant>,
}

impl Printed {
    /// Takes output in until there is no more of it. Cancel safe.
    async fn drain(&mut self, ctx: &dyn JobContext) {
        while !(self.out.is_over() && self.err.is_over()) {
            tokio::select! {
                () = self.out.read() => {}
                () = self.err.read() => {}
                () = until(self.news_at) => self.report(ctx),
            }
            let fresh = !(self.out.fresh.is_empty() && self.err.fresh.is_empty());
            if fresh && self.news_at.is_none() {
                self.news_at = Some(Instant::now() + NEWS_WINDOW);
            }
        }
        self.report(ctx);
    }

    fn report(&mut self, ctx: &dyn JobContext) {
        self.news_at = None;
        self.out.fresh.report(ctx);
        self.err.fresh.report(ctx);
    }

    /// The end of what it said about itself, for an error text.
    pub(crate) fn last_words(&self, bytes: usize) -> String {
        let err = self.err.kept.last(bytes);
        if err.is_empty() { self.out.kept.last(bytes) } else { err }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// One stream of what a command prints.
#[derive(Debug)]
pub(crate) struct Stream<R> {
    /// Nothing when it is over.
    pipe: Option<R>,
    pub(crate) kept: Kept,
    fresh: Fresh,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    const READ_BYTES: usize = 16 * 1024;

    pub(crate) fn new(pipe: R, event: &'static str, bytes_max: usize) -> Self {
        let (kept, fresh) = (Kept::at_most(bytes_max), Fresh::of(event));
        Self { pipe: Some(pipe), kept, fresh, buffer: Vec::with_capacity(Self::READ_BYTES) }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.pipe.is_none()
    }

    /// Takes in a piece; waits for ever when the stream is over. Cancel safe.
    pub(crate) async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return pending().await };
        self.buffer.clear();
        if !matches!(pipe.read_buf(&mut self.buffer).await, Ok(1..)) {
            self.pipe = None;
        }
        self.kept.push(&self.buffer);
        self.fresh.push(&self.buffer);
    }
}
