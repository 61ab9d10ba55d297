//! This file is the policy of the kitchen: quick dishes first, skilled cooks spared.

use agentcom_core::hub::schedule::{AgentFacts, Policy, TaskFacts};

/// Quick dishes go first; of two free cooks it asks the one with fewer skills to spare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QuickestFirst;

impl Policy for QuickestFirst {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.spec.op.input.read::<(&str, u64)>().map_or(u64::MAX, |(_, minutes)| minutes)
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        let unused = agent.profile.capabilities.len().checked_sub(task.spec.needs.len())?;
        Some(100 - u32::try_from(unused).ok()?.min(100))
    }
}
