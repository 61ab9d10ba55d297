//! This file simulates a fleet from one seed: the real drivers of hub and sidecars, clients of the
//! original, submitters that resend, and a world of links, clocks and stores that fail.
//!
//! Trouble comes first, then peace. During trouble nothing bad may happen; in peace the good thing
//! has to: everything that was acknowledged ends. An oracle judges that saw only the wire, the
//! replies and the starts of work.
//!
//! ```
//! use agentcom_core::testing::sim::{Options, run};
//!
//! let report = run(7, &Options::default());
//! assert_eq!(report.verdict, Ok(()), "{}", report.story());
//! ```

mod clients;
mod fleet;
mod net;
mod oracle;
mod plain;
mod store;
mod work;
mod world;

pub use fleet::{Options, Report, run};
pub use world::{SimClock, World};
