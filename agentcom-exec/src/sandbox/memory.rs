//! This file measures how much memory some processes take together.
//!
//! The kernel bounds what each process may write to (`RLIMIT_DATA`), and neither how many there are nor
//! what they share: mappings, files in memory, segments of System V. So it is looked at over and over.
//!
//! | look | what it takes | what it costs |
//! |---|---|---|
//! | at the machine | all memory without a file behind it, and all that is shared | one file |
//! | at the processes | their own, and all that the machine shares | one file each |
//! | at what they have | their part of what they wrote to, and of what they share each thing once | all that they have open or mapped |
//!
//! Each says as much as the next at least, which is taken only where the bound may be passed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::nameless::Nameless;
use super::namespace::TEMPORARY;

/// What counts memory of a job.
#[derive(Debug)]
pub(crate) struct Memory {
    /// How much its processes may take together, in bytes.
    pub(crate) most: u64,
    /// The segments of System V in its namespace, where it has one: `/proc/sysvipc/shm`.
    pub(crate) segments: Option<File>,
}

impl Memory {
    /// Whether `processes` could take too much, as far as the machine shows.
    pub(crate) fn may_be_short(&self) -> bool {
        Machine::now().is_none_or(|machine| machine.unnamed + machine.shared > self.most)
    }

    /// Whether `processes` take too much. Blocking.
    pub(crate) fn is_too_much(&mut self, processes: &[Pid]) -> bool {
        let shared = Machine::now().map_or(u64::MAX, |machine| machine.shared);
        let own = processes.iter().filter_map(|&process| own(process)).sum::<u64>();
        own.saturating_add(shared) > self.most && self.taken(processes) > self.most
    }

    /// How much they take, in bytes.
    fn taken(&mut self, processes: &[Pid]) -> u64 {
        let own = processes.iter().filter_map(|&process| part(process).or_else(|| own(process)));
        let shared = Nameless::held_by(processes.iter().copied()).bytes_on(&in_memory());
        own.sum::<u64>() + shared + temporary(processes) + self.segments().unwrap_or(0)
    }

    /// How much the segments take, in bytes, in use or not.
    fn segments(&mut self) -> Option<u64> {
        let file = self.segments.as_mut()?;
        let mut table = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut table)).ok()?;
        let mut lines = table.lines();
        let heads: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
        let columns = ["rss", "swap"].map(|head| heads.iter().position(|it| *it == head));
        let bytes = |line: &str| {
            let cells: Vec<&str> = line.split_ascii_whitespace().collect();
            let cells = columns.iter().filter_map(|column| cells.get((*column)?));
            cells.filter_map(|cell| cell.parse::<u64>().ok()).sum::<u64>()
        };
        Some(lines.map(bytes).sum())
    }
}

/// What all of the machine takes, in bytes, as `/proc/meminfo` tells it.
#[derive(Debug)]
struct Machine {
    /// What no file is behind.
    unnamed: u64,
    /// What processes share, and all that was moved to disk for want of memory.
    shared: u64,
}

impl Machine {
    fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let of = |name| kib(&text, name);
        let swapped = of("SwapTotal:")?.saturating_sub(of("SwapFree:")?);
        Some(Self { unnamed: of("AnonPages:")?, shared: of("Shmem:")?.saturating_add(swapped) })
    }
}

/// What a process has that no file is behind and that is in memory, in bytes, also where it has that
/// in common with the process that started it.
fn own(process: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: Vec<u64> = text.split(' ').map_while(|word| word.trim().parse().ok()).collect();
    let [_, resident, with_files, ..] = pages[..] else { return None };
    Some(resident.saturating_sub(with_files).saturating_mul(page_bytes()))
}

/// The same, moved to disk or not, shared evenly with whoever has it in common; nothing where that is
/// not for us to look at.
fn part(process: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    Some(kib(&text, "Pss_Anon:")?.saturating_add(kib(&text, "SwapPss:")?))
}

/// How much files in memory take that all commands may write to, in bytes, where a process has its own.
fn temporary(processes: &[Pid]) -> u64 {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let ours = device(Path::new("/"));
    let roots = processes.iter().map(|process| PathBuf::from(format!("/proc/{process}/root/")));
    let own = |root: &PathBuf| device(root).is_some_and(|device| Some(device) != ours);
    let Some(root) = roots.into_iter().find(own) else { return 0 };
    let folders = TEMPORARY.iter().map(|folder| root.join(folder.trim_start_matches('/')));
    let folders = folders.chain([root.clone()]).filter_map(|folder| statvfs(&folder).ok());
    folders.map(|in_it| (in_it.blocks() - in_it.blocks_free()) * in_it.fragment_size()).sum()
}

/// The device of files that are in memory and nowhere else: what processes share.
fn in_memory() -> BTreeSet<u64> {
    let file = memfd_create("device", MFdFlags::MFD_CLOEXEC).map(File::from).ok();
    file.and_then(|file| file.metadata().ok()).map(|metadata| metadata.dev()).into_iter().collect()
}

/// What stands behind a name that begins a line, in KiB, as bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

fn page_bytes() -> u64 {
    const USUAL: u64 = 4096;
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    bytes.map_or(USUAL, i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_says_is_no_less_than_what_the_next_one_does() {
        let mut held = vec![1_u8; 32 << 20];
        let me = [Pid::this()];
        let machine = Machine::now().unwrap();
        let (own, part) = (own(me[0]).unwrap(), part(me[0]).unwrap());
        let slack = 4 << 20;
        assert!(part >= held.len() as u64 && own + slack >= part, "{own} {part}");
        assert!(machine.unnamed + slack >= part, "{machine:?} {part}");
        let mut memory = Memory { most: held.len() as u64, segments: None };
        assert!(memory.may_be_short() && memory.is_too_much(&me));
        memory.most = u64::MAX;
        assert!(!memory.may_be_short() && !memory.is_too_much(&me));
        held.fill(2);
    }

    #[test]
    fn segments_are_counted_as_the_kernel_tells_them() {
        use std::io::Write as _;
        let mut table = tempfile::tempfile().unwrap();
        table.write_all(b"  key shmid size rss swap\n 0 1 9 4096 1\n 0 2 9 100 0\n").unwrap();
        let mut memory = Memory { most: 0, segments: Some(table) };
        assert_eq!(memory.segments(), Some(4197));
        assert_eq!(memory.segments(), Some(4197));
        memory.segments = Some(File::open("/dev/null").unwrap());
        assert_eq!(memory.segments(), None);
    }
}
