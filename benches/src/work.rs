//! This file makes the tasks of all benches: shell tasks of an everyday size.

use agentcom_core::json::Json;
use agentcom_core::name::{Capability, Key, Kind};
use agentcom_core::task::{Draft, Priority, Share};

use crate::Outcome;

/// How many capabilities of each of two sorts there are: a class needs one of each.
pub const SORT: usize = 32;

/// How many keys share the fleet.
const TENANTS: usize = 100;

/// Drafts of tasks in a number of requirement classes.
#[derive(Debug)]
pub struct Work {
    kind: Kind,
    classes: Vec<[Capability; 2]>,
    tenants: Vec<Key>,
}

impl Work {
    /// Work in at most 1,024 classes. With no class, tasks need nothing.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub fn new(classes: usize) -> Outcome<Self> {
        let class =
            |n: usize| Ok([Capability::new(&tool(n % SORT))?, Capability::new(&site(n / SORT))?]);
        Ok(Self {
            kind: Kind::new("shell")?,
            classes: (0..classes.min(SORT * SORT)).map(class).collect::<Outcome<_>>()?,
            tenants: (0..TENANTS)
                .map(|n| Ok(Key::new(&format!("tenant-{n}"))?))
                .collect::<Outcome<_>>()?,
        })
    }

    /// The task with a number: about 150 bytes of text, a tenant, one of four lanes.
    ///
    /// # Errors
    ///
    /// Never: the input is valid.
    pub fn draft(&self, number: usize) -> Outcome<Draft> {
        let input =
            format!(r#"{{"argv":["cargo","test","--package","crate-{number}","--locked"]}}"#);
        let mut draft = Draft::new(self.kind.clone(), Json::parse(&input)?);
        draft.description = format!("Run the tests of crate {number} and report what fails");
        draft.priority = Priority::ALL[number % 4];
        let tenant = self.tenants[number % TENANTS].clone();
        draft.share = Share { fair_key: Some(tenant), ..draft.share };
        if !self.classes.is_empty() {
            // Neighbours in the queue are of different classes.
            draft.needs = self.classes[number.wrapping_mul(7919) % self.classes.len()].to_vec();
        }
        Ok(draft)
    }
}

/// The name of a capability of the first sort.
#[must_use]
pub fn tool(number: usize) -> String {
    format!("tool-{number}")
}

/// The name of a capability of the second sort.
#[must_use]
pub fn site(number: usize) -> String {
    format!("site-{number}")
}

/// What the agent with a number can do, where there are so many classes: every other one can do
/// everything, the rest use all tools on two sites. Together they can do every class.
#[must_use]
pub fn capabilities(agent: usize, classes: usize) -> Vec<String> {
    let sites = classes.div_ceil(SORT).clamp(1, SORT);
    let first = agent / 2 % sites;
    let own = if agent.is_multiple_of(2) {
        (0..SORT).collect()
    } else {
        vec![first, (first + 1) % sites]
    };
    (0..SORT).map(tool).chain(own.into_iter().map(site)).collect()
}
