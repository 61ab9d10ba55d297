//! This file reads what a server says of a call that its model wrote and that it could not read: that is
//! no failure of the server, but something that the model has to hear of.
//!
//! Ollama answers with status 500, or with an error in the middle of a stream:
//! `error parsing tool call: raw='{"path": …', err=invalid character …`; see ollama/ollama#12884.

use crate::model::{Reply, Unreadable};

const SAID: &str = "error parsing tool call";
const RAW: &str = "raw='";
const ERR: &str = "', err=";

/// How much of it is told, in bytes.
const BYTES_MAX: usize = 400;

/// The answer whose call could not be read; nothing if the server says something else.
pub(super) fn answer(seen: &str) -> Option<Reply> {
    let (_, told) = seen.split_once(SAID)?;
    let raw = told.split_once(RAW).map_or(told, |(_, raw)| raw);
    // Of what was cut off nobody knows what it was to be, so that is not read once more.
    let (raw, text, why) = match raw.rsplit_once(ERR) {
        Some((raw, why)) => (raw, raw, why.trim()),
        None => (raw, "", told.trim_start_matches(':').trim()),
    };
    let why = if why.is_empty() { "it is no JSON" } else { why };
    let unreadable =
        Unreadable { name: None, text: cut(raw), why: format!("the server says: {}", cut(why)) };
    Some(Reply { text: text.to_owned(), unreadable: vec![unreadable], ..Reply::default() })
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_a_call_is_told_and_what_was_cut_off_is_not_read_again() {
        let raw = r#"{"path":"a","content":"x"}]"#;
        let said = |rest: &str| answer(&format!("error parsing tool call: raw='{raw}{rest}"));
        let reply = said("', err=invalid character ']' after top-level value").unwrap();
        let [call] = &reply.unreadable[..] else { panic!("{reply:?}") };
        assert_eq!((&*reply.text, &*call.text), (raw, raw));
        assert!(call.why.ends_with("says: invalid character ']' after top-level value"));
        assert_eq!(said("', err=").unwrap().unreadable[0].why, "the server says: it is no JSON");
        let half = said("").unwrap();
        assert_eq!((&*half.text, half.unreadable.len()), ("", 1));
        assert_eq!(answer("out of memory"), None);
    }
}
