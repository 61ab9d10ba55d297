//! This file gathers the tests that are named after mistakes: those that other queues made, and
//! those of the original. Which test holds which is in `pitfalls/table.rs` and
//! `original_defects/table.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "plain_client/client.rs"]
#[expect(dead_code, reason = "more is said where the plain protocol is tested")]
mod client;
mod original_defects;
mod pitfalls;
mod rig;
#[path = "plain_client/scene.rs"]
mod scene;
