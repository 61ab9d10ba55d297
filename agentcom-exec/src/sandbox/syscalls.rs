//! This file confines a process to the system calls that commands need, by seccomp.
//!
//! Two filters, since a program should learn the right thing from each "no":
//!
//! | a system call | fails with | so that |
//! |---|---|---|
//! | in [`lists::ALLOWED`] | – | |
//! | in [`lists::REFUSED`], or allowed but for its arguments | `EPERM` | the program says that it may not |
//! | any other | `ENOSYS` | the C library falls back to an older one, as on an older kernel |
//!
//! Those of other architectures than this one's kill the process; the numbers of x32 are in no list.

mod lists;

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What is refused beyond what always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Which sockets can be opened.
    pub(super) sockets: Sockets,
    /// Whose files can be reached by system calls that Landlock does not govern: those which change
    /// modes, owners, times and attributes.
    pub(super) metadata: Metadata,
    /// Whom and what numbers name.
    pub(super) numbers: Numbers,
}

/// Which sockets can be opened, beside pairs of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// None; and no pairs of those that take an address with each message, at which a service listens
    /// in a file.
    None,
    /// Those of the network, and the same pairs. What services of the machine listen at in its files is not governed by
    /// Landlock on most kernels, and is not to be reached.
    Internet,
    /// Those between processes as well: whoever listens in a file that can be seen is the sandbox's
    /// own.
    Own,
}

impl Sockets {
    fn families(self) -> &'static [i32] {
        match self {
            Self::None => &[],
            Self::Internet => &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
            Self::Own => &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX],
        }
    }
}

/// Whether metadata of files can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metadata {
    /// It can: what is outside is out of reach.
    Open,
    /// Only of files that are open: its own, and of those that it may read ([`Policy::read`]) those of
    /// the same user.
    ///
    /// [`Policy::read`]: super::Policy::read
    OfOpenFiles,
    /// It cannot, but for times of open files: the process is root, and can open files of the system
    /// to read them.
    Fixed,
}

/// Whose processes have numbers, and what processes share by number or by name: the memory, semaphores and
/// queues of System V and of POSIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Those of the sandbox, which end with it.
    Own,
    /// Those of the machine. The kernel asks for no more than the same user, and Landlock governs
    /// signals alone, so a process can change only itself, and nothing is shared.
    OfTheMachine,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Confines this process and all that it will start. Privileges cannot be gained from here on.
pub(super) fn confine(profile: Profile) -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let filters = [
        (allowed()?, errno(libc::ENOSYS), SeccompAction::Allow),
        (refused(profile)?, SeccompAction::Allow, errno(libc::EPERM)),
    ];
    for (rules, otherwise, matched) in filters {
        let program: BpfProgram = SeccompFilter::new(rules, otherwise, matched, arch)
            .and_then(TryInto::try_into)
            .map_err(io::Error::other)?;
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn allowed() -> io::Result<Rules> {
    let mut rules: Rules = lists::ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    // As `uname -m` under another personality asks for it; others change how memory is laid out.
    let asked = [0, 0xffff_ffff].map(|value| one(0, SeccompCmpOp::Eq, value));
    rules.insert(libc::SYS_personality, asked.into_iter().collect::<io::Result<_>>()?);
    Ok(rules)
}

fn refused(profile: Profile) -> io::Result<Rules> {
    /// All flags of `clone` that make a namespace.
    const NAMESPACES: u64 = 0x7e02_0000;
    /// Types into the terminal, as if its user did.
    const TERMINAL: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];
    const KEEPS_SIZE: u64 = libc::FALLOC_FL_KEEP_SIZE.unsigned_abs() as u64;
    const MAKES_HOLE: u64 = libc::FALLOC_FL_PUNCH_HOLE.unsigned_abs() as u64;
    let mut rules: Rules = lists::REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let typing = TERMINAL.map(|request| one(1, SeccompCmpOp::Eq, request));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<io::Result<_>>()?);
    let namespaces = (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| NAMESPACES & bit != 0);
    let cloning = namespaces.map(|bit| one(0, SeccompCmpOp::MaskedEq(bit), bit));
    rules.insert(libc::SYS_clone, cloning.collect::<io::Result<_>>()?);
    // Room beyond the end of a file is in no size that a quota could count; to make a hole keeps the
    // size as well.
    let beyond = SeccompCmpOp::MaskedEq(KEEPS_SIZE | MAKES_HOLE);
    rules.insert(libc::SYS_fallocate, vec![one(1, beyond, KEEPS_SIZE)?]);
    rules.insert(libc::SYS_socket, sockets(profile.sockets)?);
    rules.insert(libc::SYS_socketpair, pairs(profile.sockets)?);
    if profile.numbers == Numbers::OfTheMachine {
        rules.extend(lists::SHARED.iter().map(|&call| (call, Vec::new())));
        rules.extend(others()?);
    }
    let metadata: &[&[i64]] = match profile.metadata {
        Metadata::Open => &[],
        Metadata::OfOpenFiles => &[lists::METADATA_BY_PATH],
        Metadata::Fixed => &[lists::METADATA_BY_PATH, lists::METADATA_OF_OPEN_FILES],
    };
    for &call in metadata.iter().copied().flatten() {
        rules.insert(call, Vec::new());
    }
    if profile.metadata != Metadata::Open {
        // Without a path it is about an open file, as `touch` does it. The times of a system file do
        // less harm than its mode.
        rules.insert(libc::SYS_utimensat, vec![rule(vec![is_given(1)?])?]);
    }
    Ok(rules)
}

/// Which sockets are refused: those of other families, and those to parts of the kernel that do not
/// have to do with addresses and routes, which resolvers look up.
fn sockets(some: Sockets) -> io::Result<Vec<SeccompRule>> {
    if some == Sockets::None {
        return Ok(Vec::new());
    }
    let number = |family: i32| u64::from(family.unsigned_abs());
    let others = some.families().iter();
    let others = others
        .map(|&family| condition(0, SeccompCmpOp::Ne, number(family)))
        .collect::<io::Result<_>>()?;
    let kernel = vec![
        condition(0, SeccompCmpOp::Eq, number(libc::AF_NETLINK))?,
        condition(2, SeccompCmpOp::Gt, number(libc::NETLINK_ROUTE))?,
    ];
    [others, kernel].into_iter().map(rule).collect()
}

/// Which pairs of sockets are refused: those of other families, and those that can send to others than
/// each other.
fn pairs(some: Sockets) -> io::Result<Vec<SeccompRule>> {
    /// The bits of a type that are not flags.
    const TYPE: u64 = 0xf;
    let mut pairs = vec![one(0, SeccompCmpOp::Ne, u64::from(libc::AF_UNIX.unsigned_abs()))?];
    if some != Sockets::Own {
        // The kernel takes the second for the first.
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            let kind = u64::from(kind.unsigned_abs());
            pairs.push(one(1, SeccompCmpOp::MaskedEq(TYPE), kind)?);
        }
    }
    Ok(pairs)
}

/// What is refused to whoever would change others than itself: processes by their number, also by one's
/// own, which a filter does not know; groups, and all of a user. To look is not refused.
fn others() -> io::Result<Rules> {
    const ITSELF: u64 = 0;
    const IO_OF_A_PROCESS: u64 = 1;
    let is_other = |argument| condition(argument, SeccompCmpOp::Ne, ITSELF);
    let of_processes = lists::OF_PROCESSES.iter();
    let mut rules = of_processes
        .map(|&call| Ok((call, vec![rule(vec![is_other(0)?])?])))
        .collect::<io::Result<Rules>>()?;
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![is_other(0)?, is_given(2)?])?]);
    let priorities = [
        (libc::SYS_setpriority, u64::from(libc::PRIO_PROCESS)),
        (libc::SYS_ioprio_set, IO_OF_A_PROCESS),
    ];
    for (call, of_a_process) in priorities {
        let of_others = one(0, SeccompCmpOp::Ne, of_a_process)?;
        rules.insert(call, vec![of_others, rule(vec![is_other(1)?])?]);
    }
    Ok(rules)
}

fn one(argument: u8, op: SeccompCmpOp, value: u64) -> io::Result<SeccompRule> {
    rule(vec![condition(argument, op, value)?])
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// Of flags and numbers the kernel sees four bytes.
fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value).map_err(io::Error::other)
}

/// Whether a pointer, of which it sees all bytes, leads anywhere.
fn is_given(argument: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_refused_is_in_no_other_list() {
        let allowed: BTreeSet<i64> = lists::ALLOWED.iter().copied().collect();
        assert_eq!(allowed.len(), lists::ALLOWED.len(), "each is listed once");
        for call in lists::REFUSED {
            assert!(!allowed.contains(call), "{call}");
        }
    }

    #[test]
    fn all_profiles_can_be_compiled() {
        for sockets in [Sockets::None, Sockets::Internet, Sockets::Own] {
            for metadata in [Metadata::Open, Metadata::OfOpenFiles, Metadata::Fixed] {
                for numbers in [Numbers::Own, Numbers::OfTheMachine] {
                    let rules = refused(Profile { sockets, metadata, numbers }).unwrap();
                    assert!(rules.len() > lists::REFUSED.len());
                }
            }
        }
        assert!(allowed().unwrap().len() > lists::ALLOWED.len());
    }
}
