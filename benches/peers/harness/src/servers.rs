//! This file starts the servers that peers need, on loopback, and stops them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};

use crate::Outcome;
use crate::subjects::Server;

/// Who runs PostgreSQL, which does not run as root.
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, and what it keeps its data in.
#[derive(Debug)]
pub(crate) struct Running {
    server: Server,
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Running {
    /// Starts a server on fresh data in `dir`.
    pub(crate) fn start(server: Server, dir: &Path) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::create_dir_all(dir)?;
        if server == Server::Postgres {
            if let Some(user) = owner()? {
                chown(dir, Some(user.uid), Some(user.gid))?;
            }
            let mut initdb = postgres("initdb")?;
            initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"]);
            succeed(initdb.arg(dir.join("data")))?;
        }
        let child = spawn(server, dir, port)?;
        let running = Self { server, child, port, dir: dir.to_owned() };
        running.until_up()?;
        Ok(running)
    }

    /// Where subjects find a database that is theirs alone and empty.
    pub(crate) fn fresh(&self, number: u64) -> Outcome<String> {
        if self.server != Server::Postgres {
            succeed(Command::new("redis-cli").args(["-p", &self.port.to_string(), "flushall"]))?;
            return Ok(format!("redis://127.0.0.1:{}", self.port));
        }
        let port = self.port.to_string();
        let before = format!("bench_{}", number.saturating_sub(1));
        let common = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        succeed(postgres("dropdb")?.args(common).args(["--if-exists", "--force", &before]))?;
        let name = format!("bench_{number}");
        succeed(postgres("createdb")?.args(common).arg(&name))?;
        Ok(format!("postgres://postgres@127.0.0.1:{port}/{name}"))
    }

    /// Kills it with all its processes, as a loss of power would, and starts it again.
    pub(crate) fn crash(&mut self) -> Outcome<()> {
        self.end(Signal::SIGKILL)?;
        // PostgreSQL's children share memory that has to be gone.
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() && began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5));
        }
        self.child = spawn(self.server, &self.dir, self.port)?;
        self.until_up()
    }

    /// How large its data is, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        bytes_in(&self.dir)
    }

    /// The memory that its processes have to themselves or share of, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let group = self.child.id().to_string();
        let pids = Command::new("pgrep").args(["-g", &group]).output();
        let pids = pids.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        let share = |pid: &str| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        pids.unwrap_or_default().lines().filter_map(share).sum()
    }

    fn until_up(&self) -> Outcome<()> {
        let began = Instant::now();
        let port = self.port.to_string();
        while began.elapsed() < PATIENCE {
            let is_up = match self.server {
                Server::Postgres => quiet(postgres("pg_isready")?.args(["-h", "127.0.0.1", "-p", &port])),
                Server::RedisAlways | Server::RedisEverySecond => {
                    let asked = Command::new("redis-cli").args(["-p", &port, "ping"]).output();
                    asked.is_ok_and(|out| out.stdout.starts_with(b"PONG"))
                }
                Server::File => true,
            };
            if is_up {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        Err(format!("{:?} did not start", self.server).into())
    }

    fn end(&mut self, signal: Signal) -> Outcome<()> {
        // The group: PostgreSQL is many processes.
        let group = Pid::from_raw(-i32::try_from(self.child.id())?);
        kill(group, signal)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.end(Signal::SIGINT);
    }
}

fn spawn(server: Server, dir: &Path, port: u16) -> Outcome<Child> {
    let port = port.to_string();
    let mut command = match server {
        Server::Postgres => {
            let mut command = postgres("postgres")?;
            command.arg("-D").arg(dir.join("data")).args(["-p", &port, "-h", "127.0.0.1", "-k", ""]);
            let settings = [
                "fsync=on",
                "synchronous_commit=on",
                "full_page_writes=on",
                "shared_buffers=1GB",
                "max_connections=200",
                "max_wal_size=4GB",
            ];
            for setting in settings {
                command.args(["-c", setting]);
            }
            command
        }
        Server::RedisAlways | Server::RedisEverySecond => {
            let sync = if server == Server::RedisAlways { "always" } else { "everysec" };
            let mut command = Command::new("redis-server");
            command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
            command.args(["--appendonly", "yes", "--appendfsync", sync]);
            command.args(["--maxmemory-policy", "noeviction", "--dir"]).arg(dir);
            command
        }
        Server::File => return Err("a file needs no server".into()),
    };
    let log = fs::File::create(dir.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    Ok(command.spawn()?)
}

/// A program of PostgreSQL, which Debian keeps out of the path, run by a user who may.
fn postgres(program: &str) -> Outcome<Command> {
    let mut found = PathBuf::from(program);
    for version in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let candidate = version?.path().join("bin").join(program);
        if candidate.exists() {
            found = candidate;
        }
    }
    let mut command = Command::new(found);
    if let Some(user) = owner()? {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    }
    Ok(command)
}

/// Who has to run PostgreSQL, if not we.
fn owner() -> Outcome<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name(USER)?;
    Ok(Some(user.ok_or("install Debian's packages postgresql and redis-server first")?))
}

/// How many bytes the files in a directory have.
pub(crate) fn bytes_in(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        sum += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        };
    }
    sum
}

fn quiet(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn succeed(command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
