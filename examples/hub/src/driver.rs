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

use crate::backups;
use crate::config::Settings;
use crate::error::HubError;
use crate::ground::AdminToken;
use crate::upkeep::{DATA_FILE, NAMESPACE};

/// Opens the data; the first start founds the data set.
pub(crate) async fn open(
    settings: &Settings,
    data_dir: &Path,
    admin: &AdminToken,
    transport: Arc<dyn Transport>,
) -> Result<(Handle, HubDriver, Arc<RedbStore>), HubError> {
    let file = data_dir.join(DATA_FILE);
    check_there(settings, data_dir, &file)?;
    let store = Arc::new(RedbStore::open(file, NAMESPACE).await.map_err(HubError::Store)?);
    let genesis = Genesis::random(hash_of(&admin.text))
        .map_err(|error| HubError::Stopped(format!("no random numbers: {error}")))?;
    let (handle, driver) = HubBuilder::new(store.clone(), Arc::new(SystemClock::new()))
        .config(settings.hub_config())
        .transport(transport)
        .open(genesis)
        .await
        .map_err(HubError::Store)?;
    Ok((handle, driver, store))
}

/// Data that was there once and is gone is not taken for data that never was.
fn check_there(settings: &Settings, data_dir: &Path, file: &Path) -> Result<(), HubError> {
    let backups = backups::list(&settings.backup.dir_in(data_dir));
    match backups.last() {
        Some(newest) if !file.exists() => {
            Err(HubError::DataGone { file: file.into(), newest: newest.clone() })
        }
        _ => Ok(()),
    }
}
