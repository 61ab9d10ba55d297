//! This file reads the queries of lists: which tasks, and from where on.

use agentcom_core::name::{AgentId, GoalId};
use agentcom_core::view::TaskQuery;
use serde::Deserialize;

use crate::dto::status::{STATUSES, is_state, states_of};
use crate::dto::text::NumberOrText;
use crate::error::FieldError;

/// Which tasks to list, as a client writes it; words may be lists with commas.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) status: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) priority: Option<NumberOrText>,
    pub(crate) assigned_to: Option<String>,
    pub(crate) goal_id: Option<String>,
    pub(crate) submitted_by: Option<String>,
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// From where on events are told, and in which form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    pub(crate) after: Option<u64>,
    pub(crate) format: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// Reads a query; `None` if nothing can fit it.
pub(crate) fn task_query(query: ListQuery) -> Result<Option<TaskQuery>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let states = states(query.status.as_deref(), query.state.as_deref(), &mut errors);
    let mut keep = Keep(&mut errors);
    let priority = query.priority.and_then(|word| keep.of("priority", word.0.parse()));
    let agent = query.assigned_to.and_then(|text| keep.of("assigned_to", AgentId::new(&text)));
    let goal = query.goal_id.and_then(|text| keep.of("goal_id", GoalId::new(&text)));
    let submitted_by = query.submitted_by.and_then(|text| keep.of("submitted_by", text.parse()));
    let limit = query.limit.unwrap_or(50);
    if limit == 0 || limit > TaskQuery::LIMIT_MAX {
        let rule = format!("must be 1 to {}", TaskQuery::LIMIT_MAX);
        errors.push(FieldError::invalid("limit", rule));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let Some(states) = states else { return Ok(None) };
    Ok(Some(TaskQuery { states, priority, agent, goal, submitted_by, after: query.cursor, limit }))
}

struct Keep<'a>(&'a mut Vec<FieldError>);

impl Keep<'_> {
    fn of<T, E: ToString>(&mut self, field: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|why| self.0.push(FieldError::invalid(field, why))).ok()
    }
}

/// The states that fit both words; an empty list stands for all, `None` for none.
fn states(
    status: Option<&str>,
    state: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<Vec<String>> {
    let mut by_status: Vec<&str> = Vec::new();
    for word in status.into_iter().flat_map(|words| words.split(',')) {
        match states_of(word) {
            Some(states) => by_status.extend(states),
            None => errors
                .push(FieldError::invalid("status", unknown(word, STATUSES.map(|(word, _)| word)))),
        }
    }
    let mut by_state: Vec<&str> = Vec::new();
    for word in state.into_iter().flat_map(|words| words.split(',')) {
        if is_state(word) {
            by_state.push(word);
        } else {
            let words = agentcom_core::task::TaskState::WORDS;
            errors.push(FieldError::invalid("state", unknown(word, words)));
        }
    }
    if status.is_some() && state.is_some() {
        by_state.retain(|word| by_status.contains(word));
        return (!by_state.is_empty()).then(|| owned(&by_state));
    }
    Some(owned(if state.is_some() { &by_state } else { &by_status }))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn unknown<const N: usize>(word: &str, allowed: [&str; N]) -> String {
    let word: String = word.chars().take(40).collect();
    format!("`{word}` is unknown; allowed are {}", allowed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states_for(status: Option<&str>, state: Option<&str>) -> Option<Vec<String>> {
        let (status, state) = (status.map(str::to_owned), state.map(str::to_owned));
        let query = task_query(ListQuery { status, state, ..ListQuery::default() }).unwrap();
        query.map(|query| query.states)
    }

    #[test]
    fn a_status_means_all_states_that_it_covers() {
        assert_eq!(states_for(None, None), Some(vec![]));
        assert_eq!(states_for(Some("assigned"), None).unwrap(), ["assigned", "working"]);
        assert_eq!(states_for(Some("queued"), Some("ready")).unwrap(), ["ready"]);
        assert_eq!(states_for(None, Some("ready,working")).unwrap(), ["ready", "working"]);
        assert_eq!(states_for(Some("completed"), Some("ready")), None);
    }

    #[test]
    fn each_word_that_means_nothing_is_named() {
        let query = ListQuery {
            status: Some("done".into()),
            state: Some("ready,idle".into()),
            priority: Some(NumberOrText("9".into())),
            assigned_to: Some("a b".into()),
            submitted_by: Some("root".into()),
            limit: Some(201),
            ..ListQuery::default()
        };
        let errors = task_query(query).unwrap_err();
        let fields: Vec<_> = errors.iter().map(|bad| bad.field.as_str()).collect();
        assert_eq!(fields, ["status", "state", "priority", "assigned_to", "submitted_by", "limit"]);
    }
}
