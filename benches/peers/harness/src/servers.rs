//! This file starts the servers that peers need, on loopback, and stops them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};

use crate::subjects::Server;
use crate::{Outcome, interrupt, processes};

/// Who runs PostgreSQL, which does not run as root.
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(240);

/// A server that runs, and what it keeps its data in.
#[derive(Debug)]
pub(crate) struct Running {
    server: Server,
    child: Child,
    port: u16,
    dir: PathBuf,
    /// The database of the latest subject.
    database: Option<String>,
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
            said(initdb.arg(dir.join("data")))?;
        }
        let child = spawn(server, dir, port)?;
        let running = Self { server, child, port, dir: dir.to_owned(), database: None };
        running.until_up()?;
        Ok(running)
    }

    /// Where subjects find a database that is theirs alone and empty.
    pub(crate) fn fresh(&mut self, number: u64) -> Outcome<String> {
        if self.server != Server::Postgres {
            // What was deleted stays in its log, and would be read after a crash.
            self.kill()?;
            fs::remove_dir_all(&self.dir)?;
            fs::create_dir_all(&self.dir)?;
            self.again()?;
            return Ok(format!("redis://127.0.0.1:{}", self.port));
        }
        if let Some(before) = self.database.take() {
            self.ask("dropdb", &["--if-exists", "--force", &before])?;
        }
        let name = format!("bench_{number}");
        self.ask("createdb", &[&name])?;
        // So that a crash does not have to do again what others did before.
        self.ask("psql", &["--command", "CHECKPOINT"])?;
        self.database = Some(name.clone());
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Kills it with all its processes, as a loss of power would, and starts it again.
    pub(crate) fn crash(&mut self) -> Outcome<()> {
        self.kill()?;
        self.again()
    }

    fn kill(&mut self) -> Outcome<()> {
        processes::kill_all(&processes::family(self.child.id()));
        self.child.wait()?;
        Ok(())
    }

    fn again(&mut self) -> Outcome<()> {
        self.child = spawn(self.server, &self.dir, self.port)?;
        self.until_up()
    }

    /// How large what it keeps is, in bytes. Of PostgreSQL that is the database without the log that
    /// it writes ahead, which all databases share.
    pub(crate) fn bytes(&self) -> Outcome<u64> {
        let Some(database) = &self.database else {
            return Ok(bytes_in(&self.dir));
        };
        let query = format!("SELECT pg_database_size('{database}')");
        Ok(self.ask("psql", &["-At", "--command", &query])?.trim().parse()?)
    }

    /// The memory of its processes, what they share counted once, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        processes::memory_kib(&processes::family(self.child.id()))
    }

    /// Has a program of PostgreSQL do something on this server.
    fn ask(&self, program: &str, words: &[&str]) -> Outcome<String> {
        let port = self.port.to_string();
        said(postgres(program)?.args(["-h", "127.0.0.1", "-p", &port, "-U", USER]).args(words))
    }

    fn until_up(&self) -> Outcome<()> {
        let began = Instant::now();
        let port = self.port.to_string();
        while began.elapsed() < PATIENCE {
            interrupt::check()?;
            let is_up = match self.server {
                Server::Postgres => {
                    quiet(postgres("pg_isready")?.args(["-h", "127.0.0.1", "-p", &port]))
                }
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
}

impl Drop for Running {
    fn drop(&mut self) {
        // The quickest way that gives back shared memory: the data is not needed again.
        let signal = match self.server {
            Server::Postgres => Signal::SIGQUIT,
            Server::RedisAlways | Server::RedisEverySecond | Server::File => Signal::SIGTERM,
        };
        // It may be gone already.
        if let Ok(number) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(number), signal);
        }
        let _ = self.child.wait();
    }
}

fn spawn(server: Server, dir: &Path, port: u16) -> Outcome<Child> {
    let port = port.to_string();
    let mut command = match server {
        Server::Postgres => {
            let mut command = postgres("postgres")?;
            command.arg("-D").arg(dir.join("data")).args([
                "-p",
                &port,
                "-h",
                "127.0.0.1",
                "-k",
                "",
            ]);
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

/// How many bytes the files in a directory take on the disk: a file can be longer than that.
pub(crate) fn bytes_in(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        sum += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        };
    }
    sum
}

fn quiet(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn said(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
