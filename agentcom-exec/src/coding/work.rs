//! This file takes one coding task through its rounds: work, commit, check, correct; then push and
//! propose.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::agentic::Stop;
use agentcom_core::money::Micros;
use agentcom_core::port::executor::{JobContext, JobOutcome, News};
use agentcom_core::task::{Trace, VerificationStep};
use agentcom_core::verify::Verdict;
use agentcom_core::wire::Assignment;
use futures_util::FutureExt as _;
use futures_util::future::{join_all, try_join_all};
use tokio::time::{Instant, timeout};

use super::outcome::{Done, PassedOver, Trouble, risk_of};
use super::place::{Place, change_of};
use super::publish::Publisher;
use super::worker::{Bench, Worker};
use super::{CodingInput, Settings, routed};
use crate::agentic::{Brief, Ended, How};
use crate::blobs::BlobId;
use crate::git::Status;
use crate::mcp::Connection;
use crate::model::{ModelError, Usage};
use crate::output::report;
use crate::sandbox::Sandbox;
use crate::tool::{Met, Workspace};
use crate::transcripts::{Draft, Head};
use crate::verify::{Checker, Report};

/// How long checks may take unless the task says so.
const CHECKS_WITHIN: Duration = Duration::from_secs(600);

/// Of the time that an attempt has, this part at most is kept for what comes behind the model: commit,
/// checks, push. An attempt whose time is over is stopped, and then nothing of it would be checked.
const KEPT_PART: u32 = 4;

/// A coding task at work.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) settings: &'a Settings,
    pub(super) job: &'a Assignment,
    pub(super) input: &'a CodingInput,
    /// The one to put to work, and those that go on if it cannot be.
    pub(super) workers: &'a [Box<dyn Worker>],
    pub(super) ctx: &'a dyn JobContext,
    /// When the attempt began.
    pub(super) started: Instant,
}

/// Which models were asked, and what it took.
#[derive(Debug, Default)]
struct Standing {
    /// The place of the one that is asked.
    at: usize,
    /// Those that could not be.
    passed_over: Vec<PassedOver>,
    /// All that was said, for each time that one was put to work.
    transcripts: Vec<BlobId>,
    /// How often that was.
    worked: u32,
    usage: Usage,
    cost: Option<Micros>,
    /// Connections to MCP servers, from when there is somebody who has tools.
    connections: Option<Vec<Connection>>,
    met: Met,
}

/// What a round came to.
struct Round {
    number: u32,
    ended: Option<Ended>,
    status: Status,
    report: Report,
}

impl Work<'_> {
    pub(super) async fn run(&self) -> JobOutcome {
        let mut standing = Standing::default();
        let done = self.done(&mut standing).await;
        let connections = standing.connections.take().into_iter().flatten();
        join_all(connections.map(Connection::close)).await;
        match done {
            Ok(done) => done.judge(standing.usage),
            Err(trouble) => self
                .unserved(&trouble, standing.usage)
                .unwrap_or_else(|| trouble.outcome(standing.usage)),
        }
    }

    /// How the task ends if not it is to blame, but the endpoint that the hub chose for it.
    fn unserved(&self, trouble: &Trouble, usage: Usage) -> Option<JobOutcome> {
        let Trouble::Model(error) = trouble else { return None };
        routed::unserved(self.job.route.as_ref()?.api, error, usage)
    }

    async fn done(&self, standing: &mut Standing) -> Result<Done, Trouble> {
        let place = Place::prepare(self.settings, self.job).await?;
        report(self.ctx, "status", &format!("on {} from {}", place.branch, place.base));
        report(self.ctx, "status", &format!("sandbox {}", self.settings.sandbox.level));
        self.retire_others(&place).await;
        place.recall(&standing.met).await?;
        let round = self.rounds(&place, standing).await?;
        let mut done = Done {
            branch: place.branch.clone(),
            base: place.base.clone(),
            model: self.workers[standing.at].name().to_owned(),
            passed_over: std::mem::take(&mut standing.passed_over),
            level: self.settings.sandbox.level,
            rounds: round.number,
            risk: risk_of(
                &self.settings.risk,
                &round.status,
                &round.report,
                self.job,
                &place.files().await?,
            ),
            report: round.report,
            transcripts: std::mem::take(&mut standing.transcripts),
            cost: standing.cost,
            ended: round.ended,
            status: round.status,
            pull: None,
            withheld: None,
        };
        if done.status.ahead > 0 {
            self.publish(&place, &mut done, &standing.met).await?;
        }
        Ok(done)
    }

    /// Pushes the branch and opens its pull request, unless that would be the third of three things.
    async fn publish(&self, place: &Place<'_>, done: &mut Done, met: &Met) -> Result<(), Trouble> {
        let Settings { publishing, github, .. } = self.settings;
        let github = github.as_ref();
        // Half of it: the answer has to be of some use.
        let whole = self.job.timeout_ms.map(Duration::from);
        let time_left = whole.map(|whole| whole.saturating_sub(self.started.elapsed()) / 2);
        let publisher = Publisher { publishing, github, met, time_left, ctx: self.ctx };
        match publisher.admit(place, &done.status).await? {
            Ok(()) => {
                done.status = place.push().await?;
                done.pull = done.propose(place, self.job, self.settings).await?;
                place.tidy(&done.status).await?;
            }
            Err(withheld) => done.withheld = Some(withheld),
        }
        Ok(())
    }

    /// No attempt fails for want of it.
    async fn retire_others(&self, place: &Place<'_>) {
        let (retired, failed) = place.retire_others().await;
        if retired > 0 {
            let what = format!("worktrees put away that were left by earlier attempts: {retired}");
            report(self.ctx, "status", &what);
        }
        if let Some(error) = failed {
            report(self.ctx, "error", &format!("a worktree of an earlier attempt stays: {error}"));
        }
    }

    /// Works and checks until the checks hold, or the rounds are spent.
    async fn rounds(&self, place: &Place<'_>, standing: &mut Standing) -> Result<Round, Trouble> {
        let most = self.job.max_verification_retries.saturating_add(1);
        let seen = place.rounds().await?;
        let sandbox = self.settings.sandbox.clone().for_work_in(&place.dir).await;
        let disk_bytes = sandbox.limits.disk_bytes;
        let workspace =
            workspace(place.dir.clone(), disk_bytes).await.map_err(Trouble::Workspace)?;
        let mut brief = self.brief();
        let mut number = seen;
        loop {
            // What earlier attempts have done counts, whatever stopped them; it is checked once more.
            let ended = if number < most {
                number += 1;
                Some(self.work(&workspace, &sandbox, &brief, standing).await?)
            } else {
                None
            };
            let answer = ended.as_ref().map_or("", |ended| &ended.answer);
            // One that could not be asked has not had its round.
            let had_it = |ended: &Ended| !matches!(ended.how, How::Failed(_));
            let had_it = ended.as_ref().is_some_and(had_it);
            let status = place.commit(answer, number, had_it, &standing.met).await?;
            // What was done until then is on the branch, for whoever goes on.
            let goes_on = |error: &ModelError| {
                self.job.route.as_ref().is_some_and(|route| routed::goes_on(route.api, error))
            };
            if let Some(Ended { how: How::Failed(error), .. }) = &ended
                && (status.ahead == 0 || goes_on(error))
            {
                return Err(Trouble::Model(error.clone()));
            }
            let report = self.check(place, &status, number).await?;
            // What has filled the disk, or the machine, is not let at it again, since it would begin
            // where it was stopped.
            let is_over = |how: &How| {
                matches!(
                    how,
                    How::Failed(_)
                        | How::Stopped(Stop::Time | Stop::Disk | Stop::Processes | Stop::Memory)
                )
            };
            let has_time = self.time_left() != Some(Duration::ZERO);
            let can_go_on = has_time && ended.as_ref().is_some_and(|ended| !is_over(&ended.how));
            if !report.status.is_mendable() || number >= most || !can_go_on {
                return Ok(Round { number, ended, status, report });
            }
            brief.so_far = Some(report.for_model());
        }
    }

    async fn work(
        &self,
        workspace: &Arc<Workspace>,
        sandbox: &Sandbox,
        brief: &Brief,
        standing: &mut Standing,
    ) -> Result<Ended, Trouble> {
        let env = self.env();
        loop {
            let worker = &*self.workers[standing.at];
            if worker.has_tools() && standing.connections.is_none() {
                standing.connections = Some(self.connect().await?);
            }
            let connections = standing.connections.as_deref().unwrap_or_default();
            let left = self.time_left();
            let limits = self.input.limits(self.job, standing.usage.total(), left);
            let settings = self.settings;
            let (env, met) = (&env, &standing.met);
            standing.worked += 1;
            let draft = settings.transcripts.begin(&Head::of(self.job, standing.worked));
            let bench = Bench {
                workspace,
                settings,
                sandbox,
                env,
                connections,
                met,
                limits,
                draft: &draft,
                ctx: self.ctx,
            };
            let working = put_to_work(worker, brief, &bench);
            let ended = match left {
                // It has time to end by itself, which tells more.
                Some(left) => timeout(left + self.time_kept() / 4, working).await,
                None => Ok(working.await),
            };
            // It was in the middle of something, of which nobody knows what it took.
            let ended = ended.unwrap_or_else(|_| Ok(Ended::as_of(How::Stopped(Stop::Time))));
            let ended = ended.map_err(Trouble::Workspace)?;
            if self.ctx.cancelled().now_or_never().is_some() {
                return Err(Trouble::Stopped);
            }
            standing.transcripts.extend(self.keep(draft, &ended).await);
            standing.usage += ended.usage;
            let cost = standing.cost.into_iter().chain(ended.cost);
            standing.cost = cost.reduce(|all, more| all + more);
            let next = self.workers.get(standing.at + 1);
            match (&ended.how, next) {
                (How::Failed(error), Some(next)) => {
                    let what = format!("{}: {error}; going on with {}", worker.name(), next.name());
                    report(self.ctx, "status", &what);
                    let (model, why) = (worker.name().to_owned(), error.to_string());
                    standing.passed_over.push(PassedOver { model, why });
                    standing.at += 1;
                }
                (How::Stopped(stop), _) => {
                    report(self.ctx, "status", &format!("the model was stopped: {stop}"));
                    return Ok(ended);
                }
                (How::Answered | How::Failed(_), _) => return Ok(ended),
            }
        }
    }

    /// How much longer models may work, if the task says how long an attempt takes.
    fn time_left(&self) -> Option<Duration> {
        let whole = Duration::from(self.job.timeout_ms?);
        Some(whole.saturating_sub(self.time_kept()).saturating_sub(self.started.elapsed()))
    }

    /// How much of the time that an attempt has is kept for what comes behind the model.
    fn time_kept(&self) -> Duration {
        let whole = self.job.timeout_ms.map(Duration::from).unwrap_or_default();
        (whole / KEPT_PART).min(CHECKS_WITHIN)
    }

    /// Connects to all MCP servers: with less than there is to be no model is put to work.
    async fn connect(&self) -> Result<Vec<Connection>, Trouble> {
        let Settings { mcp, spawner, .. } = self.settings;
        let opening = mcp.iter().map(|server| Connection::open(server, spawner));
        let connections = try_join_all(opening).await?;
        for (server, connection) in mcp.iter().zip(&connections) {
            let (name, tools) = (&server.name, connection.tools().len());
            let missing = match connection.missing() {
                [] => String::new(),
                missing => format!("; it has no {}", missing.join(", ")),
            };
            report(
                self.ctx,
                "status",
                &format!("the MCP server {name} has {tools} tools{missing}"),
            );
        }
        Ok(connections)
    }

    /// Keeps all that was said. A task does not fail for want of it.
    async fn keep(&self, draft: Draft, ended: &Ended) -> Option<BlobId> {
        let (transcripts, lines) = (self.settings.transcripts.clone(), ended.transcript.clone());
        let keep = move || match lines.is_empty() {
            true => transcripts.keep(&draft),
            false => transcripts.finish(&draft, &lines).map(Some),
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        match kept.map_err(io::Error::other).and_then(|kept| kept) {
            Ok(Some(id)) => {
                self.ctx.report(News::of_trace(Trace::Transcript(id.clone())));
                Some(id)
            }
            Ok(None) => None,
            Err(error) => {
                report(self.ctx, "error", &format!("the transcript is not kept: {error}"));
                None
            }
        }
    }

    async fn check(
        &self,
        place: &Place<'_>,
        status: &Status,
        number: u32,
    ) -> Result<Report, Trouble> {
        let steps: &[VerificationStep] =
            if self.job.skip_verification { &[] } else { &self.job.verification_steps };
        let timeout = self.job.verification_timeout_ms.map_or(CHECKS_WITHIN, Duration::from);
        let change = change_of(status);
        let env = self.env();
        let checked = place.in_clean_checkout(&status.head, async |checkout, tree| {
            let checker = Checker {
                spawner: &self.settings.spawner,
                sandbox: &self.settings.sandbox,
                env: &env,
                checkout,
                commit: (&status.head, tree),
                change: &change,
                git: place.git(),
                timeout,
                ctx: self.ctx,
            };
            checker.run(steps, number).await
        });
        let mut report = checked.await?;
        if self.job.skip_verification {
            report.status = Verdict::Skip;
        }
        Ok(report)
    }

    /// What commands see of the environment. Python is to leave no compiled files beside a change: they would be
    /// committed with it, and be run in place of a source that has been written again within the second.
    fn env(&self) -> BTreeMap<String, String> {
        let asked = [("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
        self.settings.environment.of(self.job, &asked.into())
    }

    fn brief(&self) -> Brief {
        let job = self.job;
        let hints = job.file_hints.iter().map(|hint| match &hint.reason {
            Some(reason) => format!("{}: {reason}", hint.path),
            None => hint.path.clone(),
        });
        let checks = job.verification_steps.iter();
        let checks = checks.map(|step| format!("{} {}", step.kind, step.target).trim().to_owned());
        let answers = job.answers.iter();
        let answers =
            answers.map(|answer| format!("{} {}", answer.question, answer.answer.as_str()));
        Brief {
            task: job.description.to_string(),
            criteria: job.success_criteria.clone(),
            hints: hints.collect(),
            checks: checks.collect(),
            answers: answers.collect(),
            so_far: None,
        }
    }
}

/// Has a worker do what a brief says, unless with it all three things would come together in the task.
async fn put_to_work(worker: &dyn Worker, brief: &Brief, bench: &Bench<'_>) -> io::Result<Ended> {
    match bench.met.admit(worker.reach()) {
        Ok(()) => worker.work(brief, bench).await,
        Err(three) => Ok(Ended::as_of(How::Failed(ModelError::ThreeOfThree(three)))),
    }
}

/// A worktree whose files may take so many bytes together.
async fn workspace(dir: PathBuf, disk_bytes: u64) -> io::Result<Arc<Workspace>> {
    let open = move || Ok(Arc::new(Workspace::open(dir)?.at_most(disk_bytes)));
    tokio::task::spawn_blocking(open).await.map_err(io::Error::other).and_then(|opened| opened)
}
