//! This file tells which changes say anew how tests run, so that tests which nobody touched are left out
//! or pass whatever they find.
//!
//! Of most such files any change counts ([`steers_tests`]). Manifests say other things as well: of them
//! what is known to say nothing of tests may change, such as dependencies, and nothing else.

use agentcom_core::risk::steers_tests;
use serde_json::{Map, Value};

/// A file that says how tests run among other things.
struct Manifest {
    name: &'static str,
    read: fn(&str) -> Option<Value>,
    /// What says nothing of tests: keys with `/` between them, where `*` stands for any end.
    other: &'static [&'static str],
    /// Lists of what there is, which may have more.
    lists: &'static [&'static str],
}

const MANIFESTS: [Manifest; 4] = [
    Manifest {
        name: "Cargo.toml",
        read: toml,
        other: &[
            "dependencies",
            "dev-dependencies",
            "build-dependencies",
            "target/*/dependencies",
            "target/*/dev-dependencies",
            "target/*/build-dependencies",
            "features",
            "lints",
            "package/authors",
            "package/categories",
            "package/description",
            "package/documentation",
            "package/homepage",
            "package/keywords",
            "package/license*",
            "package/publish",
            "package/readme",
            "package/repository",
            "package/rust-version",
            "package/version",
            "workspace/dependencies",
            "workspace/lints",
            "workspace/package",
        ],
        lists: &["workspace/members"],
    },
    Manifest {
        name: "package.json",
        read: json,
        other: &[
            "author",
            "bin",
            "bugs",
            "bundleDependencies",
            "contributors",
            "dependencies",
            "description",
            "devDependencies",
            "engines",
            "exports",
            "files",
            "funding",
            "homepage",
            "keywords",
            "license",
            "main",
            "name",
            "optionalDependencies",
            "peerDependencies*",
            "private",
            "repository",
            "types",
            "version",
        ],
        lists: &["workspaces"],
    },
    Manifest {
        name: "pyproject.toml",
        read: toml,
        other: &[
            "build-system",
            "dependency-groups",
            "project",
            "tool/black",
            "tool/flake8",
            "tool/isort",
            "tool/mypy",
            "tool/poetry/dependencies",
            "tool/poetry/group",
            "tool/poetry/version",
            "tool/pyright",
            "tool/ruff",
        ],
        lists: &[],
    },
    Manifest {
        name: "setup.cfg",
        read: ini,
        other: &["flake8", "isort", "metadata", "mypy*", "options*"],
        lists: &[],
    },
];

/// Whether what a change made of the file at `path` says anew how tests run. A file that cannot be read
/// as what it is to be does.
pub(super) fn steers(path: &str, before: Option<&str>, after: Option<&str>) -> bool {
    if steers_tests(path) {
        return true;
    }
    let name = name_of(path);
    if name.ends_with("_test.go") {
        // All tests of a Go package are run by this function, where there is one.
        let decides = |text: Option<&str>| text.is_some_and(|text| text.contains("func TestMain("));
        return decides(after) && !decides(before);
    }
    let Some(manifest) = MANIFESTS.iter().find(|manifest| manifest.name == name) else {
        return false;
    };
    // Whoever runs tests begins at the top, and does not read what is new below.
    if before.is_none() && path.contains('/') {
        return false;
    }
    let read = |text: Option<&str>| match text {
        Some(text) => (manifest.read)(text),
        None => Some(Value::Object(Map::new())),
    };
    let Some((mut before, mut after)) = read(before).zip(read(after)) else { return true };
    allow_more(&before, &mut after, manifest.lists);
    for path in manifest.other {
        forget(&mut before, path);
        forget(&mut after, path);
    }
    before != after
}

/// Whether [`steers`] has to know what is in a file.
pub(super) fn is_mixed(path: &str) -> bool {
    let name = name_of(path);
    name.ends_with("_test.go") || MANIFESTS.iter().any(|manifest| manifest.name == name)
}

/// The name of a file without its folders.
fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Takes out what is new and no test can be run by.
fn allow_more(before: &Value, after: &mut Value, lists: &[&str]) {
    let known = &before["scripts"];
    if let Some(scripts) = after.get_mut("scripts").and_then(Value::as_object_mut) {
        let runs = |name: &str| ["pre", "post", "test"].iter().any(|start| name.starts_with(start));
        scripts.retain(|name, _| known.get(name).is_some() || runs(name));
        if scripts.is_empty() && known.is_null() {
            forget(after, "scripts");
        }
    }
    for list in lists {
        let pointer = format!("/{list}");
        let (Some(Value::Array(had)), Some(Value::Array(has))) =
            (before.pointer(&pointer), after.pointer_mut(&pointer))
        else {
            continue;
        };
        if had.iter().all(|item| has.contains(item)) {
            has.clone_from(had);
        }
    }
}

/// Takes out what is at a path, and what is empty then.
fn forget(value: &mut Value, path: &str) {
    let Some(object) = value.as_object_mut() else { return };
    let (first, rest) =
        path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let is_meant = |key: &str| match first.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == first,
    };
    object.retain(|key, inside| match rest {
        _ if !is_meant(key) => true,
        None => false,
        Some(rest) => {
            forget(inside, rest);
            inside.as_object().is_none_or(|inside| !inside.is_empty())
        }
    });
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn toml(text: &str) -> Option<Value> {
    toml::from_str(text).ok()
}

/// Sections by their names, each as it is written; what stands before the first has no name.
#[expect(clippy::unnecessary_wraps, reason = "all ways to read may fail but this one")]
fn ini(text: &str) -> Option<Value> {
    let mut sections = Map::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name = section.trim().to_owned();
            continue;
        }
        let section = sections.entry(name.as_str()).or_insert_with(|| String::new().into());
        *section = format!("{}{line}\n", section.as_str().unwrap_or_default()).into();
    }
    Some(Value::Object(sections))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a change of a line steers, in a text that has `{}` where it stands.
    #[track_caller]
    fn assert_steers(path: &str, text: &str, lines: &[(&str, &str, bool)]) {
        for (before, after, expected) in lines {
            let [before, after] = [before, after].map(|line| text.replace("{}", line));
            assert_eq!(steers(path, Some(&before), Some(&after)), *expected, "{path}: {after}");
            assert!(is_mixed(path));
        }
    }

    #[test]
    fn of_a_cargo_manifest_dependencies_say_nothing_of_tests_and_targets_do() {
        let text = "[package]\nname = \"a\"\n{}\n";
        assert_steers(
            "Cargo.toml",
            text,
            &[
                ("", "[dependencies]\nlog = \"1\"", false),
                ("", "[target.'cfg(unix)'.dependencies]\nlog = \"1\"", false),
                ("version = \"1.0.0\"", "version = \"2.0.0\"", false),
                ("", "[lib]\ntest = false", true),
                ("", "[[test]]\nname = \"a\"\nharness = false", true),
                ("", "autotests = false", true),
                ("", "[profile.test]\ndebug-assertions = false", true),
                ("[workspace]\nmembers = [\"a\"]", "[workspace]\nmembers = [\"a\", \"b\"]", false),
                ("[workspace]\nmembers = [\"a\", \"b\"]", "[workspace]\nmembers = [\"a\"]", true),
                ("[workspace]", "[workspace]\nexclude = [\"a\"]", true),
                ("", "not toml", true),
            ],
        );
    }

    #[test]
    fn of_a_package_scripts_that_tests_run_by_count() {
        let text = r#"{ "name": "a", {} "scripts": { "test": "jest", "lint": "eslint" } }"#;
        assert_steers(
            "package.json",
            text,
            &[
                ("", r#""dependencies": { "a": "1" },"#, false),
                ("", r#""version": "2.0.0","#, false),
                ("", r#""jest": { "testMatch": [] },"#, true),
                ("", r#""mocha": { "spec": "none" },"#, true),
                ("", r#""type": "module","#, true),
            ],
        );
        let text = r#"{ "scripts": { {} } }"#;
        assert_steers(
            "package.json",
            text,
            &[
                (r#""test": "jest""#, r#""test": "exit 0""#, true),
                (r#""test": "jest""#, r#""test": "jest", "build": "tsc""#, false),
                (r#""test": "jest""#, r#""test": "jest", "pretest": "rm -r test""#, true),
                (
                    r#""test": "run unit", "unit": "jest""#,
                    r#""test": "run unit", "unit": ":""#,
                    true,
                ),
                (r#""test": "jest""#, "", true),
            ],
        );
    }

    #[test]
    fn of_python_projects_tables_of_tools_count_but_for_those_that_look_at_style() {
        let text = "[project]\nname = \"a\"\n{}\n";
        assert_steers(
            "pyproject.toml",
            text,
            &[
                ("", "dependencies = [\"requests\"]", false),
                ("", "[tool.ruff]\nline-length = 100", false),
                ("", "[tool.pytest.ini_options]\naddopts = \"--ignore=tests\"", true),
                ("", "[tool.tox]\nenvlist = []", true),
            ],
        );
        assert_steers(
            "setup.cfg",
            "[metadata]\nname = a\n{}\n",
            &[
                ("", "version = 2", false),
                ("", "[options.extras_require]\ntest = pytest", false),
                ("", "[tool:pytest]\naddopts = --collect-only", true),
                ("", "[aliases]\ntest = build", true),
            ],
        );
    }

    #[test]
    fn a_new_manifest_steers_at_the_top_and_an_old_one_that_goes_does_anywhere() {
        let package = Some(r#"{ "scripts": { "test": "exit 0" } }"#);
        assert!(steers("package.json", None, package));
        assert!(!steers("web/package.json", None, package));
        assert!(steers("web/package.json", package, None));
        assert!(!steers("package.json", None, Some(r#"{ "dependencies": {} }"#)));
        assert!(!steers("package.json", None, Some(r#"{ "scripts": { "build": "tsc" } }"#)));
        assert!(!steers("src/a.rs", Some("a"), Some("b")) && !is_mixed("src/a.rs"));
    }

    #[test]
    fn whoever_runs_the_tests_of_a_go_package_steers_them() {
        let main = Some("package a\nfunc TestMain(m *testing.M) { os.Exit(0) }\n");
        assert!(steers("a/main_test.go", None, main));
        assert!(!steers("a/main_test.go", main, main));
        assert!(!steers("a/b_test.go", None, Some("func TestMaintained(t *testing.T) {}")));
    }
}
