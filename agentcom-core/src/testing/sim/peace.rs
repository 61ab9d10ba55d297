//! This file is the time of peace: the faults end, but a random part stays broken, and all must end.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::future::Future;
use core::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::agents::Make;
use super::fleet::Fleet;
use super::marks::Mark;
use super::net::Towards;
use super::operator::mend;
use super::oracle::Oracle;
use super::swarm::{Failures, Weather};
use crate::driver::Handle;
use crate::id::TaskId;
use crate::time::Span;

/// What stays broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Broken {
    away: Option<usize>,
    rogue: bool,
}

impl Fleet {
    /// The faults end, except in a random part; then everything has to end.
    pub(super) fn peace(&mut self) {
        self.oracle.note("peace", String::new);
        self.peaceful.store(true, Ordering::Relaxed);
        self.net.heal();
        self.world.resume_all();
        // Dates that were set while the clock was ahead are not to be waited for by the day.
        let behind = self.wall_high - self.wall_offset();
        self.world.jump(true, Span(behind.unsigned_abs()));
        let gentle = Failures { before: 0, after: 0, slow: Span(5) };
        self.weakness.lock().unwrap_or_else(PoisonError::into_inner).set(gentle);
        let broken = self.stay_broken();
        let end = self.now() + self.options.peace;
        while self.now() < end && self.oracle.is_well() {
            self.keep_up(broken);
            let next = self.now() + Span::from_secs(20);
            self.world.run_until(next);
            let submitters = self.oracle.seen().submitters;
            if self.oracle.living() == 0 && submitters == 0 && self.hub_runs() {
                return self.look_back();
            }
        }
        if self.oracle.is_well() {
            let (living, submitters) = (self.oracle.living(), self.oracle.seen().submitters);
            let left = self.left();
            self.oracle.wrong(format!(
                "not everything ended in peace: {living} tasks, {submitters} submitters; {left}"
            ));
        }
    }

    /// Draws what stays broken, and breaks it.
    fn stay_broken(&mut self) -> Broken {
        let mut broken = Broken::default();
        let mut weather = Weather::default();
        let sidecars = self.options.sidecars.max(1);
        let n = self.rng.below(sidecars as u64) as usize;
        match self.rng.below(6) {
            _ if self.options.agents_well => {}
            0 if sidecars > 1 => {
                self.kill_agent(n);
                broken.away = Some(n);
                self.oracle.mark(Mark::StaysAway);
            }
            1 if sidecars > 1 => {
                let both = [Towards::Hub, Towards::Agent];
                let directions = &both[self.rng.below(2) as usize..];
                self.net.cut(&self.agents[n].name, directions, Span::from_mins(60 * 24 * 365));
                self.oracle.mark(Mark::StaysCut);
            }
            2 => {
                weather.loss = 50;
                self.oracle.mark(Mark::StaysLossy);
            }
            3 if self.agents.iter().any(|agent| agent.make == Make::Rogue) => {
                broken.rogue = true;
                self.oracle.mark(Mark::StaysRogue);
            }
            _ => {}
        }
        self.net.set_weather(weather, 512);
        broken
    }

    /// Starts what is down, and undoes what operators did.
    fn keep_up(&mut self, broken: Broken) {
        self.sweep_hubs();
        if !self.hub_runs() {
            self.start_hub();
        }
        for n in 0..self.agents.len() {
            let rogue = self.agents[n].make == Make::Rogue;
            if rogue && !broken.rogue {
                self.kill_agent(n);
            } else if !self.agent_runs(n) && broken.away != Some(n) {
                self.start_agent(n);
            }
        }
        if let Some((_, handle)) = self.door() {
            self.world.spawn(mend(handle, self.names()));
        }
    }

    /// What has not ended.
    fn left(&self) -> String {
        let seen = self.oracle.seen();
        let living = seen.ledger.tasks.iter().filter(|(_, known)| !known.stand.is_over());
        living.map(|(id, known)| format!("{id} is {:?}; ", known.stand)).collect()
    }

    /// Everything has ended: nothing acknowledged is lost, and a restart changes nothing.
    fn look_back(&mut self) {
        for hub in &self.hubs[..self.hubs.len() - 1] {
            if self.net.reaches(hub.id) {
                self.oracle.wrong(format!("hub {} was taken over and still talks", hub.id));
            }
        }
        let oracle = self.oracle.clone();
        self.with_hub(async move |handle| nothing_is_lost(&handle, &oracle).await);
        self.replay.arm(true);
        if let Some((hub, handle)) = self.door() {
            self.replay.ask(hub, &handle);
        }
        let next = self.now() + Span::from_secs(5);
        self.world.run_until(next);
        self.kill_hub();
        self.start_hub();
        let oracle = self.oracle.clone();
        self.with_hub(async move |handle| match handle.view(|state| state.check()).await {
            Ok(Ok(())) => {}
            Ok(Err(wrong)) => oracle.wrong(wrong),
            Err(error) => oracle.wrong(error.to_string()),
        });
    }

    /// Lets somebody ask the hub, and waits until the answers are there.
    fn with_hub<F>(&mut self, ask: impl FnOnce(Handle) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = self.now() + Span::from_secs(2);
        self.world.run_until(start);
        let Some((_, handle)) = self.door() else {
            return self.oracle.wrong("in peace, a hub does not start".into());
        };
        let done = Arc::new(Mutex::new(false));
        let (told, asked) = (done.clone(), ask(handle));
        self.world.spawn(async move {
            asked.await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        });
        for _ in 0..600 {
            let next = self.now() + Span::from_secs(1);
            self.world.run_until(next);
            if *done.lock().unwrap_or_else(PoisonError::into_inner) {
                return;
            }
        }
        self.oracle.wrong("in peace, a hub does not answer".into());
    }
}

async fn nothing_is_lost(handle: &Handle, oracle: &Oracle) {
    for id in oracle.known() {
        match handle.task(id).await {
            Ok(Some(task)) if task.life.state.is_over() => judge_end(oracle, id, &task),
            Ok(Some(task)) => oracle.wrong(format!("{id} is {:?} after the end", task.life.state)),
            Ok(None) => oracle.wrong(format!("{id} was acknowledged and is lost")),
            Err(error) => oracle.wrong(format!("{id} cannot be read: {error}")),
        }
    }
}

/// What the history says of a task is what became durable.
fn judge_end(oracle: &Oracle, id: TaskId, task: &crate::task::Task) {
    use super::ledger::Stand;
    use crate::task::TaskState;

    let known = oracle.seen().ledger.tasks.get(&id).map(|known| known.stand);
    let fits = match known {
        Some(Stand::Done) => {
            matches!(task.life.state, TaskState::Completed | TaskState::Partial)
        }
        Some(Stand::Dead) => matches!(task.life.state, TaskState::Dead(_)),
        Some(Stand::Cancelled) => task.life.state == TaskState::Cancelled,
        Some(Stand::Queued | Stand::Ready | Stand::Assigned | Stand::Working) | None => false,
    };
    if !fits {
        oracle.wrong(format!("{id} ended as {known:?} and is {:?}", task.life.state));
    }
}
