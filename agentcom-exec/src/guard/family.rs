//! This file knows the processes of a job, and signals, buries and counts them.
//!
//! **Invariant:** only processes that the guard has yet to reap are signalled by number, so that a
//! number which was given to a stranger is never hit. The job's first process is reaped last, since
//! as long as it is not, its number also names its process group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::message::How;

/// A job's first process and all that descend from it.
#[derive(Debug)]
pub(super) struct Family {
    first: Pid,
    reaped: bool,
}

impl Family {
    pub(super) fn of(first: Pid) -> Self {
        Self { first, reaped: false }
    }

    /// How the first process ended, if it did.
    pub(super) fn ended(&self) -> Option<How> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.first), flags) {
            Ok(WaitStatus::Exited(_, code)) => Some(How::Exited(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(How::Signalled(signal as i32)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Signals the process group and everything that was orphaned outside it.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            let _ = killpg(self.first, signal);
        }
        for orphan in self.orphans() {
            let _ = kill(orphan, signal);
        }
    }

    /// Reaps the orphans that have ended.
    pub(super) fn bury(&self) {
        for orphan in self.orphans() {
            let _ = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
        }
    }

    /// Whether the first process has ended and left nothing behind.
    pub(super) fn is_over(&self) -> bool {
        self.ended().is_some() && self.orphans().is_empty()
    }

    /// Whether nothing is left; if so, the first process is reaped.
    pub(super) fn is_gone(&mut self) -> bool {
        if !self.reaped && !self.is_over() {
            return false;
        }
        if !self.reaped {
            self.reaped = waitpid(self.first, Some(WaitPidFlag::WNOHANG)).is_ok();
        }
        // The list of orphans may miss one while others end; this cannot.
        waitpid(None, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD)
    }

    /// How many processes are left.
    pub(super) fn count(&self) -> usize {
        self.orphans().len() + usize::from(!self.reaped && self.ended().is_none())
    }

    /// Kills all that descend from the guard, and not only what it has to reap.
    #[cfg(target_os = "linux")]
    pub(super) fn kill_all(&self) {
        Held::descendants(Pid::this()).kill();
    }

    fn orphans(&self) -> BTreeSet<Pid> {
        let mut children = children();
        children.remove(&self.first);
        children
    }
}

/// Processes that are held by descriptors, and so never taken for others. It holds none where no system
/// gives such.
#[derive(Debug)]
pub(crate) struct Held(#[cfg(target_os = "linux")] Vec<std::os::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Held {
    /// Each takes a descriptor; whoever looks again finds more.
    const AT_ONCE: usize = 256;

    /// What descends from a process.
    ///
    /// What has a descriptor before it is seen to descend once more is no stranger: its number names
    /// it as long as it lives.
    pub(crate) fn descendants(of: Pid) -> Self {
        use rustix::process::{self, PidfdFlags, pidfd_open};
        let number = |pid: Pid| process::Pid::from_raw(pid.as_raw());
        let open = |pid| Some((pid, pidfd_open(number(pid)?, PidfdFlags::empty()).ok()?));
        let found: Vec<_> =
            descendants(of).into_keys().take(Self::AT_ONCE).filter_map(open).collect();
        let still = descendants(of);
        let found = found.into_iter().filter(|(pid, _)| still.contains_key(pid));
        Self(found.map(|(_, descriptor)| descriptor).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn kill(&self) {
        for descriptor in &self.0 {
            let _ = rustix::process::pidfd_send_signal(descriptor, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Held {
    pub(crate) fn descendants(_of: Pid) -> Self {
        Self()
    }

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn kill(&self) {}
}

/// Whether there may be more than `most` processes and threads anywhere: all that the machine has is seen
/// at a glance.
pub(super) fn may_be_more_than(most: u64) -> bool {
    let all = std::fs::read_to_string("/proc/loadavg").ok();
    let all = all.and_then(|line| line.split([' ', '/']).nth(4)?.parse::<u64>().ok());
    all.is_none_or(|all| all > most)
}

/// All processes that descend from one, with the number of their threads.
pub(crate) fn descendants(of: Pid) -> BTreeMap<Pid, u64> {
    let mut children: BTreeMap<Pid, Vec<(Pid, u64)>> = BTreeMap::new();
    for (process, fields) in processes() {
        let field = |number: usize| fields.get(number).and_then(|field| field.parse::<u64>().ok());
        let parent = field(PARENT).and_then(|parent| i32::try_from(parent).ok());
        if let Some(parent) = parent {
            let threads = field(THREADS).unwrap_or(1).max(1);
            children.entry(Pid::from_raw(parent)).or_default().push((process, threads));
        }
    }
    let (mut found, mut left) = (BTreeMap::new(), vec![of]);
    while let Some(parent) = left.pop() {
        for (process, threads) in children.remove(&parent).into_iter().flatten() {
            found.insert(process, threads);
            left.push(process);
        }
    }
    found
}

/// The children of this process: what it started, and what was handed to it as subreaper.
fn children() -> BTreeSet<Pid> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return BTreeSet::new();
    };
    let lists: Option<Vec<String>> = threads
        .flatten()
        .map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    match lists {
        Some(lists) => {
            lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(pid).collect()
        }
        None => children_by_search(),
    }
}

/// The same on kernels that keep no list of children.
fn children_by_search() -> BTreeSet<Pid> {
    let me = std::process::id().to_string();
    processes_where(|fields| fields.get(PARENT) == Some(&me))
}

/// The processes of a session that have not ended.
pub(super) fn of_session(session: Pid) -> BTreeSet<Pid> {
    let session = session.to_string();
    let is_of = |fields: &[String]| fields.get(SESSION) == Some(&session);
    processes_where(|fields| fields.first().is_some_and(|state| state != "Z") && is_of(fields))
}

/// Where fields stand in `/proc/<pid>/stat` behind the name, proc(5).
const PARENT: usize = 1;
const SESSION: usize = 3;
const THREADS: usize = 17;

fn processes_where(passes: impl Fn(&[String]) -> bool) -> BTreeSet<Pid> {
    processes().filter(|(_, fields)| passes(fields)).map(|(process, _)| process).collect()
}

/// All processes, with their fields in `/proc/<pid>/stat` behind the name.
fn processes() -> impl Iterator<Item = (Pid, Vec<String>)> {
    let fields = |path: &Path| {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (_, behind_name) = stat.rsplit_once(')')?;
        let fields = behind_name.split_ascii_whitespace().take(THREADS + 1);
        Some(fields.map(str::to_owned).collect())
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let process = pid(entry.file_name().to_str()?)?;
        Some((process, fields(&entry.path())?))
    })
}

fn pid(text: &str) -> Option<Pid> {
    text.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_descends_is_counted_with_its_threads() {
        use std::io::{BufRead as _, BufReader};
        use std::os::unix::process::CommandExt as _;
        let script = "sleep 600 & sleep 600 & (sleep 600 & echo $! && wait) & wait";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script]).stdout(std::process::Stdio::piped()).process_group(0);
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let found = descendants(Pid::this());
        let (first, deepest) = (pid(&shell.id().to_string()).unwrap(), pid(line.trim()).unwrap());
        assert_eq!((found[&deepest], found[&first]), (1, 1));
        assert!(!found.contains_key(&Pid::this()) && !found.contains_key(&Pid::from_raw(1)));
        assert!(
            descendants(first).contains_key(&deepest) && !descendants(deepest).contains_key(&first)
        );
        assert!(may_be_more_than(4) && !may_be_more_than(u64::MAX));
        killpg(first, Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn both_ways_to_list_children_agree() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(children().contains(&pid));
        assert!(children_by_search().contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children().contains(&pid));
    }
}
