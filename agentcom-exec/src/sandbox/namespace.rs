//! This file gives a process surroundings of its own: users, files, processes, network.
//!
//! Nothing of the machine's files is there but what the policy names, each at its own path: what may
//! be read is mounted read-only, so that its metadata cannot be changed either.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getgid, getuid, pivot_root};

use super::Policy;

/// Folders in memory that every command may write to.
pub(super) const TEMPORARY: [&str; 2] = ["/tmp", "/dev/shm"];

/// Devices that hold nothing.
pub(super) const DEVICES: [&str; 5] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The folder among temporary files on which the new root is mounted.
pub(super) const ROOT: &str = ".root";

/// What programs look for in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Moves this process into namespaces of its own; the next one that it starts is the first of its
/// new process namespace, and ends all others in it when it ends.
///
/// The network is the machine's if the policy grants all of it, and otherwise one of its own, with
/// nothing in it but loopback.
pub(super) fn enter(policy: &Policy) -> io::Result<()> {
    let (uid, gid) = (getuid(), getgid());
    // After a change of user its own files in /proc would belong to root.
    nix::sys::prctl::set_dumpable(true)?;
    let mut own = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    own.set(CloneFlags::CLONE_NEWNET, !policy.network.is_open());
    unshare(own)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    if policy.network.is_open() { Ok(()) } else { raise_loopback() }
}

/// Replaces the root of this process, which has to be the first of its process namespace.
pub(super) fn furnish(policy: &Policy) -> io::Result<()> {
    mount(none(), Path::new("/"), none(), MsFlags::MS_REC | MsFlags::MS_PRIVATE, none())?;
    let root = Root::make(&policy.scratch)?;
    for folder in TEMPORARY {
        root.memory(Path::new(folder), "mode=1777,size=256m")?;
    }
    for device in DEVICES {
        root.show(Path::new(device), None)?;
    }
    for (to, at) in LINKS {
        symlink(to, root.at(Path::new(at)))?;
    }
    let mut readable = policy.readable();
    readable.sort_unstable();
    readable.dedup_by(|inner, outer| inner.starts_with(outer));
    for path in readable {
        root.show(&path, Some(MsFlags::MS_RDONLY))?;
    }
    for path in policy.writable() {
        root.show(path, Some(MsFlags::empty()))?;
    }
    root.show(&git(policy)?, Some(MsFlags::MS_RDONLY))?;
    let proc = root.folder(Path::new("/proc"))?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(Path::new("proc")), &proc, Some("proc"), quiet, none())?;
    root.become_root()
}

/// Where git looks for the repository: a folder, or a file that says where. Over a link nothing can be
/// mounted, so a command could put another in its place.
fn git(policy: &Policy) -> io::Result<PathBuf> {
    let git = policy.workspace.join(".git");
    if git.is_symlink() {
        let why = "is a symbolic link, which cannot be kept as it is; a folder can, and a file that says \
                   `gitdir: PATH`";
        return Err(io::Error::other(format!("{} {why}", git.display())));
    }
    Ok(git)
}

/// A root that is being furnished.
#[derive(Debug)]
struct Root(PathBuf);

impl Root {
    fn make(scratch: &Path) -> io::Result<Self> {
        let root = scratch.join(ROOT);
        match fs::create_dir(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some(Path::new("tmpfs")), &root, Some("tmpfs"), quiet, Some("mode=755,size=16m"))?;
        Ok(Self(root))
    }

    /// Where `path` will be, seen from here.
    fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn folder(&self, path: &Path) -> io::Result<PathBuf> {
        let at = self.at(path);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&at)?;
        Ok(at)
    }

    fn memory(&self, path: &Path, options: &str) -> io::Result<()> {
        let at = self.folder(path)?;
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some(Path::new("tmpfs")), &at, Some("tmpfs"), quiet, Some(options))
    }

    /// Shows what is at `path` at the same path, with `flags` in addition to those that it has
    /// already; devices are shown as they are. What is not there is passed over.
    fn show(&self, path: &Path, flags: Option<MsFlags>) -> io::Result<()> {
        let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
        if found.is_symlink() {
            if let Some(parent) = path.parent() {
                self.folder(parent)?;
            }
            return symlink(fs::read_link(path)?, self.at(path));
        }
        let at = if found.is_dir() { self.folder(path)? } else { self.file(path)? };
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(path), &at, none(), bind, none())?;
        if let Ok(inside) = self.0.strip_prefix(path) {
            // What was shown so far would be there once more, as it was before later mounts changed it.
            umount2(&at.join(inside), MntFlags::MNT_DETACH)?;
        }
        let Some(flags) = flags else { return Ok(()) };
        let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(none(), &at, none(), again | quiet | flags | kept(&at)?, none())
    }

    fn file(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let at = self.at(path);
        if !at.exists() {
            fs::write(&at, "")?;
        }
        Ok(at)
    }

    fn become_root(self) -> io::Result<()> {
        std::env::set_current_dir(&self.0)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        std::env::set_current_dir("/")
    }
}

/// The flags of a mount that whoever has not made it may not take away.
fn kept(at: &Path) -> io::Result<MsFlags> {
    let has = statvfs(at)?.flags();
    let all = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
    ];
    Ok(all.into_iter().filter(|&(flag, _)| has.contains(flag)).map(|(_, flag)| flag).collect())
}

/// Turns the loopback interface on: a new network namespace has it off, and tests of servers need
/// it. One message of rtnetlink(7).
fn raise_loopback() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const LOOPBACK: u32 = 1;
    const UP: u32 = 1;
    const BYTES: u32 = 32;
    /// Where the acknowledgement has its error number, which is 0 if all went well.
    const ERROR: std::ops::Range<usize> = 16..20;
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let mut message = Vec::with_capacity(BYTES as usize);
    message.extend(BYTES.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    // Sequence number, sender, family and type.
    message.extend([0; 12]);
    for word in [LOOPBACK, UP, UP] {
        message.extend(word.to_ne_bytes());
    }
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut reply = [0; 256];
    let read = recv(fd, &mut reply, MsgFlags::empty())?;
    let error = reply[..read].get(ERROR).and_then(|bytes| bytes.try_into().ok());
    match error.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Mounts, and says what could not be mounted.
fn mount(
    source: Option<&Path>,
    at: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> io::Result<()> {
    nix::mount::mount(source, at, kind, flags, options).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("{}: {error}", at.display()))
    })
}

fn none<T: ?Sized>() -> Option<&'static T> {
    None
}
