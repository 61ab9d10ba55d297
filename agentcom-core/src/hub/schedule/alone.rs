//! This file decides on assignments alone, without what a step says and stores of them: to measure
//! the scheduler by itself.

use alloc::vec::Vec;

use super::{Choice, Decision, decide, hold_back};
use crate::hub::Hub;
use crate::name::Principal;
use crate::state::{AgentNo, LimitsNo, Pending};
use crate::time::Now;

/// A scheduler that records its decisions where it looks for the next, and nowhere else: in the
/// queue, in the fleet, in the shares and in the counts of limits. The lives of tasks stay as they
/// are, so the hub is of no use for anything else.
#[derive(Debug)]
pub struct Alone {
    hub: Hub,
    pending: Pending,
}

/// A task that was given to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// The number of the task.
    pub number: u64,
    /// Whose it is.
    pub agent: AgentNo,
    limits: LimitsNo,
}

impl Alone {
    /// A scheduler over a hub.
    #[must_use]
    pub fn over(hub: Hub) -> Self {
        Self { hub, pending: Pending::default() }
    }

    /// The hub.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Something happens to the hub.
    pub fn with(&mut self, happens: impl FnOnce(&mut Hub)) {
        happens(&mut self.hub);
    }

    /// What agents hold, by name.
    #[must_use]
    pub fn held(&self) -> Vec<Given> {
        let state = &self.hub.state;
        let mut held = Vec::new();
        for member in state.fleet().members() {
            let Some(agent) = state.fleet().number(&member.id) else { continue };
            held.extend(member.held().iter().map(|id| {
                let number = state.number(*id);
                Given { number, agent, limits: state.limits_of(number) }
            }));
        }
        held
    }

    /// The next assignment, if one can be made.
    pub fn next(&mut self, now: Now) -> Option<Given> {
        self.hub.state.tick(now);
        let mut tx = self.hub.tx(Principal::System, None);
        tx.state.hand_over(&mut self.pending);
        while let Some(decision) = decide(&mut tx, &mut self.pending) {
            match decision {
                Decision::Given(Choice { queued, limits }, agent, _) => {
                    tx.state.place(queued, agent);
                    return Some(Given { number: queued.spot.number, agent, limits });
                }
                Decision::Limited => {}
                Decision::Unfit(queued, _) => hold_back(&mut tx, queued),
            }
            tx.state.hand_over(&mut self.pending);
        }
        None
    }

    /// An agent is done with what it was given.
    pub fn done(&mut self, given: Given) {
        let tx = self.hub.tx(Principal::System, None);
        tx.state.displace(given.number, given.limits, given.agent);
    }
}
