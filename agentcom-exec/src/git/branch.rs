//! This file names the branch of a task: `agentcom/<task-id>`, and behind that a few words for people;
//! and says how branches are named to git.
//!
//! **Invariant:** two tasks never share a branch, since the id is part of its name.

use agentcom_core::id::TaskId;

use super::checkout::REMOTE;

/// What all branches of tasks are under.
const UNDER: &str = "agentcom/";
/// The longest slug, in characters.
const SLUG_CHARS_MAX: usize = 40;

/// What a branch of the clone is called without doubt: of a short name git takes a tag that is called so,
/// or what else it finds first.
pub(super) fn ours(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// The same of what the clone has of a branch of the remote.
pub(super) fn theirs(branch: &str) -> String {
    format!("refs/remotes/{REMOTE}/{branch}")
}

/// The branch of a task, with words of its description.
#[must_use]
pub fn task_branch(task: TaskId, description: &str) -> String {
    let slug = slug_of(description);
    if slug.is_empty() { format!("{UNDER}{task}") } else { format!("{UNDER}{task}-{slug}") }
}

/// The task that a branch is of, if it is one of a task.
#[must_use]
pub fn task_of(branch: &str) -> Option<TaskId> {
    let name = branch.strip_prefix(UNDER)?;
    let end = name.match_indices('-').map(|(at, _)| at).nth(1).unwrap_or(name.len());
    name[..end].parse().ok()
}

/// The first words of a text in lower case, joined by `-`: letters and digits of ASCII, at most 40.
#[must_use]
pub fn slug_of(text: &str) -> String {
    let mut slug = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let gap = usize::from(!slug.is_empty());
        if slug.len() + gap + word.len() > SLUG_CHARS_MAX {
            // A first word that is too long is better than none.
            let room = if slug.is_empty() { SLUG_CHARS_MAX } else { 0 };
            slug.push_str(&word[..room].to_ascii_lowercase());
            break;
        }
        slug.push_str(&"-"[..gap]);
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_has_the_id_of_its_task_and_a_few_words() {
        let task = TaskId(0xab);
        for (description, branch) in [
            ("Fix the *parser*, please!", "agentcom/task-00000000000000ab-fix-the-parser-please"),
            ("", "agentcom/task-00000000000000ab"),
            ("../..; rm -rf ~", "agentcom/task-00000000000000ab-rm-rf"),
            ("Größe äöü", "agentcom/task-00000000000000ab-gr-e"),
            (
                "one two three four five six seven eight nine",
                "agentcom/task-00000000000000ab-one-two-three-four-five-six-seven-eight",
            ),
        ] {
            assert_eq!(task_branch(task, description), branch);
            assert_eq!(task_of(branch), Some(task), "{branch}");
        }
        let long = "x".repeat(60);
        assert_eq!(slug_of(&long), "x".repeat(40));
    }

    #[test]
    fn other_branches_are_of_no_task() {
        for branch in
            ["main", "agentcom/", "agentcom/fix", "agentcom/task-12", "task-00000000000000ab"]
        {
            assert_eq!(task_of(branch), None, "{branch}");
        }
    }
}
