//! This file says why a hub does not start or run on, what to do about it, and with which exit code.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use agentcom_core::port::store::{StoreError, StoreErrorKind};

use crate::config::BadSettings;
use crate::local::LocalHub;

/// Why a hub does not start or run on.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The settings break a rule.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// It would listen beyond this machine without TLS.
    #[error("{0} is reachable from other machines, and this hub speaks no TLS")]
    Exposed(SocketAddr),
    /// A name cannot be on the list of hosts.
    #[error("{0}")]
    BadHost(String),
    /// Somebody else listens there.
    #[error("{0} is in use by another program")]
    PortInUse(SocketAddr),
    /// It cannot listen there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {dir}: {error}")]
    DataDir {
        /// Which.
        dir: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Another process has the data.
    #[error("the data in {dir} is in use{}", by(.hub.as_ref()))]
    DataInUse {
        /// Which.
        dir: PathBuf,
        /// The hub that announces itself there.
        hub: Option<LocalHub>,
    },
    /// The data is gone, and there are backups of it.
    #[error("there is no {}, but there is a backup of it: {}", file.display(), newest.display())]
    DataGone {
        /// Where it was.
        file: PathBuf,
        /// The newest backup.
        newest: PathBuf,
    },
    /// The store does not do what it should.
    #[error("{0}")]
    Store(StoreError),
    /// No token could be made or read.
    #[error("the admin token in {file}: {why}")]
    Token {
        /// Its file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The server failed.
    #[error("the server failed: {0}")]
    Serve(io::Error),
    /// The hub ended although nobody asked it to.
    #[error("the hub stopped: {0}")]
    Stopped(String),
}

impl HubError {
    /// The exit code of a process that ends for this reason.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Exposed(_) | Self::BadHost(_) => 64,
            Self::PortInUse(_) | Self::Listen { .. } => 69,
            Self::DataDir { .. }
            | Self::DataInUse { .. }
            | Self::DataGone { .. }
            | Self::Store(_)
            | Self::Token { .. } => 74,
            Self::Serve(_) | Self::Stopped(_) => 75,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed(address) => Some(format!(
                "listen on 127.0.0.1:{}, or say that the network is trusted (WireGuard, Tailscale) with \
                 --trusted-network or `trusted_network = true`",
                address.port()
            )),
            Self::PortInUse(address) => Some(format!(
                "a hub may run there already; or choose another port, {}:0 for any free one",
                shown_ip(*address)
            )),
            Self::Listen { .. } => {
                Some("choose an address of this machine, such as 127.0.0.1:4000".into())
            }
            Self::DataDir { .. } => Some("choose a directory that this user can write to".into()),
            Self::DataInUse { .. } => {
                Some("one hub at a time can use a data directory; stop it or choose another".into())
            }
            Self::DataGone { .. } => Some(
                "restore it with `agentcom db restore --latest`, or start with --restore-latest; \
                 to start with nothing, move the backups away"
                    .into(),
            ),
            Self::Store(error) => store_hint(error.kind),
            Self::Token { .. } => Some(
                "put the file back as the first start made it, for its owner only (0600)".into(),
            ),
            Self::Settings(_) | Self::BadHost(_) | Self::Serve(_) | Self::Stopped(_) => None,
        }
    }
}

fn store_hint(kind: StoreErrorKind) -> Option<String> {
    match kind {
        StoreErrorKind::Fenced => Some("one hub at a time can use a data directory".into()),
        StoreErrorKind::Corrupt => Some(
            "nothing was changed, and the hub does not start on damaged data; with the hub \
                 stopped, `agentcom db verify` says what is damaged, `agentcom db restore \
                 --latest` or starting with --restore-latest goes back to the newest good backup, \
                 and `agentcom db salvage` saves what is not damaged"
                .into(),
        ),
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {
            Some("look at the disk (space, permissions), then start again".into())
        }
    }
}

fn shown_ip(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn by(hub: Option<&LocalHub>) -> String {
    hub.map_or_else(String::new, |hub| format!(" by the hub on {} (process {})", hub.url, hub.pid))
}
