//! This file tells which tests stand inside the file of what they test, as those of Rust do, and whether
//! a change leaves them as they were.
//!
//! It goes by lines, as `rustfmt` lays them out; where they are laid out otherwise, more changes count. It
//! is for models that make tests pass by the shortest way. Whoever means to hide tests from it can, as in
//! a text of many lines.

use std::collections::BTreeSet;

/// Whether a file may have tests inside.
pub(super) fn may_have_tests(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Whether something of the tests inside a file is not there any more as it was. What is new beside it is
/// fine.
pub(super) fn weakened(before: Option<&str>, after: Option<&str>) -> bool {
    let kept: BTreeSet<String> = items(after.unwrap_or_default()).into_iter().collect();
    items(before.unwrap_or_default()).iter().any(|item| !kept.contains(item))
}

/// What modules of tests have in them, each thing with what stands above it, and the beginnings of these
/// modules.
fn items(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let hidden = in_comments(&lines);
    let mut items = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(opens) = opens(&lines, at) else {
            at += 1;
            continue;
        };
        let above = lines[..at].iter().rev().take_while(|line| is_said_of_next(line)).count();
        items.push(format!("{}{}", hidden[at], lines[at - above..=opens].join("\n")));
        let end = format!("{}}}", indent(lines[opens]));
        let length = lines[opens + 1..].iter().position(|line| **line == end);
        let closes = length.map_or(lines.len(), |length| opens + 1 + length);
        items.extend(parts(&lines[opens + 1..closes], &hidden[opens + 1..]));
        at = closes;
    }
    items
}

/// The line by which a module begins of which line `at` says that it is for tests.
fn opens(lines: &[&str], at: usize) -> Option<usize> {
    let says = lines[at].trim_start();
    if !(says.starts_with("#[cfg(") && says.contains("test")) {
        return None;
    }
    let more = lines[at..].iter().position(|line| !is_said_of_next(line))?;
    let line = lines[at + more].trim_start();
    let is_module = line.ends_with('{') && line.split(' ').any(|word| word == "mod");
    is_module.then_some(at + more)
}

/// Whether a line is an attribute or a comment.
fn is_said_of_next(line: &str) -> bool {
    let line = line.trim_start();
    ["#", "//", "/*", "*"].iter().any(|start| line.starts_with(start))
}

/// A mark for each line that begins within a comment.
fn in_comments(lines: &[&str]) -> Vec<&'static str> {
    let (mut begun, mut ended) = (0, 0);
    let mark = |line: &&str| {
        let mark = if begun > ended { "in a comment: " } else { "" };
        begun += line.matches("/*").count();
        ended += line.matches("*/").count();
        mark
    };
    lines.iter().map(mark).collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The things that stand beside each other in a module.
fn parts(lines: &[&str], hidden: &[&str]) -> Vec<String> {
    let first = lines.iter().find(|line| !line.is_empty()).map_or("", |line| indent(line));
    let mut parts = Vec::new();
    let mut part = String::new();
    for (line, hidden) in lines.iter().zip(hidden) {
        if part.is_empty() && line.is_empty() {
            continue;
        }
        part = format!("{part}{hidden}{line}\n");
        if indent(line) == first && line.ends_with(['}', ';']) && !is_said_of_next(line) {
            parts.push(std::mem::take(&mut part));
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
//! A file.

/// One and one.
pub fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: u32 = 2;

    /// What is to be.
    fn check(is: u32) {
        assert_eq!(is, MORE);
    }

    #[test]
    fn it_adds() {
        check(add(1, 1));

        assert!(add(2, 2) == 4);
    }

    #[test]
    fn it_adds_nothing() {}
}
";

    #[track_caller]
    fn check(change: &[(&str, &str)], expected: bool) {
        let mut after = FILE.to_owned();
        for (before, new) in change {
            assert!(after.contains(before), "{before}");
            after = after.replacen(before, new, 1);
        }
        assert_eq!(weakened(Some(FILE), Some(&after)), expected, "{after}");
    }

    #[test]
    fn code_may_change_and_tests_may_come() {
        check(&[("a + b", "b + a")], false);
        check(
            &[(
                "    #[test]\n",
                "    #[test]\n    fn more() {\n        check(2);\n    }\n\n    #[test]\n",
            )],
            false,
        );
        check(&[("    use super::*;\n", "    use std::fmt;\n\n    use super::*;\n")], false);
        check(&[("#[cfg(test)]", "#[cfg(unix)]\nfn b() {}\n\n#[cfg(test)]")], false);
        assert!(!weakened(None, Some(FILE)));
        assert!(!weakened(Some("fn a() {}\n"), None));
    }

    #[test]
    fn nothing_of_the_tests_that_were_there_may_be_another() {
        for (before, after) in [
            ("== 4", "== 5"),
            ("        assert!(add(2, 2) == 4);\n", ""),
            ("        assert!(add", "        // assert!(add"),
            ("    #[test]\n    fn it_adds()", "    #[test]\n    #[ignore]\n    fn it_adds()"),
            ("    #[test]\n    fn it_adds()", "    fn it_adds()"),
            ("        check(add(1, 1));\n", "        return;\n        check(add(1, 1));\n"),
            ("assert_eq!(is, MORE)", "let _ = is"),
            ("MORE: u32 = 2", "MORE: u32 = 3"),
            ("    #[test]\n    fn it_adds_nothing() {}\n", ""),
            ("    use super::*;", "    use super::mine as add;"),
            ("#[cfg(test)]", "#[cfg(all(test, feature = \"none\"))]"),
            ("#[cfg(test)]", "#[cfg(any())]\n#[cfg(test)]"),
            ("#[cfg(test)]\n", "#[cfg(test)]\n#[cfg(any())]\n"),
            ("#[cfg(test)]\n", "#[cfg(any())]\n"),
            ("#[cfg(test)]", "/*\n\n#[cfg(test)]"),
            ("#[cfg(test)]", "/* */ /*\n#[cfg(test)]"),
            ("    #[test]\n    fn it_adds()", "    /*\n    #[test]\n    fn it_adds()"),
            ("    #[test]\n    fn it_adds()", "    struct A; /* ;\n    #[test]\n    fn it_adds()"),
        ] {
            check(&[(before, after)], true);
        }
        assert!(weakened(Some(FILE), None));
        assert!(weakened(Some(FILE), Some("fn a() {}\n")));
    }
}
