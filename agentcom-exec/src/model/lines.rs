//! This file cuts a stream of bytes into lines, none longer than a bound.

/// Lines of a stream that comes in pieces.
#[derive(Debug)]
pub(crate) struct Lines {
    held: Vec<u8>,
    bytes_max: usize,
}

/// A line is longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {0} bytes")]
pub(crate) struct TooLong(usize);

impl Lines {
    pub(crate) fn at_most(bytes_max: usize) -> Self {
        Self { held: Vec::new(), bytes_max }
    }

    /// The lines that end in `piece`, without their ends.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut ended = Vec::new();
        let mut parts = piece.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.held.len() + part.len() > self.bytes_max {
                return Err(TooLong(self.bytes_max));
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

    #[test]
    fn a_line_without_an_end_is_given_up_on() {
        let mut lines = Lines::at_most(10);
        assert_eq!(lines.push(b"0123456789").unwrap(), [b""; 0]);
        assert_eq!(lines.push(b"0"), Err(TooLong(10)));
    }
}
