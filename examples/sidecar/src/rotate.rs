//! This file writes a log of bounded size: when the file is full it becomes `.1`, that `.2`, …

use std::ffi::OsString;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is rotated. **Invariant:** it and what is kept of it take at most `bytes_max` times
/// one more than `kept`, and one record.
#[derive(Debug)]
pub(crate) struct Rotating {
    path: PathBuf,
    bytes_max: u64,
    kept: usize,
    file: File,
    written: u64,
}

impl Rotating {
    /// Goes on with the file at `path`.
    pub(crate) fn open(path: &Path, bytes_max: u64, kept: usize) -> io::Result<Self> {
        let file = append_to(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), bytes_max, kept, file, written })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..self.kept).rev() {
            match rename(self.numbered(number), self.numbered(number + 1)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.file = append_to(&self.path)?;
        if self.kept == 0 {
            self.file.set_len(0)?;
        }
        self.written = 0;
        Ok(())
    }

    /// The name of the file that was rotated so often.
    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Write for Rotating {
    /// Writes a whole record into one file.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let full = self.written + record.len() as u64 > self.bytes_max;
        if full && self.written > 0 {
            self.rotate()?;
        }
        self.file.write_all(record)?;
        self.written += record.len() as u64;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_to_string;

    #[test]
    fn full_files_move_up_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Rotating::open(&path, 8, 2).unwrap();
        for number in 0..9 {
            writeln!(log, "{number:03}").unwrap();
        }
        let read = |name: &str| read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            [read("log"), read("log.1"), read("log.2")],
            ["008\n", "006\n007\n", "004\n005\n"]
        );
        assert_eq!(dir.path().read_dir().unwrap().count(), 3);
    }

    #[test]
    fn a_file_from_an_earlier_run_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "1234567").unwrap();
        let mut log = Rotating::open(&path, 8, 1).unwrap();
        log.write_all(b"abc").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "abc");
    }

    #[test]
    fn a_log_of_which_nothing_is_kept_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Rotating::open(&path, 4, 0).unwrap();
        log.write_all(b"abcd").unwrap();
        log.write_all(b"ef").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "ef");
    }
}
