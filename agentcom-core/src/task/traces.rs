//! This file holds what an attempt leaves behind, however it ends.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize};

use crate::name::BlobId;

/// Something that an attempt leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// All that was said until somebody who was put to work ended, or was stopped.
    Transcript(BlobId),
    /// Whether its model answered a call, or was silent for as long as it was given.
    Answered(bool),
    /// So many processes of one of its commands could not be killed.
    Survivors(u32),
}

/// What an attempt left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// What was said, for each time that somebody was put to work; the latest
    /// [`Traces::TRANSCRIPTS_MAX`], oldest first. The agent has them under these names.
    #[serde(default, deserialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    pub transcripts: Vec<BlobId>,
    /// Whether its model answered any call; nothing if that is not known, as of one that was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<bool>,
    /// How many processes of its commands could not be killed, and may be there still.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub survivors: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Traces {
    /// How many transcripts are named.
    pub const TRANSCRIPTS_MAX: usize = 16;

    /// Takes one more in.
    pub fn add(&mut self, trace: Trace) {
        match trace {
            Trace::Transcript(name) if self.transcripts.contains(&name) => {}
            Trace::Transcript(name) => {
                if self.transcripts.len() >= Self::TRANSCRIPTS_MAX {
                    self.transcripts.remove(0);
                }
                self.transcripts.push(name);
            }
            Trace::Answered(answered) => {
                self.answered = Some(answered || self.answered == Some(true));
            }
            Trace::Survivors(more) => self.survivors = self.survivors.saturating_add(more),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads as many names as are kept. A report is not refused for a name that is none.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BlobId>, D::Error> {
    let mut traces = Traces::default();
    let names = Vec::<String>::deserialize(deserializer)?.into_iter();
    names.filter_map(|name| name.parse().ok()).for_each(|name| traces.add(Trace::Transcript(name)));
    Ok(traces.transcripts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn name(number: usize) -> BlobId {
        format!("{number:064x}").parse().unwrap()
    }

    #[test]
    fn the_latest_transcripts_are_kept_each_once() {
        let mut traces = Traces::default();
        assert!(traces.is_none());
        for number in (0..20).chain([19]) {
            traces.add(Trace::Transcript(name(number)));
        }
        assert_eq!(traces.transcripts, (4..20).map(name).collect::<Vec<_>>());
    }

    #[test]
    fn a_model_that_answered_once_has_answered() {
        for (said, answered) in [
            (&[][..], None),
            (&[false], Some(false)),
            (&[false, true], Some(true)),
            (&[true, false], Some(true)),
        ] {
            let mut traces = Traces::default();
            said.iter().for_each(|said| traces.add(Trace::Answered(*said)));
            assert_eq!((traces.answered, traces.is_none()), (answered, answered.is_none()));
        }
    }

    #[test]
    fn processes_that_are_left_add_up() {
        let mut traces = Traces::default();
        [2, 1].into_iter().for_each(|count| traces.add(Trace::Survivors(count)));
        assert_eq!(serde_json::to_string(&traces).unwrap(), r#"{"survivors":3}"#);
        traces.add(Trace::Survivors(u32::MAX));
        assert_eq!((traces.survivors, traces.is_none()), (u32::MAX, false));
    }

    #[test]
    fn what_is_no_name_is_passed_over() {
        let text = format!(r#"{{"transcripts":["../x","",7,"{}"],"later":1}}"#, name(1));
        assert!(serde_json::from_str::<Traces>(&text).is_err(), "a number is no text");
        let traces: Traces = serde_json::from_str(&text.replace("7,", "")).unwrap();
        assert_eq!(traces.transcripts, [name(1)]);
        assert_eq!(serde_json::from_str::<Traces>("{}").unwrap(), Traces::default());
    }
}
