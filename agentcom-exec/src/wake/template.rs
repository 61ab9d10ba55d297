//! This file fills a task into a command template.

use agentcom_core::wire::Assignment;

/// Replaces the names in each element, once: what comes from the task is not looked at again.
/// Names that it does not know stay as they are.
pub(super) fn fill(template: &[String], job: &Assignment) -> Vec<String> {
    template.iter().map(|element| fill_one(element, job)).collect()
}

fn fill_one(element: &str, job: &Assignment) -> String {
    let mut filled = String::new();
    let mut rest = element;
    while let Some((before, behind)) = rest.split_once("${") {
        filled.push_str(before);
        let value = behind.split_once('}').and_then(|(name, rest)| Some((value(name, job)?, rest)));
        if let Some((value, behind)) = value {
            filled.push_str(&value);
            rest = behind;
        } else {
            filled.push_str("${");
            rest = behind;
        }
    }
    filled + rest
}

fn value(name: &str, job: &Assignment) -> Option<String> {
    let text = match name {
        "TASK_ID" => job.task_id.to_string(),
        "TASK_JSON" => serde_json::to_string(job).unwrap_or_default(),
        "TASK_DESCRIPTION" => job.description.to_string(),
        "GENERATION" => job.generation.to_string(),
        _ => return None,
    };
    // The system takes an argument up to the first NUL.
    Some(text.replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_core::id::{Incarnation, Lease, TaskId};
    use agentcom_core::json::Json;
    use agentcom_core::task::Op;
    use agentcom_core::time::Span;
    use agentcom_core::wire::Held;

    fn filled(element: &str) -> String {
        let held = Held { task_id: TaskId(1), generation: Lease(7) };
        let op = Op { kind: "wake".parse().unwrap(), input: Json::null() };
        let description = "say \"${GENERATION}\"\0 $(id)".into();
        let job = Assignment {
            description,
            lease_ttl_ms: Span(1),
            ..Assignment::new(held, Incarnation(1), op)
        };
        fill_one(element, &job)
    }

    #[test]
    fn a39_names_are_replaced_once_and_others_stay() {
        for (element, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${TASK_ID}", "task-0000000000000001"),
            ("<${GENERATION}|${GENERATION}>", "<7|7>"),
            ("${TASK_DESCRIPTION}", "say \"${GENERATION}\" $(id)"),
            ("${HOME} $TASK_ID ${", "${HOME} $TASK_ID ${"),
            ("${${GENERATION}}", "${7}"),
            ("${GENERATION", "${GENERATION"),
        ] {
            assert_eq!(filled(element), expected, "{element}");
        }
    }
}
