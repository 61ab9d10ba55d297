//! This file keeps what is too long for a task's record, such as what a model said, under the hash of
//! its content.
//!
//! What is put twice is kept once; what was put is whole or not there. The oldest go when all
//! together are too many bytes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use agentcom_core::name::BlobId;

use crate::hex;

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
    bytes_max: u64,
}

impl Blobs {
    /// How many bytes are kept unless said otherwise.
    pub const BYTES_MAX: u64 = 1 << 30;

    /// Those in `dir`, which is made when the first is put there.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bytes_max: Self::BYTES_MAX }
    }

    /// With another bound on all of them together.
    #[must_use]
    pub fn at_most(self, bytes_max: u64) -> Self {
        Self { bytes_max, ..self }
    }

    /// Keeps `content`, and lets the oldest go if there is no room. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put(&self, content: &[u8]) -> io::Result<BlobId> {
        let id = name_of(content)?;
        let path = self.path(&id);
        if !path.exists() {
            fs::create_dir_all(&self.dir)?;
            self.make_room(content.len() as u64)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(id)
    }

    /// What was kept under that name; nothing if it is not there, or no longer what it was. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn get(&self, id: &BlobId) -> io::Result<Option<Vec<u8>>> {
        let content = match fs::read(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content?,
        };
        let is_same = name_of(&content)? == *id;
        Ok(is_same.then_some(content))
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    /// Removes the oldest until there is room for `bytes` more.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if is_blob(&entry.path()) {
                kept.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in kept {
            if total.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            total -= len;
        }
        Ok(())
    }
}

fn name_of(content: &[u8]) -> io::Result<BlobId> {
    hex::sha256(content).parse().map_err(io::Error::other)
}

fn is_blob(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.parse::<BlobId>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_under_its_hash_and_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(dir.path().join("blobs"));
        let id = blobs.put(b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            id.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(blobs.put(b"abc").unwrap(), id);
        assert_eq!(blobs.get(&id).unwrap().unwrap(), b"abc");
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 1);
        let other = blobs.put(b"").unwrap();
        assert_eq!(blobs.get(&other).unwrap().unwrap(), b"");
    }

    #[test]
    fn what_is_gone_or_changed_is_not_taken_for_what_was_put() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(dir.path());
        let id = blobs.put(b"abc").unwrap();
        fs::write(dir.path().join(id.to_string()), "abd").unwrap();
        assert_eq!(blobs.get(&id).unwrap(), None);
        fs::remove_file(dir.path().join(id.to_string())).unwrap();
        assert_eq!(blobs.get(&id).unwrap(), None);
        for bad in ["", "../../etc/passwd", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert!(bad.parse::<BlobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(dir.path()).at_most(10);
        fs::write(dir.path().join("not-a-blob"), "stays").unwrap();
        let ids = ["one", "two", "six"].map(|text| blobs.put(text.as_bytes()).unwrap());
        for (age, id) in [3, 2, 1].into_iter().zip(&ids) {
            let file =
                fs::File::options().append(true).open(dir.path().join(id.to_string())).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(100 * age);
            file.set_modified(then).unwrap();
        }
        let four = blobs.put(b"four").unwrap();
        let there = ids.each_ref().map(|id| blobs.get(id).unwrap().is_some());
        assert_eq!(there, [false, true, true]);
        assert!(blobs.get(&four).unwrap().is_some());
        assert!(dir.path().join("not-a-blob").exists());
        // What is larger than all of the room is kept all the same: somebody refers to it.
        let large = blobs.put(&[7; 100]).unwrap();
        assert!(blobs.get(&large).unwrap().is_some() && blobs.get(&four).unwrap().is_none());
    }
}
