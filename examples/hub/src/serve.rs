//! This file wires a hub: its store, its driver, its WebSocket and its HTTP API on one listener.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentcom_core::driver::Handle;
use agentcom_core::name::Principal;
use agentcom_core::port::store::{StoreError, StoreErrorKind};
use agentcom_http::{Options, Serving};
use agentcom_transport_ws::{ServerLimits, WsTransport};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use crate::backups::Backups;
use crate::config::Settings;
use crate::error::HubError;
use crate::ground::{self, AdminToken};
use crate::local;

/// A hub at work. Dropping it ends it at once; what it acknowledged is durable.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    data_dir: PathBuf,
    admin: AdminToken,
    handle: Handle,
    sockets: Arc<WsTransport>,
    stop_http: Option<oneshot::Sender<()>>,
    backups: Arc<Backups>,
    /// The loop that makes them, which never ends by itself.
    made: JoinSet<()>,
    parts: JoinSet<Result<(), HubError>>,
}

impl Hub {
    /// Opens the data, listens, and serves. When it returns, clients are answered.
    ///
    /// # Errors
    ///
    /// Why the hub cannot start; nothing of it goes on then.
    pub async fn start(settings: &Settings) -> Result<Self, HubError> {
        ground::check_exposure(settings)?;
        ground::allow_sockets();
        let allowed = ground::allowed_hosts(settings)?;
        let data_dir = ground::data_dir(&settings.data_dir)?;
        let admin = ground::admin_token(&data_dir)?;
        let (sockets_router, sockets) =
            agentcom_transport_ws::listen(ServerLimits::default(), allowed.clone());
        let sockets = Arc::new(sockets);
        let (handle, driver, store) =
            crate::driver::open(settings, &data_dir, &admin, sockets.clone())
                .await
                .map_err(|error| in_use(error, &data_dir))?;
        let listener = ground::listen(settings.bind).await?;
        let address = listener.local_addr().map_err(HubError::Serve)?;
        let backups = Arc::new(Backups::new(store, &data_dir, &settings.backup));
        let options = Options { allowed, backups: Some(backups.clone()), ..Options::default() };
        let api = agentcom_http::router(handle.clone(), options);
        let trusted_proxies = settings.trusted_proxies.clone().into();
        let serving = Serving { trusted_proxies, ..Serving::default() };
        let (stop_http, stopped) = oneshot::channel();
        let mut parts = JoinSet::new();
        parts.spawn(async move { driver.run().await.map_err(HubError::Store) });
        parts.spawn(async move {
            let stop = async {
                // The hub that asks is dropped if it ends without asking.
                let _ = stopped.await;
            };
            agentcom_http::serve(listener, api.merge(sockets_router), stop, serving).await;
            Ok(())
        });
        let mut made = JoinSet::new();
        let making = Arc::clone(&backups);
        made.spawn(async move { making.run().await });
        let stop_http = Some(stop_http);
        let hub =
            Self { address, data_dir, admin, handle, sockets, stop_http, backups, made, parts };
        hub.check_admin().await?;
        Ok(hub)
    }

    /// Makes sure that the token in the file is the one that the data set was founded with.
    async fn check_admin(&self) -> Result<(), HubError> {
        let known = self.handle.authenticate(&self.admin.text).await;
        if known.map_err(|error| HubError::Stopped(error.to_string()))? == Some(Principal::Admin) {
            return Ok(());
        }
        let file = self.data_dir.join(local::TOKEN_FILE_NAME);
        let why = if self.admin.is_new {
            // It opens nothing, and would hide that the right one is missing.
            let _ = std::fs::remove_file(&file);
            "it is missing, and there is data that was made with one"
        } else {
            "it is not the one that this data was made with"
        };
        Err(HubError::Token { file, why: why.into() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its data is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The token of whoever runs it.
    #[must_use]
    pub const fn admin(&self) -> &AdminToken {
        &self.admin
    }

    /// What talks to it.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until a part of it fails. Cancel safe.
    pub async fn failed(&mut self) -> HubError {
        match self.parts.join_next().await {
            Some(Ok(Err(error))) => in_use(error, &self.data_dir),
            Some(Ok(Ok(()))) | None => HubError::Stopped("a part of it ended by itself".into()),
            Some(Err(bug)) => ended_in_a_bug(&bug),
        }
    }

    /// Takes no more requests, tells the agents that it goes, finishes what it has begun, and ends.
    ///
    /// # Errors
    ///
    /// If a part of it fails on the way.
    pub async fn stop(mut self) -> Result<(), HubError> {
        if let Some(stop) = self.stop_http.take() {
            // A server that is gone need not be stopped.
            let _ = stop.send(());
        }
        self.backups.stop();
        self.made.shutdown().await;
        self.sockets.shutdown().await;
        self.handle.stop();
        while let Some(ended) = self.parts.join_next().await {
            ended.map_err(|bug| ended_in_a_bug(&bug))??;
        }
        Ok(())
    }
}

fn ended_in_a_bug(error: &JoinError) -> HubError {
    HubError::Stopped(format!("a bug ended it: {error}"))
}

/// Says who has the data, if that is why the store is not to be had.
fn in_use(error: HubError, dir: &Path) -> HubError {
    let HubError::Store(StoreError { kind: StoreErrorKind::Fenced, .. }) = error else {
        return error;
    };
    let hub = local::find(dir, None).filter(|hub| hub.pid != std::process::id());
    HubError::DataInUse { dir: dir.into(), hub }
}
