//! This file keeps the head and the tail of what a job prints, and passes news of it on.

use std::collections::VecDeque;

use agentcom_core::json::Json;
use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::task::Trace;

/// The beginning and the end of a stream of bytes, in bounded memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// At most this many bytes of each end.
    half: usize,
    left_out: u64,
}

impl Kept {
    pub(crate) fn at_most(bytes: usize) -> Self {
        Self { half: bytes / 2, ..Self::default() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(self.half - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        let rest = &bytes[to_head..];
        let skipped = rest.len().saturating_sub(self.half);
        self.tail.extend(&rest[skipped..]);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
        self.left_out += (skipped + over) as u64;
    }

    /// What was kept as text that takes at most `budget` bytes as a JSON string, and whether that
    /// is less than what was pushed.
    pub(crate) fn text(&self, budget: usize) -> (String, bool) {
        let mut bytes = self.head.clone();
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.left_out == 0 {
            bytes.extend_from_slice(&tail);
            let whole = String::from_utf8_lossy(&bytes);
            if json_len(&whole) <= budget {
                return (whole.into_owned(), false);
            }
            return (cut_middle(&whole, "", budget, 0), true);
        }
        let (head, tail) = (String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&tail));
        (cut_middle(&head, &tail, budget, self.left_out), true)
    }

    /// The last bytes as text of at most `bytes` bytes.
    pub(crate) fn last(&self, bytes: usize) -> String {
        let all: Vec<u8> = self.head.iter().chain(&self.tail).copied().collect();
        let text = String::from_utf8_lossy(&all);
        let text = text.trim();
        let start = text.ceil_char_boundary(text.len().saturating_sub(bytes));
        text[start..].to_owned()
    }
}

/// The length of `text` as a JSON string, without its quotes.
pub(crate) fn json_len(text: &str) -> usize {
    text.chars().map(json_len_of).sum()
}

fn json_len_of(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

/// The beginning and the end of `head` followed by `tail`, with a note of how much is missing
/// between them; at most `budget` bytes as a JSON string.
pub(crate) fn cut_middle(head: &str, tail: &str, budget: usize, left_out: u64) -> String {
    const NOTE_BYTES: usize = 64;
    let half = budget.saturating_sub(NOTE_BYTES) / 2;
    let (head, tail) = if tail.is_empty() { (head, head) } else { (head, tail) };
    let fitting = |chars: &mut dyn Iterator<Item = char>| {
        let mut room = half;
        let mut bytes = 0;
        for c in chars {
            let Some(left) = room.checked_sub(json_len_of(c)) else { break };
            room = left;
            bytes += c.len_utf8();
        }
        bytes
    };
    let first = fitting(&mut head.chars());
    let last = tail.len() - fitting(&mut tail.chars().rev());
    let same = std::ptr::eq(head, tail);
    let missing = if same { last - first } else { head.len() - first + last } as u64 + left_out;
    let note = format!("\n[{missing} bytes left out]\n");
    if json_len(&note) > budget {
        return String::new();
    }
    format!("{}{note}{}", &head[..first], &tail[last..])
}

/// Output since the last news, in bounded memory.
#[derive(Debug)]
pub(crate) struct Fresh {
    event: &'static str,
    bytes: Vec<u8>,
    left_out: usize,
}

impl Fresh {
    /// The most that is passed on at once.
    const BYTES_MAX: usize = 8 * 1024;

    pub(crate) fn of(event: &'static str) -> Self {
        Self { event, bytes: Vec::new(), left_out: 0 }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(Self::BYTES_MAX - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.left_out += bytes.len() - room;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Passes on whole lines, or what there is of a line that does not end.
    pub(crate) fn report(&mut self, ctx: &dyn JobContext) {
        if self.bytes.is_empty() {
            return;
        }
        let line_end = self.bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        let end = if self.left_out > 0 { None } else { line_end };
        let end = end.unwrap_or(self.bytes.len());
        let text = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end);
        report(ctx, self.event, &text);
        if self.left_out > 0 {
            report(ctx, "status", &format!("{} bytes of {} left out", self.left_out, self.event));
            self.left_out = 0;
        }
    }
}

/// Passes an event on.
pub(crate) fn report(ctx: &dyn JobContext, event_type: &str, text: &str) {
    #[derive(serde::Serialize)]
    struct Event<'a> {
        event_type: &'a str,
        text: &'a str,
    }
    if let Ok(event) = Json::of(&Event { event_type, text }) {
        ctx.report(News { percent: None, event: Some(event), left: None });
    }
}

/// Tells that so many processes of a command could not be killed, with the end of its attempt as well.
pub(crate) fn survived(ctx: &dyn JobContext, survivors: usize) {
    if survivors > 0 {
        report(ctx, "error", &format!("{survivors} processes could not be killed"));
        let count = u32::try_from(survivors).unwrap_or(u32::MAX);
        ctx.report(News::of_trace(Trace::Survivors(count)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(half: usize, pieces: &[&str]) -> Kept {
        let mut kept = Kept::at_most(2 * half);
        for piece in pieces {
            kept.push(piece.as_bytes());
        }
        kept
    }

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(kept(4, &["abc", "def", "gh"]).text(100), ("abcdefgh".to_owned(), false));
    }

    #[test]
    fn of_long_output_the_head_and_the_tail_are_kept() {
        let expected = "abcd\n[5 bytes left out]\njklm".to_owned();
        assert_eq!(kept(4, &["abcdefghijklm"]).text(100), (expected.clone(), true));
        assert_eq!(kept(4, &["ab", "cdef", "ghi", "jk", "lm"]).text(100), (expected, true));
    }

    #[test]
    fn whatever_is_printed_fits_the_budget() {
        let pieces = ["\0".repeat(500), "é\u{1f600}\"\\".repeat(90), "plain".repeat(200)];
        for piece in &pieces {
            for half in [0, 1, 7, 100, 5000] {
                for budget in [0, 10, 64, 100, 1000, 10_000] {
                    let (text, cut) = kept(half, &[piece, piece]).text(budget);
                    let json = serde_json::to_string(&text).unwrap();
                    assert_eq!(json.len() - 2, json_len(&text));
                    assert!(json_len(&text) <= budget, "{half} {budget}: {}", json_len(&text));
                    assert!(cut || text.len() == 2 * piece.len());
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut kept = Kept::at_most(100);
        kept.push(b"a\xff\xfeb");
        assert_eq!(kept.text(100), ("a\u{fffd}\u{fffd}b".to_owned(), false));
    }
}
