//! This file opens the data of a hub and makes the loop that runs it.

use std::path::Path;
use std::sync::Arc;

use agentcom_core::change::Genesis;
use agentcom_core::driver::Handle;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::{HubBuilder, HubDriver};
use agentcom_core::driver::token::hash_of;
use agentcom_core::port::transport::Transport;
use agentcom_store_redb::RedbStore;

use crate::config::Settings;
use crate::error::HubError;
use crate::ground::AdminToken;

/// The name of the file with the data, in the data directory.
const DATA_FILE: &str = "hub.redb";
const NAMESPACE: &str = "default";

/// Opens the data; the first start founds the data set.
pub(crate) async fn open(
    settings: &Settings,
    data_dir: &Path,
    admin: &AdminToken,
    transport: Arc<dyn Transport>,
) -> Result<(Handle, HubDriver), HubError> {
    let store =
        RedbStore::open(data_dir.join(DATA_FILE), NAMESPACE).await.map_err(HubError::Store)?;
    let genesis = Genesis::random(hash_of(&admin.text))
        .map_err(|error| HubError::Stopped(format!("no random numbers: {error}")))?;
    HubBuilder::new(Arc::new(store), Arc::new(SystemClock::new()))
        .config(settings.hub_config())
        .transport(transport)
        .open(genesis)
        .await
        .map_err(HubError::Store)
}
