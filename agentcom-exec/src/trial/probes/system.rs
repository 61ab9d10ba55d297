//! This file lists what is tried with the system itself.

use super::{
    Free::{Anybody, Root, Unsure},
    Probe, closed, works,
};

/// What changes the machine, or makes surroundings in which more may be done.
pub(super) const SYSTEM: [Probe; 41] = [
    closed("mount", Root, "asked(SYS_mount, 'none', '/no/such/folder', 'tmpfs', 0, 0)"),
    closed("unmount", Root, "asked(SYS_umount2, '/no/such/folder', 0)"),
    closed("turn the root about", Root, "asked(SYS_pivot_root, '/no/such', '/no/such')"),
    closed("open a file system", Root, "call(SYS_fsopen, 'tmpfs', 0)"),
    closed("open a tree of mounts", Anybody, "call(SYS_open_tree, -100, '.', 0)"),
    closed(
        "change a mount",
        Root,
        "asked(SYS_mount_setattr, -100, '/no/such', 0, \"\\0\" x 32, 32)",
    ),
    closed("make a user namespace", Anybody, "call(SYS_unshare, 0x10000000)"),
    closed("make a namespace of mounts", Root, "call(SYS_unshare, 0x00020000)"),
    closed(
        "make one with a process",
        Anybody,
        "call(SYS_clone, 0x10000011, 0, 0, 0, 0) or POSIX::_exit(0)",
    ),
    closed(
        "make one with a process, as it is done of late",
        Anybody,
        "call(SYS_clone3, pack('Q8', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64) or POSIX::_exit(0)",
    ),
    closed("act as root", Root, "POSIX::setuid(0); spew('r'); chown(1, 1, 'r') == 1 or nope()"),
    closed(
        "have any capability",
        Root,
        "my $data = \"\\0\" x 24; my $head = pack('L2', 0x20080522, 0);
         syscall(SYS_capget, $head, $data);
         my ($low, $high) = (unpack('L6', $data))[0, 3]; $low || $high or nope()",
    ),
    closed("gain what a program brings", Anybody, "call(SYS_prctl, 39, 0, 0, 0, 0) == 0 or nope()"),
    closed("set the clock", Anybody, "asked(SYS_clock_settime, 0, 0)"),
    closed("tune the clock", Anybody, "asked(SYS_clock_adjtime, 0, 0)"),
    closed("name the machine", Root, "asked(SYS_sethostname, 0, -1)"),
    closed("name its domain", Root, "asked(SYS_setdomainname, 0, -1)"),
    closed("restart the machine", Root, "asked(SYS_reboot, 0, 0, 0, 0)"),
    closed("load a kernel", Unsure, "asked(SYS_kexec_load, 0, 0, 0, 0xffff)"),
    closed("load a module", Unsure, "asked(SYS_init_module, 0, 0, '')"),
    closed("unload one", Unsure, "asked(SYS_delete_module, 'agentcom_probe', 04000)"),
    closed("swap to a file", Root, "asked(SYS_swapon, '/no/such/file', 0)"),
    closed("keep accounts", Unsure, "asked(SYS_acct, '/no/such/file')"),
    closed("ask the kernel's log", Unsure, "call(SYS_syslog, 10, 0, 0)"),
    closed("load a program into the kernel", Unsure, "asked(SYS_bpf, 0, 0, 0)"),
    closed("handle faults of memory", Unsure, "call(SYS_userfaultfd, 1)"),
    closed(
        "queue calls for the kernel",
        Unsure,
        "my $p = \"\\0\" x 120; call(SYS_io_uring_setup, 1, $p)",
    ),
    closed("look for keys", Unsure, "asked(SYS_request_key, 'user', 'agentcom-probe', 0, -3)"),
    closed("see its keyring", Unsure, "call(SYS_keyctl, 0, -3, 1)"),
    closed("keep a key", Unsure, "call(SYS_add_key, 'user', 'agentcom-probe', 'x', 1, -1)"),
    closed(
        "put its memory where all can see it",
        Unsure,
        "asked(SYS_migrate_pages, $pid, 0, 0, 0)",
    ),
    closed("be laid out as is foreseen", Anybody, "call(SYS_personality, 0x0040000)"),
    closed(
        "type into a terminal",
        Anybody,
        "open(my $f, '<', '/dev/null') or nope();
         asked(SYS_ioctl, fileno($f), 0x5412, 'x')",
    ),
    closed(
        "paste into a terminal",
        Anybody,
        "open(my $f, '<', '/dev/null') or nope();
         asked(SYS_ioctl, fileno($f), 0x541c, 'x')",
    ),
    closed(
        "take room that no size shows",
        Unsure,
        "spew('room'); open(my $f, '+<', 'room') or nope();
         call(SYS_fallocate, fileno($f), 1, 0, 4096)",
    ),
    closed("make memory that nobody else can read", Unsure, "call(SYS_memfd_secret, 0)"),
    closed("call by a number of x32", Unsure, "call(0x40000000 | SYS_getpid)"),
    closed("call as on another architecture", Unsure, "other_architecture()"),
    works("ask who it is", "call(SYS_personality, 0xffffffff); call(SYS_getpid)"),
    works(
        "confine itself further",
        "call(SYS_prctl, 38, 1, 0, 0, 0);
         call(SYS_landlock_create_ruleset, 0, 0, 1)",
    ),
    works("make memory that can be run", "call(SYS_mmap, 0, 4096, 7, 0x22, -1, 0)"),
];

/// What only this architecture has.
#[cfg(target_arch = "x86_64")]
pub(super) const PORTS: [Probe; 4] = [
    closed("reach ports of devices", Unsure, "call(SYS_ioperm, 0x80, 1, 1)"),
    closed("reach all of them", Unsure, "call(SYS_iopl, 3)"),
    closed("change its segments", Unsure, "my $t = \"\\0\" x 16; call(SYS_modify_ldt, 0, $t, 16)"),
    closed("load a kernel from a file", Unsure, "asked(SYS_kexec_file_load, -1, -1, 0, 0, 0xffff)"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const PORTS: [Probe; 0] = [];
