//! This file starts helpers, and carries orders to them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::helper::{Act, Order};
use super::{ARG, Started, doors};
use crate::guard::{GuardCommand, Input, MARK, Refusal, RefusalKind};

/// How long a sandbox may take to be set up.
const SET_UP_MAX: Duration = Duration::from_secs(10);

/// The longest order, in bytes.
const ORDER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Starts a command in its sandbox, as the leader of a process group.
///
/// # Errors
///
/// Why it has not started.
pub(crate) fn start(mut command: GuardCommand, input: Input) -> Result<Started, Refusal> {
    let Some(policy) = command.sandbox.take() else {
        return Err(Refusal::new("no sandbox", &io::ErrorKind::InvalidInput.into()));
    };
    let mut helper = Command::new("/proc/self/exe");
    helper.process_group(0);
    launch(helper, &Order::new(policy, Act::Run(Box::new(command), input)))
}

/// Starts `helper`, a program that dispatches, and returns when the command has started in its
/// sandbox.
///
/// # Errors
///
/// Why it has not.
pub(super) fn launch(mut helper: Command, order: &Order) -> Result<Started, Refusal> {
    let failed = |error: io::Error| Refusal {
        kind: RefusalKind::Sandbox,
        message: format!("sandbox, helper: {error}"),
    };
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_read_timeout(Some(SET_UP_MAX)).map_err(failed)?;
    helper.arg(ARG).env_clear().env(MARK, "1").stdin(OwnedFd::from(theirs));
    let mut child = helper.spawn().map_err(failed)?;
    // It holds the other end, and would never see it close.
    drop(helper);
    let heard = send(&mut ours, order).and_then(|()| doors::take(&ours));
    let said = match heard {
        Ok((said, handed)) if said.is_empty() => {
            let mut handed = handed.into_iter();
            let segments = handed.next().map(File::from);
            return Ok(Started { child, segments, doors: handed.map(TcpListener::from).collect() });
        }
        Ok((said, _)) => Ok(said),
        Err(error) => {
            drop(child.kill());
            Err(error)
        }
    };
    let _ = child.wait();
    let said = said.map_err(failed)?;
    Err(serde_json::from_slice(&said).unwrap_or_else(|error| failed(error.into())))
}

fn send(socket: &mut impl Write, order: &Order) -> io::Result<()> {
    let bytes = serde_json::to_vec(order)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    socket.write_all(&length.to_be_bytes())?;
    socket.write_all(&bytes)
}

/// Reads an order.
pub(super) fn receive(socket: &mut impl Read) -> io::Result<Order> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ORDER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Reads an order as a helper does, and writes it again, for the fuzzer; nothing if it is refused.
#[cfg(feature = "stand-in")]
#[must_use]
pub fn order_again(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let order = receive(&mut bytes).ok()?;
    let mut again = Vec::new();
    send(&mut again, &order).ok()?;
    Some(again)
}
