//! This file lets programs on one machine find the hub that runs there.
//!
//! A hub writes `hub.json` into its data directory and into a directory of its user; clients look
//! there when nobody tells them an address.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The name of the file, in both places.
pub const FILE_NAME: &str = "hub.json";
/// The name of the file with the admin token, in the data directory.
pub const TOKEN_FILE_NAME: &str = "admin.token";
/// The data directory of `agentcom up` where nothing else is said.
pub const DATA_DIR: &str = "agentcom-data";

const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Where a running hub is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalHub {
    /// Its address, such as `http://127.0.0.1:4000`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its version.
    pub version: String,
}

impl LocalHub {
    /// Describes the hub that this process serves.
    #[must_use]
    pub fn here(listen: SocketAddr, data_dir: &Path) -> Self {
        Self {
            url: url_of(listen),
            pid: std::process::id(),
            data_dir: data_dir.to_path_buf(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// The file with its admin token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.data_dir.join(TOKEN_FILE_NAME)
    }

    fn is_alive(&self) -> bool {
        let Ok(pid) = i32::try_from(self.pid) else { return false };
        pid > 0 && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
    }
}

/// Where clients on this machine reach a hub that listens on `listen`.
#[must_use]
pub fn url_of(listen: SocketAddr) -> String {
    let own = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let ip = if listen.ip().is_unspecified() { own } else { listen.ip() };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// The announcement of a running hub; dropping it takes it back.
#[derive(Debug)]
pub struct Announcement {
    files: Vec<PathBuf>,
}

impl Announcement {
    /// Tells programs on this machine where the hub is. A user directory that cannot be written
    /// to is left out: clients started beside the data directory still find the hub.
    ///
    /// # Errors
    ///
    /// If the data directory cannot be written to.
    pub fn publish(hub: &LocalHub, user_dir: Option<&Path>) -> io::Result<Self> {
        let text = serde_json::to_vec_pretty(hub)?;
        let mut files = vec![hub.data_dir.join(FILE_NAME)];
        write_private(&files[0], &text)?;
        keep_from_git(&hub.data_dir)?;
        if let Some(dir) = user_dir {
            let file = dir.join(FILE_NAME);
            let written = fs::create_dir_all(dir).and_then(|()| write_private(&file, &text));
            match written {
                Ok(()) => files.push(file),
                Err(error) => {
                    tracing::debug!(dir = %dir.display(), %error, "hub is not announced to its user")
                }
            }
        }
        Ok(Self { files })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        for file in &self.files {
            let ours = read(file).is_some_and(|hub| hub.pid == std::process::id());
            if ours {
                // Clients notice a file that outlives its hub, so a failure does no harm.
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// Has git leave out all that is in `dir`, which may be in a clone: nobody is to commit a token, and no
/// clone is to have changes by it. A folder that is a clone itself stays as it is.
///
/// # Errors
///
/// If nothing can be written there.
pub fn keep_from_git(dir: &Path) -> io::Result<()> {
    if dir.join(".git").exists() {
        return Ok(());
    }
    match fs::File::create_new(dir.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The directory of this user in which hubs are announced, if there is one.
#[must_use]
pub fn user_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| var(name).filter(|path| path.is_absolute());
    absolute("XDG_RUNTIME_DIR")
        .or_else(|| absolute("XDG_STATE_HOME"))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("agentcom"))
}

/// An environment variable as a path; empty counts as not set.
#[must_use]
pub fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The hub that runs on this machine: the one of `data_dir` if it runs, or else the one that this
/// user started last.
#[must_use]
pub fn find(data_dir: &Path, user_dir: Option<&Path>) -> Option<LocalHub> {
    let beside = fs::canonicalize(data_dir).ok().and_then(|dir| {
        // The file could have come with a checkout of somebody else's, so it may neither point to
        // another machine nor to another directory's token.
        let hub = read(&dir.join(FILE_NAME)).filter(|hub| is_loopback(&hub.url))?;
        Some(LocalHub { data_dir: dir, ..hub })
    });
    let last = || read(&user_dir?.join(FILE_NAME));
    beside.filter(LocalHub::is_alive).or_else(|| last().filter(LocalHub::is_alive))
}

/// Writes `text` to a file that only its owner can read; other programs see all of it or nothing.
///
/// # Errors
///
/// Those of the file system.
pub fn write_private(file: &Path, text: &[u8]) -> io::Result<()> {
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&partial).and_then(|mut out| {
        out.write_all(text)?;
        out.sync_all()
    });
    let moved = written.and_then(|()| fs::rename(&partial, file));
    if moved.is_err() {
        // The first error counts; there may be nothing to remove.
        let _ = fs::remove_file(&partial);
    }
    moved
}

fn read(file: &Path) -> Option<LocalHub> {
    let meta = fs::symlink_metadata(file).ok()?;
    let ours = meta.is_file() && meta.uid() == nix::unistd::geteuid().as_raw();
    if !ours || meta.len() > FILE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Whether an `http://` address is one of this machine's own.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => authority == "localhost" || authority.starts_with("localhost:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(dir: &Path) -> LocalHub {
        LocalHub::here(SocketAddr::from(([127, 0, 0, 1], 4000)), &fs::canonicalize(dir).unwrap())
    }

    #[test]
    fn git_leaves_data_out_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (data, file) = (dir.path().join("data"), dir.path().join("data/.gitignore"));
        fs::create_dir(&data).unwrap();
        keep_from_git(&data).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "*\n");
        fs::write(&file, "mine\n").unwrap();
        keep_from_git(&data).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
        fs::create_dir(dir.path().join(".git")).unwrap();
        keep_from_git(dir.path()).unwrap();
        assert!(!dir.path().join(".gitignore").exists());
    }

    #[test]
    fn an_announced_hub_is_found_until_the_announcement_ends() {
        let (data, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let nowhere = Path::new("/nonexistent");
        let hub = hub(data.path());
        let announcement = Announcement::publish(&hub, Some(user.path())).unwrap();
        assert_eq!(find(data.path(), None), Some(hub.clone()));
        assert_eq!(find(nowhere, Some(user.path())), Some(hub));
        drop(announcement);
        assert_eq!(find(data.path(), Some(user.path())), None);
    }

    #[test]
    fn a_hub_whose_process_is_gone_is_not_found() {
        let data = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let gone = LocalHub { pid, ..hub(data.path()) };
        write_private(&data.path().join(FILE_NAME), &serde_json::to_vec(&gone).unwrap()).unwrap();
        assert_eq!(find(data.path(), None), None);
    }

    #[test]
    fn a_file_beside_the_caller_leads_neither_to_other_machines_nor_to_other_tokens() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(FILE_NAME);
        let far = LocalHub { url: "http://192.0.2.1:4000".into(), ..hub(data.path()) };
        write_private(&file, &serde_json::to_vec(&far).unwrap()).unwrap();
        assert_eq!(find(data.path(), None), None);
        let foreign = LocalHub { data_dir: "/etc".into(), ..hub(data.path()) };
        write_private(&file, &serde_json::to_vec(&foreign).unwrap()).unwrap();
        let found = find(data.path(), None).unwrap();
        assert_eq!(
            found.token_file(),
            fs::canonicalize(data.path()).unwrap().join(TOKEN_FILE_NAME)
        );
    }

    #[test]
    fn private_files_are_for_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        write_private(&file, b"x").unwrap();
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn addresses_for_everybody_are_reached_through_loopback() {
        assert_eq!(url_of("0.0.0.0:4000".parse().unwrap()), "http://127.0.0.1:4000");
        assert_eq!(url_of("[::]:4000".parse().unwrap()), "http://[::1]:4000");
        assert_eq!(url_of("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
    }

    #[test]
    fn loopback_addresses_are_told_from_others() {
        let near = [
            "http://127.0.0.1:4000",
            "http://[::1]:1/x",
            "http://localhost:4000",
            "http://localhost",
        ];
        let far = [
            "http://127.0.0.1.example.org:80",
            "https://127.0.0.1:1",
            "http://localhost.example.org",
            "",
        ];
        assert!(near.iter().all(|url| is_loopback(url)));
        assert!(!far.iter().any(|url| is_loopback(url)));
    }

    #[test]
    fn the_user_directory_is_the_first_absolute_one() {
        let dir = |names: &[(&str, &str)]| {
            let names: Vec<(String, String)> =
                names.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            user_dir(|name| {
                names.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(
            dir(&[("XDG_RUNTIME_DIR", "/run/user/1"), ("HOME", "/h")]),
            Some("/run/user/1/agentcom".into())
        );
        assert_eq!(
            dir(&[("XDG_RUNTIME_DIR", "x"), ("HOME", "/h")]),
            Some("/h/.local/state/agentcom".into())
        );
        assert_eq!(dir(&[]), None);
    }
}
