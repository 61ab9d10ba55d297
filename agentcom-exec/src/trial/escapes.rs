//! This file tries to break out of sandboxes, and compares how that ended with what is declared.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use agentcom_core::sandbox::{Level, User};
use tokio::io::AsyncReadExt as _;

use super::environment::CANARY;
use super::probes::{BROKEN, Ground, Probe, all, script};
use crate::guard::{GuardCommand, How, Leftovers, Said, Spawner};
use crate::sandbox::Sandbox;

/// What was tried in one sandbox.
#[derive(Debug)]
pub struct Tried {
    /// Where.
    pub ground: Ground,
    /// How many attempts ended as is declared.
    pub as_declared: usize,
    /// How many ended in a way that depends on the machine.
    pub unsure: usize,
    /// What was not as is declared, in words.
    pub unexpected: Vec<String>,
}

/// Tries everything in each sandbox of `levels`, as the sidecar's user, and where that is root as
/// `own_user` as well. Without a sandbox, where the machine is not `odd`, everything can be done, or else the
/// attempt would show nothing.
///
/// # Errors
///
/// If the trial cannot be made.
pub async fn try_all(
    spawner: &Spawner,
    levels: &[Level],
    own_user: Option<u32>,
    is_odd: bool,
) -> io::Result<Vec<Tried>> {
    let is_root = nix::unistd::getuid().is_root();
    let own_user = own_user.filter(|_| is_root);
    let mut tried = Vec::new();
    if !is_odd {
        tried.push(try_in(spawner, &Sandbox::new(Level::L0)).await?);
    }
    for &level in levels {
        tried.push(try_in(spawner, &Sandbox::new(level)).await?);
        if own_user.is_some() {
            tried.push(try_in(spawner, &Sandbox { user: own_user, ..Sandbox::new(level) }).await?);
        }
    }
    Ok(tried)
}

async fn try_in(spawner: &Spawner, sandbox: &Sandbox) -> io::Result<Tried> {
    let place = Place::of(sandbox)?;
    let (_, report) =
        sandbox.clone().proved(Some(sandbox.level), spawner).map_err(io::Error::other)?;
    let ground = Ground {
        level: sandbox.level,
        user: report.user.unwrap_or(User::Same),
        is_root: nix::unistd::getuid().is_root(),
        landlock_abi: report.landlock_abi.unwrap_or(0),
    };
    let probes: Vec<Probe> = all(ground.level).collect();
    let before = place.outside_now()?;
    let printed = place.run(spawner, sandbox, script(&probes)).await?;
    let mut tried = Tried { ground, as_declared: 0, unsure: 0, unexpected: Vec::new() };
    tried.judge(&probes, &printed);
    if ground.level > Level::L0 {
        tried.unexpected.extend(place.effects(&before, &ground)?);
    }
    Ok(tried)
}

impl Tried {
    fn judge(&mut self, probes: &[Probe], printed: &str) {
        let lines = printed.lines().filter_map(|line| line.split_once(' '));
        let ended: BTreeMap<&str, &str> = lines.collect();
        for (number, probe) in probes.iter().enumerate() {
            let how = ended.get(&*number.to_string()).copied();
            let is_open = how.map(|how| how == "0");
            match (probe.is_open(&self.ground), is_open) {
                _ if is_open.is_none() || how == Some(BROKEN) => self.wrong(probe, "is broken"),
                (None, _) => self.unsure += 1,
                (expected, seen) if expected == seen => self.as_declared += 1,
                (_, Some(true)) => self.wrong(probe, "could be done"),
                _ => self.wrong(probe, &format!("could not be done ({})", how.unwrap_or("?"))),
            }
        }
    }

    fn wrong(&mut self, probe: &Probe, how: &str) {
        let Ground { level, user, .. } = self.ground;
        self.unexpected.push(format!("{level}, user {user:?}: `{}` {how}", probe.what));
    }
}

/// A workspace, and what is outside: files, services, and a process.
struct Place {
    dir: tempfile::TempDir,
    process: Child,
    listener: TcpListener,
    echo: UdpSocket,
    name: String,
    _services: (UnixListener, UnixListener, UnixDatagram),
}

impl Place {
    fn of(sandbox: &Sandbox) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("agentcom-trial-").tempdir()?;
        let at = |path: &str| dir.path().join(path);
        for folder in ["workspace", "workspace/.git", "outside", "outside/goes-too"] {
            fs::create_dir(at(folder))?;
        }
        for file in ["secret", "kept", "moves", "goes"] {
            fs::write(at("outside").join(file), "a secret")?;
        }
        fs::write(at("outside/program"), "#!/bin/sh\n")?;
        fs::set_permissions(at("outside/program"), Permissions::from_mode(0o755))?;
        symlink("secret", at("outside/link"))?;
        let name = dir.path().to_string_lossy().into_owned();
        let services = (
            UnixListener::bind(at("outside/service"))?,
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?,
            UnixDatagram::bind(at("outside/mailbox"))?,
        );
        services.2.set_nonblocking(true)?;
        let process = bystander(&at("outside"), &at("signalled"), sandbox.user)?;
        sandbox.give_to_user(dir.path())?;
        let loopback = (Ipv4Addr::LOCALHOST, 0);
        let (listener, echo) = (TcpListener::bind(loopback)?, UdpSocket::bind(loopback)?);
        listener.set_nonblocking(true)?;
        let answering = echo.try_clone()?;
        std::thread::spawn(move || {
            // One answer is enough; a place that is gone is written to by `drop`.
            let mut text = [0; 9];
            while let Ok((1.., from)) = answering.recv_from(&mut text) {
                let _ = answering.send_to(b"x", from);
            }
        });
        Ok(Self { dir, process, listener, echo, name, _services: services })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    async fn run(
        &self,
        spawner: &Spawner,
        sandbox: &Sandbox,
        script: String,
    ) -> io::Result<String> {
        let workspace = self.at("workspace").canonicalize()?;
        let cell = sandbox.around(&workspace)?;
        let policy = cell.policy();
        let port = |at: io::Result<std::net::SocketAddr>| at.map(|at| at.port().to_string());
        let argv = vec![
            "perl".to_owned(),
            "-".to_owned(),
            self.at("outside").canonicalize()?.to_string_lossy().into_owned(),
            policy.scratch.to_string_lossy().into_owned(),
            self.process.id().to_string(),
            port(self.listener.local_addr())?,
            port(self.echo.local_addr())?,
            self.name.clone(),
            std::env::var(CANARY).unwrap_or_else(|_| "of nobody".to_owned()),
        ];
        let command = GuardCommand {
            argv,
            env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            cwd: workspace,
            stdin: Some(script),
            leftovers: Leftovers::Kill,
            sandbox: Some(policy),
        };
        let mut running = spawner.spawn(&command).await?;
        let (mut out, mut err) = running.take_output();
        let (mut printed, mut said) = (String::new(), String::new());
        let ending = async {
            loop {
                match running.next().await? {
                    Said::Exited(how) => return Ok(how),
                    Said::Refused(refusal) => return Err(io::Error::other(refusal.message)),
                    Said::Started { .. }
                    | Said::Contact(_)
                    | Said::TooMuch(_)
                    | Said::Clear { .. } => {}
                }
            }
        };
        let reading =
            async { tokio::join!(out.read_to_string(&mut printed), err.read_to_string(&mut said)) };
        let (how, read) = tokio::join!(ending, reading);
        read.0.and(read.1)?;
        match how? {
            How::Exited(0) => Ok(printed),
            how @ (How::Exited(_) | How::Signalled(_)) => {
                Err(io::Error::other(format!("the script ended with {how:?}: {said}")))
            }
        }
    }

    /// What is outside, with what is in it.
    fn outside_now(&self) -> io::Result<BTreeMap<PathBuf, Option<String>>> {
        let entries = fs::read_dir(self.at("outside"))?;
        entries
            .map(|entry| entry.map(|entry| (entry.path(), fs::read_to_string(entry.path()).ok())))
            .collect()
    }

    /// What has changed outside, whatever was said of it.
    fn effects(
        &self,
        before: &BTreeMap<PathBuf, Option<String>>,
        ground: &Ground,
    ) -> io::Result<Vec<String>> {
        let Ground { level, user, .. } = ground;
        let signals = ground.forbids_signals();
        let found = [
            (self.outside_now()? != *before, "files outside were changed"),
            (self.listener.accept().is_ok(), "a port of the machine was reached"),
            (self._services.2.recv(&mut [0; 9]).is_ok(), "a service was sent a message"),
            (signals && self.at("signalled").exists(), "a process outside was signalled"),
        ];
        let found = found.into_iter().filter(|(is_so, _)| *is_so);
        Ok(found.map(|(_, what)| format!("{level}, user {user:?}: {what}")).collect())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Wakes whoever answers there, for the last time.
        let _ = self.echo.local_addr().and_then(|at| self.echo.send_to(b"", at));
    }
}

/// A process in `folder` that does nothing but leave `mark` where it is signalled.
fn bystander(folder: &Path, mark: &Path, user: Option<u32>) -> io::Result<Child> {
    let script = "$SIG{WINCH} = sub { open(my $f, '>', $ARGV[0]) }; $| = 1; print \"up\\n\"; sleep(9) while 1";
    let mut perl = Command::new("perl");
    perl.args(["-e", script]).arg(mark).current_dir(folder).process_group(0);
    perl.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(user) = user {
        perl.uid(user).gid(user);
    }
    let mut child = perl.spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    BufReader::new(out).read_line(&mut line)?;
    Ok(child)
}
