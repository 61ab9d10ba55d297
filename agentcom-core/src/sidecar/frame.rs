//! This file takes in what the hub says, and makes the frames that are no reports.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::job::{Job, Phase, Why};
use super::record::Entry;
use super::session::{Sent, Session, SessionEvent};
use super::{Claim, Effect, Exit, Level, Sidecar};
use crate::guard::Guard;
use crate::id::{Lease, TaskId};
use crate::port::executor::News;
use crate::sandbox::Report as SandboxReport;
use crate::time::Span;
use crate::wire::{
    Accepted, Acked, Assignment, ErrorFrame, Held, Identified, Identify, Ping, Progress, Rejection,
    ReportAction, TaskAck, ToAgent, ToHub,
};

/// Words of the hub for "the token is not yours".
const REFUSALS: [&str; 4] =
    ["invalid_token", "token_agent_mismatch", "too_many_failures", "unauthorised"];

/// The shortest lease that leaves time to work in: half of it is the margin to stop in.
const LEASE_MIN: Span = Span::from_secs(2);

/// The frame with news of a job.
pub(super) fn progress(claim: Claim, news: News) -> ToHub {
    ToHub::TaskProgress(Progress {
        task_id: claim.task,
        generation: Some(claim.lease),
        progress: news.percent,
        execution_event: news.event,
    })
}

impl Sidecar {
    pub(super) fn frame(&mut self, frame: ToAgent) {
        match &self.session {
            Session::Waiting { .. } | Session::Connecting { .. } | Session::Closed => {}
            Session::Greeting { .. } => self.greeting_frame(frame),
            Session::Online(_) => self.online_frame(frame),
        }
    }

    fn greeting_frame(&mut self, frame: ToAgent) {
        match frame {
            ToAgent::Identified(identified) => self.identified(&identified),
            ToAgent::Error(error) if is_refusal(&error) => self.refused(&error),
            ToAgent::Error(error) => {
                self.hang_up(&describe(&error));
                self.wait_at_least(error.retry_after_ms);
            }
            ToAgent::TaskAssign(_)
            | ToAgent::TaskAck(_)
            | ToAgent::TaskCancelled { .. }
            | ToAgent::TaskContinue { .. }
            | ToAgent::TaskReassign { .. }
            | ToAgent::StateReportAck { .. }
            | ToAgent::Pong { .. }
            | ToAgent::QuestionAnswered(_)
            | ToAgent::SpendAnswered(_)
            | ToAgent::StatusUpdated {}
            | ToAgent::Agents { .. }
            | ToAgent::OllamaReportAck { .. }
            | ToAgent::RestartSidecar { .. } => {}
        }
    }

    fn online_frame(&mut self, frame: ToAgent) {
        match frame {
            ToAgent::Error(error) => self.error(&error),
            ToAgent::TaskAssign(assignment) => self.assigned(assignment),
            ToAgent::TaskAck(ack) => self.acked(&ack),
            ToAgent::TaskCancelled { task_id, generation, .. } => {
                self.cancelled(task_id, Some(generation))
            }
            ToAgent::TaskReassign { task_id }
            | ToAgent::StateReportAck { task_id, action: ReportAction::Abort } => {
                self.cancelled(task_id, None)
            }
            ToAgent::Pong { nonce, lost, .. } => self.pong(nonce, &lost),
            ToAgent::QuestionAnswered(answered) => self.answered(answered),
            ToAgent::SpendAnswered(answered) => self.spend_answered(answered),
            ToAgent::RestartSidecar { reason } => {
                self.out.log(
                    Level::Info,
                    None,
                    alloc::format!("the hub asks for a restart: {reason}"),
                );
                self.leave(Exit::Restart);
            }
            ToAgent::Identified(_)
            | ToAgent::StateReportAck { action: ReportAction::Continue, .. }
            | ToAgent::TaskContinue { .. }
            | ToAgent::StatusUpdated {}
            | ToAgent::Agents { .. }
            | ToAgent::OllamaReportAck { .. } => {}
        }
    }

    /// Says who this is.
    pub(super) fn introduce(&mut self) {
        self.leftover.is_told();
        let identify = self.identify();
        self.out.effect(Effect::Send(identify));
    }

    fn identify(&self) -> ToHub {
        let config = &self.config;
        let sandbox = self.sandbox();
        let proved = sandbox.iter().flat_map(SandboxReport::capabilities);
        let can = config.capabilities.iter().cloned().chain(proved);
        ToHub::Identify(Identify {
            agent_id: config.agent.to_string(),
            token: config.token.reveal().into(),
            name: config.name.clone(),
            capabilities: Some(can.map(String::from).collect()),
            boot: Some(self.boot),
            executors: Some(self.open_kinds().map(ToString::to_string).collect()),
            slots: Some(config.slots.max(1)),
            labels: Some(config.labels.clone()),
            version: config.version.clone(),
            models: Some(config.models.clone()),
            sandbox: sandbox.map(SandboxReport::cut).map(Box::new),
        })
    }

    /// The hub knows who this is: what it may have missed goes out again, reports first.
    fn identified(&mut self, identified: &Identified) {
        let Some(incarnation) = identified.incarnation else {
            self.hang_up(
                "the hub does not say which life of its data it speaks for; it is too old",
            );
            return self.wait_at_least(Some(self.config.refused_wait));
        };
        let heartbeat = identified.heartbeat_ms.unwrap_or(self.config.heartbeat);
        self.move_session(&SessionEvent::Identified { heartbeat });
        self.measure_soon();
        self.tell_leftover();
        self.failures = 0;
        self.out.log(
            Level::Info,
            None,
            alloc::format!("connected to the hub as {}", identified.agent_id),
        );
        let other = self.incarnation.replace(incarnation) != Some(incarnation);
        if other && self.on(Guard::OtherLife) {
            self.forget_other_lives();
        }
        if self.leaving.is_some() {
            self.out.effect(Effect::Send(ToHub::AgentDraining {}));
        }
        self.outbox.hurry();
        self.send_due_reports();
        let unheard = self.jobs.iter().filter(|(_, job)| job.is_held() && !job.accepted);
        let frames: Vec<ToHub> = unheard.map(|(claim, _)| accepted(claim)).collect();
        self.out.effects.extend(frames.into_iter().map(Effect::Send));
        self.ask_again();
        self.say_calls_again();
    }

    /// Work and reports of other lives of the data set are void.
    fn forget_other_lives(&mut self) {
        let current = self.incarnation;
        let foreign = |claim: &Claim| Some(claim.incarnation) != current;
        for claim in self.outbox.claims().filter(foreign).collect::<Vec<_>>() {
            self.out.log(
                Level::Warn,
                claim,
                "the hub's data was replaced since; its report is dropped",
            );
            self.outbox.forget(claim);
            self.out.delete(claim);
        }
        let jobs = self.jobs.iter().map(|(claim, _)| claim).filter(foreign);
        for claim in jobs.collect::<Vec<_>>() {
            self.stop(claim, Why::Cancelled);
        }
    }

    fn refused(&mut self, error: &ErrorFrame) {
        let wait = self.config.refused_wait;
        let until = self.floor.mono + wait;
        self.out.effect(Effect::Disconnect);
        self.move_session(&SessionEvent::Refused { until });
        let agent = &self.config.agent;
        let text = alloc::format!(
            "the hub refused the token of agent {agent}: {}. Issue another with `agentcom agent token {agent}`, \
             or `agentcom agent add {agent}` if it is not registered, and give it to this sidecar as \
             AGENTCOM_TOKEN or AGENTCOM_TOKEN_FILE; next try in {wait}",
            describe(error)
        );
        self.out.log(Level::Warn, None, text);
    }

    /// Makes the wait before the next attempt no shorter than the hub asked for.
    fn wait_at_least(&mut self, asked: Option<Span>) {
        let at_least = self.floor.mono + asked.unwrap_or_default();
        if let Session::Waiting { until } = &mut self.session {
            *until = at_least.max(*until);
        }
    }

    fn assigned(&mut self, assignment: Box<Assignment>) {
        let claim = Claim::of(&assignment);
        if self.jobs.get(claim).is_some_and(Job::is_held) {
            return self.out.effect(Effect::Send(accepted(claim)));
        }
        if let Some(report) = self.outbox.report(claim) {
            return self.out.effect(Effect::Send(report.frame(claim)));
        }
        let reason = self.reason_to_reject(&assignment);
        self.fences.see(claim, reason.is_none());
        if let Some(reason) = reason {
            self.out.log(Level::Debug, claim, alloc::format!("is rejected: {reason}"));
            return self.out.effect(Effect::Send(rejected(claim, reason)));
        }
        for earlier in self.claims_of(claim.task, None) {
            self.stop(earlier, Why::Lost);
        }
        self.take_on(claim, assignment);
    }

    fn reason_to_reject(&self, assignment: &Assignment) -> Option<String> {
        let claim = Claim::of(assignment);
        let twins = self.jobs.of(claim.task, None).filter(|(_, job)| job.phase.is_live());
        let live = self.jobs.live() - twins.count();
        if self.leaving.is_some() {
            Some("draining".into())
        } else if Some(claim.incarnation) != self.incarnation && self.on(Guard::OtherLife) {
            Some("wrong_incarnation".into())
        } else if self.is_superseded(claim) {
            Some("superseded".into())
        } else if !self.kinds.contains(assignment.kind()) {
            Some(alloc::format!("unknown_kind {}", assignment.kind()))
        } else if let Some(why) = self.leftover.keeps_from(assignment.kind()) {
            Some(alloc::format!("quarantine: {why}"))
        } else if assignment.lease_ttl_ms < LEASE_MIN {
            Some("lease_too_short".into())
        } else if live >= self.slots() && self.on(Guard::JobSlots)
            || self.jobs.len() >= 2 * self.slots()
            || self.jobs.get(claim).is_some()
            || self.outbox.len() >= self.config.outbox_max && self.on(Guard::OutboxMax)
        {
            Some("busy".into())
        } else {
            None
        }
    }

    fn take_on(&mut self, claim: Claim, assignment: Box<Assignment>) {
        let now = self.floor.mono;
        let bucket = self.bucket();
        let Some(online) = self.session.online_mut() else { return };
        if self.config.guards.on(Guard::WriteBeforeAccept) {
            let kind = assignment.kind().clone();
            self.out.put(claim, &Entry::Taken { kind, at: self.floor.wall });
        }
        self.out.effect(Effect::Send(accepted(claim)));
        self.out.log(Level::Info, claim, alloc::format!("{} is taken on", assignment.kind()));
        let job = Job::new(assignment, online.heard_at, now, bucket);
        if !job.may_start(now) {
            online.pinged_at = None;
        }
        self.jobs.insert(claim, job);
    }

    fn acked(&mut self, ack: &TaskAck) {
        for claim in self.claims_of(ack.task_id, ack.generation) {
            match ack.status {
                Acked::Accepted => {
                    self.jobs.change(claim, |job| job.accepted = true);
                }
                Acked::Superseded => self.lose(claim),
                Acked::Complete | Acked::Retried | Acked::DeadLetter | Acked::Released => {}
            }
        }
        if ack.status == Acked::Accepted {
            return;
        }
        let heard = self.outbox.about(ack.task_id, ack.generation);
        for claim in heard.collect::<Vec<_>>() {
            if ack.status == Acked::Superseded {
                self.out.log(Level::Warn, claim, "its report came too late and counts no more");
            }
            self.outbox.forget(claim);
            self.out.delete(claim);
        }
    }

    fn cancelled(&mut self, task: TaskId, lease: Option<Lease>) {
        for claim in self.claims_of(task, lease) {
            self.stop(claim, Why::Cancelled);
        }
    }

    fn pong(&mut self, nonce: Option<u64>, lost: &[Held]) {
        let answered = self.session.online_mut().and_then(|online| online.answered(nonce));
        let Some(Sent { at, listed, .. }) = answered else { return };
        let from = if self.on(Guard::RenewFromSent) { at } else { self.floor.mono };
        for claim in listed {
            if lost.contains(&claim.held()) {
                self.lose(claim);
            } else {
                self.jobs.change(claim, |job| job.renew(from));
            }
        }
    }

    /// The hub says that the lease of a job is gone.
    fn lose(&mut self, claim: Claim) {
        match self.jobs.get(claim) {
            Some(job) if job.outlives_its_lease() => {
                self.jobs.change(claim, |job| job.lost = true);
                self.out.log(
                    Level::Warn,
                    claim,
                    "lost its lease and works on; its result may come too late",
                );
            }
            Some(_) => self.stop(claim, Why::Lost),
            None => {}
        }
    }

    fn error(&mut self, error: &ErrorFrame) {
        self.out.log(Level::Warn, None, alloc::format!("the hub says: {}", describe(error)));
        if is_refusal(error) {
            return self.refused(error);
        }
        let Some(task) = error.task_id else { return };
        let passing = error.retry_after_ms.is_some() || error.error == "internal";
        match error.message_type.as_deref() {
            Some("task_complete" | "task_failed" | "task_released" | "task_withdrawn")
                if passing =>
            {
                let wait = error.retry_after_ms.unwrap_or(self.config.resend_every);
                self.outbox.put_off(task, self.floor.mono + wait);
            }
            Some("task_complete" | "task_failed" | "task_released" | "task_withdrawn") => {
                self.forget_report(task)
            }
            Some("task_accepted") if !passing => {
                for claim in self.claims_of(task, None) {
                    self.lose(claim);
                }
            }
            Some(_) | None => {}
        }
    }

    /// The hub will never take in what is said about a task: the error names no lease, and the
    /// earliest one was sent first.
    fn forget_report(&mut self, task: TaskId) {
        let first = self.outbox.about(task, None).next();
        if let Some(claim) = first {
            self.out.log(Level::Warn, claim, "the hub does not take its report; it is dropped");
            self.outbox.forget(claim);
            self.out.delete(claim);
        }
    }

    /// The jobs that a frame is about.
    fn claims_of(&self, task: TaskId, lease: Option<Lease>) -> Vec<Claim> {
        self.jobs.of(task, lease).map(|(claim, _)| claim).collect()
    }

    /// Lists what is held.
    pub(super) fn ping(&mut self) {
        let now = self.floor.mono;
        let listed: Vec<Claim> =
            self.jobs.iter().filter(|(_, job)| job.is_held()).map(|(claim, _)| claim).collect();
        let Some(online) = self.session.online_mut() else { return };
        self.nonce += 1;
        let held = listed.iter().map(|claim| claim.held()).collect();
        online.pinged_at = Some(now);
        online.pings.push_back(Sent { nonce: self.nonce, at: now, listed });
        self.out
            .effect(Effect::Send(ToHub::Ping(Ping { held: Some(held), nonce: Some(self.nonce) })));
    }

    /// Sends the reports that are due.
    pub(super) fn send_due_reports(&mut self) {
        for (claim, report) in self.outbox.take_due(self.floor.mono, self.config.resend_every) {
            self.out.effect(Effect::Send(report.frame(claim)));
            if !self.on(Guard::OutboxAck) {
                self.outbox.forget(claim);
                self.out.delete(claim);
            }
        }
    }

    /// How often to ping: as the hub says, but three times in the shortest lease.
    pub(super) fn ping_every(&self, heartbeat: Span) -> Span {
        let third = self.jobs.shortest_lease().map(|lease| Span((lease.0 / 3).max(1)));
        third.map_or(heartbeat, |third| third.min(heartbeat))
    }

    /// Whether a job is at work or waits to be.
    pub(super) fn has_phase(&self, phase: Phase) -> Vec<Claim> {
        self.jobs.iter().filter(|(_, job)| job.phase == phase).map(|(claim, _)| claim).collect()
    }
}

fn is_refusal(error: &ErrorFrame) -> bool {
    REFUSALS.contains(&error.error.as_str())
}

fn describe(error: &ErrorFrame) -> String {
    match &error.hint {
        Some(hint) => alloc::format!("{} ({hint})", error.error),
        None => error.error.clone(),
    }
}

fn accepted(claim: Claim) -> ToHub {
    ToHub::TaskAccepted(Accepted { task_id: claim.task, generation: Some(claim.lease) })
}

fn rejected(claim: Claim, reason: String) -> ToHub {
    ToHub::TaskRejected(Rejection {
        task_id: claim.task,
        generation: Some(claim.lease),
        reason: Some(reason),
    })
}
