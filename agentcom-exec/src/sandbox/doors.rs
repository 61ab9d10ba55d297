//! This file makes the sockets at which a command finds the broker, and hands them out of its network.
//!
//! A socket belongs to the network in which it was made, whoever holds it. So the broker takes in what
//! comes from within, and nothing of ours has to stay there.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Network;

/// What goes with each socket, since something has to. Around words of a helper it means nothing.
const FILLER: &[u8] = b"\n";

/// Makes the doors of `network`, in the network that this process is in, and sends them.
pub(super) fn open(network: &Network, socket: &UnixStream) -> io::Result<()> {
    for (at, _) in network.doors() {
        let door = TcpListener::bind(at)?;
        let doors = [door.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        if !with.push(SendAncillaryMessage::ScmRights(&doors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(socket, &[IoSlice::new(FILLER)], &mut with, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Takes in all that a helper says until it hangs up: its words, and doors in their order.
pub(super) fn take(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<TcpListener>)> {
    let (mut said, mut doors) = (Vec::new(), Vec::new());
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
                doors.extend(sockets.map(TcpListener::from));
            }
        }
        if read == 0 {
            return Ok((said.trim_ascii().to_vec(), doors));
        }
        said.extend_from_slice(&piece[..read]);
    }
}
