//! This file tries to break out of the sandbox that it runs in, and to do what commands have to.
//!
//! Each attempt is harmless where it succeeds: its targets were made for it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, prlimit, setpriority_process};
use serde::{Deserialize, Serialize};

use super::demand::SIGNAL;
use super::namespace::ROOT;
use super::{Attempt, Expected, Level, Network, Policy};

/// What is outside of the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// A folder with a file, [`Targets::SECRET`], of the same user, and with two others,
    /// [`Targets::SERVICE`] and [`Targets::MAILBOX`], at which somebody listens.
    pub(super) outside: PathBuf,
    /// A folder to which a policy that grants any lets write.
    pub(super) granted: PathBuf,
    /// A port of the loopback interface at which somebody listens.
    pub(super) port: u16,
    /// Another, which a policy that grants hosts by name grants.
    pub(super) named: u16,
    /// An abstract name under which somebody listens.
    pub(super) name: String,
    /// A process of the same user, which can do without being stopped.
    pub(super) process: i32,
}

impl Targets {
    pub(super) const SECRET: &str = "secret";
    pub(super) const SERVICE: &str = "service";
    /// Where messages are taken from whoever sends any.
    pub(super) const MAILBOX: &str = "mailbox";
}

/// What whoever all of the network is granted can do, and nobody else.
const REACH: &str = "reach a port of this machine";

/// What whoever a folder is granted can do, and nobody else.
const WRITE: &str = "write to a folder beside the workspace";

type Tried = Result<(), io::Error>;

/// All attempts, in a sandbox of `policy`.
pub(super) fn all(targets: &Targets, policy: &Policy) -> Vec<Attempt> {
    let blocked = breaking_out(targets, policy);
    let blocked = blocked.into_iter().map(|(what, tried)| Attempt {
        what: what.to_owned(),
        expected: Expected::Blocked,
        held: tried.is_err(),
    });
    let works = working(targets, policy).into_iter().map(|(what, tried)| Attempt {
        what: what.to_owned(),
        expected: Expected::Works,
        held: tried.is_ok(),
    });
    blocked.chain(works).collect()
}

fn breaking_out(targets: &Targets, policy: &Policy) -> Vec<(&'static str, Tried)> {
    let secret = targets.outside.join(Targets::SECRET);
    let process = Pid::from_raw(targets.process);
    let inside = policy.workspace.join("from-outside");
    let about = |file: &str| Path::new("/proc").join(targets.process.to_string()).join(file);
    let mut tried = vec![
        ("read a file outside", fs::read(&secret).map(drop)),
        ("read it through a link in the workspace", through_link(&secret, policy)),
        ("write to a file outside", OpenOptions::new().append(true).open(&secret).map(drop)),
        (
            "empty a file outside",
            OpenOptions::new().write(true).truncate(true).open(&secret).map(drop),
        ),
        ("make a file outside", fs::write(targets.outside.join("new"), "")),
        ("list a folder outside", fs::read_dir(&targets.outside).map(drop)),
        ("rename a file outside", fs::rename(&secret, targets.outside.join("renamed"))),
        ("move a file outside into the workspace", fs::rename(&secret, &inside)),
        ("link a file outside into the workspace", fs::hard_link(&secret, &inside)),
        ("remove a file outside", fs::remove_file(&secret)),
        (
            "change the kernel's settings",
            OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern").map(drop),
        ),
        (
            "talk to a service by its file",
            UnixStream::connect(targets.outside.join(Targets::SERVICE)).map(drop),
        ),
        ("talk to a service by its name", by_name(&targets.name)),
        ("send to a service by its file", send(&targets.outside.join(Targets::MAILBOX))),
        ("trace a process outside", ptrace::attach(process).map_err(io::Error::from)),
        ("see the environment of a process outside", fs::read(about("environ")).map(drop)),
        (
            "mount",
            mount(Some("tmpfs"), &policy.workspace, Some("tmpfs"), MsFlags::empty(), None::<&str>)
                .map_err(io::Error::from),
        ),
        ("make a user namespace", unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from)),
        (
            "become root",
            nix::unistd::setuid(nix::unistd::Uid::from_raw(0))
                .map_err(io::Error::from)
                .and_then(|()| fs::read("/etc/shadow").map(drop)),
        ),
        (SIGNAL, kill(process, Signal::SIGCONT).map_err(io::Error::from)),
    ];
    tried.extend(changing(process));
    // A user of its own has no files outside, so nothing keeps it from changing their modes.
    if policy.level >= Level::L3 || policy.user.is_none() {
        let open = Permissions::from_mode(0o666);
        tried.push(("change the mode of a file outside", fs::set_permissions(&secret, open)));
    }
    if policy.level >= Level::L3 {
        tried.push(("find out that a file outside is there", fs::metadata(&secret).map(drop)));
        tried.push(("see that a process outside is there", fs::metadata(about("")).map(drop)));
        tried.push(("change what git does", plant(policy)));
    } else if policy.network.is_none() {
        tried.push(("open a socket", TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)));
    }
    if !policy.network.is_open() {
        tried.push((REACH, connect(targets.port)));
        tried.push(("find a way out of this machine", way_out()));
    }
    if !policy.network.hosts().is_empty() {
        tried.push(("reach a host that is not granted, by the broker", ask(targets.port)));
    }
    if policy.write.is_empty() {
        tried.push((WRITE, write_and_read(&targets.granted.join("file"))));
    }
    tried
}

/// What changes a process, and asks for no more than its user.
fn changing(process: Pid) -> [(&'static str, Tried); 3] {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let named = rustix::process::Pid::from_raw(process.as_raw());
    let limited = prlimit(named, Resource::Core, none);
    let waits = setpriority_process(named, 1);
    let mut any = CpuSet::new();
    // Some are not there, and are passed over.
    let any = (0..CpuSet::count()).try_for_each(|number| any.set(number)).map(|()| any);
    let chosen = any.and_then(|any| sched_setaffinity(process, &any));
    [
        ("set a limit of a process outside", limited.map(drop).map_err(io::Error::from)),
        ("set the priority of a process outside", waits.map_err(io::Error::from)),
        ("choose where a process outside runs", chosen.map_err(io::Error::from)),
    ]
}

fn working(targets: &Targets, policy: &Policy) -> Vec<(&'static str, Tried)> {
    let file = policy.workspace.join("file");
    let scratch = policy.scratch.join("file");
    let mut tried = vec![
        ("write and read in the workspace", write_and_read(&file)),
        ("write and read a temporary file", write_and_read(&scratch)),
        ("make a folder, a link and rename them", rename(policy)),
        ("run a program", run()),
        ("talk to a process of its own", UnixStream::pair().map(drop)),
    ];
    if policy.network.is_open() {
        tried.push((REACH, connect(targets.port)));
    }
    if !policy.network.hosts().is_empty() {
        tried.push(("reach a host that is granted, by the broker", ask(targets.named)));
        tried.push(("reach a service that is granted where it is", connect(targets.named)));
    }
    if !policy.write.is_empty() {
        tried.push((WRITE, write_and_read(&targets.granted.join("file"))));
    }
    if policy.level >= Level::L3 || policy.network.is_open() {
        tried.push(("serve on loopback", serve()));
    }
    if policy.level >= Level::L3 {
        tried.push((
            "make a file executable",
            fs::set_permissions(&file, Permissions::from_mode(0o755)),
        ));
    }
    tried
}

fn through_link(secret: &Path, policy: &Policy) -> Tried {
    let link = policy.workspace.join("link-outside");
    symlink(secret, &link)?;
    fs::read(link).map(drop)
}

fn connect(port: u16) -> Tried {
    const PATIENCE: Duration = Duration::from_secs(1);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, PATIENCE).map(drop)
}

/// Looks for a route to an address of nobody (RFC 5737). Nothing is sent.
fn way_out() -> Tried {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))
}

/// Asks the broker for a port of this machine.
fn ask(port: u16) -> Tried {
    const PATIENCE: Duration = Duration::from_secs(5);
    const YES: &[u8] = b"HTTP/1.1 200 ";
    let mut broker = TcpStream::connect((Ipv4Addr::LOCALHOST, Network::BROKER_PORT))?;
    broker.set_read_timeout(Some(PATIENCE))?;
    write!(broker, "CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n")?;
    let mut answer = [0; YES.len()];
    broker.read_exact(&mut answer)?;
    if answer == *YES { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// A pair of sockets needs no leave, and each of them can send elsewhere.
fn send(file: &Path) -> Tried {
    let (socket, _other) = UnixDatagram::pair()?;
    socket.send_to(b"text", file).map(drop)
}

fn by_name(name: &str) -> Tried {
    let name = UnixAddr::from_abstract_name(name)?;
    UnixStream::connect_addr(&name).map(drop)
}

/// Writes a hook for git, also where the workspace could be seen once more.
fn plant(policy: &Policy) -> Tried {
    let git = policy.workspace.join(".git");
    let inside = git.strip_prefix("/").unwrap_or(&git);
    let again = policy.scratch.join(ROOT).join(inside).join("hook");
    let planted = fs::write(git.join("hook"), "").or_else(|_| fs::write(again, ""));
    planted.or_else(|_| fs::rename(&git, policy.workspace.join("git-of-old")))
}

fn write_and_read(file: &Path) -> Tried {
    fs::write(file, "text")?;
    match &*fs::read(file)? {
        b"text" => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn rename(policy: &Policy) -> Tried {
    let at = |name: &str| policy.workspace.join(name);
    fs::create_dir(at("folder"))?;
    symlink("file", at("folder/link"))?;
    fs::rename(at("folder/link"), at("link"))?;
    fs::rename(at("folder"), at("folder-of-old"))
}

fn run() -> Tried {
    let ended = Command::new("/bin/sh").args(["-c", "exit 7"]).status()?;
    if ended.code() == Some(7) { Ok(()) } else { Err(io::Error::other("another exit code")) }
}

fn serve() -> Tried {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    connect(port)?;
    listener.accept().map(drop)
}
