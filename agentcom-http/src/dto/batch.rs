//! This file reads a batch of tasks that refer to each other by names of their own.

use agentcom_core::task::Draft;
use serde::Deserialize;

use crate::dto::task_body::{References, TaskBody, draft};
use crate::error::FieldError;

/// The longest name of a task within a batch, in bytes.
const REF_BYTES_MAX: usize = 64;

/// Tasks to queue together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody {
    pub(crate) tasks: Vec<TaskBody>,
}

/// The drafts of a batch, each with the name that the batch gave it.
pub(crate) fn drafts(body: BatchBody) -> Result<Vec<(Option<String>, Draft)>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let references = references(&body.tasks, &mut errors);
    let mut drafts = Vec::with_capacity(body.tasks.len());
    for (n, mut task) in body.tasks.into_iter().enumerate() {
        let reference = task.reference.take();
        match draft(task, &format!("tasks[{n}]."), &references) {
            Ok(draft) => drafts.push((reference, draft)),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() { Ok(drafts) } else { Err(errors) }
}

fn references(tasks: &[TaskBody], errors: &mut Vec<FieldError>) -> References {
    let mut references = References::new();
    for (n, task) in tasks.iter().enumerate() {
        let Some(name) = &task.reference else { continue };
        let field = format!("tasks[{n}].ref");
        if let Some(why) = broken_rule(name) {
            errors.push(FieldError::invalid(field, why));
        } else if let Some(first) = references.get(name) {
            errors.push(FieldError::invalid(
                field,
                format!("`{name}` is the ref of tasks[{first}] already"),
            ));
        } else {
            references.insert(name.clone(), n);
        }
    }
    references
}

fn broken_rule(name: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > REF_BYTES_MAX {
        Some("must be 1 to 64 bytes")
    } else if !name.bytes().all(plain) {
        Some("may hold only ASCII letters, digits and ._-")
    } else if name.starts_with("task-") {
        Some("must not start with task-, as ids do")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::id::TaskId;
    use agentcom_core::task::Dependency;
    use expect_test::expect;

    fn read(json: &str) -> Result<Vec<Vec<Dependency>>, String> {
        let body = crate::input::parse(json.as_bytes());
        let body: BatchBody = body.map_err(|problem| problem.document().to_string())?;
        let drafts = drafts(body).map_err(|errors| {
            errors.iter().map(|bad| format!("{}: {}\n", bad.field, bad.detail)).collect::<String>()
        })?;
        Ok(drafts.into_iter().map(|(_, draft)| draft.depends_on).collect())
    }

    #[test]
    fn tasks_refer_to_each_other_by_name_and_to_others_by_id() {
        let read = read(
            r#"{"tasks":[
                {"ref":"a","depends_on":["c"]},
                {"depends_on":["a","task-0000000000000007"]},
                {"ref":"c"}]}"#,
        );
        assert_eq!(
            read.unwrap(),
            [
                vec![Dependency::Sibling(2)],
                vec![Dependency::Sibling(0), Dependency::Known(TaskId(7))],
                vec![]
            ]
        );
    }

    #[test]
    fn each_wrong_name_is_named() {
        let wrong = read(
            r#"{"tasks":[
                {"ref":"a","depends_on":["b","a"]},
                {"ref":"a"},
                {"ref":"task-1"},
                {"ref":""},
                {"ref":"x y","priority":"asap"}]}"#,
        );
        expect![[r#"
            tasks[1].ref: `a` is the ref of tasks[0] already
            tasks[2].ref: must not start with task-, as ids do
            tasks[3].ref: must be 1 to 64 bytes
            tasks[4].ref: may hold only ASCII letters, digits and ._-
            tasks[0].depends_on[0]: `b` is neither a task id nor a ref of this batch
            tasks[4].priority: unknown priority `asap`; allowed are urgent (or critical), high, normal, low and 0 to 3
        "#]]
        .assert_eq(&wrong.unwrap_err());
    }
}
