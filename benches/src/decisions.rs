//! This file has a fleet at work be given task after task by the scheduler alone.

use std::collections::VecDeque;
use std::time::Instant;

use agentcom_core::hub::schedule::alone::{Alone, Given};
use agentcom_core::time::Now;

use crate::Outcome;
use crate::scene::{Scene, now};

/// Decisions between two milliseconds.
const DECISIONS_PER_MS: usize = 1_000;

/// A fleet at work: one after the other is done, and is given the next task.
#[derive(Debug)]
pub struct Decisions {
    scene: Scene,
    alone: Alone,
    churn: Option<usize>,
    held: VecDeque<Given>,
    made: usize,
}

impl Decisions {
    /// A scene with everybody at work. With `churn`, somebody changes what it can do whenever so
    /// many decisions were made.
    ///
    /// # Errors
    ///
    /// If somebody is without a task.
    pub fn new(scene: Scene, churn: Option<usize>) -> Outcome<Self> {
        let mut hub = scene.hub()?;
        for number in 0..scene.agents {
            scene.join(&mut hub, number)?;
        }
        let alone = Alone::over(hub);
        let held: VecDeque<Given> = alone.held().into();
        if held.len() != scene.agents {
            return Err(format!("{} of {} agents are at work", held.len(), scene.agents).into());
        }
        Ok(Self { scene, alone, churn, held, made: 0 })
    }

    /// The scheduler.
    #[must_use]
    pub const fn alone(&self) -> &Alone {
        &self.alone
    }

    /// The nanoseconds of each of so many decisions.
    ///
    /// # Errors
    ///
    /// If nothing is found for somebody.
    pub fn timed(&mut self, decisions: usize) -> Outcome<Vec<u32>> {
        let mut nanos = Vec::with_capacity(decisions);
        for _ in 0..decisions {
            let now = self.somebody_is_done()?;
            let began = Instant::now();
            let next = self.alone.next(now);
            let took = began.elapsed().as_nanos();
            nanos.push(u32::try_from(took).unwrap_or(u32::MAX));
            self.held.push_back(next.ok_or("nothing was found for an agent")?);
            if self.churn.is_some_and(|every| self.made.is_multiple_of(every)) {
                self.change_somebody()?;
            }
        }
        Ok(nanos)
    }

    /// Makes so many decisions, each by [`counted_decision`].
    ///
    /// # Errors
    ///
    /// If nothing is found for somebody.
    pub fn counted(&mut self, decisions: usize) -> Outcome<()> {
        for _ in 0..decisions {
            let now = self.somebody_is_done()?;
            let next = counted_decision(&mut self.alone, now);
            self.held.push_back(next.ok_or("nothing was found for an agent")?);
        }
        Ok(())
    }

    fn somebody_is_done(&mut self) -> Outcome<Now> {
        self.made += 1;
        let given = self.held.pop_front().ok_or("nobody is at work")?;
        self.alone.done(given);
        Ok(now((self.made / DECISIONS_PER_MS) as u64))
    }

    /// Somebody can do other things from this moment on.
    fn change_somebody(&mut self) -> Outcome<()> {
        let (number, turn) = (self.made % self.scene.agents, self.made as u64);
        let (scene, mut done) = (self.scene, Ok(()));
        self.alone.with(|hub| done = scene.identify(hub, number, turn));
        done
    }
}

/// A decision that instruments find by the name of this function.
#[inline(never)]
pub fn counted_decision(alone: &mut Alone, now: Now) -> Option<Given> {
    alone.next(now)
}
