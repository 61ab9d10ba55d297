//! This file lists what is tried with processes.

use super::{
    Free::{Anybody, Root, Unsure},
    Probe, closed, open_from_l3, residue, signals, unjudged, works,
};

/// What looks into a process outside or changes it.
pub(super) const OUTSIDE: [Probe; 33] = [
    closed("see the environment of a process outside", Anybody, "slurp(\"/proc/$pid/environ\")"),
    closed("see its memory", Unsure, "open(my $f, '<', \"/proc/$pid/mem\") or nope()"),
    closed("see what is in its memory", Anybody, "slurp(\"/proc/$pid/maps\")"),
    closed("see what it has open", Anybody, "opendir(my $d, \"/proc/$pid/fd\") or nope()"),
    closed("see how it was started", Anybody, "slurp(\"/proc/$pid/cmdline\")"),
    closed("see which program it is", Anybody, "defined(readlink(\"/proc/$pid/exe\")) or nope()"),
    closed("read by its root", Anybody, "slurp(\"/proc/$pid/root$out/secret\")"),
    closed("read in its folder", Anybody, "slurp(\"/proc/$pid/cwd/secret\")"),
    closed(
        "have it killed first",
        Anybody,
        "open(my $f, '+<', \"/proc/$pid/oom_score_adj\") or nope()",
    ),
    closed("find a canary of the sidecar's environment", Unsure, "canary()"),
    closed("trace it", Unsure, "call(SYS_ptrace, 0x4206, $pid, 0, 0)"),
    closed("read from its memory", Anybody, "call(SYS_process_vm_readv, $pid, 0, 0, 0, 0, 0)"),
    closed("write to its memory", Anybody, "call(SYS_process_vm_writev, $pid, 0, 0, 0, 0, 0)"),
    closed(
        "take a file that it has open",
        Unsure,
        "call(SYS_pidfd_getfd, call(SYS_pidfd_open, $pid, 0), 1, 0)",
    ),
    closed("compare itself with it", Unsure, "call(SYS_kcmp, $pid, $pid, 1, 0, 0)"),
    closed("move its memory", Anybody, "asked(SYS_move_pages, $pid, 0, 0, 0, 0, 0)"),
    closed(
        "see its locks",
        Anybody,
        "my ($head, $size) = (\"\\0\" x 8) x 2; call(SYS_get_robust_list, $pid, $head, $size)",
    ),
    closed("set its limits", Anybody, "call(SYS_prlimit64, $pid, 4, \"\\0\" x 16, 0)"),
    closed("set its priority", Anybody, "call(SYS_setpriority, 0, $pid, 5)"),
    closed("set that of its group", Anybody, "call(SYS_setpriority, 1, $pid, 6)"),
    closed("set its processors", Anybody, "call(SYS_sched_setaffinity, $pid, 8, \"\\xff\" x 8)"),
    closed("set its scheduler", Anybody, "call(SYS_sched_setscheduler, $pid, 3, \"\\0\" x 4)"),
    closed(
        "set all about how it is scheduled",
        Anybody,
        "call(SYS_sched_setattr, $pid, pack('L L Q l L Q3', 48, 3, 0, 19, 0, 0, 0, 0), 0)",
    ),
    closed("set its turn at the disk", Anybody, "call(SYS_ioprio_set, 1, $pid, 16388)"),
    closed("set the turn of its group", Anybody, "call(SYS_ioprio_set, 2, $pid, 16388)"),
    closed(
        "enter its namespaces",
        Root,
        "open(my $f, '<', \"/proc/$pid/ns/uts\") or nope();
         call(SYS_setns, fileno($f), 0)",
    ),
    closed(
        "count what it does",
        Unsure,
        "call(SYS_perf_event_open, pack('L L Q x112', 1, 128, 1), $pid, -1, -1, 0)",
    ),
    signals("signal it", "kill('WINCH', $pid) == 1 or nope()"),
    signals("signal its group", "kill('WINCH', -$pid) == 1 or nope()"),
    signals(
        "signal it by a handle",
        "call(SYS_pidfd_send_signal, call(SYS_pidfd_open, $pid, 0), 28, 0, 0)",
    ),
    signals("signal its thread", "call(SYS_tgkill, $pid, $pid, 28)"),
    signals(
        "signal it with a word",
        "call(SYS_rt_sigqueueinfo, $pid, 28, pack('l3 x116', 28, 0, -1))",
    ),
    unjudged(
        "have the kernel signal it",
        "pipe(my $from, my $to) or nope(); fcntl($from, 8, $pid) or nope(); fcntl($from, 10, 28);
         fcntl($from, 4, 020000); syswrite($to, 'x'); select(undef, undef, undef, 0.05)",
    ),
];

/// What is seen of it, and what is its own.
pub(super) const OTHERS: [Probe; 20] = [
    unjudged("signal all that it may", "kill('WINCH', -1)"),
    residue("see that a process outside is there", "-d \"/proc/$pid\" or nope()"),
    residue("ask for its group", "call(SYS_getpgid, $pid)"),
    residue("ask for its priority", "call(SYS_getpriority, 0, $pid)"),
    residue(
        "ask for its processors",
        "my $m = \"\\0\" x 128; call(SYS_sched_getaffinity, $pid, 128, $m)",
    ),
    closed("be run before all others", Root, "call(SYS_setpriority, 0, 0, -10)"),
    closed("be run at once", Unsure, "call(SYS_sched_setscheduler, 0, 1, pack('L', 1))"),
    closed(
        "be killed last",
        Unsure,
        "spew(\"/proc/$parent/oom_score_adj\", -500)
         ; spew(\"/proc/$parent/oom_score_adj\", 0)",
    ),
    closed("leave its core", Unsure, "call(SYS_prlimit64, 0, 4, pack('Q2', 1 << 20, 1 << 20), 0)"),
    closed(
        "raise its own limits",
        Unsure,
        "call(SYS_prlimit64, 0, 7, pack('Q2', 1 << 19, 1 << 19), 0)",
    ),
    open_from_l3(
        "share memory by number",
        "my $id = call(SYS_shmget, 0, 4096, 01600);
         call(SYS_shmctl, $id, 0, 0)",
    ),
    open_from_l3(
        "share semaphores by number",
        "my $id = call(SYS_semget, 0, 1, 01600);
         call(SYS_semctl, $id, 0, 0, 0)",
    ),
    open_from_l3(
        "share messages by number",
        "my $id = call(SYS_msgget, 0, 01600);
         call(SYS_msgctl, $id, 0, 0)",
    ),
    closed(
        "share messages by name",
        Unsure,
        "my $name = \"agentcom-probe-$$\";
         call(SYS_mq_open, $name, 66, 0600, 0); call(SYS_mq_unlink, $name)",
    ),
    works("run a program", "system('/bin/sh', '-c', 'exit 7') >> 8 == 7 or nope()"),
    works(
        "signal a process of its own",
        "my $c = fork; if (!$c) { sleep 9; POSIX::_exit(1) }
         kill('KILL', $c) == 1 or nope(); waitpid($c, 0)",
    ),
    works("lower its own limits", "call(SYS_prlimit64, 0, 4, \"\\0\" x 16, 0)"),
    works("be run after all others", "call(SYS_setpriority, 0, 0, 5)"),
    works("hold memory by a handle", "my $name = 'm'; call(SYS_memfd_create, $name, 0)"),
    works("start a session", "POSIX::setsid() > 0 or nope()"),
];
