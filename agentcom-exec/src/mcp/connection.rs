//! This file is a connection to a server, and the tools that came with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::link::Link;
use super::{McpError, RemoteTool, Server, Why};
use crate::guard::Spawner;
use crate::tool::Tool as _;

/// A connection to a server, for as long as one task takes. Dropping it ends it, and with it a server
/// that is a program.
#[derive(Debug)]
pub struct Connection {
    link: Arc<Link>,
    tools: Vec<RemoteTool>,
    missing: Vec<String>,
}

impl Connection {
    /// Connects to a server, which is started if it is a program, and asks for its tools. What it
    /// lists later on is not heeded.
    ///
    /// Dropping the future ends what was started.
    ///
    /// # Errors
    ///
    /// Why its tools cannot be had, after [`Server::within`] at the latest.
    pub async fn open(server: &Server, spawner: &Spawner) -> Result<Self, McpError> {
        let (link, listed) = Link::open(server, spawner).await?;
        let link = Arc::new(link);
        let is_wanted = |name: &str| server.tools.as_ref().is_none_or(|tools| tools.contains(name));
        let mut tools = Vec::new();
        let mut names = BTreeSet::new();
        for listed in listed.iter().filter(|listed| is_wanted(&listed.name)) {
            let tool = RemoteTool::of(&link, server, listed).map_err(|why| server.error(why))?;
            let name = tool.spec().name;
            if !names.insert(name.clone()) {
                return Err(server.error(Why::SameName(name)));
            }
            tools.push(tool);
        }
        if tools.is_empty() {
            return Err(server.error(Why::NoTools));
        }
        let is_listed = |name: &&String| listed.iter().any(|listed| listed.name == name.as_str());
        let missing = server.tools.iter().flatten().filter(|name| !is_listed(name));
        Ok(Self { link, missing: missing.cloned().collect(), tools })
    }

    /// Its tools, as many as there are for models.
    #[must_use]
    pub fn tools(&self) -> &[RemoteTool] {
        &self.tools
    }

    /// Tools that there are to be for models, and that the server does not have.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Ends the connection in good order, within 4 seconds; at once if a copy of one of its tools is
    /// still there, when the last of them is dropped.
    pub async fn close(self) {
        drop(self.tools);
        if let Some(link) = Arc::into_inner(self.link) {
            link.close().await;
        }
    }
}
