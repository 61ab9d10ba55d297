//! This file introduces the simulated fleet: real hubs, sidecars and links under a clock of our own.
//!
//! Each seed first draws *which* faults exist in its world and then how frequent they are
//! ([`Fault`]). A fleet lives in *trouble* first and in *peace* afterwards, in which a random part
//! stays broken. What happened is judged by what could be seen from outside: the frames, the
//! replies, the starts of work and what lies on the disk; and everything has to end.
//!
//! The hubs and sidecars are the real drivers, over a store and a clock that misbehave on request.
//! One seed gives one trace, in any process.
//!
//! ```
//! use agentcom_core::testing::sim::{Options, run};
//!
//! let report = run(7, &Options::default());
//! assert_eq!(report.verdict, Ok(()), "{}", report.story());
//! ```
//!
//! Hubs with a policy of your own are put to the same trials by [`run_with`].

mod agents;
mod clients;
mod fleet;
mod hubs;
mod judge;
mod ledger;
mod limits;
mod marks;
mod money;
mod net;
mod operator;
mod oracle;
mod peace;
mod plain;
mod replay;
mod rogue;
mod shrink;
mod store;
mod swarm;
mod trouble;
mod work;
mod world;

pub use fleet::{Build, Report, run, run_with};
pub use marks::Mark;
pub use shrink::{Found, shrink};
pub use swarm::{BadFault, Fault, Options};
pub use world::{Process, SimClock, Sleep, World};
