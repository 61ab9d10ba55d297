//! This file hands out of namespaces what belongs to them: the sockets at which a command finds the broker,
//! and the table of the memory that its processes share by number.
//!
//! A socket belongs to the network in which it was made, and such a table to where it was opened, whoever
//! holds it. So the broker takes in what comes from within, and nothing of ours has to stay there.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Network;

/// What goes with each of them, since something has to. Around words of a helper it means nothing.
const FILLER: &[u8] = b"\n";

/// Opens the table of segments, makes the doors of `network`, both in the namespaces that this process is
/// in, and sends them in that order.
pub(super) fn open(network: &Network, socket: &UnixStream) -> io::Result<()> {
    let segments = File::open("/proc/sysvipc/shm")
        // A kernel that has none has no table of them.
        .or_else(|_| File::open("/dev/null"))?;
    send(segments.as_fd(), socket)?;
    for (at, _) in network.doors() {
        send(TcpListener::bind(at)?.as_fd(), socket)?;
    }
    Ok(())
}

fn send(one: BorrowedFd<'_>, socket: &UnixStream) -> io::Result<()> {
    let one = [one];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    if !with.push(SendAncillaryMessage::ScmRights(&one)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(socket, &[IoSlice::new(FILLER)], &mut with, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes in all that a helper says until it hangs up: its words, and what it sent in its order.
pub(super) fn take(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut said, mut handed) = (Vec::new(), Vec::new());
    let mut piece = [0; 4096];
    loop {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(&mut piece)];
        let read = match recvmsg(socket, &mut pieces, &mut with, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            read => read?.bytes,
        };
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                handed.extend(sockets);
            }
        }
        if read == 0 {
            return Ok((said.trim_ascii().to_vec(), handed));
        }
        said.extend_from_slice(&piece[..read]);
    }
}
