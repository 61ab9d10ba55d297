//! This file cuts a stream of bytes into lines, none longer than a bound.

use std::collections::VecDeque;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;

/// Lines of a stream that comes in pieces.
#[derive(Debug)]
pub(crate) struct Lines {
    held: Vec<u8>,
    bytes_max: usize,
}

/// More comes than anybody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    /// A line is longer than the bound.
    #[error("a line is longer than {0} bytes")]
    Line(usize),
    /// All of it is longer than the bound.
    #[error("it is longer than {0} bytes")]
    All(u64),
}

impl Lines {
    pub(crate) fn at_most(bytes_max: usize) -> Self {
        Self { held: Vec::new(), bytes_max }
    }

    /// The lines that end in `piece`, without their ends.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, TooMuch> {
        let mut ended = Vec::new();
        let mut parts = piece.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.held.len() + part.len() > self.bytes_max {
                return Err(TooMuch::Line(self.bytes_max));
            }
            self.held.extend_from_slice(part);
            if parts.peek().is_some() {
                ended.push(std::mem::take(&mut self.held));
            }
        }
        Ok(ended)
    }

    /// What came after the last end of a line.
    pub(crate) fn rest(self) -> Vec<u8> {
        self.held
    }
}

/// The lines that a program says by a socket.
#[derive(Debug)]
pub(crate) struct Said {
    from: OwnedReadHalf,
    piece: Vec<u8>,
    lines: Lines,
    ended: VecDeque<Vec<u8>>,
    /// How much it may still say.
    left: u64,
    bytes_max: u64,
}

impl Said {
    /// Those that come by `from`, each of `line_bytes_max` bytes at most, and all of `bytes_max`.
    pub(crate) fn by(from: OwnedReadHalf, line_bytes_max: usize, bytes_max: u64) -> Self {
        let (piece, lines) = (Vec::with_capacity(64 * 1024), Lines::at_most(line_bytes_max));
        Self { from, piece, lines, ended: VecDeque::new(), left: bytes_max, bytes_max }
    }

    /// The next line, without its end; nothing when it says no more. What comes behind the last end of
    /// a line was never finished, and is passed over. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, TooMuch> {
        loop {
            if let Some(line) = self.ended.pop_front() {
                return Ok(Some(line));
            }
            self.piece.clear();
            let Ok(read @ 1..) = self.from.read_buf(&mut self.piece).await else {
                return Ok(None);
            };
            let left = self.left.checked_sub(read as u64);
            self.left = left.ok_or(TooMuch::All(self.bytes_max))?;
            self.ended.extend(self.lines.push(&self.piece)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..text.len() {
            let mut lines = Lines::at_most(5);
            let pieces = text.chunks(size).map(|piece| lines.push(piece).unwrap());
            let all: Vec<Vec<u8>> = pieces.collect::<Vec<_>>().concat();
            assert_eq!(all, [&b"one"[..], b"", b"two"], "{size}");
            assert_eq!(lines.rest(), b"three");
        }
    }

    #[tokio::test]
    async fn what_a_program_says_is_bounded_by_the_line_and_in_all() {
        use tokio::io::AsyncWriteExt as _;
        for (text, expected) in [
            (&b"one\ntwo\nhalf"[..], Ok(2)),
            (b"one\n0123456\n", Err(TooMuch::Line(6))),
            (b"one\ntwo\n1\n2\n3\n4\n5\n", Err(TooMuch::All(16))),
        ] {
            let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
            theirs.write_all(text).await.unwrap();
            drop(theirs);
            let mut said = Said::by(ours.into_split().0, 6, 16);
            let mut heard = 0;
            let end = loop {
                match said.next().await {
                    Ok(Some(_)) => heard += 1,
                    Ok(None) => break Ok(heard),
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(end, expected);
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up_on() {
        let mut lines = Lines::at_most(10);
        assert_eq!(lines.push(b"0123456789").unwrap(), [b""; 0]);
        assert_eq!(lines.push(b"0"), Err(TooMuch::Line(10)));
    }
}
