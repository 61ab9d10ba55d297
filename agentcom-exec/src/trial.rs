//! This file introduces trials of the sandbox and of the file tools: what tests do in part, and
//! `cargo xtask sandbox` as often as is published.
//!
//! | module | what is tried |
//! |---|---|
//! | [`escapes`] | to break out of each level, in each way that [`probes`] lists |
//! | [`late`] | to outlive a command whose time is over |
//! | [`races`] | to lead file tools out of their workspace, by changing what a path means |
//!
//! An [`Environment`](environment::Environment) is what a machine may be like that they are made on.

pub mod environment;
pub mod escapes;
pub mod late;
pub mod probes;
pub mod races;

use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::time::Wall;
use async_trait::async_trait;

/// The context of calls that nobody follows.
#[derive(Debug)]
struct Alone;

#[async_trait]
impl JobContext for Alone {
    fn report(&self, _news: News) {}

    async fn cancelled(&self) {
        std::future::pending().await
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}
