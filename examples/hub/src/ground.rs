//! This file prepares what a hub stands on: its data directory, its admin token and its listener.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use agentcom_core::driver::token::{BadToken, Token};
use agentcom_core::origin::AllowList;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::config::Settings;
use crate::error::HubError;
use crate::local::{TOKEN_FILE_NAME, write_private};

const TOKEN_BYTES_MAX: u64 = 4096;

/// Refuses settings that would let strangers in.
///
/// # Errors
///
/// [`HubError::Exposed`].
pub fn check_exposure(settings: &Settings) -> Result<(), HubError> {
    if settings.bind.ip().is_loopback() || settings.trusted_network {
        return Ok(());
    }
    Err(HubError::Exposed(settings.bind))
}

/// Lets the hub have as many sockets as the system lets it: the usual limit is far below what one
/// process may raise it to, and each agent takes one.
pub fn allow_sockets() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The hosts that the hub answers to: this machine, the address it listens on, and those of the
/// settings.
///
/// # Errors
///
/// [`HubError::BadHost`].
pub fn allowed_hosts(settings: &Settings) -> Result<AllowList, HubError> {
    let ip = settings.bind.ip();
    let own = if ip.is_unspecified() { None } else { Some(host_of(settings.bind)) };
    let hosts = own.iter().chain(&settings.public_hosts);
    hosts.into_iter().try_fold(AllowList::default(), |list, host| {
        list.with_host(host).map_err(|bad| HubError::BadHost(bad.to_string()))
    })
}

fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// Makes the data directory if there is none, for its owner only, and returns its full path.
///
/// # Errors
///
/// [`HubError::DataDir`].
pub fn data_dir(dir: &Path) -> Result<PathBuf, HubError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let path = made.and_then(|()| fs::canonicalize(dir)).and_then(|path| {
        let probe = path.join(format!(".probe-{}", std::process::id()));
        fs::write(&probe, b"")?;
        fs::remove_file(&probe)?;
        Ok(path)
    });
    path.map_err(|error| HubError::DataDir { dir: dir.into(), error })
}

/// The admin token of a data directory; the first start makes it.
///
/// # Errors
///
/// [`HubError::Token`] if it cannot be read or written, if others could read it, or if it is cut.
pub fn admin_token(dir: &Path) -> Result<AdminToken, HubError> {
    let file = dir.join(TOKEN_FILE_NAME);
    let fail = |why: String| HubError::Token { file: file.clone(), why };
    match read_token(&file) {
        Ok(text) if text.is_empty() => Err(fail("the file is empty".into())),
        Ok(text) => match Token::parse(&text) {
            Ok(_) | Err(BadToken::Foreign) => Ok(AdminToken { text, is_new: false }),
            Err(bad) => Err(fail(bad.to_string())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = Token::generate().map_err(|error| fail(error.to_string()))?;
            let text = token.reveal().to_owned();
            write_private(&file, format!("{text}\n").as_bytes())
                .map_err(|error| fail(error.to_string()))?;
            Ok(AdminToken { text, is_new: true })
        }
        Err(error) => Err(fail(error.to_string())),
    }
}

/// The token of whoever runs the hub.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// The token.
    pub text: String,
    /// Whether this start made it.
    pub is_new: bool,
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminToken").field("is_new", &self.is_new).finish_non_exhaustive()
    }
}

fn read_token(file: &Path) -> io::Result<String> {
    let meta = fs::metadata(file)?;
    if meta.mode() & 0o077 != 0 {
        return Err(io::Error::other("others can read it; make it 0600 with chmod"));
    }
    if meta.len() > TOKEN_BYTES_MAX {
        return Err(io::Error::other("it is too long for a token"));
    }
    Ok(fs::read_to_string(file)?.trim().to_owned())
}

/// Listens.
///
/// # Errors
///
/// [`HubError::PortInUse`] or [`HubError::Listen`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, HubError> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            return HubError::PortInUse(address);
        }
        HubError::Listen { address, error }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_a_trusted_network_gets_to_see_a_hub() {
        let exposed = |bind: &str, trusted_network| {
            let settings =
                Settings { bind: bind.parse().unwrap(), trusted_network, ..Settings::default() };
            check_exposure(&settings).is_err()
        };
        assert!(!exposed("127.0.0.1:4000", false));
        assert!(!exposed("[::1]:4000", false));
        assert!(exposed("0.0.0.0:4000", false));
        assert!(exposed("10.0.0.1:4000", false));
        assert!(!exposed("10.0.0.1:4000", true));
    }

    #[test]
    fn hosts_of_the_settings_are_answered_and_bad_ones_are_named() {
        let with = |hosts: &[&str]| {
            let public_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            allowed_hosts(&Settings { public_hosts, ..Settings::default() })
        };
        let list = with(&["hub.tail1.ts.net"]).unwrap();
        assert!(list.check(Some("hub.tail1.ts.net:4000"), None).is_ok());
        assert!(list.check(Some("example.org"), None).is_err());
        assert!(with(&["a b"]).unwrap_err().to_string().contains("a b"));
    }

    #[test]
    fn the_admin_token_is_made_once_and_kept_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = admin_token(dir.path()).unwrap();
        let again = admin_token(dir.path()).unwrap();
        assert!(first.is_new && !again.is_new);
        assert_eq!(first.text, again.text);
        assert_eq!(fs::metadata(dir.path().join(TOKEN_FILE_NAME)).unwrap().mode() & 0o777, 0o600);
        assert!(!format!("{first:?}").contains(&first.text));
    }

    #[test]
    fn a_token_that_is_cut_or_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN_FILE_NAME);
        let whole = admin_token(dir.path()).unwrap().text;
        fs::write(&file, &whole[..20]).unwrap();
        assert_eq!(admin_token(dir.path()).unwrap_err().exit_code(), 74);
        fs::write(&file, &whole).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(admin_token(dir.path()).unwrap_err().to_string().contains("chmod"));
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = data_dir(&file.join("data")).unwrap_err();
        assert!(error.to_string().contains("file/data"), "{error}");
        assert!(data_dir(&dir.path().join("a/b")).unwrap().is_absolute());
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_from_an_address_of_another_machine() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        assert!(matches!(listen(address).await, Err(HubError::PortInUse(at)) if at == address));
        let far = "192.0.2.1:1".parse().unwrap();
        assert!(matches!(listen(far).await, Err(HubError::Listen { .. })));
    }
}
