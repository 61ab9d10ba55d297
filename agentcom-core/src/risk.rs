//! This file says how risky a change is: how closely a person should look before it goes in.
//!
//! Nothing goes in by itself, whatever this says. The rules are those of the original, but for
//! protected paths being whole names, not parts of them, and more of them; and for what is no plain
//! file.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::Deserialize;

use crate::task::Tier;

/// How closely a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskTier {
    /// 1: small, known, tested and verified.
    Low,
    /// 2: everything else.
    Usual,
    /// 3: it touches what is protected, or its checks did not pass.
    High,
}

/// What the checks of a change said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// They passed.
    Passed,
    /// There were none.
    NotChecked,
    /// They did not pass, whatever the reason.
    Failed,
}

/// A file that a change touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Where it is, from the root of the repository on.
    pub path: String,
    /// Lines that come and lines that go; `None` for what is no text.
    pub lines: Option<u64>,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Whether it is an ordinary file, and was one, of which nothing but the content has changed: no link,
    /// no submodule, and nothing that can be run since.
    pub is_plain: bool,
}

/// A change that is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Proposed<'a> {
    /// What it touches.
    pub files: &'a [FileChange],
    /// Whether there are tests for what it touches, as [`has_tests`] says.
    pub has_tests: bool,
    /// How demanding the task was.
    pub complexity: Tier,
    /// What the checks said.
    pub verified: Verified,
}

/// By what changes are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A change of low risk has fewer lines than this, those that come and those that go.
    pub lines_max: u64,
    /// It touches no more files than this.
    pub files_max: usize,
    /// What a person has to look at.
    pub protected: Vec<Pattern>,
}

/// A name of files or folders: `name/` is a folder of that name anywhere, `name` a file of that name,
/// and `name*` files whose names begin so; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

/// Not a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of files or folders; write `name/`, `name` or `name*`, without folders above it"
)]
pub struct BadPattern(pub String);

/// Why a change is not of low risk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It touches a protected file.
    Protected(String),
    /// Its checks did not pass.
    NotVerified,
    /// The task was complex, or nobody knows.
    Complexity(Tier),
    /// It has so many lines.
    Lines(u64),
    /// It touches so many files.
    Files(usize),
    /// It adds so many files.
    NewFiles(usize),
    /// It touches files that are no text.
    NotText(usize),
    /// It touches so many links and submodules, and files that become something else.
    NotPlain(usize),
    /// There are no tests for what it touches.
    NoTests,
}

/// How risky a change is, and why it is not less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// The tier.
    pub tier: RiskTier,
    /// The reasons, the gravest first; none for a change of low risk.
    pub reasons: Vec<Reason>,
}

impl Default for Rules {
    fn default() -> Self {
        let protected = [
            "config/",
            ".github/",
            ".gitlab-ci.yml",
            "Jenkinsfile",
            "Dockerfile*",
            "docker-compose*",
            "auth/",
            "auth.*",
            "secrets/",
            "cert/",
            "certs/",
            "key/",
            "keys/",
            ".env*",
            "Cargo.toml",
            "Cargo.lock",
            "build.rs",
            "package.json",
            "package-lock.json",
            "mix.exs",
            "mix.lock",
            "rel/",
            "pyproject.toml",
            "requirements.txt",
            "go.mod",
            "go.sum",
            "Makefile",
            "GNUmakefile",
            "justfile",
            ".cargo/",
            ".npmrc",
            "setup.cfg",
            "setup.py",
            "tox.ini",
        ];
        let all = protected.iter().chain(&BY_OTHERS).chain(&STEERING);
        let protected = all.map(|&name| Pattern(name.into())).collect();
        Self { lines_max: 20, files_max: 3, protected }
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        let name = text.strip_suffix(['/', '*']).unwrap_or(&text);
        // Such a name would be that of nothing, and nothing would be protected.
        let is_bad =
            name.contains(['/', '*']) || name.trim() != name || text == "/" || text.is_empty();
        if is_bad { Err(BadPattern(text)) } else { Ok(Self(text)) }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        Self::try_from(String::from(text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RiskTier {
    /// The number by which people call it, 1 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Usual => 2,
            Self::High => 3,
        }
    }
}

impl Rules {
    /// How risky a change is.
    #[must_use]
    pub fn judge(&self, proposed: &Proposed<'_>) -> Risk {
        let files = proposed.files;
        let protected = files.iter().filter(|file| self.protects(&file.path));
        let mut reasons: Vec<Reason> =
            protected.map(|file| Reason::Protected(file.path.clone())).collect();
        if proposed.verified == Verified::Failed {
            reasons.push(Reason::NotVerified);
        }
        let is_grave = !reasons.is_empty();
        let count =
            |is_one: fn(&FileChange) -> bool| files.iter().filter(|file| is_one(file)).count();
        let (new, binary) = (count(|file| file.is_new), count(|file| file.lines.is_none()));
        let odd = count(|file| !file.is_plain);
        let lines = files.iter().filter_map(|file| file.lines).fold(0_u64, u64::saturating_add);
        let is_known = matches!(proposed.complexity, Tier::Trivial | Tier::Standard);
        let more = [
            (!is_known).then_some(Reason::Complexity(proposed.complexity)),
            (lines >= self.lines_max).then_some(Reason::Lines(lines)),
            (files.len() > self.files_max).then_some(Reason::Files(files.len())),
            (new > 0).then_some(Reason::NewFiles(new)),
            (binary > 0).then_some(Reason::NotText(binary)),
            (odd > 0).then_some(Reason::NotPlain(odd)),
            (!proposed.has_tests).then_some(Reason::NoTests),
        ];
        reasons.extend(more.into_iter().flatten());
        let tier = match (is_grave, reasons.is_empty()) {
            (true, _) => RiskTier::High,
            (false, true) => RiskTier::Low,
            (false, false) => RiskTier::Usual,
        };
        Risk { tier, reasons }
    }

    fn protects(&self, path: &str) -> bool {
        self.protected.iter().any(|pattern| fits(&pattern.0, path))
    }
}

/// Whether a path is one of such a name.
fn fits(pattern: &str, path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(folder) = pattern.strip_suffix('/') {
        return folders.split('/').any(|part| part.eq_ignore_ascii_case(folder));
    }
    match pattern.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

/// Whether there are tests for what a change touches: it touches a test itself that is still there, or
/// `all` files of the repository, as the change leaves it, have a test that is called after one of the
/// files that it touches. Judged by names alone,
/// so a test inside its file is not seen, and the change is taken for riskier than it is.
#[must_use]
pub fn has_tests<'a>(
    changed: impl IntoIterator<Item = &'a str>,
    all: impl IntoIterator<Item = &'a str> + Clone,
) -> bool {
    changed.into_iter().any(|path| {
        let subject = stem(path);
        all.clone()
            .into_iter()
            .any(|other| is_test(other) && (other == path || subject_of(other) == subject))
    })
}

/// Whether a path is of a test, by the usual conventions of languages: in a folder for tests, or named
/// like one.
#[must_use]
pub fn is_test(path: &str) -> bool {
    let (folders, _) = path.rsplit_once('/').unwrap_or(("", path));
    const FOLDERS: [&str; 6] = ["test", "tests", "spec", "specs", "__tests__", "e2e"];
    let is_folder = |part: &str| FOLDERS.iter().any(|name| part.eq_ignore_ascii_case(name));
    folders.split('/').any(is_folder) || stem(path) == "tests" || subject_of(path) != stem(path)
}

/// Whether a path is of a test, or of what tests compare with by the usual conventions: with another
/// snapshot a test passes that would not.
#[must_use]
pub fn belongs_to_tests(path: &str) -> bool {
    const FOLDERS: [&str; 3] = ["testdata/", "__snapshots__/", "__fixtures__/"];
    const ENDS: [&str; 3] = [".snap", ".ambr", ".feature"];
    is_test(path)
        || FOLDERS.iter().any(|folder| fits(folder, path))
        || ENDS.iter().any(|end| path.ends_with(end))
}

/// Files that say how tests run, where runners look for them by themselves: with a new one, tests that
/// nobody touched may be left out, or pass whatever they find.
const STEERING: [&str; 56] = [
    ".bazelrc",
    ".cargo/",
    ".justfile",
    ".mocharc*",
    ".mvn/",
    ".npmrc",
    ".rspec",
    ".taprc",
    "ava.config*",
    "behat.*",
    "build.gradle*",
    "bunfig.toml",
    "CMakeLists.txt",
    "conftest.py",
    "CTestCustom*",
    "deno.json*",
    "Directory.Build*",
    "gradle.properties",
    "hatch.toml",
    "jest.preset*",
    "jest.setup*",
    "meson.build",
    "nightwatch.conf*",
    "phpunit.dist.xml",
    "pom.xml",
    "pytest.toml",
    ".pytest.toml",
    "settings.gradle*",
    "setupTests*",
    "tox.toml",
    "vitest.setup*",
    "vitest.workspace*",
    "wdio.conf*",
    "web-test-runner.config*",
    "cypress.config*",
    "GNUmakefile",
    "jest.config*",
    "justfile",
    "karma.conf*",
    "Makefile",
    "mix.exs",
    "nextest.toml",
    "noxfile.py",
    "phpunit.xml*",
    "playwright.config*",
    "pytest.ini",
    "pytest.py",
    ".pytest.ini",
    "Rakefile",
    "rust-toolchain*",
    "sitecustomize.py",
    "Taskfile*",
    "tox.ini",
    "usercustomize.py",
    "vite.config*",
    "vitest.config*",
];

/// Files that say what services and tools do with the repository beside tests: what runs where it is
/// proposed or opened, what is shown of it, who has to agree, and which code of others it brings along.
const BY_OTHERS: [&str; 51] = [
    ".appveyor.yml",
    ".buildkite/",
    ".circleci/",
    ".devcontainer*",
    ".devcontainer/",
    ".drone*",
    ".envrc",
    ".forgejo/",
    ".gitattributes",
    ".gitea/",
    ".gitlab/",
    ".gitmodules",
    ".husky/",
    ".lefthook*",
    ".lfsconfig",
    ".pre-commit-config.yaml",
    ".pypirc",
    ".travis.yml",
    ".vscode/",
    ".woodpecker*",
    ".woodpecker/",
    ".yarnrc*",
    "appveyor.yml",
    "azure-pipelines*",
    "bitbucket-pipelines.yml",
    "bun.lock*",
    "cloudbuild*",
    "CODEOWNERS",
    "composer.json",
    "composer.lock",
    "default.nix",
    "flake.lock",
    "flake.nix",
    "Gemfile*",
    "gradlew*",
    "lefthook*",
    "mvnw*",
    "npm-shrinkwrap.json",
    "nuget.config",
    "packages.lock.json",
    "pdm.lock",
    "Pipfile*",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "poetry.lock",
    "requirements-*",
    "requirements_*",
    "shell.nix",
    "uv.lock",
    "uv.toml",
    "yarn.lock",
];

/// Whether a path is of a file that says how tests run, such as `conftest.py`, in any folder. Of files
/// that say more than that, such as `package.json`, it depends on what they say.
#[must_use]
pub fn steers_tests(path: &str) -> bool {
    STEERING.iter().any(|pattern| fits(pattern, path))
}

/// What a test is about, by its name.
fn subject_of(path: &str) -> &str {
    let stem = stem(path);
    let is_word = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_uppercase());
    let start = ["test_", "test-"].iter().find_map(|start| stem.strip_prefix(start));
    let start = start.or_else(|| stem.strip_prefix("Test").filter(is_word)).unwrap_or(stem);
    let ends = [
        "_test", "_tests", "_spec", "-test", "-tests", "-spec", ".test", ".spec", ".cy", ".e2e",
        "Test", "Tests", "Spec",
    ];
    ends.iter().find_map(|end| start.strip_suffix(end)).unwrap_or(start)
}

/// The name of a file without its folders and its last extension.
fn stem(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(path) => write!(f, "it touches {path}, which is protected"),
            Self::NotVerified => f.write_str("its checks did not pass"),
            Self::Complexity(Tier::Unknown) => f.write_str("nobody knows how demanding it is"),
            Self::Complexity(_) => f.write_str("the task is complex"),
            Self::Lines(1) => f.write_str("it changes 1 line"),
            Self::Lines(lines) => write!(f, "it changes {lines} lines"),
            Self::Files(files) => write!(f, "it touches {files} files"),
            Self::NewFiles(1) => f.write_str("it adds a file"),
            Self::NewFiles(files) => write!(f, "it adds {files} files"),
            Self::NotText(1) => f.write_str("it touches a file that is no text"),
            Self::NotText(files) => write!(f, "it touches {files} files that are no text"),
            Self::NotPlain(1) => {
                f.write_str("it touches a link or a submodule, or what may be done with a file")
            }
            Self::NotPlain(files) => {
                write!(f, "it touches {files} links, submodules or what may be done with files")
            }
            Self::NoTests => f.write_str("no test is named after what it touches"),
        }
    }
}

#[cfg(test)]
mod tests;
