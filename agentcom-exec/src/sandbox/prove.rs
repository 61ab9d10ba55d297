//! This file proves what the sandbox of this machine holds.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::attempts::Targets;
use super::cell::hand_over;
use super::demand::Ground;
use super::helper::{Act, Order, Tried};
use super::report::{asked, failed, of_files};
use super::{
    Attempt, Level, Missing, Network, Policy, Report, Sandbox, Started, User, launch::launch,
};
use crate::egress::Broker;
use crate::guard::Spawner;

/// Tries to break out of real sandboxes, the strongest first, until one holds. Takes some ten
/// milliseconds, blocking; its files are in the system's folder for temporary files, and removed.
///
/// They grant what `sandbox` grants: the network, or a host of it in place of those that are named, and
/// a folder to write to if it has any, in place of which there is one that was made for it. Named
/// hosts are granted at no level that cannot hold a command to them. Where it has a user and the sidecar runs as root, it is
/// proved with that user.
#[must_use]
pub fn prove(spawner: &Spawner, sandbox: &Sandbox) -> Report {
    first_of(&[Level::L3, Level::L2], Vec::new(), spawner, sandbox)
}

/// The same, for whoever relies on L2 where there may be more: of that nothing is proved.
pub(super) fn prove_weaker(spawner: &Spawner, sandbox: &Sandbox) -> Report {
    first_of(&[Level::L2], vec![asked(Level::L3, "L2")], spawner, sandbox)
}

/// What is proved of the first of `levels` that holds.
fn first_of(
    levels: &[Level],
    mut missing: Vec<Missing>,
    spawner: &Spawner,
    sandbox: &Sandbox,
) -> Report {
    for &level in levels {
        let network = sandbox.network.at(level);
        let reaches = !network.is_none();
        match tried(spawner, &Sandbox { level, network, ..sandbox.clone() }) {
            Ok((ground, Tried { abi, mut attempts })) => {
                let residue = ground.residue(&mut attempts);
                match failed(&attempts) {
                    None => {
                        let (landlock_abi, user) = (Some(abi), Some(ground.user));
                        return Report {
                            network: reaches,
                            missing,
                            attempts,
                            landlock_abi,
                            user,
                            residue,
                            ..Report::of(level)
                        };
                    }
                    Some(seen) => missing.push(Missing { level, hint: hint(level, &seen), seen }),
                }
            }
            Err(seen) => missing.push(Missing { level, hint: hint(level, &seen), seen }),
        }
    }
    of_files(missing)
}

fn hint(level: Level, seen: &str) -> String {
    let hint = match level {
        Level::L3 if seen.contains("namespaces") => {
            "allow user namespaces: sysctl user.max_user_namespaces above 0, and on Ubuntu \
             kernel.apparmor_restrict_unprivileged_userns=0 or a profile for this program; in \
             Docker, a seccomp profile that allows unshare"
        }
        Level::L3 if seen.contains("mounts") => {
            "allow mounts in user namespaces; in Docker, --security-opt systempaths=unconfined"
        }
        _ if seen.contains("Landlock") => {
            "Linux 6.2 or later with landlock among the kernel's lsm=; in Docker, a seccomp \
             profile that allows the calls of Landlock"
        }
        _ if seen.contains("seccomp") => "a kernel with CONFIG_SECCOMP_FILTER",
        _ if seen.contains("by its name") => "Linux 6.12 or later",
        Level::L0 | Level::L1 | Level::L2 | Level::L3 => {
            "report this with the kernel's version, `uname -r`"
        }
    };
    hint.to_owned()
}

/// What is tried in a sandbox like `sandbox`, and how it ended, but for what is left open there.
///
/// # Errors
///
/// Why there is no such sandbox.
pub fn attempts(spawner: &Spawner, sandbox: &Sandbox) -> Result<Vec<Attempt>, String> {
    let (ground, mut tried) = tried(spawner, sandbox)?;
    ground.residue(&mut tried.attempts);
    Ok(tried.attempts)
}

/// The same, and where that was.
fn tried(spawner: &Spawner, sandbox: &Sandbox) -> Result<(Ground, Tried), String> {
    let files = |error: io::Error| format!("files for the proof: {error}");
    let root = tempfile::Builder::new().prefix("agentcom-sandbox-").tempdir().map_err(files)?;
    let [workspace, scratch, outside, granted] =
        ["workspace", "scratch", "outside", "granted"].map(|name| root.path().join(name));
    for folder in [&workspace, &scratch, &outside, &granted, &workspace.join(".git")] {
        fs::create_dir(folder).map_err(files)?;
    }
    fs::write(outside.join(Targets::SECRET), "secret").map_err(files)?;
    let name = root.path().to_string_lossy().into_owned();
    let services = services(&outside.join(Targets::SERVICE), &name).map_err(files)?;
    let mailbox = UnixDatagram::bind(outside.join(Targets::MAILBOX)).map_err(files)?;
    let user = sandbox.user.filter(|_| nix::unistd::getuid().is_root());
    if let Some(user) = user {
        hand_over(root.path(), user).map_err(files)?;
    }
    let loopback = (Ipv4Addr::LOCALHOST, 0);
    let [listener, host] = [TcpListener::bind(loopback), TcpListener::bind(loopback)];
    let (listener, host) = (listener.map_err(files)?, host.map_err(files)?);
    let port = listener.local_addr().map_err(files)?.port();
    let named = host.local_addr().map_err(files)?;
    let network = match &sandbox.network {
        Network::Hosts(_) => Network::Hosts(vec![named.into()]),
        other @ (Network::None | Network::Open) => other.clone(),
    };
    let mut bystander = bystander(user).map_err(files)?;
    let process = bystander.id().cast_signed();
    let policy = Policy {
        user,
        network: network.clone(),
        write: sandbox.write.first().map(|_| granted.clone()).into_iter().collect(),
        ..Policy::new(sandbox.level, workspace, scratch)
    };
    let targets = Targets { outside, granted, port, named: named.port(), name, process };
    let order = Order::new(policy, Act::Try(targets));
    let output = root.path().join("attempts");
    let mut helper = Command::new(spawner.guard());
    helper.stdout(File::create(&output).map_err(files)?).stderr(Stdio::null());
    let ended = launch(helper, &order).map(|helper| brokered(helper, &network));
    let _ = bystander.kill();
    let _ = bystander.wait();
    drop((services, mailbox));
    let ended = ended.map_err(|refusal| refusal.message)?;
    let printed = fs::read(output).map_err(files)?;
    let tried: Tried = serde_json::from_slice(&printed).map_err(|error| match ended {
        Ok(status) => format!("the attempts ended with {status}: {error}"),
        Err(ended) => format!("the attempts ended: {ended}"),
    })?;
    let user = match user {
        Some(_) => User::Own,
        None if sandbox.level >= Level::L3 && nix::unistd::getuid().is_root() => User::MappedRoot,
        None => User::Same,
    };
    Ok((Ground { level: sandbox.level, user, abi: tried.abi }, tried))
}

/// Waits until a helper ends, with a broker for what it reaches meanwhile.
fn brokered(mut helper: Started, network: &Network) -> io::Result<ExitStatus> {
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let doors = helper.doors.into_iter().zip(network.doors()).map(|(door, (_, to))| (door, to));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let (contacts, _) = tokio::sync::mpsc::unbounded_channel();
            let broker = Broker::new(network.hosts().to_vec(), contacts);
            // Without a runtime there is no broker, and the attempts say so.
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                tokio::select! {
                    never = broker.serve(doors) => match never {},
                    _ = ended => {}
                }
            });
        });
        let status = helper.child.wait();
        drop(done);
        status
    })
}

/// A process of the sandbox's user that does nothing, and ends by itself if nobody ends it.
fn bystander(user: Option<u32>) -> io::Result<Child> {
    let mut sleep = Command::new("sleep");
    sleep.arg("60").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(user) = user {
        sleep.uid(user).gid(user);
    }
    sleep.spawn()
}

/// Two who listen: at a file, and under a name.
fn services(file: &Path, name: &str) -> io::Result<[UnixListener; 2]> {
    let name = SocketAddr::from_abstract_name(name)?;
    Ok([UnixListener::bind(file)?, UnixListener::bind_addr(&name)?])
}
