//! Decides what a hub and its sidecars do: a pure, durable task scheduler for autonomous agents.
//!
//! The crate has seven layers, and a module uses only what lies below it:
//!
//! | layer | modules | what is there |
//! |---|---|---|
//! | words | [`id`] [`name`] [`time`] [`rng`] [`json`] [`money`] [`origin`] [`guard`] [`sandbox`] [`config`] | newtypes with units, limits parsed once |
//! | things | [`task`] [`agent`] [`agentic`] [`endpoint`] [`ledger`] [`limit`] [`price`] [`question`] [`repo`] [`risk`] [`route`] [`verify`] | plain data, and for each state machine one `on` |
//! | together | [`command`] [`change`] [`state`] [`view`] [`wire`] | what is asked, stored, known and said |
//! | deciding | [`hub`] [`sidecar`] | step functions: `step(now, input) -> Step` |
//! | outside | [`port`] | four small traits with written contracts |
//! | running | `driver` | the loops around the step functions (feature `driver`) |
//! | testing | `testing` | memory store, conformance suites, simulated fleet (feature `testing`) |
//!
//! Up to and including *deciding* nothing here can reach a clock, a socket, a file, a thread or a
//! source of randomness: without its features the crate is `no_std` and builds for bare metal.
//!
//! **Invariant:** decide, store, do. A step decides; its changes are stored as one atomic batch;
//! only then are its effects performed. Nobody hears of anything that could still be lost.
#![no_std]
#![warn(clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod agent;
pub mod agentic;
pub mod change;
pub mod command;
pub mod config;
#[cfg(feature = "driver")]
pub mod driver;
pub mod endpoint;
pub mod guard;
pub mod hub;
pub mod id;
pub mod json;
pub mod ledger;
pub mod limit;
pub mod money;
pub mod name;
pub mod operator;
pub mod origin;
pub mod port;
pub mod price;
pub mod question;
pub mod repo;
pub mod risk;
pub mod rng;
pub mod route;
pub mod sandbox;
pub mod sidecar;
pub mod state;
pub mod task;
#[cfg(any(feature = "testing", all(test, feature = "driver")))]
pub mod testing;
pub mod time;
pub mod verify;
pub mod view;
pub mod wire;
