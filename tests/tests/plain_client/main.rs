//! This file gathers the tests in which a scripted client of the original plays each rule that the
//! hub keeps for such clients, over real WebSockets, under a clock that the tests move.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod client;
mod connecting;
mod endings;
mod frames;
mod recovering;
mod returning;
mod scene;
mod time;
mod work;
