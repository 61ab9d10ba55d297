//! This file lists what is tried with the network and with services of the machine.

use super::{
    Free::{Anybody, Root, Unsure},
    Probe, closed, open_from_l3, residue, works,
};

/// Whom is talked to, and by which kind of socket.
pub(super) const NETWORK: [Probe; 23] = [
    closed("reach a port of the machine", Anybody, "tcp(0)"),
    closed("reach it by several paths at once", Unsure, "tcp(262)"),
    closed(
        "reach it as it is called by newer addresses",
        Unsure,
        "socket(my $s, 10, 1, 0) or nope();
         connect($s, pack('S n N a16 L', 10, $port, 0, \"\\0\" x 10 . \"\\xff\\xff\\x7f\\0\\0\\1\", 0)) or nope()",
    ),
    closed(
        "be answered from a port by messages",
        Anybody,
        "socket(my $s, 2, 2, 0) or nope(); send($s, 'x', 0, there($udp)) or nope();
         my $seen = ''; vec($seen, fileno($s), 1) = 1; select($seen, undef, undef, 1) or nope();
         defined(recv($s, my $text, 9, 0)) or nope()",
    ),
    closed("find a way out of the machine", Unsure, "socket(my $s, 2, 2, 0) or nope();
         connect($s, pack('S n C4 x8', 2, 9, 192, 0, 2, 1)) or nope()"),
    closed("talk to a service by its file", Anybody, "socket(my $s, 1, 1, 0) or nope();
         connect($s, pack('S Z108', 1, \"$out/service\")) or nope()"),
    closed("talk to a service by its name", Anybody, "socket(my $s, 1, 1, 0) or nope();
         connect($s, pack('S x a*', 1, $name)) or nope()"),
    closed("send to a service by its file", Anybody, "socket(my $s, 1, 2, 0) or nope();
         send($s, 'x', 0, pack('S Z108', 1, \"$out/mailbox\")) or nope()"),
    closed("send to it by one of a pair", Anybody, "socketpair(my $s, my $t, 1, 2, 0) or nope();
         send($s, 'x', 0, pack('S Z108', 1, \"$out/mailbox\")) or nope()"),
    closed("send to it by the raw one of a pair", Anybody, "socketpair(my $s, my $t, 1, 3, 0) or nope();
         send($s, 'x', 0, pack('S Z108', 1, \"$out/mailbox\")) or nope()"),
    closed("serve by a file outside", Anybody, "socket(my $s, 1, 1, 0) or nope();
         bind($s, pack('S Z108', 1, \"$out/served\")) or nope(); unlink(\"$out/served\")"),
    closed("make packets of its own", Root, "socket(my $s, 2, 3, 1) or nope()"),
    closed("see all packets", Root, "socket(my $s, 17, 3, 0) or nope()"),
    closed("listen to what the kernel tells", Anybody, "socket(my $s, 16, 3, 15) or nope()"),
    closed("ask the kernel for its sockets", Anybody, "socket(my $s, 16, 3, 4) or nope()"),
    closed("talk to the host of a machine", Unsure, "socket(my $s, 40, 1, 0) or nope()"),
    closed("have the kernel encrypt", Unsure, "socket(my $s, 38, 5, 0) or nope()"),
    residue("see at which ports the machine listens", "my $at = sprintf(':%04X ', $port);
         open(my $f, '<', \"/proc/$parent/net/tcp\") or nope(); grep { /$at/ } <$f> or nope()"),
    open_from_l3("open a socket", "socket(my $s, 2, 1, 0) or nope(); bind($s, there(0)) or nope();
         listen($s, 1) or nope()"),
    open_from_l3("open one between processes", "socket(my $s, 1, 1, 0) or nope()"),
    open_from_l3("ask for addresses and routes", "socket(my $s, 16, 3, 0) or nope()"),
    works("talk to a process of its own", "socketpair(my $s, my $t, 1, 1, 0) or nope();
         syswrite($s, 'x') == 1 or nope(); sysread($t, my $x, 1) == 1 or nope()"),
    works("send by a pipe", "pipe(my $r, my $w) or nope(); syswrite($w, 'x'); sysread($r, my $x, 1) or nope()"),
];
