//! This file runs a hub and its agents in this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::agent::Phase;
use agentcom_core::command::{Command, Rejected, Reply};
use agentcom_core::driver::Handle;
use agentcom_core::driver::token::{Token, hash_of};
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::sidecar::Exit as Left;
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::Report;
use agentcom_hub::config::Settings;
use agentcom_hub::error::HubError;
use agentcom_hub::local::{self, Announcement, LocalHub};
use agentcom_hub::serve::Hub;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::confine::told;
use crate::exit::{Exit, Failure};
use crate::sidecar::{Sidecar, Ways};

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) agents: u16,
    pub(crate) ways: Ways,
    pub(crate) announce: Announce,
}

/// Who is told where the hub is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announce {
    /// All programs of this user.
    User,
    /// Nobody.
    Nobody,
}

/// A hub and its agents at work. Dropping it ends all of them at once, and what they run.
#[derive(Debug)]
pub(crate) struct Fleet {
    hub: Hub,
    names: Vec<AgentId>,
    /// What its agents have proved of their sandbox, if they have one or were told to do without.
    report: Option<Report>,
    /// Whether the agents are to leave.
    leave: watch::Sender<bool>,
    sidecars: JoinSet<Result<(), Failure>>,
    /// Held for its end.
    _announcement: Option<Announcement>,
}

const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Fleet {
    /// Starts the hub, registers the agents, starts them and waits until they are connected.
    pub(crate) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let hub = Hub::start(&plan.settings).await.map_err(failure)?;
        let announcement = announce(plan, &hub)?;
        let mut fleet = Self {
            hub,
            names: Vec::new(),
            report: None,
            leave: watch::Sender::new(false),
            sidecars: JoinSet::new(),
            _announcement: announcement,
        };
        for number in 1..=plan.agents {
            fleet.start_agent(plan, number).await?;
        }
        fleet.connected().await?;
        Ok(fleet)
    }

    pub(crate) fn url(&self) -> String {
        local::url_of(self.hub.address())
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Whether its agents run commands.
    pub(crate) fn runs_commands(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.level.runs_commands())
    }

    /// What its agents rely on, in clear words, if they rely on a sandbox or were told to do without.
    pub(crate) fn sandbox(&self) -> Option<String> {
        self.report.as_ref().map(told)
    }

    pub(crate) fn agents(&self) -> &[AgentId] {
        &self.names
    }

    /// Waits until a part fails. Cancel safe.
    pub(crate) async fn failed(&mut self) -> Failure {
        tokio::select! {
            error = self.hub.failed() => failure(error),
            Some(ended) = self.sidecars.join_next() => agent_failure(ended),
        }
    }

    /// Lets the agents finish what they hold, within a bound, and then stops the hub.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.leave.send_replace(true);
        while let Some(ended) = self.sidecars.join_next().await {
            if !matches!(ended, Ok(Ok(()))) {
                // It is about to end anyway, and the next start reports what is left.
                tracing::warn!(?ended, "an agent did not leave in good order");
            }
        }
        self.hub.stop().await.map_err(failure)
    }

    async fn start_agent(&mut self, plan: &Plan, number: u16) -> Result<(), Failure> {
        let name = AgentId::new(&format!("local-{number}"));
        let name = name.map_err(|bad| Failure::new(Exit::Failure, bad))?;
        let dir = self.hub.data_dir().join("agents").join(name.as_str());
        std::fs::create_dir_all(&dir).map_err(|error| {
            Failure::new(Exit::Store, format_args!("cannot make {}: {error}", dir.display()))
        })?;
        let token = register(self.hub.handle(), &name, &dir).await?;
        let agent = Agent {
            url: self.url(),
            name: name.clone(),
            token,
            dir,
            ways: plan.ways.clone(),
            spawner: Spawner::current_exe()?,
        };
        let first = agent.sidecar().await?;
        self.report = first.report().cloned();
        self.names.push(name);
        self.sidecars.spawn(agent.work(first, self.leave.subscribe()));
        Ok(())
    }

    /// Waits until all agents are connected.
    async fn connected(&mut self) -> Result<(), Failure> {
        let all = async {
            loop {
                let agents = self.hub.handle().agents().await;
                let agents = agents.map_err(|error| Failure::new(Exit::TryAgain, error))?;
                let there = |name: &AgentId| {
                    agents.iter().any(|seen| seen.agent.id == *name && seen.phase != Phase::Offline)
                };
                if self.names.iter().all(there) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let late = || Failure::new(Exit::TryAgain, "the agents did not reach the hub in time");
        tokio::time::timeout(CONNECTED_WITHIN, all).await.unwrap_or_else(|_| Err(late()))
    }
}

/// One of the agents.
#[derive(Debug)]
struct Agent {
    url: String,
    name: AgentId,
    token: String,
    dir: PathBuf,
    ways: Ways,
    /// It stays the same when the agent starts again, and so does what is left of its commands.
    spawner: Spawner,
}

impl Agent {
    async fn sidecar(&self) -> Result<Sidecar, Failure> {
        let Self { url, name, token, dir, ways, spawner } = self;
        crate::sidecar::sidecar(url, name.clone(), token, dir, ways, spawner.clone()).await
    }

    /// Works until it is to leave; when it is asked to start again, by the hub or by its sandbox, it
    /// does.
    async fn work(
        self,
        mut sidecar: Sidecar,
        mut leave: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        loop {
            let handle = sidecar.handle();
            let mut running = std::pin::pin!(sidecar.run());
            let ended = tokio::select! {
                ended = &mut running => Some(ended),
                () = asked(&mut leave) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    handle.drain();
                    running.await
                }
            };
            match ended {
                Ok(Left::Restart) if !*leave.borrow() => sidecar = self.sidecar().await?,
                Ok(Left::Clean | Left::Restart) => return Ok(()),
                Err(error) => {
                    let mut failure = crate::sidecar::failure(&error);
                    failure.message = format!("agent {}: {}", self.name, failure.message);
                    return Err(failure);
                }
            }
        }
    }
}

/// Waits until the agents are to leave.
async fn asked(leave: &mut watch::Receiver<bool>) {
    // A fleet that is gone wants nothing any more either.
    let _ = leave.wait_for(|leave| *leave).await;
}

fn announce(plan: &Plan, hub: &Hub) -> Result<Option<Announcement>, Failure> {
    if plan.announce == Announce::Nobody {
        return Ok(None);
    }
    let here = LocalHub::here(hub.address(), hub.data_dir());
    let user_dir = local::user_dir(local::env_path);
    let announced = Announcement::publish(&here, user_dir.as_deref());
    let dir = hub.data_dir().to_path_buf();
    announced.map(Some).map_err(|error| failure(HubError::DataDir { dir, error }))
}

/// Makes sure that the hub knows the agent by the token in its directory, and returns it.
async fn register(hub: &Handle, name: &AgentId, dir: &Path) -> Result<String, Failure> {
    let file = dir.join("token");
    let kept =
        std::fs::read_to_string(&file).map(|text| text.trim().to_owned()).unwrap_or_default();
    let away = |error| Failure::new(Exit::TryAgain, error);
    if hub.authenticate(&kept).await.map_err(away)? == Some(Principal::Agent(name.clone())) {
        return Ok(kept);
    }
    let token = Token::generate().map_err(|error| Failure::new(Exit::Failure, error))?;
    let text = token.reveal().to_owned();
    local::write_private(&file, format!("{text}\n").as_bytes()).map_err(|error| {
        Failure::new(Exit::Store, format_args!("cannot write {}: {error}", file.display()))
    })?;
    let token = hash_of(&text);
    let mut reply = hub.call(Principal::Admin, Command::AddAgent { id: name.clone(), token }).await;
    if let Ok(Reply::Rejected(Rejected::AgentExists(id))) = reply {
        reply = hub.call(Principal::Admin, Command::RotateToken { id, token }).await;
    }
    match reply.map_err(away)? {
        Reply::Rejected(rejected) => Err(Failure::new(Exit::Conflict, rejected)),
        Reply::Done
        | Reply::Submitted(_)
        | Reply::SubmittedBatch(_)
        | Reply::Cancelled { .. }
        | Reply::Revived { .. } => Ok(text),
    }
}

fn agent_failure(ended: Result<Result<(), Failure>, JoinError>) -> Failure {
    match ended {
        Ok(Ok(())) => Failure::new(Exit::Failure, "an agent left without being asked to"),
        Ok(Err(failure)) => failure,
        Err(bug) => Failure::new(Exit::Failure, format_args!("an agent ended in a bug: {bug}")),
    }
}

/// A failure of the hub, as this command reports it.
pub(crate) fn failure(error: HubError) -> Failure {
    let exit = match error.exit_code() {
        64 => Exit::Usage,
        69 => Exit::Unavailable,
        74 => Exit::Store,
        75 => Exit::TryAgain,
        _ => Exit::Failure,
    };
    let failure = Failure::new(exit, &error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
