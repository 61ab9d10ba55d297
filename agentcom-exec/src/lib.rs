//! Runs what a sidecar is given to do, and keeps what it must not forget.
//!
//! | module | what is there |
//! |---|---|
//! | [`git`] | branches of tasks in clones of their repositories |
//! | [`github`] | pull requests, one for each branch |
//! | [`guard`] | the process between a sidecar and each job, which leaves no orphan behind |
//! | [`shell`] | the executor of explicit commands |
//! | [`wake`] | the executor that wakes another program and waits for its result file |
//! | [`web`] | HTTP clients |
//! | [`environment`] | which variables a job sees |
//! | [`journal`] | the sidecar's store on one append-only file |

pub mod environment;
pub mod git;
pub mod github;
pub mod guard;
pub mod journal;
mod output;
mod session;
pub mod shell;
pub mod wake;
pub mod web;
