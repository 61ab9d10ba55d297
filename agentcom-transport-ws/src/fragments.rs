//! This file counts the fragments of what a client says, which the library bounds by bytes alone.
//!
//! A fragment may be empty, so a message of them grows without ever becoming longer. The bytes pass
//! through here on their way to the library; only the headers of frames are looked at (RFC 6455,
//! 5.2), and nothing is kept but where the next one begins. What is no frame the library refuses.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that fails to be read where a message is in more fragments than it may be, behind all
/// that came before. It does so once; then what comes passes uncounted, so that it can be drained.
#[derive(Debug)]
pub(crate) struct Counting<S> {
    socket: S,
    count: Count,
}

/// A message is in too many fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message is in too many fragments")
    }
}

impl std::error::Error for TooMany {}

impl<S> Counting<S> {
    /// Counts from the first frame on, of which `read` was read already.
    pub(crate) fn after(read: &[u8], socket: S, fragments_max: u32) -> Self {
        let mut count = Count::new(fragments_max);
        count.pass(read);
        Self { socket, count }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let over = || Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, TooMany)));
        if self.count.tell() {
            return over();
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        // The library is not to see what is over the bound.
        let good = self.count.pass(&buffer.filled()[before..]);
        buffer.set_filled(before + good);
        // Nothing at all would be the end of the stream.
        if good == 0 && self.count.tell() { over() } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// How many fragments the message under way has, and where in the next frame the bytes are.
#[derive(Debug)]
struct Count {
    fragments: u32,
    max: u32,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first byte of a frame: its kind, and whether it is the last of a message.
    Kind,
    /// The byte that says how long it is, or how many bytes say so.
    Length,
    /// So many bytes of its length are to come, and what those before say.
    Longer { bytes: u8, length: u64, masked: bool },
    /// So many bytes of its mask and its payload.
    Rest(u64),
    /// A message was in too many fragments; whether that was told.
    Over { told: bool },
}

const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTROL: u8 = 0x08;
const MASK_BYTES: u64 = 4;

impl Count {
    const fn new(max: u32) -> Self {
        Self { fragments: 0, max, at: At::Kind }
    }

    /// Whether the bound was passed, which is told once.
    fn tell(&mut self) -> bool {
        let tells = self.at == At::Over { told: false };
        if tells {
            self.at = At::Over { told: true };
        }
        tells
    }

    /// Takes note of what was read, and returns how much of it is within the bound.
    fn pass(&mut self, all: &[u8]) -> usize {
        let mut bytes = all;
        while let Some((&byte, behind)) = bytes.split_first() {
            self.at = match self.at {
                At::Kind => {
                    let next = self.kind(byte);
                    if matches!(next, At::Over { .. }) {
                        self.at = next;
                        return all.len() - bytes.len();
                    }
                    next
                }
                At::Length => {
                    let masked = byte & MASKED != 0;
                    match u64::from(byte & !MASKED) {
                        126 => At::Longer { bytes: 2, length: 0, masked },
                        127 => At::Longer { bytes: 8, length: 0, masked },
                        length => rest(length, masked),
                    }
                }
                At::Longer { bytes, length, masked } => {
                    let length = length << 8 | u64::from(byte);
                    match bytes {
                        1 => rest(length, masked),
                        _ => At::Longer { bytes: bytes - 1, length, masked },
                    }
                }
                At::Rest(left) => {
                    // This byte is taken below.
                    let skipped = (left - 1).min(behind.len() as u64);
                    bytes = &bytes[skipped as usize..];
                    match left - 1 - skipped {
                        0 => At::Kind,
                        left => At::Rest(left),
                    }
                }
                At::Over { .. } => return all.len(),
            };
            bytes = &bytes[1..];
        }
        all.len()
    }

    /// Control frames stand between the fragments of a message and are none of them.
    fn kind(&mut self, byte: u8) -> At {
        if byte & CONTROL != 0 {
            return At::Length;
        }
        self.fragments += 1;
        if self.fragments > self.max {
            return At::Over { told: false };
        }
        if byte & LAST != 0 {
            self.fragments = 0;
        }
        At::Length
    }
}

const fn rest(length: u64, masked: bool) -> At {
    let mask = if masked { MASK_BYTES } else { 0 };
    match length.saturating_add(mask) {
        0 => At::Kind,
        left => At::Rest(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a mask of zeros.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            0..126 => bytes.push(0x80 | payload as u8),
            126..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        // A payload full of what would be the first byte of a fragment.
        bytes.extend([0; 4]);
        bytes.extend(vec![0; payload]);
        bytes
    }

    /// Whether these frames are too many fragments where 3 are allowed, however they are cut.
    fn is_over(frames: &[Vec<u8>]) -> bool {
        let bytes = frames.concat();
        // How many bytes are within the bound, if not all are.
        let over = |step: usize| {
            let mut count = Count::new(3);
            let mut good = 0;
            for part in bytes.chunks(step) {
                good += count.pass(part);
                if count.tell() {
                    assert!(!count.tell() && count.pass(part) == part.len(), "it is told once");
                    return Some(good);
                }
            }
            None
        };
        let all = over(bytes.len());
        assert!([1, 2, 3, 7, 1_000].into_iter().all(|step| over(step) == all));
        let last = frames.last().map_or(0, Vec::len);
        assert!(all.is_none_or(|good| good == bytes.len() - last), "up to the one too many");
        all.is_some()
    }

    #[test]
    fn fragments_are_counted_for_each_message_whatever_they_hold() {
        for payload in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let (first, more, last) =
                (frame(0x01, payload), frame(0x00, payload), frame(0x80, payload));
            let three = [first.clone(), more.clone(), last.clone()];
            assert!(!is_over(&[&three[..], &three, &three].concat()), "{payload}");
            let four = [first, more.clone(), more, last];
            assert!(is_over(&four), "{payload}");
        }
    }

    #[test]
    fn whole_messages_and_control_frames_are_no_fragments() {
        assert!(!is_over(&vec![frame(0x81, 5); 100]));
        let pings = vec![frame(0x89, 0); 100];
        let between = [vec![frame(0x01, 1)], pings.clone(), vec![frame(0x00, 1)], pings];
        assert!(!is_over(&between.concat()));
        let mut over = between.concat();
        over.extend([frame(0x00, 0), frame(0x00, 0)]);
        assert!(is_over(&over));
    }

    #[test]
    fn a_length_that_cannot_be_ends_nothing_but_the_counting() {
        let mut longest = vec![0x81, 0xff];
        longest.extend([0xff; 8]);
        assert!(!is_over(&[longest, vec![0; 100]]));
    }
}
