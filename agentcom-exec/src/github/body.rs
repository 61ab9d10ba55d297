//! This file writes what a pull request says: what the task was, and what speaks for the change.
//!
//! What is written here stands between two marks, so that it can be brought up to date without
//! touching what people wrote around it.

use std::fmt::Write as _;

use agentcom_core::id::TaskId;
use agentcom_core::money::Micros;
use agentcom_core::risk::{FileChange, Risk};

use crate::verify::PartialPass;

const BEGIN: &str = "<!-- agentcom: begin -->";
const END: &str = "<!-- agentcom: end -->";
/// So many files are named.
const FILES_SHOWN: usize = 30;
/// So much of what the task asks for is shown, in characters as they are sent: GitHub takes no body of
/// more than 65,536.
const TASK_CHARS_MAX: usize = 20_000;
/// So much of each list, and of each name of a file.
const LIST_CHARS_MAX: usize = 6_000;
const PATH_CHARS_MAX: usize = 200;

/// What speaks for a change.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The task.
    pub task: TaskId,
    /// What it asked for.
    pub description: &'a str,
    /// When the change is good, in words.
    pub criteria: &'a [String],
    /// In which attempt it was made.
    pub attempt: u32,
    /// The commit that is proposed.
    pub commit: &'a str,
    /// What it touches.
    pub files: &'a [FileChange],
    /// How closely to look.
    pub risk: &'a Risk,
    /// What was checked, or why nothing is known to be.
    pub checked: Result<Checked<'a>, &'a str>,
    /// What remains to be done, where the task was not done to its end.
    pub partial: Option<&'a PartialPass>,
    /// What the attempt cost, if that is known.
    pub cost: Option<Micros>,
}

/// What was checked before a change was proposed.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The commit that was checked.
    pub commit: &'a str,
    /// The hash of all that is in it.
    pub tree: &'a str,
    /// The checks, a line each.
    pub lines: &'a [String],
}

/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 72;

/// The title of a pull request or a commit: the first line of what the task asked for, or the branch
/// if there is none.
#[must_use]
pub fn title_of(description: &str, branch: &str) -> String {
    let words = description.lines().next().unwrap_or_default().split_whitespace();
    let line = words.collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.is_empty() {
        return branch.to_owned();
    }
    if line.chars().count() <= TITLE_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(TITLE_CHARS_MAX - 1).collect();
    format!("{}\u{2026}", cut.trim_end())
}

/// The text of a new pull request.
#[must_use]
pub fn body_of(evidence: &Evidence<'_>) -> String {
    let Evidence { task, description, criteria, attempt, commit, files, .. } = evidence;
    let Evidence { risk, checked, partial, cost, .. } = evidence;
    let mut text = format!("{BEGIN}\n");
    for line in fitting(description.lines().map(plain), TASK_CHARS_MAX) {
        let _ = writeln!(text, "> {line}");
    }
    list(&mut text, "It is good when", criteria);
    let _ = write!(
        text,
        "\n| | |\n|---|---|\n| task | `{task}`, attempt {attempt} |\n| commit | `{commit}` |\n"
    );
    let reasons = risk.reasons.iter().map(|reason| plain(&reason.to_string()));
    let reasons = fitting(reasons, LIST_CHARS_MAX);
    let reasons =
        if reasons.is_empty() { "nothing speaks against it".into() } else { reasons.join("; ") };
    let _ =
        writeln!(text, "| risk | tier {}: {} |", risk.tier.number(), reasons.replace('|', "\\|"));
    if let Some(cost) = cost {
        let _ = writeln!(text, "| cost | {cost} |");
    }
    if let Some(partial) = partial {
        list(&mut text, "It is done in part. Done is", partial.done());
        list(&mut text, "What remains", partial.remaining());
    }
    text.push_str(&checks(checked));
    let _ = write!(text, "\n<details><summary>files: {}</summary>\n\n", files.len());
    for FileChange { path, lines, .. } in files.iter().take(FILES_SHOWN) {
        let lines = lines.map_or("not text".into(), |lines| format!("{lines} lines"));
        let path: String = code(path).chars().take(PATH_CHARS_MAX).collect();
        let _ = writeln!(text, "- `{path}`, {lines}");
    }
    if files.len() > FILES_SHOWN {
        let _ = writeln!(text, "- and {} more", files.len() - FILES_SHOWN);
    }
    let _ = write!(text, "\n</details>\n{END}");
    text
}

/// `body`, which says of a pull request that is a draft that it is one no more.
pub(super) fn ready(body: &str) -> String {
    const READY: &str = "It is ready for review by now; a person has to mark it so.\n";
    match body.rfind(END) {
        Some(end) => {
            format!("{}\n\n{READY}{END}{}", body[..end].trim_end(), &body[end + END.len()..])
        }
        None => format!("{body}\n\n{READY}"),
    }
}

/// Lines under a heading; nothing if there are none.
fn list(text: &mut String, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = write!(text, "\n{heading}\n\n");
        items(text, lines);
    }
}

fn items(text: &mut String, lines: &[String]) {
    for line in fitting(lines.iter().map(|line| plain(line)), LIST_CHARS_MAX) {
        let _ = writeln!(text, "- {line}");
    }
}

/// As many of these lines as fit into so many characters, the last of them cut, and how many are left out.
fn fitting(lines: impl Iterator<Item = String>, chars_max: usize) -> Vec<String> {
    /// What stands around each line.
    const AROUND_CHARS: usize = 3;
    let (mut kept, mut room, mut left_out) = (Vec::new(), chars_max, 0);
    for line in lines {
        if room <= AROUND_CHARS {
            left_out += 1;
            continue;
        }
        room -= AROUND_CHARS;
        let chars = line.chars().count();
        kept.push(match chars <= room {
            true => line,
            false => line.chars().take(room).chain(['\u{2026}']).collect(),
        });
        room = room.saturating_sub(chars);
    }
    kept.extend((left_out > 0).then(|| format!("and {left_out} more")));
    kept
}

/// What was checked, and what it was.
fn checks(checked: &Result<Checked<'_>, &str>) -> String {
    match checked {
        Err(why) => format!("\nNothing was checked: {}.\n", plain(why)),
        Ok(Checked { lines: [], .. }) => "\nNothing was checked: there are no checks.\n".to_owned(),
        Ok(Checked { commit, tree, lines }) => {
            let mut text = format!(
                "\nWhat was checked, in commit `{}` with the tree `{}`\n\n",
                code(commit),
                code(tree)
            );
            items(&mut text, lines);
            text
        }
    }
}

/// `before` with what was written here before in exchange for what `body` has; behind all of it if
/// nothing was.
#[must_use]
pub fn with_evidence(before: &str, body: &str) -> String {
    let begin = before.find(BEGIN);
    let end = begin.and_then(|begin| Some(begin + before[begin..].find(END)? + END.len()));
    match begin.zip(end) {
        Some((begin, end)) => format!("{}{body}{}", &before[..begin], &before[end..]),
        None if before.trim().is_empty() => body.to_owned(),
        None => format!("{}\n\n{body}", before.trim_end()),
    }
}

/// A line that cannot end, nor the marked part with it, open HTML or call people by their names.
fn plain(line: &str) -> String {
    line.replace(char::is_control, " ").replace('<', "&lt;").replace('@', "&#64;")
}

/// What stands between backticks and cannot end them.
fn code(text: &str) -> String {
    text.replace('`', "'").replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Report;
    use agentcom_core::risk::{Reason, RiskTier};
    use agentcom_core::verify::Verdict;

    fn evidence(description: &str) -> String {
        with(description, None)
    }

    fn with(description: &str, partial: Option<&PartialPass>) -> String {
        let file =
            FileChange { path: "src/lib.rs".into(), lines: Some(3), is_new: false, is_plain: true };
        let risk = Risk { tier: RiskTier::Usual, reasons: vec![Reason::NoTests, Reason::Files(4)] };
        body_of(&Evidence {
            task: TaskId(0xab),
            description,
            criteria: &["it parses".into()],
            attempt: 2,
            commit: "0123abc",
            files: &[file],
            risk: &risk,
            checked: Ok(Checked {
                commit: "0123abc",
                tree: "4567def",
                lines: &["pass: test_passes cargo test (exit code 0, 12 ms)".into()],
            }),
            partial,
            cost: Some(Micros(120_000)),
        })
    }

    #[test]
    fn a_pull_request_says_what_was_asked_for_and_what_speaks_for_it() {
        let expected = "<!-- agentcom: begin -->\n> Fix it\n\nIt is good when\n\n- it parses\n\n\
            | | |\n|---|---|\n| task | `task-00000000000000ab`, attempt 2 |\n| commit | `0123abc` |\n\
            | risk | tier 2: no test is named after what it touches; it touches 4 files |\n\
            | cost | $0.12 |\n\n\
            What was checked, in commit `0123abc` with the tree `4567def`\n\n\
            - pass: test_passes cargo test (exit code 0, 12 ms)\n\n\
            <details><summary>files: 1</summary>\n\n- `src/lib.rs`, 3 lines\n\n</details>\n\
            <!-- agentcom: end -->";
        assert_eq!(evidence("Fix it"), expected);
    }

    #[test]
    fn of_a_task_that_is_done_in_part_it_says_what_is_done_and_what_remains() {
        let report = Report {
            run_number: 1,
            status: Verdict::AutoPass,
            commit: "0123abc".into(),
            tree: "4567def".into(),
            duration_ms: 1,
            timeout_ms: 1,
            checks: Vec::new(),
        };
        let done = Some("commits: 2, files changed: 1".to_owned());
        let partial = PartialPass::new(done, vec!["the <model> was stopped".into()], &report);
        let body = with("Fix it", Some(&partial));
        let told = "| cost | $0.12 |\n\nIt is done in part. Done is\n\n- commits: 2, files changed: 1\n\n\
            What remains\n\n- the &lt;model> was stopped\n\nWhat was checked";
        assert!(body.contains(told), "{body}");
    }

    #[test]
    fn however_much_there_is_to_say_github_takes_it() {
        let long = "<".repeat(2_000);
        let many = vec![long.clone(); 32];
        let files =
            vec![
                FileChange { path: long.repeat(2), lines: Some(1), is_new: false, is_plain: true };
                FILES_SHOWN
            ];
        let risk =
            Risk { tier: RiskTier::High, reasons: vec![Reason::Protected(long.repeat(2)); 40] };
        let body = body_of(&Evidence {
            task: TaskId(0xab),
            description: &"@\n".repeat(5_000),
            criteria: &many,
            attempt: 2,
            commit: "0123abc",
            files: &files,
            risk: &risk,
            checked: Ok(Checked { commit: "0123abc", tree: "4567def", lines: &many }),
            partial: None,
            cost: None,
        });
        assert!(body.chars().count() < 65_536, "{}", body.chars().count());
        assert!(body.starts_with(BEGIN) && body.ends_with(END));
        assert!(body.contains("and 31 more"), "what is left out is counted");
        assert_eq!(body.matches("\n> ").count(), 2_501);
    }

    #[test]
    fn where_nothing_was_checked_it_says_why() {
        let none = Checked { commit: "0", tree: "0", lines: &[] };
        assert_eq!(checks(&Ok(none)), "\nNothing was checked: there are no checks.\n");
        let why = checks(&Err("the report is about\nanother commit"));
        assert_eq!(why, "\nNothing was checked: the report is about another commit.\n");
    }

    #[test]
    fn a_title_is_the_first_line_or_the_branch() {
        assert_eq!(title_of("Fix  the parser\nand more", "b"), "Fix the parser");
        assert_eq!(title_of(" \n", "agentcom/task-1"), "agentcom/task-1");
        let long = title_of(&"word ".repeat(30), "b");
        assert!(long.chars().count() <= TITLE_CHARS_MAX && long.ends_with('\u{2026}'));
    }

    #[test]
    fn what_people_wrote_around_it_stays() {
        let (old, new) = (evidence("old"), evidence("new"));
        assert_eq!(with_evidence("", &new), new);
        assert_eq!(with_evidence("Mine.\n", &new), format!("Mine.\n\n{new}"));
        let around = format!("Before.\n{old}\nAfter.");
        assert_eq!(with_evidence(&around, &new), format!("Before.\n{new}\nAfter."));
    }

    #[test]
    fn of_a_draft_that_is_none_any_more_the_marked_part_says_so() {
        let body = ready(&evidence("Fix it"));
        let told = "</details>\n\nIt is ready for review by now; a person has to mark it so.\n";
        assert!(body.ends_with(&format!("{told}{END}")), "{body}");
        assert_eq!(with_evidence(&body, "x"), "x");
    }

    #[test]
    fn a_description_cannot_end_the_marked_part_or_call_people() {
        let body = evidence("<!-- agentcom: end --> @all");
        assert_eq!(body.matches(END).count(), 1);
        assert!(!body.contains("@all"));
        assert_eq!(with_evidence(&body, "x"), "x");
    }
}
