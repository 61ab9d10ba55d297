//! This file finds the files that no folder shows, and that processes hold nevertheless: removed while
//! they were open, made without a name, or memory that processes share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// How many open files and mappings are looked at in all: some ten for each process are usual.
const LOOKED_AT_MAX: usize = 500_000;

/// A file, by its device and its number there.
type File = (u64, u64);

/// Files without a name.
#[derive(Debug)]
pub(crate) struct Nameless {
    /// How much room each takes, in bytes.
    files: BTreeMap<File, u64>,
    /// Whether all was seen that whoever has these processes could have hidden.
    pub(crate) is_whole: bool,
    /// How many more are looked at.
    left: usize,
}

impl Nameless {
    /// Those that any of `processes` holds, open or mapped. Blocking.
    ///
    /// Of what is mapped and not open, the size is known to whoever has `CAP_CHECKPOINT_RESTORE`, such as
    /// root; for others it is as large as what is mapped of it.
    pub(crate) fn held_by(processes: impl IntoIterator<Item = Pid>) -> Self {
        let mut found = Self { files: BTreeMap::new(), is_whole: true, left: LOOKED_AT_MAX };
        for process in processes {
            let about = PathBuf::from(format!("/proc/{process}"));
            let looked = found.open(&about).and_then(|()| found.mapped(&about));
            if looked.is_err_and(|error| is_hidden(&about, &error)) {
                found.is_whole = false;
            }
        }
        found
    }

    /// How much room those take that are on one of these devices, in bytes.
    pub(crate) fn bytes_on(&self, devices: &BTreeSet<u64>) -> u64 {
        let there = self.files.iter().filter(|((device, _), _)| devices.contains(device));
        there.map(|(_, bytes)| bytes).fold(0, |all, bytes| all.saturating_add(*bytes))
    }

    /// Takes in what a process has open.
    fn open(&mut self, about: &Path) -> io::Result<()> {
        for entry in fs::read_dir(about.join("fd"))? {
            if !self.goes_on() {
                return Ok(());
            }
            if let Ok(metadata) = entry.and_then(|entry| fs::metadata(entry.path())) {
                self.add(&metadata);
            }
        }
        Ok(())
    }

    /// Takes in what it has mapped.
    fn mapped(&mut self, about: &Path) -> io::Result<()> {
        let maps = fs::read(about.join("maps"))?;
        for line in maps.split(|&byte| byte == b'\n') {
            if !self.goes_on() {
                return Ok(());
            }
            let mapping = line.strip_suffix(b" (deleted)").and_then(Mapping::read);
            let Some(Mapping { from, to, file, end }) = mapping else { continue };
            match fs::metadata(about.join(format!("map_files/{from:x}-{to:x}"))) {
                Ok(metadata) => self.add(&metadata),
                Err(_) => {
                    let bytes = self.files.entry(file).or_default();
                    *bytes = end.max(*bytes);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, metadata: &fs::Metadata) {
        if metadata.is_file() && metadata.nlink() == 0 {
            let file = (metadata.dev(), metadata.ino());
            self.files.insert(file, metadata.blocks().saturating_mul(512));
        }
    }

    /// Whether one more is looked at.
    fn goes_on(&mut self) -> bool {
        self.is_whole &= self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.is_whole
    }
}

/// Whether a process that could not be looked at has hidden itself. Those of the same user can be looked
/// at unless they do, and to look at others may not be ours.
fn is_hidden(about: &Path, error: &io::Error) -> bool {
    let status = || fs::read_to_string(about.join("status")).ok();
    let effective = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()
    };
    error.kind() == io::ErrorKind::PermissionDenied
        && status().and_then(effective) == Some(nix::unistd::geteuid().as_raw())
}

/// A line of `/proc/<pid>/maps`, proc_pid_maps(5).
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    from: u64,
    to: u64,
    file: File,
    /// Up to where in the file it goes.
    end: u64,
}

impl Mapping {
    /// Reads one that has a file; nothing else.
    fn read(line: &[u8]) -> Option<Self> {
        const FIELDS: usize = 6;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let line = String::from_utf8_lossy(line);
        let mut fields = line.splitn(FIELDS, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let (from, to) = (hex(from)?, hex(to)?);
        let offset = hex(fields.nth(1)?)?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let device = device(hex(major)?, hex(minor)?);
        let number = fields.next()?.parse().ok()?;
        // Segments of System V are counted where they are all told.
        let is_segment = fields.next()?.trim_start().starts_with("/SYSV");
        let end = offset.saturating_add(to.saturating_sub(from));
        (number != 0 && !is_segment).then_some(Self { from, to, file: (device, number), end })
    }
}

/// As `stat` tells it, makedev(3).
fn device(major: u64, minor: u64) -> u64 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12) | ((major & !0xfff) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_name_are_found_once_each_whoever_holds_them() {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 40_000]).unwrap();
        let again = file.try_clone().unwrap();
        let device: BTreeSet<u64> = [file.metadata().unwrap().dev()].into();
        let me = Pid::this();
        let found = Nameless::held_by([me, me]);
        let taken = file.metadata().unwrap().blocks() * 512;
        assert!(taken >= 40_000 && found.is_whole);
        let id = (file.metadata().unwrap().dev(), file.metadata().unwrap().ino());
        assert_eq!(found.files[&id], taken);
        assert!(found.bytes_on(&device) >= taken && found.bytes_on(&BTreeSet::new()) == 0);
        drop((file, again));
        assert!(!Nameless::held_by([me]).files.contains_key(&id));
        // A process that is gone has hidden nothing.
        assert!(Nameless::held_by([Pid::from_raw(i32::MAX)]).is_whole);
    }

    #[test]
    fn mappings_are_read_as_the_kernel_writes_them() {
        let read = |line: &str| Mapping::read(line.as_bytes());
        let shared = "7f00a000-7f00c000 rw-s 00001000 00:01 1043                       /dev/zero";
        let mapping = Mapping { from: 0x7f00_a000, to: 0x7f00_c000, file: (1, 1043), end: 0x3000 };
        assert_eq!(read(shared), Some(mapping));
        let disk = "00400000-00452000 r-xp 00000000 fd:102 173521      /usr/bin/a b";
        assert_eq!(read(disk).unwrap().file, (device(0xfd, 0x102), 173_521));
        assert_eq!(device(0xfd, 0x102), nix::libc::makedev(0xfd, 0x102));
        for none in ["", "7f00-8f00 rw-p 0 00:00 0 ", "7f00-8f00 rw-s 0 00:01 3 /SYSV00000000"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
