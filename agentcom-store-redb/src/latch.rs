//! This file stops a database at the first call of its file that fails.
//!
//! redb writes a page early when its cache is full, and if that fails tries again later. A disk
//! that failed once is not to be trusted with another try: what was said to be written may not be.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use redb::{BackendError, StorageBackend};

/// A file of which every call fails once one did, and with the same error.
#[derive(Debug)]
pub(crate) struct Latched {
    file: Box<dyn StorageBackend>,
    first: FirstError,
}

/// The first error of a file, once there is one. Clones are of the same file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstError(Arc<OnceLock<Told>>);

#[derive(Clone, Debug)]
struct Told {
    kind: io::ErrorKind,
    message: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Told {}

impl FirstError {
    /// What went wrong first, if anything did.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.0.get().map_or(Ok(()), |told| Err(io::Error::new(told.kind, told.clone())))
    }

    /// Lets every call of the file fail from here on.
    pub(crate) fn set(&self, why: &str) {
        let told = || Told { kind: io::ErrorKind::Other, message: why.into() };
        self.0.get_or_init(told);
    }

    fn take<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| {
            let told = || Told { kind: error.kind(), message: error.to_string() };
            self.0.get_or_init(told);
        })
    }
}

impl Latched {
    pub(crate) fn new(file: Box<dyn StorageBackend>) -> (Self, FirstError) {
        let first = FirstError::default();
        (Self { file, first: first.clone() }, first)
    }

    fn call<T>(&self, call: impl FnOnce(&dyn StorageBackend) -> io::Result<T>) -> io::Result<T> {
        self.first.check()?;
        self.first.take(call(&*self.file))
    }
}

/// Locks are passed on: that one is held by somebody else, or that there is no such kind, is no
/// failure of the file.
impl StorageBackend for Latched {
    fn len(&self) -> io::Result<u64> {
        self.call(|file| file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call(|file| file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(|file| file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(|file| file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call(|file| file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, Disk, Fault};

    #[test]
    fn after_one_call_that_fails_every_call_fails_with_its_error() {
        for fault in [Fault::Device, Fault::NoRoom, Fault::ShortWrite] {
            let disk = Disk::holding(vec![1; 1_000]);
            let (file, first) = Latched::new(Box::new(disk.clone()));
            disk.fail_after(1, fault, false);
            file.write(0, &[2; 10]).unwrap();
            first.check().unwrap();
            let expected = file.write(0, &[3; 10]).unwrap_err();
            let mut out = [0];
            let errors = [
                file.len().unwrap_err(),
                file.read(0, &mut out).unwrap_err(),
                file.set_len(5_000).unwrap_err(),
                file.sync_data().unwrap_err(),
                file.write(0, &[4; 10]).unwrap_err(),
                first.check().unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), expected.kind());
                assert_eq!(error.to_string(), expected.to_string());
            }
            assert_eq!(disk.heal(), Some(Call::Write));
            assert_eq!(disk.bytes().len(), 1_000, "the file was asked no more");
            assert_eq!(disk.calls(), 2);
            file.close().unwrap();
        }
    }
}
