//! This file introduces what is tried in a sandbox, and declares how each of it has to end there.
//!
//! Each is some perl, which has calls of the system at hand and runs in a process of its own. It is harmless where
//! it succeeds: what it aims at was made for it, or it asks for what there cannot be.

mod files;
mod network;
mod processes;
mod system;

use agentcom_core::sandbox::{Level, User};
use nix::libc;

/// Something that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// In words, such as "read a file outside".
    pub what: &'static str,
    /// Who can do it where nothing confines them.
    pub free: Free,
    /// What tries it.
    pub(super) script: &'static str,
    open: Open,
}

/// Who can do something where nothing confines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// Whoever there is.
    Anybody,
    /// Root, and on some machines others.
    Root,
    /// That depends on the machine.
    Unsure,
}

/// Where it can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// As [`Probe::is_open`] says for each of its columns.
    At([bool; 4]),
    /// At L2 where the kernel has no way to forbid it, and nowhere else.
    Signals,
    /// How it ends is not looked at, but what came of it.
    Unjudged,
}

/// The first version of Landlock that keeps signals from processes outside.
const SIGNALS_ABI: u32 = 6;

/// Where something is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The level of the sandbox; [`Level::L0`] for none.
    pub level: Level,
    /// Whose the commands are.
    pub user: User,
    /// Whether the sidecar is root.
    pub is_root: bool,
    /// The version of Landlock that the kernel has.
    pub landlock_abi: u32,
}

impl Ground {
    /// Whether no process outside can be signalled, not even one of the same user.
    pub(super) fn forbids_signals(&self) -> bool {
        self.level >= Level::L3 || self.landlock_abi >= SIGNALS_ABI
    }
}

impl Probe {
    /// Whether it can be done there, as is declared; nothing where that depends on the machine.
    #[must_use]
    pub fn is_open(&self, ground: &Ground) -> Option<bool> {
        let column = match (ground.level, ground.user) {
            (Level::L0 | Level::L1, _) => return self.is_free(ground.is_root),
            (Level::L2, User::Own) => 2,
            (Level::L2, User::Same | User::MappedRoot | User::Unknown) => {
                usize::from(!ground.is_root)
            }
            (Level::L3, _) => 3,
        };
        let open = match self.open {
            Open::At(columns) => columns[column],
            Open::Signals => !ground.forbids_signals(),
            Open::Unjudged => return None,
        };
        (!open || self.free != Free::Unsure).then_some(open)
    }

    fn is_free(&self, is_root: bool) -> Option<bool> {
        let is_sure = match self.free {
            Free::Anybody => true,
            Free::Root => is_root,
            Free::Unsure => false,
        };
        is_sure.then_some(true)
    }
}

/// All that is tried in a sandbox of `level`. What is told by its effect alone could have one on strangers where
/// nothing is confined.
pub fn all(level: Level) -> impl Iterator<Item = Probe> {
    let all = [
        &files::OUTSIDE[..],
        &files::METADATA,
        &files::OTHERS,
        &network::NETWORK,
        &system::SYSTEM,
        &system::PORTS,
        &processes::OUTSIDE,
        &processes::OTHERS,
    ];
    let is_tried = move |probe: &Probe| level > Level::L0 || probe.open != Open::Unjudged;
    all.into_iter().flatten().copied().filter(is_tried)
}

/// Open at L2 as root, at L2 as another user, at L2 with a user of its own, and at L3.
const fn probe(what: &'static str, free: Free, open: [bool; 4], script: &'static str) -> Probe {
    Probe { what, free, script, open: Open::At(open) }
}

/// Open nowhere.
const fn closed(what: &'static str, free: Free, script: &'static str) -> Probe {
    probe(what, free, [false; 4], script)
}

/// What L2 leaves open.
const fn residue(what: &'static str, script: &'static str) -> Probe {
    probe(what, Free::Anybody, [true, true, true, false], script)
}

/// Open where a command has its own of it.
const fn open_from_l3(what: &'static str, script: &'static str) -> Probe {
    probe(what, Free::Anybody, [false, false, false, true], script)
}

/// Open to a user of its own, who has no files outside unless somebody gives them any.
const fn open_to_own_user(what: &'static str, free: Free, script: &'static str) -> Probe {
    probe(what, free, [false, false, true, false], script)
}

/// Open to whoever is not root, or is it in namespaces of its own.
const fn unless_root(what: &'static str, script: &'static str) -> Probe {
    probe(what, Free::Anybody, [false, true, true, true], script)
}

/// What only later kernels forbid.
const fn signals(what: &'static str, script: &'static str) -> Probe {
    Probe { open: Open::Signals, ..closed(what, Free::Anybody, script) }
}

/// What is told by its effect alone.
const fn unjudged(what: &'static str, script: &'static str) -> Probe {
    Probe { open: Open::Unjudged, ..closed(what, Free::Anybody, script) }
}

/// What commands need.
const fn works(what: &'static str, script: &'static str) -> Probe {
    probe(what, Free::Anybody, [true; 4], script)
}

/// What the scripts have at hand. `nope` ends one that was refused, with the number of the error; `call` calls the
/// system, and `asked` takes any answer but that it may not.
const WORDS: &str = r#"
    require POSIX;
    our ($out, $tmp, $pid, $port, $udp, $name, $canary) = @ARGV;
    ($pid, $port, $udp) = map { $_ + 0 } $pid, $port, $udp;
    our $parent = $$;
    $| = 1;
    sub nope { POSIX::_exit($! + 0 || 255) }
    sub call { my ($n, @with) = @_; my $r = syscall($n, @with); nope() if $r == -1; $r }
    sub asked { my ($n, @with) = @_; my $r = syscall($n, @with);
        nope() if $r == -1 and grep { $! == $_ } 1, 13, 38 }
    sub slurp { sysopen(my $f, $_[0], 0) or nope(); sysread($f, my $t, 9) or nope() }
    sub spew { my ($at, $what) = @_; open(my $f, '>', $at) or nope();
        syswrite($f, defined $what ? $what : 'text') or nope() }
    sub there { pack('S n C4 x8', 2, $_[0], 127, 0, 0, 1) }
    sub tcp { socket(my $s, 2, 1, $_[0]) or nope(); connect($s, there($port)) or nope() }
    sub canary { $! = 0;
        for (glob('/proc/[0-9]*/environ')) {
            open(my $f, '<', $_) or next; local $/; my $t = <$f>;
            return if defined $t and index($t, $canary) >= 0 }
        nope() unless grep { $_ eq $canary } values %ENV }
    # mov eax, 1; xor ebx, ebx; int 0x80: exits with 0, in words of another architecture.
    sub other_architecture { nope() if (POSIX::uname())[4] ne 'x86_64';
        my $code = "\xb8\x01\0\0\0\x31\xdb\xcd\x80"; my $at = call(SYS_mmap, 0, 4096, 7, 0x22, -1, 0);
        pipe(my $r, my $w) or nope(); syswrite($w, $code); call(SYS_read, fileno($r), $at, length($code));
        require DynaLoader; DynaLoader::dl_install_xsub('main::other', $at); &{\&{'main::other'}}() }
    sub try { my ($number, $do) = @_;
        my $child = fork; defined $child or die;
        if (!$child) { alarm 10; eval { $do->(); 1 } or print STDERR "$number: $@\n"; 
            POSIX::_exit($@ ? 254 : 0) }
        waitpid($child, 0);
        print "$number ", $? & 127 ? 'S' . ($? & 127) : $? >> 8, "\n" }
"#;

/// What tries `probes`, and prints how each ended in a line: its number among them, and an error number,
/// which is 0 where it could be done, or `S` and the signal that ended it.
pub(super) fn script(probes: &[Probe]) -> String {
    let number = |(name, number): &(&str, i64)| format!("use constant {name} => {number};\n");
    let mut script: String = CALLS.iter().chain(CALLS_OF_X86_64).map(number).collect();
    script.push_str(WORDS);
    for (number, probe) in probes.iter().enumerate() {
        script.push_str(&format!("try({number}, sub {{ {} }});\n", probe.script));
    }
    script
}

/// What a script ends with that is broken.
pub(super) const BROKEN: &str = "254";

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// The calls that scripts name, with their numbers.
#[rustfmt::skip]
const CALLS: &[(&str, i64)] = calls!(
    SYS_acct SYS_add_key SYS_bpf SYS_capget SYS_clock_adjtime SYS_clock_settime SYS_clone SYS_clone3
    SYS_delete_module SYS_faccessat SYS_fallocate SYS_fanotify_init SYS_fsopen SYS_get_robust_list
    SYS_getpgid SYS_getpid SYS_getpriority SYS_init_module SYS_inotify_add_watch SYS_inotify_init1
    SYS_io_uring_setup SYS_ioctl SYS_ioprio_set SYS_kcmp SYS_kexec_load SYS_keyctl
    SYS_landlock_create_ruleset SYS_memfd_create SYS_memfd_secret SYS_migrate_pages SYS_mknodat SYS_mmap
    SYS_mount SYS_mount_setattr SYS_move_pages SYS_mq_open SYS_mq_unlink SYS_msgctl SYS_msgget
    SYS_name_to_handle_at SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_personality
    SYS_pidfd_getfd SYS_pidfd_open SYS_pidfd_send_signal SYS_pivot_root SYS_prctl SYS_prlimit64
    SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_read SYS_reboot SYS_renameat2
    SYS_request_key SYS_rt_sigqueueinfo SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setscheduler SYS_semctl SYS_semget SYS_setdomainname SYS_sethostname SYS_setns
    SYS_setpriority SYS_setxattr SYS_shmctl SYS_shmget SYS_statfs SYS_swapon SYS_syslog SYS_tgkill
    SYS_truncate SYS_umount2 SYS_unshare SYS_userfaultfd
);

/// Those that only this architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const CALLS_OF_X86_64: &[(&str, i64)] =
    calls!(SYS_ioperm SYS_iopl SYS_kexec_file_load SYS_modify_ldt);
#[cfg(not(target_arch = "x86_64"))]
const CALLS_OF_X86_64: &[(&str, i64)] = &[];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_probe_is_there_once_and_there_are_enough_of_them() {
        let names: BTreeSet<&str> = all(Level::L3).map(|probe| probe.what).collect();
        assert_eq!(names.len(), all(Level::L3).count());
        let closed = all(Level::L3).filter(|probe| probe.open == Open::At([false; 4])).count();
        assert!(closed >= 60, "{closed}");
    }
}
