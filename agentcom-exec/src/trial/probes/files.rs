//! This file lists what is tried with files.

use super::{
    Free::{Anybody, Root, Unsure},
    Probe, closed, open_from_l3, open_to_own_user, probe, residue, unless_root, works,
};

/// What reads, changes or runs what is outside.
pub(super) const OUTSIDE: [Probe; 32] = [
    closed("read a file outside", Anybody, "slurp(\"$out/secret\")"),
    closed(
        "read it through a link in the workspace",
        Anybody,
        "symlink(\"$out/secret\", 'a-link') or nope(); slurp('a-link')",
    ),
    closed("read it by a path that leads up", Anybody, "slurp('../outside/secret')"),
    closed("read it from its folder", Anybody, "chdir($out) or nope(); slurp('secret')"),
    closed(
        "read it by a handle that is only a path",
        Anybody,
        "sysopen(my $file, \"$out/secret\", 0x200000) or nope();
         slurp('/proc/self/fd/' . fileno($file))",
    ),
    closed("read it by the root of a process", Anybody, "slurp(\"/proc/self/root$out/secret\")"),
    closed("append to a file outside", Anybody, "open(my $file, '>>', \"$out/kept\") or nope()"),
    closed(
        "open a file outside to change it",
        Anybody,
        "open(my $file, '+<', \"$out/kept\") or nope()",
    ),
    closed("cut a file outside", Anybody, "call(SYS_truncate, \"$out/kept\", 4)"),
    closed("make a file outside", Anybody, "spew(\"$out/made\")"),
    closed("make a folder outside", Anybody, "mkdir(\"$out/folder-made\") or nope()"),
    closed("make a link outside", Anybody, "symlink('x', \"$out/link-made\") or nope()"),
    closed("make a pipe outside", Anybody, "POSIX::mkfifo(\"$out/pipe-made\", 0600) or nope()"),
    closed("list a folder outside", Anybody, "opendir(my $folder, $out) or nope()"),
    open_from_l3("list the root of the machine", "opendir(my $folder, '/') or nope()"),
    closed(
        "move a file outside",
        Anybody,
        "rename(\"$out/moves\", \"$out/moved\") or nope(); rename(\"$out/moved\", \"$out/moves\")",
    ),
    closed(
        "take a file outside into the workspace",
        Anybody,
        "rename(\"$out/moves\", 'taken') or nope(); rename('taken', \"$out/moves\")",
    ),
    closed(
        "put a file of the workspace outside",
        Anybody,
        "spew('given'); rename('given', \"$out/given\") or nope(); unlink(\"$out/given\")",
    ),
    closed(
        "exchange a file with one outside",
        Anybody,
        "spew('one'); call(SYS_renameat2, -100, 'one', -100, \"$out/moves\", 2)",
    ),
    closed("link a file outside into the workspace", Anybody, "link(\"$out/kept\", 'k') or nope()"),
    closed(
        "link a file of the workspace outside",
        Anybody,
        "spew('two'); link('two', \"$out/two\") or nope(); unlink(\"$out/two\")",
    ),
    closed("remove a file outside", Anybody, "unlink(\"$out/goes\") or nope()"),
    closed("remove a folder outside", Anybody, "rmdir(\"$out/goes-too\") or nope()"),
    closed(
        "run a program outside",
        Anybody,
        "my $ended = system { \"$out/program\" } ('x'); $ended == 0 or nope()",
    ),
    closed(
        "make a file without a name outside",
        Anybody,
        "sysopen(my $f, $out, 020200002) or nope()",
    ),
    closed("read the passwords of the machine", Root, "slurp('/etc/shadow')"),
    closed("change the users of the machine", Root, "open(my $f, '>>', '/etc/passwd') or nope()"),
    closed(
        "add to the programs of the machine",
        Root,
        "spew('/usr/agentcom-probe')
         ; unlink('/usr/agentcom-probe')",
    ),
    closed("read what the kernel says", Unsure, "sysopen(my $f, '/dev/kmsg', 04000) or nope()"),
    closed(
        "change the kernel's settings",
        Root,
        "open(my $f, '+<', '/proc/sys/kernel/core_pattern') or nope()",
    ),
    closed("make a device", Root, "call(SYS_mknodat, -100, 'device', 020600, 0x103)"),
    closed("open a terminal", Unsure, "open(my $f, '+<', '/dev/ptmx') or nope()"),
];

/// What changes what belongs to a file, and is reached by its path.
pub(super) const METADATA: [Probe; 13] = [
    closed("change the root of its paths", Root, "chroot('.') or nope()"),
    open_to_own_user(
        "change the mode of a file outside",
        Anybody,
        "chmod(0600, \"$out/kept\") == 1 or nope()",
    ),
    open_to_own_user(
        "change the owner of a file outside",
        Anybody,
        "chown($>, -1, \"$out/kept\") == 1 or nope()",
    ),
    open_to_own_user(
        "change the times of a file outside",
        Anybody,
        "utime(1, 1, \"$out/kept\") == 1 or nope()",
    ),
    open_to_own_user(
        "give an attribute to a file outside",
        Unsure,
        "call(SYS_setxattr, \"$out/kept\", 'user.a', 'b', 1, 0)",
    ),
    probe(
        "change the mode of a file",
        Anybody,
        [false, false, true, true],
        "spew('own'); chmod(0700, 'own') == 1 or nope()",
    ),
    probe(
        "change the times of a file",
        Anybody,
        [false, false, true, true],
        "spew('own'); utime(1, 1, 'own') == 1 or nope()",
    ),
    unless_root(
        "change the mode of an open file",
        "spew('own'); open(my $f, '<', 'own') or nope();
         chmod(0700, $f) == 1 or nope()",
    ),
    residue("find out that a file outside is there", "lstat(\"$out/secret\") or nope()"),
    residue("ask what may be done with it", "call(SYS_faccessat, -100, \"$out/secret\", 4)"),
    residue("see where a link outside leads", "defined(readlink(\"$out/link\")) or nope()"),
    residue("work in a folder outside", "chdir($out) or nope()"),
    residue("ask for the file system outside", "my $b = \"\\0\" x 256; call(SYS_statfs, $out, $b)"),
];

/// What else there is to do with files.
pub(super) const OTHERS: [Probe; 16] = [
    residue(
        "watch a folder outside",
        "my $n = call(SYS_inotify_init1, 0); call(SYS_inotify_add_watch, $n, $out, 0xfff)",
    ),
    residue(
        "hold a handle that is only a path",
        "sysopen(my $f, \"$out/secret\", 0x200000) or nope()",
    ),
    residue("plant a hook for git", "spew('.git/hook')"),
    closed("watch the whole machine's files", Root, "call(SYS_fanotify_init, 0, 0)"),
    closed(
        "make a number of a file to open it by",
        Unsure,
        "my $h = pack('L l a128', 128, 0, ''); my $m = pack('l', 0);
         call(SYS_name_to_handle_at, -100, \"$out/secret\", $h, $m, 0)",
    ),
    closed(
        "open a file by its number",
        Root,
        "asked(SYS_open_by_handle_at, -100, pack('L l a8', 8, 1, ''), 0)",
    ),
    open_from_l3(
        "make a file for all to see",
        "spew(\"/tmp/agentcom-probe-$$\");
         unlink(\"/tmp/agentcom-probe-$$\")",
    ),
    open_from_l3(
        "share memory by a file",
        "spew(\"/dev/shm/agentcom-probe-$$\");
         unlink(\"/dev/shm/agentcom-probe-$$\")",
    ),
    works("write and read a file", "spew('file'); slurp('file')"),
    works("write and read a temporary one", "spew(\"$tmp/file\"); slurp(\"$tmp/file\")"),
    works(
        "move folders, files and links",
        "mkdir('a') or nope(); mkdir('b') or nope(); spew('a/f'); symlink('f', 'a/l') or nope();
         rename('a/f', 'b/f') or nope(); link('b/f', 'a/g') or nope(); rename('a', 'b/a') or nope();
         unlink('b/a/g', 'b/a/l', 'b/f') == 3 or nope(); rmdir('b/a') or nope(); rmdir('b') or nope()",
    ),
    works("make a pipe with a name", "POSIX::mkfifo('pipe', 0600) or nope(); unlink('pipe')"),
    works(
        "watch its own files",
        "my $n = call(SYS_inotify_init1, 0);
         call(SYS_inotify_add_watch, $n, '.', 0xfff)",
    ),
    works("cut a file", "spew('cut'); truncate('cut', 2) or nope()"),
    works("read the system's files", "slurp('/etc/passwd'); opendir(my $d, '/usr/lib') or nope()"),
    works(
        "read from devices that hold nothing",
        "sysopen(my $f, '/dev/urandom', 0) or nope();
         sysread($f, my $b, 8) == 8 or nope(); open($f, '>', '/dev/null') or nope()",
    ),
];
