//! This file divides the fleet between fair keys: start-time fair queueing inside each lane.
//!
//! Source: Goyal, Vin, Cheng: *Start-time Fair Queuing* (SIGCOMM 1996). A task's start tag is the
//! later of its lane's virtual time and the finish tag of its flow; its finish tag adds its cost
//! over the flow's weight; virtual time is the start tag of the task served last. A flow is the
//! tasks of one fair key in one lane.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::name::Key;

/// One portion of the fleet: tasks of one fair key in one lane.
pub type Flow = (usize, Option<Key>);

/// The number of a flow while one of its tasks is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowNo(u32);

impl FlowNo {
    /// The smallest number.
    pub const FIRST: Self = Self(0);
}

/// Start tags and virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fair {
    virtual_time: [u64; 4],
    numbers: BTreeMap<Flow, FlowNo>,
    flows: Vec<Last>,
    vacant: Vec<FlowNo>,
    /// How many flows there may be before idle ones are forgotten.
    forget_at: usize,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    /// The finish tag of its latest task.
    finish: u64,
    /// How many of its tasks are queued.
    queued: usize,
}

/// What a task of cost 1 adds to the tag of a flow of weight 1.
const UNIT: u64 = 1 << 20;
/// The weight of a flow that nobody gave one.
pub const WEIGHT_USUAL: u32 = 100;
/// Flows that are remembered, whether they have anything queued or not.
const SPARE_MAX: usize = 4096;

impl Fair {
    /// The start tag that the next task of `flow` gets.
    #[must_use]
    pub fn start_tag(&self, flow: &Flow) -> u64 {
        let known = self.numbers.get(flow).and_then(|number| self.flows.get(number.0 as usize));
        let finish = known.map_or(0, |flow| flow.finish);
        finish.max(self.virtual_time[flow.0])
    }

    /// A task with start tag `tag` queues up in `flow`. Returns the flow's number.
    pub fn queued(&mut self, flow: Flow, tag: u64, cost: u32, weight: u32) -> FlowNo {
        let finish = tag.saturating_add(u64::from(cost) * UNIT / u64::from(weight.max(1)));
        let number = self.number_of(flow);
        let known = &mut self.flows[number.0 as usize];
        known.finish = finish.max(known.finish);
        known.queued += 1;
        if self.numbers.len() > self.forget_at.max(SPARE_MAX) {
            self.forget_idle();
        }
        number
    }

    /// A task leaves the queue of `flow`, for an agent or for good.
    pub fn left(&mut self, flow: FlowNo) {
        if let Some(flow) = self.flows.get_mut(flow.0 as usize) {
            flow.queued = flow.queued.saturating_sub(1);
        }
    }

    /// How many tasks are queued in all flows together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.iter().map(|flow| flow.queued).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A task with start tag `tag` leaves the queue of `lane` for an agent.
    pub fn served(&mut self, lane: usize, tag: u64) {
        self.virtual_time[lane] = tag.max(self.virtual_time[lane]);
    }

    /// A task with start tag `tag` is queued in `lane` when the state is loaded, and virtual time
    /// is where the earliest of them starts.
    pub fn loaded(&mut self, lane: usize, earliest: u64) {
        self.virtual_time[lane] = earliest;
    }

    /// Forgets flows with nothing queued. What each gains by that is less than it has had, and so
    /// bounded; the next look is put off until there are twice as many, so that looks are rare.
    fn forget_idle(&mut self) {
        let (flows, vacant) = (&mut self.flows, &mut self.vacant);
        self.numbers.retain(|_, number| {
            let flow = &mut flows[number.0 as usize];
            let kept = flow.queued > 0;
            if !kept {
                *flow = Last::default();
                vacant.push(*number);
            }
            kept
        });
        self.forget_at = self.numbers.len().saturating_mul(2);
    }

    fn number_of(&mut self, flow: Flow) -> FlowNo {
        if let Some(&known) = self.numbers.get(&flow) {
            return known;
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.flows.push(Last::default());
            FlowNo((self.flows.len() - 1) as u32)
        });
        self.numbers.insert(flow, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(name: &str) -> Flow {
        (2, Key::new(name).ok())
    }

    fn queue(fair: &mut Fair, name: &str, count: usize, weight: u32) -> Vec<u64> {
        let mut tags = Vec::new();
        for _ in 0..count {
            let tag = fair.start_tag(&flow(name));
            fair.queued(flow(name), tag, 1, weight);
            tags.push(tag);
        }
        tags
    }

    #[test]
    fn a_newcomer_starts_beside_the_head_of_a_flood_and_not_behind_it() {
        let mut fair = Fair::default();
        let flood = queue(&mut fair, "flood", 1000, 100);
        fair.served(2, flood[500]);
        let light = queue(&mut fair, "light", 1, 100);
        assert!(light[0] <= flood[501]);
    }

    #[test]
    fn an_idle_flow_saves_nothing_up() {
        let mut fair = Fair::default();
        let busy = queue(&mut fair, "busy", 1000, 100);
        fair.served(2, busy[999]);
        let late = queue(&mut fair, "late", 1, 100);
        assert_eq!(late[0], busy[999]);
    }

    #[test]
    fn flows_that_have_nothing_queued_are_not_kept_for_ever() {
        let mut fair = Fair::default();
        let busy = queue(&mut fair, "busy", 10, 100);
        for n in 0..100_000 {
            let name = alloc::format!("once{n}");
            let tag = fair.start_tag(&flow(&name));
            let number = fair.queued(flow(&name), tag, 1, 100);
            fair.served(2, tag);
            fair.left(number);
        }
        assert!(fair.numbers.len() <= SPARE_MAX + 1, "{}", fair.numbers.len());
        assert!(fair.flows.len() <= SPARE_MAX + 1, "numbers are used again");
        let next = queue(&mut fair, "busy", 1, 100)[0];
        assert!(next > busy[9], "a flow with a queue stays behind its own tasks");
    }

    #[test]
    fn weights_divide_the_tags() {
        let mut fair = Fair::default();
        let heavy = queue(&mut fair, "heavy", 30, 300);
        let usual = queue(&mut fair, "usual", 10, 100);
        assert!(heavy[29].abs_diff(usual[9]) < UNIT / 100);
    }
}
