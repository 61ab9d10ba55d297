//! This file takes privileges away from a process, and limits what it may use.

use std::io;

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::Limits;

/// Becomes `user`, with the group of that number and no others.
pub(super) fn become_user(user: u32) -> io::Result<()> {
    if user == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a sandbox's user is not root"));
    }
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

/// Sets the limits; that of processes only if its user is the sandbox's own.
pub(super) fn limit(limits: &Limits, user_is_own: bool) -> io::Result<()> {
    const STACK_BYTES: u64 = 8 * 1024 * 1024;
    let mut all = vec![
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_DATA, limits.memory_bytes),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_NOFILE, limits.files),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_STACK, STACK_BYTES),
    ];
    if user_is_own {
        all.push((Resource::RLIMIT_NPROC, limits.processes));
    }
    for (resource, most) in all {
        let (_, hard) = nix::sys::resource::getrlimit(resource)?;
        let most = most.min(hard);
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// Lets the next program that is executed keep all capabilities, also where its user is not root.
pub(super) fn keep_all() -> io::Result<()> {
    let held = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    caps::set(None, CapSet::Inheritable, &held).map_err(io::Error::other)?;
    caps::set(None, CapSet::Ambient, &held).map_err(io::Error::other)
}

/// Gives all capabilities up for good, and the right to gain any by executing a file.
pub(super) fn drop_all() -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let bounded = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP);
    if bounded.map_err(io::Error::other)? {
        caps::clear(None, CapSet::Bounding).map_err(io::Error::other)?;
    }
    let _ = caps::clear(None, CapSet::Ambient);
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    Ok(())
}
