//! This file is AgentCom with its agents in another process: sidecars that connect over WebSocket,
//! each with a journal of its own on the disk.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::app::{App, executor};
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver};
use agentcom_core::name::{AgentId, Capability, Kind};
use agentcom_core::origin::AllowList;
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_store_redb::RedbStore;
use agentcom_transport_ws::{ClientOptions, ServerLimits, WsClient, listen};
use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, failed, queue};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::tasks::{self, KIND};

/// Sidecars in the other process, and the slots of each.
const SIDECARS: usize = 8;
const SLOTS: u32 = 32;

pub(crate) struct Remote {
    app: App,
    url: String,
    place: Place,
    others: Mutex<Vec<Elsewhere>>,
}

/// A process that ends with this value.
struct Elsewhere(Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer for Remote {
    async fn open(place: Place, _mode: Mode, _classes: u32) -> Outcome<Self> {
        let store = RedbStore::open(place.dir.join("agentcom.redb"), "default").await?;
        let (router, agents) = listen(ServerLimits::default(), AllowList::default());
        let app = App::over(store).transport(agents).open().await?;
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/ws", socket.local_addr()?);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(socket, service).await });
        let hub = app.clone();
        tokio::spawn(async move { hub.run().await });
        Ok(Self { app, url, place, others: Mutex::default() })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        tasks::task(&self.app, job)?.submit().await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        tasks::submit_all(&self.app, jobs).await
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        let mut words = vec!["sidecar".to_owned(), self.url.clone(), queue(class)];
        words.push(self.place.dir.display().to_string());
        for number in 0..SIDECARS {
            words.push(self.app.token_for(&format!("agent-{number}")).await?.reveal().into());
        }
        let child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        self.others.lock().await.push(Elsewhere(child));
        while self.app.handle().view(|state| state.fleet().members().count()).await? < SIDECARS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What runs elsewhere is not seen from here; what is stored as done is what counts.
        seen.not_watched();
        Ok(())
    }

    async fn done(&self, submitted: u64) -> Outcome<u64> {
        Ok(submitted.saturating_sub(tasks::left(&self.app).await?))
    }
}

/// Runs sidecars for `URL CAPABILITY DIR TOKEN...` until the process is killed.
pub(crate) fn sidecars(words: &[String]) -> ExitCode {
    let [url, capability, dir, tokens @ ..] = words else {
        return failed("URL CAPABILITY DIR TOKEN...");
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let ran = runtime.block_on(async {
        let mut running: JoinSet<Outcome<()>> = JoinSet::new();
        for (number, token) in tokens.iter().enumerate() {
            let sidecar = sidecar(url, capability, dir, number, token).await?;
            running.spawn(async move { Ok(sidecar.run().await.map(drop)?) });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Outcome::Ok(())
    });
    ran.map_or_else(|error| failed(&error.to_string()), |()| ExitCode::SUCCESS)
}

async fn sidecar(
    url: &str,
    capability: &str,
    dir: &str,
    number: usize,
    token: &str,
) -> Outcome<SidecarDriver> {
    let mut config =
        SidecarConfig::new(AgentId::new(&format!("agent-{number}"))?, Secret::new(token));
    config.slots = SLOTS;
    config.capabilities = vec![Capability::new(capability)?];
    let nothing = executor(Kind::new(KIND)?, |_: Payload| async {});
    let journal = FileJournal::open(format!("{dir}/journal-{number}"), JournalLimits::default())?;
    Ok(SidecarDriver::new(
        config,
        Arc::new(WsClient::new(url, ClientOptions::default())?),
        Box::new(journal),
        vec![Arc::new(nothing)],
        Arc::new(SystemClock::new()),
        Entropy::of_the_system()?,
    )?)
}
