//! This file lists system calls. Those that only one architecture has stand apart.

use nix::libc::*;

/// Joins those that every architecture has and those that only x86-64 has.
macro_rules! calls {
    (any { $($any:ident,)* } x86_64 { $($x86_64:ident,)* }) => {
        &[$($any,)* $(#[cfg(target_arch = "x86_64")] $x86_64,)*]
    };
}

/// What programs need: files, memory, processes, signals, time, and sockets that are open.
pub(super) const ALLOWED: &[i64] = calls!(
    any {
        SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_lseek, SYS_mmap, SYS_mprotect,
        SYS_munmap, SYS_brk, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_ioctl,
        SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_sched_yield, SYS_mremap,
        SYS_msync, SYS_mincore, SYS_madvise, SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt,
        SYS_dup, SYS_nanosleep, SYS_getitimer, SYS_setitimer, SYS_getpid, SYS_sendfile,
        SYS_socket, SYS_socketpair, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
        SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
        SYS_connect, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt,
        SYS_clone, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid,
        SYS_kill, SYS_tkill, SYS_tgkill, SYS_uname, SYS_semget, SYS_semop, SYS_semctl,
        SYS_semtimedop, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open,
        SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
        SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_truncate,
        SYS_ftruncate, SYS_fallocate, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_umask,
        SYS_gettimeofday, SYS_getrlimit, SYS_prlimit64, SYS_setrlimit, SYS_getrusage,
        SYS_sysinfo, SYS_times, SYS_getuid, SYS_getgid, SYS_setuid, SYS_setgid, SYS_geteuid,
        SYS_getegid, SYS_setpgid, SYS_getppid, SYS_setsid, SYS_setreuid, SYS_setregid,
        SYS_getgroups, SYS_setgroups, SYS_setresuid, SYS_getresuid, SYS_setresgid,
        SYS_getresgid, SYS_getpgid, SYS_setfsuid, SYS_setfsgid, SYS_getsid, SYS_capget,
        SYS_capset, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo,
        SYS_rt_tgsigqueueinfo, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_statfs, SYS_fstatfs,
        SYS_getpriority, SYS_setpriority, SYS_sched_setparam, SYS_sched_getparam,
        SYS_sched_setscheduler, SYS_sched_getscheduler, SYS_sched_get_priority_max,
        SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_sched_setaffinity,
        SYS_sched_getaffinity, SYS_sched_setattr, SYS_sched_getattr, SYS_mlock, SYS_munlock,
        SYS_mlockall, SYS_munlockall, SYS_mlock2, SYS_prctl, SYS_gettid, SYS_readahead,
        SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr,
        SYS_flistxattr, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr,
        SYS_lremovexattr, SYS_fremovexattr, SYS_futex, SYS_futex_waitv, SYS_set_robust_list,
        SYS_get_robust_list, SYS_getdents64, SYS_set_tid_address, SYS_restart_syscall,
        SYS_fadvise64, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime,
        SYS_timer_getoverrun, SYS_timer_delete, SYS_clock_gettime, SYS_clock_getres,
        SYS_clock_nanosleep, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
        SYS_epoll_pwait2, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
        SYS_ioprio_get, SYS_ioprio_set, SYS_openat, SYS_openat2, SYS_close_range, SYS_mkdirat,
        SYS_mknodat, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat,
        SYS_newfstatat, SYS_statx, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat,
        SYS_symlinkat, SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_pselect6, SYS_ppoll,
        SYS_splice, SYS_tee, SYS_vmsplice, SYS_sync_file_range, SYS_utimensat, SYS_signalfd4,
        SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_eventfd2, SYS_dup3,
        SYS_pipe2, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_copy_file_range,
        SYS_getcpu, SYS_seccomp, SYS_getrandom, SYS_memfd_create, SYS_membarrier, SYS_rseq,
        SYS_pidfd_open, SYS_pidfd_send_signal, SYS_landlock_create_ruleset,
        SYS_landlock_add_rule, SYS_landlock_restrict_self, SYS_pkey_mprotect, SYS_pkey_alloc,
        SYS_pkey_free, SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy,
    }
    x86_64 {
        SYS_open, SYS_stat, SYS_lstat, SYS_poll, SYS_access, SYS_pipe, SYS_select, SYS_dup2,
        SYS_pause, SYS_alarm, SYS_getdents, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat,
        SYS_link, SYS_unlink, SYS_symlink, SYS_readlink, SYS_chmod, SYS_chown, SYS_lchown,
        SYS_utime, SYS_utimes, SYS_futimesat, SYS_mknod, SYS_getpgrp, SYS_time, SYS_arch_prctl,
        SYS_epoll_create, SYS_epoll_wait, SYS_inotify_init, SYS_signalfd, SYS_eventfd, SYS_fork,
        SYS_vfork,
    }
);

/// What reaches beyond the sandbox, or has let others out of theirs.
pub(super) const REFUSED: &[i64] = calls!(
    any {
        SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,
        SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree,
        SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_unshare,
        SYS_setns, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_kexec_load,
        SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_io_uring_setup,
        SYS_io_uring_enter, SYS_io_uring_register, SYS_reboot, SYS_swapon, SYS_swapoff,
        SYS_quotactl, SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
        SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_vhangup,
    }
    x86_64 {
        SYS_iopl, SYS_ioperm, SYS_kexec_file_load, SYS_modify_ldt,
    }
);

/// What changes modes, owners, times and attributes of files by their paths, `utimensat` apart.
pub(super) const METADATA_BY_PATH: &[i64] = calls!(
    any {
        SYS_fchmodat, SYS_fchmodat2, SYS_fchownat, SYS_setxattr, SYS_lsetxattr, SYS_removexattr,
        SYS_lremovexattr,
    }
    x86_64 {
        SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
    }
);

/// What changes those of open files.
pub(super) const METADATA_OF_OPEN_FILES: &[i64] = calls!(
    any {
        SYS_fchmod, SYS_fchown, SYS_fsetxattr, SYS_fremovexattr,
    }
    x86_64 {}
);

/// What changes the process that the first argument names, 0 being whoever asks.
pub(super) const OF_PROCESSES: &[i64] = calls!(
    any {
        SYS_sched_setaffinity, SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr,
    }
    x86_64 {}
);

/// What makes, uses and removes what processes share by number or by name. It stays when they end, and
/// nothing bounds it.
pub(super) const SHARED: &[i64] = calls!(
    any {
        SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl,
        SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink,
    }
    x86_64 {}
);
