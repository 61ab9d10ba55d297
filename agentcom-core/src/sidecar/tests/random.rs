//! This file throws anything at a sidecar, in any order, and watches what must always hold.

use alloc::collections::BTreeSet;

use super::*;
use crate::port::executor::News;
use crate::wire::Figures;

/// What an onlooker of a sidecar knows.
struct Watch {
    rig: Sidecar,
    rng: Rng,
    ms: u64,
    stored: BTreeMap<RowKey, Vec<u8>>,
    running: BTreeSet<Claim>,
    started: BTreeSet<Claim>,
    seq: u64,
    dialing: bool,
    connected: bool,
    survivors: u32,
}

const SLOTS: u32 = 2;

impl Watch {
    fn new(seed: u64) -> Self {
        let kinds = alloc::vec![kind("shell")];
        Self {
            rig: Sidecar::new(config(SLOTS), kinds, Boot(1), seed, Journal::default(), 0)
                .measuring()
                .running_commands(alloc::vec![kind("shell")]),
            rng: Rng::new(seed),
            ms: 0,
            stored: BTreeMap::new(),
            running: BTreeSet::new(),
            started: BTreeSet::new(),
            seq: 0,
            dialing: false,
            connected: false,
            survivors: 0,
        }
    }

    fn pick(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn input(&mut self) -> Input {
        let (task, lease) = (self.pick(4), 1 + self.pick(3));
        let held = claim(task, lease).held();
        let about = Some(held.generation);
        let frame = match self.pick(20) {
            0 if self.dialing => return Input::Connected,
            1 if self.connected => return Input::Disconnected,
            2 if self.dialing && self.ms.is_multiple_of(2) => {
                return Input::Full { retry_after: Span(700) };
            }
            2 if self.dialing => return Input::Unreachable("down".into()),
            0 => return Input::Measured(Figures::default()),
            1 => return Input::Survivors(self.pick(3) as u32),
            2 => return Input::Wake,
            3..=5 => return self.job_input(),
            6 | 7 => return Input::Wake,
            8 | 9 => ToAgent::Identified(Identified {
                agent_id: AgentId::new("a-1").unwrap(),
                incarnation: Some(Incarnation(7 + self.pick(10) / 9)),
                heartbeat_ms: Some(Span(self.pick(6000))),
            }),
            10..=12 => {
                let mut job = assignment(task, lease);
                job.lease_ttl_ms = Span(2000 + self.pick(30_000));
                job.timeout_ms = (self.pick(2) == 0).then_some(Span(3000));
                job.on_lease_loss = [LeaseLoss::Stop, LeaseLoss::Continue][lease as usize % 2];
                ToAgent::TaskAssign(Box::new(job))
            }
            13 => ToAgent::TaskCancelled {
                task_id: held.task_id,
                generation: held.generation,
                reason: String::new(),
                timestamp: Wall(0),
            },
            14 | 15 => {
                let all = [Acked::Accepted, Acked::Complete, Acked::Retried, Acked::Superseded];
                let status = all[self.pick(4) as usize];
                ToAgent::TaskAck(TaskAck { task_id: held.task_id, status, generation: about })
            }
            16 => ToAgent::Error(ErrorFrame {
                error: ["internal", "stale"][self.pick(2) as usize].into(),
                message_type: Some("task_complete".into()),
                task_id: Some(held.task_id),
                ..ErrorFrame::default()
            }),
            _ => {
                let lost = if self.pick(4) == 0 { alloc::vec![held] } else { Vec::new() };
                ToAgent::Pong { timestamp: Wall(0), nonce: None, lost }
            }
        };
        Input::Frame(frame)
    }

    fn job_input(&mut self) -> Input {
        let nth = self.pick(self.running.len().max(1) as u64) as usize;
        let Some(&claim) = self.running.iter().nth(nth) else { return Input::Wake };
        match self.pick(3) {
            0 => Input::JobNews { claim, news: News { percent: None, event: None, left: None } },
            1 => {
                let (question, default) = ("?".into(), Json::null());
                Input::JobAsks { claim, ask: AskId(1), question, timeout: Span(900), default }
            }
            _ => {
                self.running.remove(&claim);
                let outcomes = [done(), JobOutcome::Stopped, JobOutcome::retryable("no")];
                let outcome = outcomes[self.pick(3) as usize].clone();
                Input::JobEnded { claim, outcome }
            }
        }
    }

    fn step(&mut self, input: Input) {
        let at = Now { mono: Mono(self.ms), wall: Wall(self.ms) };
        match &input {
            Input::Connected => (self.dialing, self.connected) = (false, true),
            Input::Survivors(left) => self.survivors = *left,
            Input::Disconnected | Input::Unreachable(_) | Input::Full { .. } => {
                (self.dialing, self.connected) = (false, false);
            }
            Input::Frame(_)
            | Input::BadFrame(_)
            | Input::JobNews { .. }
            | Input::JobAsks { .. }
            | Input::JobSpends { .. }
            | Input::JobSpent { .. }
            | Input::JobEnded { .. }
            | Input::Measured(_)
            | Input::Drain
            | Input::Wake => {}
        }
        let Step { batch, effects } = self.rig.step(at, input);
        if let Some(batch) = batch {
            assert_eq!(batch.seq, self.seq + 1);
            self.seq = batch.seq;
            self.stored.extend(batch.puts);
            batch.deletes.iter().for_each(|key| drop(self.stored.remove(key)));
        }
        effects.iter().for_each(|effect| self.watch(effect));
        let wake = self.rig.next_wake().map(|(at, _)| at.0);
        assert!(wake.is_none_or(|at| at > self.ms), "it would be woken over and over");
        assert!(self.rig.outbox.len() + self.rig.jobs.len() == self.stored.len());
        self.rig.jobs.check();
    }

    fn watch(&mut self, effect: &Effect) {
        match effect {
            Effect::Start(assignment) => {
                assert_eq!(self.survivors, 0, "a command beside what is left of another");
                let claim = Claim::of(assignment);
                assert!(self.stored.contains_key(&record::key(claim)), "not stored");
                let twin = self.running.iter().any(|other| other.task == claim.task);
                assert!(self.running.insert(claim) && !twin, "two of {claim} at work");
                assert!(self.running.len() <= SLOTS as usize, "more jobs than slots");
                self.started.insert(claim);
            }
            Effect::Stop(claim) => assert!(self.running.contains(claim)),
            Effect::Disconnect => (self.dialing, self.connected) = (false, false),
            Effect::Connect => self.dialing = true,
            Effect::Send(frame) => {
                assert!(self.connected, "nobody hears {frame:?}");
                if let ToHub::TaskComplete(complete) = frame {
                    let held = Held { task_id: complete.task_id, generation: complete.generation };
                    let claim = claim(held.task_id.0, held.generation.0);
                    let claim = Claim { incarnation: complete.incarnation.unwrap(), ..claim };
                    assert!(self.stored.contains_key(&record::key(claim)), "sent before stored");
                    assert_eq!(Some(claim.incarnation), self.rig.incarnation);
                }
            }
            Effect::Answer { .. }
            | Effect::Grant { .. }
            | Effect::Measure
            | Effect::Log(_)
            | Effect::Exit(_) => {}
        }
    }
}

#[test]
fn whatever_happens_work_is_stored_first_and_never_runs_twice_at_once() {
    let mut started = 0;
    for seed in 0..300 {
        let mut watch = Watch::new(seed);
        watch.step(Input::Wake);
        for _ in 0..300 {
            watch.ms += [0, 1, 50, 700][watch.pick(4) as usize];
            let input = watch.input();
            watch.step(input);
        }
        // Then peace: it leaves within the bounds of a drain.
        watch.step(Input::Drain);
        let began = watch.ms;
        while let Some((at, _)) = watch.rig.next_wake() {
            watch.ms = at.0;
            watch.step(Input::Wake);
        }
        assert!(watch.rig.is_closed() && watch.ms - began <= 37_000);
        started += watch.started.len();
    }
    assert!(started > 300, "the inputs start too little: {started}");
}
