//! This file finds the task that somebody means by the end of its id.

use agentcom_core::id::TaskId;
use serde_json::Value;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::text;

/// The fewest characters that name a task.
const SUFFIX_CHARS_MIN: usize = 4;
/// How many tasks are looked through for a suffix.
const LOOKED_AT_MAX: usize = 10_000;

/// The id that `given` means: an id, or the end of exactly one.
pub(crate) async fn task_id(client: &Client, given: &str) -> Result<String, Failure> {
    if given.parse::<TaskId>().is_ok() {
        return Ok(given.to_owned());
    }
    let suffix = suffix(given)?;
    let mut found = Vec::new();
    let (mut seen, mut cursor) = (0, None::<String>);
    while seen < LOOKED_AT_MAX {
        let mut query = vec![("limit", "200".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = client.get(&["api", "tasks"], &query).await?;
        let tasks = page["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        seen += tasks.len();
        found.extend(tasks.iter().filter(|task| id_of(task).ends_with(&suffix)).cloned());
        match page["next_cursor"].as_str() {
            Some(next) if !tasks.is_empty() => cursor = Some(next.to_owned()),
            _ => break,
        }
    }
    chosen(given, &found, cursor.map(|_| seen))
}

/// The id of a task in an answer.
pub(crate) fn id_of(task: &Value) -> &str {
    task["id"].as_str().or_else(|| task["task_id"].as_str()).unwrap_or_default()
}

fn suffix(given: &str) -> Result<String, Failure> {
    let digits = given.strip_prefix("task-").unwrap_or(given).to_ascii_lowercase();
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || !(SUFFIX_CHARS_MIN..=16).contains(&digits.len()) {
        let message = format!("`{given}` is no task id");
        return Err(Failure::new(Exit::Usage, message)
            .hint("give `task-` and 16 hexadecimal digits, or at least the last 4 of them"));
    }
    Ok(digits)
}

/// The one task that was found; `looked_at` is how many were looked through if there are more.
fn chosen(given: &str, found: &[Value], looked_at: Option<usize>) -> Result<String, Failure> {
    match (found, looked_at) {
        ([], Some(seen)) => Err(Failure::new(
            Exit::NotFound,
            format_args!("none of the first {seen} tasks ends with {given}, and there are more"),
        )
        .hint("give the whole id")),
        ([], None) => Err(Failure::new(Exit::NotFound, format_args!("there is no task {given}"))
            .hint("`agentcom tasks` lists the tasks")),
        ([task], _) => Ok(id_of(task).to_owned()),
        (several, _) => {
            let mut failure =
                Failure::new(Exit::Usage, format_args!("{} tasks end with {given}", several.len()));
            let line =
                |task: &Value| format!("{}  {}", id_of(task), text::field(task, "description"));
            failure.details = several.iter().take(10).map(line).collect();
            Err(failure.hint("give more of the id"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_suffix_is_made_of_at_least_four_digits() {
        let read = |given: &str| suffix(given).map_err(|failure| failure.exit as u8);
        let read = ["89abcdef", "task-89AB", "abc", "wxyz", "", "task-0123456789abcdef0"].map(read);
        expect![[r#"[Ok("89abcdef"), Ok("89ab"), Err(64), Err(64), Err(64), Err(64)]"#]]
            .assert_eq(&format!("{read:?}"));
    }

    #[test]
    fn one_match_is_meant_none_is_missing_and_several_are_named() {
        let tasks = [
            json!({"id": "task-0000000000001234", "description": "one"}),
            json!({"id": "task-0000000000011234", "description": "two"}),
        ];
        assert_eq!(chosen("1234", &tasks[..1], None), Ok("task-0000000000001234".into()));
        assert_eq!(chosen("1234", &[], None).unwrap_err().exit, Exit::NotFound);
        let bounded = chosen("1234", &[], Some(10_000)).unwrap_err();
        assert_eq!(
            bounded.message,
            "none of the first 10000 tasks ends with 1234, and there are more"
        );
        expect![[r#"
            Failure {
                exit: Usage,
                message: "2 tasks end with 1234",
                details: [
                    "task-0000000000001234  one",
                    "task-0000000000011234  two",
                ],
                hint: Some(
                    "give more of the id",
                ),
            }
        "#]]
        .assert_debug_eq(&chosen("1234", &tasks, None).unwrap_err());
    }
}
