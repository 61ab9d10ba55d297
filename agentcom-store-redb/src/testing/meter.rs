//! This file counts the calls of disks and lets some fail.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::chance;

/// What a disk or a folder is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// The length of a file.
    Len,
    /// Bytes.
    Read,
    /// To give a file another length.
    SetLen,
    /// To make durable what was written.
    Sync,
    /// To write.
    Write,
    /// What is there, by name.
    Find,
    /// To make or change a name.
    Name,
    /// To remove a name.
    Remove,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With an error of the device; nothing is done.
    Device,
    /// For want of room; nothing is done. Calls that need no room fail with [`Fault::Device`].
    NoRoom,
    /// A write stops half-way, and says so. Other calls fail with [`Fault::Device`].
    ShortWrite,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The number of the first call that does.
    pub(super) from: u64,
    pub(super) fault: Fault,
    /// Whether all behind it fail, too.
    pub(super) for_good: bool,
    /// Whether calls that take no room are spared.
    pub(super) changes_only: bool,
}

/// The calls of one disk, or of several together. Clones count the same calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    calls: u64,
    plan: Option<Plan>,
    /// The kind of the call that failed first.
    failed: Option<Call>,
    /// Of how many syncs one is a lie.
    lies: Option<u64>,
}

impl Meter {
    pub(super) fn calls(&self) -> u64 {
        self.count().calls
    }

    pub(super) fn plan(&self, plan: Plan) {
        let mut count = self.count();
        *count = Count { plan: Some(plan), lies: count.lies, ..Count::default() };
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count().failed.is_some()
    }

    /// No call fails any more. Returns the kind of the first that did.
    pub(super) fn heal(&self) -> Option<Call> {
        let mut count = self.count();
        count.plan = None;
        count.failed.take()
    }

    /// The fault of this call, if it is to fail.
    pub(super) fn fault(&self, call: Call) -> Option<Fault> {
        let mut count = self.count();
        let spared = matches!(call, Call::Len | Call::Read | Call::Find | Call::Remove);
        let plan = count.plan;
        if plan.is_some_and(|plan| plan.changes_only && spared) {
            return None;
        }
        let number = count.calls;
        count.calls += 1;
        let plan = plan
            .filter(|plan| if plan.for_good { number >= plan.from } else { number == plan.from })?;
        count.failed.get_or_insert(call);
        Some(plan.fault)
    }

    /// One sync in `syncs` does nothing, and says that it did.
    pub(super) fn lie_about_one_sync_in(&self, syncs: u64) {
        self.count().lies = Some(syncs.max(1));
    }

    /// Whether a sync is to do what it is asked.
    pub(super) fn sync(&self) -> io::Result<bool> {
        self.check(Call::Sync)?;
        let count = self.count();
        let is_lie = |syncs| chance(syncs, count.calls).is_multiple_of(syncs);
        Ok(!count.lies.is_some_and(is_lie))
    }

    pub(super) fn check(&self, call: Call) -> io::Result<()> {
        self.fault(call).map_or(Ok(()), |fault| Err(fault.error(call)))
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        // A test that panics meanwhile leaves no half call behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    pub(super) fn error(self, call: Call) -> io::Error {
        /// The number of Linux and others for an error of the device.
        const EIO: i32 = 5;
        let takes_room = matches!(call, Call::SetLen | Call::Sync | Call::Write | Call::Name);
        match self {
            Self::NoRoom if takes_room => io::ErrorKind::StorageFull.into(),
            Self::ShortWrite if call == Call::Write => io::ErrorKind::WriteZero.into(),
            Self::Device | Self::NoRoom | Self::ShortWrite => io::Error::from_raw_os_error(EIO),
        }
    }
}
