//! This file translates our ten states into the original's words and back.

use agentcom_core::task::TaskState;

/// The original's words, each with our states.
pub(crate) const STATUSES: [(&str, &[&str]); 5] = [
    ("queued", &["blocked", "delayed", "ready", "waiting"]),
    ("assigned", &["assigned", "working"]),
    ("completed", &["completed", "partial"]),
    ("dead_letter", &["dead_letter"]),
    ("cancelled", &["cancelled"]),
];

/// The original's word for a state.
pub(crate) fn status_of(state: &str) -> &'static str {
    let found = STATUSES.iter().find(|(_, states)| states.contains(&state));
    found.map_or("queued", |(status, _)| status)
}

/// Our states for one of the original's words.
pub(crate) fn states_of(status: &str) -> Option<&'static [&'static str]> {
    STATUSES.iter().find(|(word, _)| *word == status).map(|(_, states)| *states)
}

/// Whether a word names one of our states.
pub(crate) fn is_state(word: &str) -> bool {
    TaskState::WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_exactly_one_status() {
        for state in TaskState::WORDS {
            let known = STATUSES.iter().filter(|(_, states)| states.contains(&state)).count();
            assert_eq!(known, 1, "{state}");
            assert!(states_of(status_of(state)).is_some_and(|states| states.contains(&state)));
        }
    }
}
