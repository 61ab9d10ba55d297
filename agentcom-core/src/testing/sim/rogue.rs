//! This file plays an agent that breaks the rules: it lies, repeats, goes silent and refuses.
//!
//! It speaks v1 with a token of its own, so the hub has to listen; nothing it says of the tasks of
//! others may count, and what it does with its own may cost attempts but never correctness.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use futures_util::future::{Either, select};

use super::net::Dialer;
use super::oracle::Oracle;
use super::world::SimClock;
use crate::id::Lease;
use crate::json::Json;
use crate::port::clock::Clock;
use crate::port::transport::{Connection, Outgoing, Transport};
use crate::rng::Rng;
use crate::task::Category;
use crate::time::{Mono, Span};
use crate::wire::{
    Accepted, Asked, Assignment, Complete, Failed, Held, Identify, Ping, Progress, Rejection,
    Released, ToAgent, ToHub, Withdrawn, read_to_agent, write,
};

/// An agent that breaks the rules.
pub(super) struct Rogue {
    pub(super) name: String,
    pub(super) rng: Rng,
    pub(super) dialer: Dialer,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
}

/// What it is about while it is connected.
#[derive(Default)]
struct Mood {
    /// What it says at what time, unsorted.
    plans: Vec<(Mono, ToHub)>,
    /// What it claims to hold.
    held: BTreeSet<Held>,
}

const BEAT_EVERY: Span = Span::from_secs(5);

impl Rogue {
    /// Runs for ever, as a process of its own.
    pub(super) async fn run(mut self) {
        loop {
            if let Ok(connection) = self.dialer.open().await {
                self.talk(connection).await;
            }
            let wait = Span(500 + self.rng.below(10_000));
            self.clock.sleep(wait).await;
        }
    }

    async fn talk(&mut self, mut connection: Connection) {
        let mut mood = Mood::default();
        if !say(&*connection.outgoing, &self.identify()) {
            return;
        }
        let mut beat = self.clock.now().mono + BEAT_EVERY;
        loop {
            let next = mood.plans.iter().map(|(at, _)| *at).min().map_or(beat, |at| at.min(beat));
            let wait = self.clock.sleep(next - self.clock.now().mono);
            match select(Box::pin(connection.incoming.recv()), wait).await {
                Either::Left((None, _)) => return,
                Either::Left((Some(text), _)) => {
                    if let Ok(ToAgent::TaskAssign(job)) = read_to_agent(&text) {
                        self.assigned(&job, &mut mood);
                    }
                }
                Either::Right(_) => {
                    let now = self.clock.now().mono;
                    let due: Vec<_> = mood.plans.extract_if(.., |(at, _)| *at <= now).collect();
                    for (_, frame) in due {
                        if let ToHub::TaskComplete(frame) = &frame {
                            mood.held.retain(|held| held.task_id != frame.task_id);
                        }
                        if !say(&*connection.outgoing, &frame) {
                            return;
                        }
                    }
                    if beat <= now {
                        beat = now + BEAT_EVERY;
                        if !self.beat(&*connection.outgoing, &mood) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn identify(&self) -> ToHub {
        ToHub::Identify(Identify {
            agent_id: self.name.clone(),
            token: self.name.clone(),
            executors: Some(Vec::from(["shell".to_string()])),
            slots: Some(2),
            ..Identify::default()
        })
    }

    /// A heartbeat, and now and then something that nobody should say.
    fn beat(&mut self, outgoing: &dyn Outgoing, mood: &Mood) -> bool {
        match self.rng.below(24) {
            0 => return outgoing.send(r#"{"type":"nonsense"}"#.into()).is_ok(),
            1 => return outgoing.send("{".into()).is_ok(),
            2..8 => {
                if let Some((task_id, lease, _)) = self.oracle.some_hold(self.rng.next_u64()) {
                    let lie = match self.rng.below(4) {
                        0 => ToHub::TaskComplete(complete(task_id, lease)),
                        1 => ToHub::TaskReleased(Released { task_id, generation: lease }),
                        2 => ToHub::TaskWithdrawn(Withdrawn {
                            task_id,
                            generation: lease,
                            reason: None,
                        }),
                        _ => ToHub::TaskAccepted(Accepted { task_id, generation: Some(lease) }),
                    };
                    return say(outgoing, &lie);
                }
            }
            _ => {}
        }
        let held = Some(mood.held.iter().copied().collect());
        say(outgoing, &ToHub::Ping(Ping { held, nonce: None }))
    }

    fn assigned(&mut self, job: &Assignment, mood: &mut Mood) {
        let (task_id, generation) = (job.task_id, job.generation);
        let now = self.clock.now().mono;
        let soon = now + Span(100 + self.rng.below(8_000));
        let choice = self.rng.below(16);
        let done = ToHub::TaskComplete(complete(task_id, generation));
        let mut plan = |frame: ToHub| mood.plans.push((soon, frame));
        match choice {
            // It says nothing at all.
            0 => return,
            1 => {
                let reason = Some("busy".into());
                let generation = Some(generation);
                return plan(ToHub::TaskRejected(Rejection { task_id, generation, reason }));
            }
            // It does not accept, and is done all the same.
            2 => return plan(done),
            // It goes silent about the task.
            3 => {}
            // It beats and never ends, where something else ends that.
            4 if job.timeout_ms.is_some() => {
                mood.held.insert(Held { task_id, generation });
                let progress = Progress {
                    task_id,
                    generation: Some(generation),
                    progress: Some(1),
                    execution_event: None,
                };
                plan(ToHub::TaskProgress(progress));
            }
            // It names another assignment first.
            5 | 6 => {
                let other = if choice == 5 { generation.next() } else { Lease(generation.0 - 1) };
                plan(ToHub::TaskComplete(complete(task_id, other)));
                plan(done);
            }
            // It says so again and again.
            7 => (0..3).for_each(|_| plan(done.clone())),
            8 => plan(ToHub::TaskReleased(Released { task_id, generation })),
            9 => plan(ToHub::TaskWithdrawn(Withdrawn { task_id, generation, reason: None })),
            10 => plan(ToHub::TaskQuestion(Asked {
                task_id,
                generation,
                question: "park?".into(),
                timeout_ms: Span::from_secs(60),
                default: None,
                choices: None,
                park: Some(true),
            })),
            11 => plan(ToHub::TaskFailed(Failed {
                task_id,
                generation,
                incarnation: None,
                error: Some("it says so".into()),
                reason: None,
                category: Some(
                    [Category::Crash, Category::Quota, Category::Permanent]
                        [(generation.0 % 3) as usize],
                ),
                fault: None,
                retry_after_ms: Some(Span::from_secs(generation.0 % 90)),
                tokens_used: None,
                left: Default::default(),
            })),
            _ => {
                mood.held.insert(Held { task_id, generation });
                plan(done);
            }
        }
        mood.plans
            .push((now, ToHub::TaskAccepted(Accepted { task_id, generation: Some(generation) })));
    }
}

fn complete(task_id: crate::id::TaskId, generation: Lease) -> Complete {
    Complete {
        task_id,
        generation,
        incarnation: None,
        result: Some(Json::null()),
        partial: None,
        tokens_used: None,
        verification_report: None,
        left: Default::default(),
    }
}

fn say(outgoing: &dyn Outgoing, frame: &ToHub) -> bool {
    outgoing.send(write(frame)).is_ok()
}
