//! This file knows the processes of a job, and signals, buries and counts them.
//!
//! **Invariant:** only processes that the guard has yet to reap are signalled by number, so that a
//! number which was given to a stranger is never hit. The job's first process is reaped last, since
//! as long as it is not, its number also names its process group.

use std::collections::BTreeSet;
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

    fn orphans(&self) -> BTreeSet<Pid> {
        let mut children = children();
        children.remove(&self.first);
        children
    }
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
    processes_where(|fields| fields.get(1) == Some(&&*me))
}

/// The processes of a session that have not ended.
pub(super) fn of_session(session: Pid) -> BTreeSet<Pid> {
    let session = session.to_string();
    processes_where(|fields| fields.first() != Some(&"Z") && fields.get(3) == Some(&&*session))
}

/// The processes whose fields in `/proc/<pid>/stat` pass; these are state, parent, process group,
/// session and others.
fn processes_where(passes: impl Fn(&[&str]) -> bool) -> BTreeSet<Pid> {
    let is_one = |path: &Path| {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (_, behind_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_ascii_whitespace().take(4).collect();
        passes(&fields).then_some(())
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_one(&entry.path()).is_some())
        .filter_map(|entry| pid(entry.file_name().to_str()?))
        .collect()
}

fn pid(text: &str) -> Option<Pid> {
    text.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

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
