//! This file is the helper: a process that puts itself into a sandbox and becomes a command there.
//!
//! It reads an [`Order`] from standard input, a socket. What goes wrong it says there, as a
//! [`Refusal`]; if the socket closes without a word, the command has started. The doors of the
//! [broker](crate::egress) it hands over before. Order of its steps:
//! namespaces, limits, privileges, files, system calls; each needs what the next takes away.

use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::attempts::{self, Targets};
use super::syscalls::{self, Metadata, Numbers, Profile, Sockets};
use super::{Attempt, Level, Policy, doors, files, launch, namespace, privileges};
use crate::guard::{self, GuardCommand, Input, Refusal, RefusalKind};

/// What a helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) policy: Policy,
    pub(crate) act: Act,
    /// Whether namespaces have been made for it already.
    pub(super) inside: bool,
}

impl Order {
    pub(crate) fn new(policy: Policy, act: Act) -> Self {
        Self { policy, act, inside: false }
    }
}

/// What a helper becomes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    /// A command, with its input.
    Run(Box<GuardCommand>, Input),
    /// Somebody who tries to break out, and prints how it went.
    Try(Targets),
}

/// What somebody prints who tried to break out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    /// The version of Landlock that the kernel has.
    pub(super) abi: u32,
    pub(super) attempts: Vec<Attempt>,
}

/// What a helper ends with that has not become a command.
const FAILED: u8 = 125;

/// Is the helper.
pub(crate) fn main() -> ExitCode {
    let socket = guard::close_all_but(None).and_then(|()| take_socket());
    let Ok(mut socket) = socket else { return ExitCode::from(FAILED) };
    let served = launch::receive(&mut socket)
        .map_err(|error| refusal("order", &error))
        .and_then(|order| serve(order, &mut socket));
    served.unwrap_or_else(|refusal| {
        // Whoever no longer listens knows that it failed.
        let _ = serde_json::to_writer(&mut socket, &refusal);
        ExitCode::from(FAILED)
    })
}

fn serve(order: Order, socket: &mut UnixStream) -> Result<ExitCode, Refusal> {
    let isolated = order.policy.level >= Level::L3;
    if order.policy.level < order.policy.network.level_least() {
        let why = "hosts that are named can be reached from L3 only";
        return Err(refusal("network", &io::Error::other(why)));
    }
    let own_user = order.policy.user.filter(|_| nix::unistd::getuid().is_root());
    if let (Some(user), false) = (own_user, order.inside) {
        privileges::become_user(user).map_err(|error| refusal("user", &error))?;
    }
    if isolated && !order.inside {
        return outside(order, socket);
    }
    let abi = confine(&order.policy, own_user.is_some())?;
    match order.act {
        Act::Run(command, input) => {
            let command = prepare(*command, input, &order.policy)?;
            // Nothing that was opened on the way is handed on either.
            guard::close_all_but(Some(socket.as_fd())).map_err(|error| refusal("files", &error))?;
            if isolated { init(command, socket) } else { Err(replace(command)) }
        }
        Act::Try(targets) => {
            // Whoever waits for that has a broker to begin with.
            hang_up(socket);
            let tried = Tried { abi, attempts: attempts::all(&targets, &order.policy) };
            let printed = serde_json::to_writer(io::stdout(), &tried);
            printed.map_err(|error| refusal("attempts", &error.into()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Makes namespaces, has another helper go on within them, and ends as it does.
fn outside(order: Order, socket: &mut UnixStream) -> Result<ExitCode, Refusal> {
    namespace::enter(&order.policy).map_err(|error| refusal("namespaces", &error))?;
    doors::open(&order.policy.network, socket).map_err(|error| refusal("namespaces", &error))?;
    privileges::keep_all().map_err(|error| refusal("namespaces", &error))?;
    // What the command is asked, not this process, which waits for it.
    let asked = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>();
    asked.thread_block().map_err(|error| refusal("signals", &error.into()))?;
    die_with_parent()?;
    let helper = Command::new("/proc/self/exe");
    let mut child = launch::launch(helper, &Order { inside: true, ..order })?.child;
    hang_up(socket);
    let_go().map_err(|error| refusal("helper", &error))?;
    let status = child.wait().map_err(|error| refusal("helper", &error))?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// The version of Landlock by which it is confined.
fn confine(policy: &Policy, user_is_own: bool) -> Result<u32, Refusal> {
    let isolated = policy.level >= Level::L3;
    let metadata = match (isolated || user_is_own, nix::unistd::getuid().is_root()) {
        (true, _) => Metadata::Open,
        (false, false) => Metadata::OfOpenFiles,
        (false, true) => Metadata::Fixed,
    };
    die_with_parent()?;
    if isolated {
        namespace::furnish(policy).map_err(|error| refusal("mounts", &error))?;
    }
    privileges::limit(&policy.limits, isolated || user_is_own)
        .map_err(|error| refusal("limits", &error))?;
    privileges::drop_all().map_err(|error| refusal("privileges", &error))?;
    let abi = files::confine(policy, isolated).map_err(|error| refusal("Landlock", &error))?;
    let sockets = match (isolated, policy.network.is_open()) {
        (true, _) => Sockets::Own,
        (false, true) => Sockets::Internet,
        (false, false) => Sockets::None,
    };
    let numbers = if isolated { Numbers::Own } else { Numbers::OfTheMachine };
    let profile = Profile { sockets, metadata, numbers };
    syscalls::confine(profile).map_err(|error| refusal("seccomp", &error))?;
    Ok(abi)
}

/// A guard that is killed takes the command with it.
fn die_with_parent() -> Result<(), Refusal> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| refusal("signals", &error.into()))
}

fn prepare(command: GuardCommand, input: Input, policy: &Policy) -> Result<Command, Refusal> {
    let GuardCommand { argv, env, cwd, stdin, leftovers: _, sandbox: _ } = command;
    let [program, args @ ..] = &*argv else {
        return Err(Refusal::new("no command", &io::ErrorKind::InvalidInput.into()));
    };
    std::env::set_current_dir(&cwd)
        .map_err(|error| Refusal::new(&format!("working directory {}", cwd.display()), &error))?;
    let given = match input {
        Input::Given => give_input(stdin.unwrap_or_default()),
        Input::Socket => nix::unistd::dup2_stdin(io::stdout()).map_err(io::Error::from),
    };
    given.map_err(|error| Refusal::new("input", &error))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(policy.environment(env));
    Ok(command)
}

/// Becomes the command.
fn replace(mut command: Command) -> Refusal {
    let error = command.exec();
    Refusal::new(&command.get_program().to_string_lossy(), &error)
}

/// Is the first process of its namespace: starts the command, buries whom nobody else does, and ends
/// with the command, which ends all others. A command that died of a signal is 128 and its number.
fn init(mut command: Command, socket: &mut UnixStream) -> Result<ExitCode, Refusal> {
    const SIGNAL_BASE: i32 = 128;
    let child = command
        .spawn()
        .map_err(|error| Refusal::new(&command.get_program().to_string_lossy(), &error))?;
    hang_up(socket);
    let_go().map_err(|error| refusal("helper", &error))?;
    let first = Pid::from_raw(child.id().cast_signed());
    let code = loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == first => break code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == first => {
                break SIGNAL_BASE + signal as i32;
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break 1,
        }
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The command has started.
fn hang_up(socket: &UnixStream) {
    let _ = socket.shutdown(std::net::Shutdown::Both);
}

/// What the command closes is closed: whoever waits for it must not hold it open.
fn let_go() -> io::Result<()> {
    let nowhere = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&nowhere)?;
    nix::unistd::dup2_stdout(&nowhere)?;
    nix::unistd::dup2_stderr(&nowhere)?;
    Ok(())
}

/// Takes the socket off standard input, which the command must not have.
fn take_socket() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// Has the command find `text` on its standard input. It is there as a whole, so nobody has to stay
/// behind and write it.
fn give_input(text: String) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut file = std::fs::File::from(memfd_create("stdin", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(nix::unistd::dup2_stdin(file)?)
}

fn refusal(step: &str, error: &io::Error) -> Refusal {
    Refusal { kind: RefusalKind::Sandbox, message: format!("sandbox, {step}: {error}") }
}
