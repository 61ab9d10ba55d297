//! This file divides the fleet between fair keys: start-time fair queueing inside each lane.
//!
//! Source: Goyal, Vin, Cheng: *Start-time Fair Queuing* (SIGCOMM 1996). A task's start tag is the
//! later of its lane's virtual time and the finish tag of its flow; its finish tag adds its cost
//! over the flow's weight; virtual time is the start tag of the task served last. A flow is the
//! tasks of one fair key in one lane.

use alloc::collections::BTreeMap;

use crate::name::Key;

/// One portion of the fleet: tasks of one fair key in one lane.
pub type Flow = (usize, Option<Key>);

/// Start tags and virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fair {
    virtual_time: [u64; 4],
    finish: BTreeMap<Flow, u64>,
}

/// What a task of cost 1 adds to the tag of a flow of weight 1.
const UNIT: u64 = 1 << 20;
/// The weight of a flow that nobody gave one.
pub const WEIGHT_USUAL: u32 = 100;
/// Flows that may be remembered without need.
const SPARE_MAX: usize = 4096;

impl Fair {
    /// The start tag that the next task of `flow` gets.
    #[must_use]
    pub fn start_tag(&self, flow: &Flow) -> u64 {
        let finish = self.finish.get(flow).copied().unwrap_or(0);
        finish.max(self.virtual_time[flow.0])
    }

    /// A task with start tag `tag` queues up in `flow`.
    pub fn queued(&mut self, flow: Flow, tag: u64, cost: u32, weight: u32) {
        let finish = tag.saturating_add(u64::from(cost) * UNIT / u64::from(weight.max(1)));
        let known = self.finish.entry(flow).or_insert(0);
        *known = finish.max(*known);
    }

    /// A task with start tag `tag` leaves the queue of `lane` for an agent.
    pub fn served(&mut self, lane: usize, tag: u64) {
        self.virtual_time[lane] = tag.max(self.virtual_time[lane]);
        if self.finish.len() > SPARE_MAX {
            self.forget_idle();
        }
    }

    /// A task with start tag `tag` is queued in `lane` when the state is loaded, and virtual time
    /// is where the earliest of them starts.
    pub fn loaded(&mut self, lane: usize, earliest: u64) {
        self.virtual_time[lane] = earliest;
    }

    /// A flow whose finish tag lies behind virtual time is the same as one never seen.
    fn forget_idle(&mut self) {
        let times = self.virtual_time;
        self.finish.retain(|(lane, _), finish| *finish > times[*lane]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

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
    fn weights_divide_the_tags() {
        let mut fair = Fair::default();
        let heavy = queue(&mut fair, "heavy", 30, 300);
        let usual = queue(&mut fair, "usual", 10, 100);
        assert!(heavy[29].abs_diff(usual[9]) < UNIT / 100);
    }
}
