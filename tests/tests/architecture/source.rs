//! This file reads the sources of the workspace, and tells code from comments, texts and tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A Rust source file.
pub(crate) struct Source {
    /// Where it is, from the root of the workspace.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
    /// The same with comments and literals blanked; offsets and lines are those of `text`.
    pub(crate) code: String,
    /// The same as `code`, with unit tests blanked too.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Self {
        let code = without_comments(&text);
        let shipped = if is_unit_test(&path) { String::new() } else { without_tests(&code) };
        Self { path, text, code, shipped }
    }

    /// The place of an offset, as editors understand it.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.text[..at].matches('\n').count() + 1)
    }

    /// The path of its module in `agentcom-core`; `None` if it is elsewhere or the crate's root.
    pub(crate) fn core_module(&self) -> Option<Vec<&str>> {
        let inside = self.path.strip_prefix("agentcom-core/src/")?.strip_suffix(".rs")?;
        (inside != "lib").then(|| inside.split('/').collect())
    }
}

/// The root of the workspace that is tested. It is asked of cargo when the tests run, since a target
/// directory may be shared between checkouts.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from);
        here.parent().expect("this package is inside the workspace").to_owned()
    })
}

fn built_in() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// All sources of the workspace, by path.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut paths = Vec::new();
        collect(root(), &mut paths);
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    })
}

/// Offsets of a text that stands there as a word of its own.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let starts_inside = word.starts_with(is_part) && code[..at].ends_with(is_part);
        let ends_inside = word.ends_with(is_part) && code[at + word.len()..].starts_with(is_part);
        !starts_inside && !ends_inside
    })
}

/// The offset behind the brace that closes the first one at or after `at`.
pub(crate) fn behind_braces(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("folders of the workspace are readable");
    for entry in entries {
        let path = entry.expect("entries of a folder are readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = name != "target" && name != "agentcom-data" && !name.starts_with('.');
        if is_ours && path.is_dir() {
            collect(&path, found);
        } else if is_ours && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("sources are UTF-8");
    let inside = path.strip_prefix(root()).expect("sources are in the workspace");
    Source::new(inside.to_string_lossy().replace('\\', "/"), text)
}

fn is_unit_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/src/") && path.contains("/tests/")
}

fn without_tests(code: &str) -> String {
    let mut kept = code.as_bytes().to_vec();
    for at in words(code, "#[cfg(test)]") {
        let semicolon = code[at..].find(';').map_or(code.len(), |found| at + found + 1);
        let brace = code[at..].find('{').map_or(code.len(), |found| at + found);
        let end = if semicolon <= brace { semicolon } else { behind_braces(code, brace) };
        blank(&mut kept[at..end]);
    }
    String::from_utf8(kept).expect("blanks are ASCII")
}

fn without_comments(text: &str) -> String {
    let mut kept = text.as_bytes().to_vec();
    let mut at = 0;
    while at < kept.len() {
        let end = at + literal_or_comment(&text[at..], text[..at].chars().next_back());
        if end > at {
            blank(&mut kept[at..end]);
            at = end;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    String::from_utf8(kept).expect("whole characters are blanked")
}

/// How many bytes of a comment or a literal `rest` starts with.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    let starts_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + quoted(&rest[1..], '"'),
        [b'\'', ..] => character(rest),
        [b'r', b'"' | b'#', ..] if starts_word => raw_text(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if starts_word => raw_text(rest, 2),
        _ => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (at, pair) in rest.as_bytes().windows(2).enumerate() {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 2;
        }
    }
    rest.len()
}

fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

/// A character, unless it is a lifetime.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => 1 + quoted(&rest[1..], '\''),
        _ => 0,
    }
}

fn raw_text(rest: &str, prefix: usize) -> usize {
    let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let open = prefix + hashes;
    if !rest[open..].starts_with('"') {
        return 0; // A raw name such as `r#type`.
    }
    let close = format!("\"{}", "#".repeat(hashes));
    rest[open + 1..].find(&close).map_or(rest.len(), |found| open + 1 + found + close.len())
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

#[test]
fn comments_texts_and_characters_are_no_code() {
    let text = "a // b\n/* c /* d */ */ e \"f \\\" // g\" h 'i' '\\'' &'j k r#\"l \" m\"# r#n b\"o\" 'ö' p";
    let code = without_comments(text);
    assert_eq!(code.len(), text.len());
    let left: Vec<_> = code.split_whitespace().collect();
    assert_eq!(left, ["a", "e", "h", "&'j", "k", "r#n", "b", "p"]);
}

#[test]
fn unit_tests_are_not_shipped() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}";
    let left: Vec<_> = without_tests(code)
        .split_whitespace()
        .filter(|word| *word != "{}")
        .map(String::from)
        .collect();
    assert_eq!(left, ["fn", "a()", "fn", "c()", "fn", "e()"]);
}
