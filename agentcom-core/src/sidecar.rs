//! This file decides what a sidecar does: it connects, takes work on, and reports what became of it.
//!
//! `step(now, input) -> Step { batch, effects }` decides; whoever drives it makes the batch
//! durable and only then performs the effects, in their order.
//!
//! What it holds it says in each ping, and in the first one right after `identified`; the hub's
//! answer names the leases that are gone. No `state_report` is needed: a list of leases says the
//! same of all tasks in one frame. Acceptances that the hub has not acknowledged, reports and open
//! questions are sent again after each reconnect, before that ping.
//!
//! **Invariants:** an assignment is stored before it is accepted or started, and a report before
//! it is sent. A job whose lease can run out has been asked to stop before it does. No lease
//! is counted from an instant after the hub gave or renewed it. A result is never sent to another
//! life of the data set than the one that gave the work.

mod fences;
mod frame;
mod input;
mod job;
mod jobs;
mod leave;
mod leftover;
mod measure;
mod outbox;
mod question;
mod record;
mod report;
mod session;
mod spend;
mod wait;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::SidecarConfig;
use crate::guard::Guard;
use crate::id::{Boot, Incarnation};
use crate::name::Kind;
use crate::port::executor::{JobOutcome, News};
use crate::port::store::{Batch, RowKey, Table};
use crate::rng::Rng;
use crate::task::Category;
use crate::time::{Mono, Now, Span};
use crate::wire::ToHub;

use fences::Fences;
use job::{Bucket, Job, JobEvent, Phase, Verdict, Why};
use jobs::Jobs;
use leave::Leaving;
use leftover::Leftover;
use outbox::Outbox;
use record::Entry;
use report::Report;
use session::{Session, SessionEvent};

pub use input::{AskId, Claim, Effect, Exit, Input, Level, Note, Step};
pub use record::BadRecord;
pub use wait::Wake;

/// What a journal holds, read row by row.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    rows: BTreeMap<Claim, Entry>,
}

impl Journal {
    /// Takes in a row.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn visit(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BadRecord> {
        if table == Table::Job {
            let (claim, entry) = record::read(key, value)?;
            self.rows.insert(claim, entry);
        }
        Ok(())
    }

    /// Each assignment with a sentence about it, in order.
    pub fn lines(&self) -> impl Iterator<Item = (Claim, String)> {
        self.rows.iter().map(|(&claim, entry)| (claim, entry.describe()))
    }
}

/// A sidecar: what it knows and what it decides.
#[derive(Clone, Debug)]
pub struct Sidecar {
    config: SidecarConfig,
    kinds: Vec<Kind>,
    boot: Boot,
    rng: Rng,
    session: Session,
    /// Attempts to connect since the hub last knew who this is.
    failures: u32,
    /// The life of the data set that the hub last spoke for.
    incarnation: Option<Incarnation>,
    jobs: Jobs,
    outbox: Outbox,
    fences: Fences,
    /// Assignments that an earlier run took on and did not end.
    unfinished: Vec<Claim>,
    leaving: Option<Leaving>,
    /// Whether its driver can measure the machine.
    measures: bool,
    /// What is left of earlier work.
    leftover: Leftover,
    /// The latest time seen; no step is earlier.
    floor: Now,
    /// The number of the latest batch.
    seq: u64,
    /// The number of the latest ping.
    nonce: u64,
    out: Out,
}

/// What a step has come to so far.
#[derive(Clone, Debug, Default)]
struct Out {
    rows: BTreeMap<RowKey, Option<Vec<u8>>>,
    effects: Vec<Effect>,
    /// Goes out behind everything else.
    news: Vec<ToHub>,
}

impl Out {
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn put(&mut self, claim: Claim, entry: &Entry) {
        self.rows.insert(record::key(claim), Some(record::value(entry)));
    }

    fn delete(&mut self, claim: Claim) {
        self.rows.insert(record::key(claim), None);
    }

    fn log(&mut self, level: Level, claim: impl Into<Option<Claim>>, text: impl Into<String>) {
        self.effect(Effect::Log(Note { level, claim: claim.into(), text: text.into() }));
    }

    fn step(self, seq: &mut u64) -> Step {
        let Self { rows, mut effects, news } = self;
        effects.extend(news.into_iter().map(Effect::Send));
        if rows.is_empty() {
            return Step { batch: None, effects };
        }
        *seq += 1;
        let mut batch = Batch { seq: *seq, ..Batch::default() };
        for (key, value) in rows {
            match value {
                Some(value) => batch.puts.push((key, value)),
                None => batch.deletes.push(key),
            }
        }
        Step { batch: Some(batch), effects }
    }
}

impl Sidecar {
    /// A sidecar that runs these kinds of operations and finds this in its journal, whose last
    /// batch had the number `seq`. Its first step reports as lost what an earlier run left.
    #[must_use]
    pub fn new(
        config: SidecarConfig,
        kinds: Vec<Kind>,
        boot: Boot,
        seed: u64,
        journal: Journal,
        seq: u64,
    ) -> Self {
        let mut outbox = Outbox::default();
        let mut unfinished = Vec::new();
        let mut fences = Fences::default();
        for (claim, entry) in journal.rows {
            fences.see(claim, config.guards.on(Guard::NeverRerun));
            match entry {
                Entry::Taken { .. } => unfinished.push(claim),
                Entry::Report(report) => outbox.keep(claim, report),
            }
        }
        Self {
            config,
            kinds,
            boot,
            rng: Rng::for_purpose(seed, "backoff", boot.0),
            session: Session::Waiting { until: Mono(0) },
            failures: 0,
            incarnation: None,
            jobs: Jobs::default(),
            outbox,
            fences,
            unfinished,
            leaving: None,
            measures: false,
            leftover: Leftover::default(),
            floor: Now::default(),
            seq,
            nonce: 0,
            out: Out::default(),
        }
    }

    /// Takes an input in and decides what follows.
    pub fn step(&mut self, now: Now, input: Input) -> Step {
        self.floor = now.no_earlier_than(self.floor);
        self.report_unfinished();
        self.take_in(input);
        self.lapse();
        self.start_offered();
        self.send_due();
        self.leave_when_settled();
        core::mem::take(&mut self.out).step(&mut self.seq)
    }

    /// Whether a guard stands.
    const fn on(&self, guard: Guard) -> bool {
        self.config.guards.on(guard)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.session == Session::Closed
    }

    fn report_unfinished(&mut self) {
        let unfinished = core::mem::take(&mut self.unfinished);
        if !self.on(Guard::NeverRerun) {
            return;
        }
        for claim in unfinished {
            self.out.log(
                Level::Warn,
                claim,
                "was at work when the sidecar last stopped; reported as lost",
            );
            let error = "the sidecar restarted while it worked".into();
            self.keep_report(claim, Report::failed(Category::Crash, error));
        }
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Connected => self.connected(),
            Input::Unreachable(why) => self.lost(&why),
            Input::Full { retry_after } => self.turned_away(retry_after),
            Input::Frame(frame) => self.frame(frame),
            Input::BadFrame(bad) => {
                self.out.log(
                    Level::Warn,
                    None,
                    alloc::format!("the hub sent a frame that cannot be read: {bad}"),
                );
            }
            Input::Disconnected => self.lost("the connection ended"),
            Input::JobNews { claim, news } => self.news(claim, news),
            Input::JobAsks { claim, ask, question, timeout, default } => {
                self.asks(claim, ask, question, timeout, default);
            }
            Input::JobSpends { claim, ask, spending } => {
                self.wants_to_spend(claim, ask, spending);
            }
            Input::JobSpent { claim, spending } => self.has_spent(claim, spending),
            Input::JobEnded { claim, outcome } => self.ended(claim, outcome),
            Input::Measured(figures) => self.measured(figures),
            Input::Survivors(left) => self.survivors(left),
            Input::Drain => self.leave(Exit::Clean),
            Input::Wake => {}
        }
    }

    fn connected(&mut self) {
        let until = self.floor.mono + self.config.identify_within;
        match self.move_session(&SessionEvent::Connected { until }) {
            true => self.introduce(),
            false => self.out.effect(Effect::Disconnect),
        }
    }

    /// The connection, or the attempt to make one, is over.
    fn lost(&mut self, why: &str) {
        let wait = self.backoff();
        let until = self.floor.mono + wait;
        if self.move_session(&SessionEvent::Lost { until }) {
            self.out.log(
                Level::Warn,
                None,
                alloc::format!("no connection to the hub: {why}; next try in {wait}"),
            );
        }
    }

    /// The hub has no room. All that it turned away were told the same time, so the jitter comes on
    /// top of it.
    fn turned_away(&mut self, retry_after: Span) {
        self.lost("the hub has no room");
        if let Session::Waiting { until } = &mut self.session {
            *until = *until + retry_after.min(self.config.backoff_cap);
        }
    }

    /// As [`Sidecar::lost`], on the sidecar's own decision.
    fn hang_up(&mut self, why: &str) {
        self.out.effect(Effect::Disconnect);
        self.lost(why);
    }

    /// Full jitter: any wait up to a ceiling that doubles with each failure.
    ///
    /// Source: M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015.
    fn backoff(&mut self) -> Span {
        let doublings = self.failures.min(32);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.config.backoff_base.times(1 << doublings).min(self.config.backoff_cap);
        Span(1 + self.rng.below(ceiling.0))
    }

    /// Whether the event fits the state of the session, which then has moved on.
    fn move_session(&mut self, event: &SessionEvent) -> bool {
        let next = self.session.on(self.floor.mono, event);
        next.map(|next| self.session = next).is_ok()
    }

    fn news(&mut self, claim: Claim, mut news: News) {
        if let Some(trace) = news.left.take() {
            self.jobs.change(claim, |job| job.left.add(trace));
            if news == (News { percent: None, event: None, left: None }) {
                return;
            }
        }
        let now = self.floor.mono;
        let online = self.session.online().is_some();
        let passes = |job: &mut Job| online && job.is_heard() && job.news.take(now);
        if self.jobs.change(claim, passes) == Some(true) {
            self.out.news.push(frame::progress(claim, news));
        }
    }

    fn ended(&mut self, claim: Claim, outcome: JobOutcome) {
        self.job_event(claim, job::event_of(&outcome), Some(outcome));
    }

    fn stop(&mut self, claim: Claim, why: Why) {
        self.job_event(claim, JobEvent::Stop(why), None);
    }

    /// Moves a job on, and does what its new phase asks for.
    fn job_event(&mut self, claim: Claim, event: JobEvent, outcome: Option<JobOutcome>) {
        let Some(was) = self.jobs.get(claim).map(|job| job.phase) else { return };
        let Ok(phase) = was.on(event) else { return };
        self.jobs.change(claim, |job| job.phase = phase);
        match phase {
            Phase::Offered | Phase::Running => {}
            Phase::Stopping(why) => {
                if was == Phase::Running {
                    self.out.log(
                        Level::Info,
                        claim,
                        alloc::format!("is stopped: {}", why.as_str()),
                    );
                    self.out.effect(Effect::Stop(claim));
                }
            }
            Phase::Over(verdict) => {
                self.over(claim, verdict, outcome.unwrap_or(JobOutcome::Stopped))
            }
        }
    }

    fn over(&mut self, claim: Claim, verdict: Verdict, outcome: JobOutcome) {
        let Some(mut job) = self.jobs.remove(claim) else { return };
        self.out.effects.extend(job.calls.give_up(claim));
        for open in &job.questions {
            self.out.effect(open.default_for(claim));
        }
        let foreign = self.incarnation.is_some_and(|current| current != claim.incarnation)
            && self.on(Guard::OtherLife);
        let unsaid = |report: &Report| *report == Report::Released && !self.on(Guard::GiveBack);
        let report = Report::of(verdict, outcome, job.timeout());
        let report = report.map(|report| report.leaving(job.left));
        match report.filter(|report| !foreign && !unsaid(report)) {
            Some(report) => {
                self.out.log(
                    Level::Info,
                    claim,
                    alloc::format!("{} is over: {}", job.kind, report.as_str()),
                );
                self.keep_report(claim, report);
            }
            None => {
                self.out.log(Level::Info, claim, "is forgotten");
                self.out.delete(claim);
            }
        }
    }

    fn keep_report(&mut self, claim: Claim, report: Report) {
        if self.on(Guard::WriteBeforeSend) {
            self.out.put(claim, &Entry::Report(report.clone()));
        }
        self.outbox.keep(claim, report);
    }

    /// Starts what has a slot and a good lease, and no other lease of the same task beside it.
    fn start_offered(&mut self) {
        let now = self.floor.mono;
        let slots = if self.on(Guard::JobSlots) { self.slots() } else { usize::MAX };
        if self.jobs.at_work() >= slots {
            return;
        }
        let waits = !self.on(Guard::GoodLease);
        let ready = self.jobs.offered().filter(|(_, job)| waits || job.may_start(now));
        for claim in ready.map(|(claim, _)| claim).collect::<Vec<_>>() {
            let twin = self.jobs.of(claim.task, None).any(|(_, job)| job.phase.occupies());
            if twin && self.on(Guard::OneLeaseAtWork) {
                continue;
            }
            if self.jobs.at_work() >= slots {
                return;
            }
            let assignment = self.jobs.change(claim, |job| job.start(now)).flatten();
            self.out.effects.extend(assignment.map(Effect::Start));
        }
    }

    fn slots(&self) -> usize {
        self.config.slots.max(1) as usize
    }

    /// Keeps a new job's bucket of news full.
    fn bucket(&self) -> Bucket {
        Bucket::new(self.floor.mono, self.config.news_per_second)
    }
}

#[cfg(test)]
mod tests;
