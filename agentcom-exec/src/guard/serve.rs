//! This file is the guard's own life: take an order, start the job, watch, sweep.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout, timeout_at};

use super::bounds;
use super::family::Family;
use super::message::{GuardCommand, How, Input, Leftovers, Order, Refusal, STOP, Said, TooMuch};
use crate::egress::{Broker, Contact};
use crate::sandbox::{self, Level, Network, Started};

/// How long the sweep goes on: processes in uninterruptible sleep outlive a KILL for a while.
pub(super) const SWEEP_MAX: Duration = Duration::from_secs(5);

/// How long a guard stays for what it could not end: nobody else can say whether it is gone.
const STAY_MAX: Duration = Duration::from_secs(3600);

/// How long the sweep waits for the next process to end before it looks again.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);

/// The same for one that stays.
const STAY_PAUSE: Duration = Duration::from_millis(200);

/// Serves one order.
pub(super) async fn serve() -> io::Result<()> {
    // A session of its own: Ctrl-C at the sidecar's terminal is the sidecar's to answer.
    let _ = nix::unistd::setsid();
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    let (contacts, told) = unbounded_channel();
    let mut ears = Ears::open(told)?;
    let order = ears.order().await?;
    let grace = Duration::from_millis(order.grace_ms);
    let leftovers = order.command.leftovers;
    let policy = order.command.sandbox.clone();
    let limits = policy.as_ref().filter(|policy| policy.level > Level::L0);
    let limits = limits.map(|policy| policy.limits);
    let network = policy.map(|policy| policy.network).unwrap_or_default();
    let Started { child, segments, doors } = match start(order.command, order.input) {
        Ok(started) => started,
        Err(refusal) => return ears.say(&Said::Refused(refusal)).await,
    };
    // The job's pipes have to close with the job, so the guard must not hold them.
    mute()?;
    go_first();
    let first = number(&child);
    let mut family = Family::of(first);
    // From here on a sidecar that no longer listens changes nothing about what is to be done.
    let _ = ears.say(&Said::Started { pid: first.as_raw() }).await;
    let mut exited = None;
    let broker = Broker::new(network.hosts().to_vec(), contacts);
    let mut is_too_much = false;
    let watching = async {
        let watched = ears.watch(&family, leftovers, &mut exited);
        let end = tokio::select! {
            end = watched => end,
            too_much = bounds::passed(limits, segments) => End::TooMuch(too_much),
        };
        if let End::TooMuch(too_much) = end {
            // From a word of warning it would make more of itself.
            is_too_much = true;
            family.signal(Signal::SIGKILL);
            let _ = ears.say(&Said::TooMuch(too_much)).await;
        }
        if end == End::Asked {
            family.signal(Signal::SIGTERM);
            ears.wait_for(&family, Instant::now() + grace).await;
            ears.tell_exit(&family, &mut exited).await;
        }
    };
    tokio::select! {
        () = watching => {}
        never = broker.serve(at(&network, doors)) => match never {},
    }
    drop(broker);
    let survivors = ears.sweep(&mut family, &mut exited, is_too_much).await;
    ears.tell_contacts().await;
    let _ = ears.say(&Said::Clear { survivors }).await;
    if survivors > 0 { ears.stay(&mut family).await } else { Ok(()) }
}

/// Why watching ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The job is over.
    Over,
    /// The sidecar is gone, or has let go of the job.
    Gone,
    /// Someone asks the job to stop.
    Asked,
    /// The job has more of something than it may.
    TooMuch(TooMuch),
}

/// All that a guard listens to.
#[derive(Debug)]
struct Ears {
    socket: UnixStream,
    child: Signals,
    terminate: Signals,
    interrupt: Signals,
    hangup: Signals,
    /// The hosts that the job wanted to reach. There is a bound to how many are told.
    contacts: UnboundedReceiver<Contact>,
}

impl Ears {
    fn open(contacts: UnboundedReceiver<Contact>) -> io::Result<Self> {
        Ok(Self {
            contacts,
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            socket: take_socket()?,
        })
    }

    async fn order(&mut self) -> io::Result<Order> {
        let length = self.socket.read_u32().await? as usize;
        if length > Order::BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).await?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    async fn say(&mut self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        self.socket.write_all(&line).await
    }

    /// Tells once how the first process ended, if it did.
    async fn tell_exit(&mut self, family: &Family, exited: &mut Option<How>) {
        if exited.is_some() {
            return;
        }
        *exited = family.ended();
        if let Some(how) = *exited {
            self.tell_contacts().await;
            let _ = self.say(&Said::Exited(how)).await;
        }
    }

    async fn tell_contacts(&mut self) {
        while let Ok(contact) = self.contacts.try_recv() {
            let _ = self.say(&Said::Contact(contact)).await;
        }
    }

    async fn watch(
        &mut self,
        family: &Family,
        leftovers: Leftovers,
        exited: &mut Option<How>,
    ) -> End {
        loop {
            self.tell_exit(family, exited).await;
            if exited.is_some() && leftovers == Leftovers::Kill {
                return End::Over;
            }
            family.bury();
            let mut byte = [0];
            tokio::select! {
                read = self.socket.read(&mut byte) => match read {
                    Ok(1..) if byte[0] == STOP => return End::Asked,
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return End::Gone,
                },
                _ = self.terminate.recv() => return End::Asked,
                _ = self.interrupt.recv() => return End::Asked,
                _ = self.hangup.recv() => return End::Asked,
                _ = self.child.recv() => {}
                Some(contact) = self.contacts.recv() => {
                    let _ = self.say(&Said::Contact(contact)).await;
                }
            }
        }
    }

    /// Waits until nothing of the family is left, the deadline passes or the sidecar is gone.
    async fn wait_for(&mut self, family: &Family, deadline: Instant) {
        loop {
            family.bury();
            if family.is_over() {
                return;
            }
            let mut byte = [0];
            let ended = async {
                tokio::select! {
                    read = self.socket.read(&mut byte) => matches!(read, Ok(0) | Err(_)),
                    _ = self.child.recv() => false,
                }
            };
            if timeout_at(deadline, ended).await.unwrap_or(true) {
                return;
            }
        }
    }

    /// Kills until nothing is left; returns how many processes resist.
    async fn sweep(
        &mut self,
        family: &mut Family,
        exited: &mut Option<How>,
        is_too_much: bool,
    ) -> usize {
        let deadline = Instant::now() + SWEEP_MAX;
        loop {
            family.signal(Signal::SIGKILL);
            #[cfg(target_os = "linux")]
            if is_too_much {
                family.kill_all();
            }
            family.bury();
            self.tell_exit(family, exited).await;
            // What has ended since is told of before it is reaped: nobody knows how it ended after that.
            if exited.is_some() && family.is_gone() {
                return 0;
            }
            if Instant::now() >= deadline {
                return family.count().max(1);
            }
            let _ = timeout(SWEEP_PAUSE, self.child.recv()).await;
        }
    }

    /// Goes on killing until nothing is left.
    ///
    /// # Errors
    ///
    /// If something is left after all.
    async fn stay(&mut self, family: &mut Family) -> io::Result<()> {
        let deadline = Instant::now() + STAY_MAX;
        while Instant::now() < deadline {
            family.signal(Signal::SIGKILL);
            #[cfg(target_os = "linux")]
            family.kill_all();
            family.bury();
            if family.is_gone() {
                return Ok(());
            }
            let _ = timeout(STAY_PAUSE, self.child.recv()).await;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Takes the socket off standard input, which jobs must not inherit.
fn take_socket() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Has this process run before others, where it may have that: a job that starts ever more processes would
/// keep whoever counts them from a processor, since its processes share the time with those of its session.
/// The job has started by then, and does not have it.
fn go_first() {
    #[cfg(target_os = "linux")]
    {
        const FIRST: i32 = -20;
        let _ = rustix::process::setpriority_process(None, FIRST);
    }
}

fn mute() -> io::Result<()> {
    let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&nowhere)?;
    nix::unistd::dup2_stderr(&nowhere)?;
    Ok(())
}

fn start(command: GuardCommand, input: Input) -> Result<Started, Refusal> {
    let confined = command.sandbox.as_ref().is_some_and(|policy| policy.level > Level::L0);
    if confined {
        return sandbox::start(command, input);
    }
    let GuardCommand { argv, env, cwd, stdin, leftovers: _, sandbox } = command;
    let env = match sandbox {
        Some(policy) => policy.environment(env),
        None => env,
    };
    let [program, args @ ..] = &*argv else {
        return Err(Refusal::new("no command", &io::ErrorKind::InvalidInput.into()));
    };
    let in_cwd = |error| Refusal::new(&format!("working directory {}", cwd.display()), &error);
    std::fs::read_dir(&cwd).map_err(in_cwd)?;
    let mut job = Command::new(program);
    job.args(args).env_clear().envs(env).current_dir(&cwd).process_group(0);
    job.stdin(match input {
        Input::Socket => socket().map_err(|error| Refusal::new("input", &error))?,
        Input::Given if stdin.is_some() => Stdio::piped(),
        Input::Given => Stdio::null(),
    });
    let mut child = job.spawn().map_err(|error| Refusal::new(program, &error))?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // Ends with the job at the latest: its end of the pipe closes, and the write fails.
        std::thread::spawn(move || io::Write::write_all(&mut pipe, text.as_bytes()));
    }
    Ok(Started { child, segments: None, doors: Vec::new() })
}

/// The doors of a network, and where each leads.
fn at(
    network: &Network,
    doors: Vec<TcpListener>,
) -> impl Iterator<Item = (TcpListener, Option<SocketAddr>)> {
    doors.into_iter().zip(network.doors().into_iter().map(|(_, to)| to))
}

/// Standard output, to read from it.
fn socket() -> io::Result<Stdio> {
    Ok(Stdio::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn number(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}
