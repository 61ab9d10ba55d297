//! This file says what does the work of a coding task: something that takes a brief and changes files
//! in a worktree. What became of it others find out: by the files, and by checks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::agentic::{Limits, Reach};
use agentcom_core::port::executor::JobContext;
use agentcom_core::task::Tier;
use async_trait::async_trait;

use super::Settings;
use crate::agentic::again;
use crate::agentic::transcript::Transcript;
use crate::agentic::{Brief, Ended, Loop};
use crate::mcp::Connection;
use crate::model::Model;
use crate::sandbox::{Network, Sandbox};
use crate::tool::{Met, RunCommand, Toolbox, Workspace};
use crate::transcripts::Draft;

/// Where workers come from.
pub trait Workers: fmt::Debug + Send + Sync {
    /// The workers for a task of `tier`, or the one with the model of that name; at least one. The
    /// first is put to work, and the next if it cannot be.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    fn workers(&self, model: Option<&str>, tier: Tier) -> Result<Vec<Box<dyn Worker>>, String>;
}

/// Something that does what a brief says.
#[async_trait]
pub trait Worker: fmt::Debug + Send + Sync {
    /// The name of its model, or its own if it chooses its model itself.
    fn name(&self) -> &str;

    /// Whether it works with the tools of this machine, and so with those of its MCP servers and
    /// with [`Settings::tools`].
    fn has_tools(&self) -> bool {
        false
    }

    /// What all of it has to do with the world, where that is not decided call by call. What would
    /// bring all three together in a task is not put to work.
    fn reach(&self) -> Reach {
        Reach::default()
    }

    /// How long it may go on when the task is asked to stop, which [`Bench::ctx`] says. At most 400 ms;
    /// after that it is dropped.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    /// Works until it says that it is done, or has to stop. Dropping the future stops all that it
    /// started. Whoever starts processes stops them when their files are more than they may be, as
    /// [`Cell::quota`](crate::sandbox::Cell::quota) says.
    ///
    /// # Errors
    ///
    /// If it could not begin for want of something on this machine.
    async fn work(&self, brief: &Brief, bench: &Bench<'_>) -> io::Result<Ended>;
}

/// Where a worker works, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// The worktree.
    pub workspace: &'a Arc<Workspace>,
    /// Where and how coding tasks are done on this machine.
    pub settings: &'a Settings,
    /// What commands and foreign agents are confined by: that of the settings, whose bound on files is
    /// beside what was there when the attempt began.
    pub sandbox: &'a Sandbox,
    /// What commands see of the environment.
    pub env: &'a BTreeMap<String, String>,
    /// Connections to MCP servers, for workers that have tools of this machine.
    pub connections: &'a [Connection],
    /// What has come together in the task so far.
    pub met: &'a Met,
    /// How long it may go on.
    pub limits: Limits,
    /// Where what is said is written down while it is said.
    pub draft: &'a Draft,
    /// Who hears of it.
    pub ctx: &'a dyn JobContext,
}

impl Bench<'_> {
    /// How long a worker may go on that otherwise would for `whole`.
    #[must_use]
    pub fn time_at_most(&self, whole: Duration) -> Duration {
        self.limits.time.map_or(whole, |time| whole.min(time.into()))
    }
}

/// What a program that works by itself has to do with the world: it reads the repository, and what it
/// was given that is secret. What it reaches is bounded to hosts that are named, for what they are
/// named for. Where all of the network is granted, whoever granted that has accepted to lose the
/// secret, and the effect outside is what counts.
pub(crate) fn reach_of_program(network: &Network, has_secret: bool) -> Reach {
    let outward = network.is_open();
    Reach { untrusted: true, private: has_secret && !outward, outward }
}

/// A model that works with the tools of this crate.
#[derive(Debug)]
pub struct WithTools(pub Box<dyn Model>);

#[async_trait]
impl Worker for WithTools {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn has_tools(&self) -> bool {
        true
    }

    async fn work(&self, brief: &Brief, bench: &Bench<'_>) -> io::Result<Ended> {
        let Settings { spawner, tools: own, .. } = bench.settings;
        let (spawner, sandbox) = (spawner.clone(), bench.sandbox.clone());
        let path = bench.workspace.path();
        let tools = if sandbox.level.runs_commands() {
            let commands = RunCommand::new(spawner, sandbox, path, bench.env.clone());
            Toolbox::of_all(bench.workspace, commands)
        } else {
            Toolbox::of_files(bench.workspace)
        };
        let tools = own.iter().cloned().fold(tools.after(bench.met), Toolbox::with_shared);
        let remote = bench.connections.iter().flat_map(Connection::tools);
        let tools = remote.cloned().fold(tools, Toolbox::with);
        let model = &*self.0;
        let (limits, ctx, seed) = (bench.limits, bench.ctx, again::seed());
        let at = Loop { model, tools: &tools, limits, ctx, seed };
        Ok(at.written(brief, Transcript::with(bench.draft)).await)
    }
}
