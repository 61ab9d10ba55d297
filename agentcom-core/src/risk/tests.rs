//! This file tests how risky changes are taken to be.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::{
    BadPattern, FileChange, Pattern, Proposed, Reason, RiskTier, Rules, Verified, belongs_to_tests,
    fits, has_tests, is_test, steers_tests,
};
use crate::task::Tier;

fn file(path: &str, lines: u64) -> FileChange {
    FileChange { path: path.into(), lines: Some(lines), is_new: false, is_plain: true }
}

fn small(files: &[FileChange]) -> Proposed<'_> {
    Proposed { files, has_tests: true, complexity: Tier::Standard, verified: Verified::Passed }
}

fn tier(proposed: &Proposed<'_>) -> u8 {
    Rules::default().judge(proposed).tier.number()
}

#[test]
fn a_small_change_that_is_tested_is_of_low_risk() {
    let files = [file("src/a.rs", 10), file("src/b.rs", 9)];
    let risk = Rules::default().judge(&small(&files));
    assert_eq!((risk.tier, risk.reasons), (RiskTier::Low, vec![]));
}

#[test]
fn each_thing_that_is_not_small_makes_it_usual() {
    let few = [file("a.rs", 1)];
    let new = [FileChange { is_new: true, ..file("a.rs", 1) }];
    let binary = [FileChange { lines: None, ..file("a.png", 0) }];
    let odd = [FileChange { is_plain: false, ..file("run.sh", 0) }];
    let (long, many) = ([file("a.rs", 20)], vec![file("a.rs", 1); 4]);
    let reasons = [
        (small(&long), Reason::Lines(20)),
        (small(&many), Reason::Files(4)),
        (small(&new), Reason::NewFiles(1)),
        (small(&binary), Reason::NotText(1)),
        (small(&odd), Reason::NotPlain(1)),
        (Proposed { has_tests: false, ..small(&few) }, Reason::NoTests),
        (Proposed { complexity: Tier::Complex, ..small(&few) }, Reason::Complexity(Tier::Complex)),
        (Proposed { complexity: Tier::Unknown, ..small(&few) }, Reason::Complexity(Tier::Unknown)),
    ];
    for (proposed, reason) in reasons {
        let risk = Rules::default().judge(&proposed);
        assert_eq!((risk.tier, risk.reasons), (RiskTier::Usual, vec![reason]));
    }
    assert_eq!(tier(&Proposed { verified: Verified::NotChecked, ..small(&few) }), 1);
}

#[test]
fn what_is_protected_or_failed_its_checks_is_of_high_risk() {
    let files = [file("a.rs", 1)];
    let failed = Proposed { verified: Verified::Failed, ..small(&files) };
    assert_eq!(tier(&failed), 3);
    for path in [
        ".github/workflows/ci.yml",
        "app/config/x.toml",
        "Dockerfile.dev",
        "a/.env",
        "CARGO.lock",
        // What runs elsewhere, what is shown of a change, whose code comes along, how tests run.
        ".circleci/config.yml",
        "src/.gitattributes",
        ".gitmodules",
        "web/yarn.lock",
        "tests/conftest.py",
        "jest.config.js",
        "CODEOWNERS",
    ] {
        let files = [file(path, 1)];
        let risk = Rules::default().judge(&small(&files));
        assert_eq!(risk.tier, RiskTier::High, "{path}");
        assert_eq!(
            risk.reasons[0].to_string(),
            alloc::format!("it touches {path}, which is protected")
        );
    }
    for path in
        ["reconfig/x.toml", "src/config.rs", "docs/Dockerfiles", "my.environment", "author/x"]
    {
        let is_file = fits("Dockerfile*", path);
        assert_eq!(tier(&small(&[file(path, 1)])), if is_file { 3 } else { 1 }, "{path}");
    }
}

#[test]
fn tests_are_found_by_their_names() {
    for (changed, all, expected) in [
        (vec!["src/a.rs"], vec!["src/a.rs", "tests/a.rs"], true),
        (vec!["src/a.rs"], vec!["src/a.rs", "tests/b.rs"], false),
        (vec!["lib/a.ex"], vec!["test/a_test.exs"], true),
        (vec!["a.py"], vec!["test_a.py"], true),
        (vec!["a.ts"], vec!["a.spec.ts"], true),
        (vec!["a.ts"], vec!["ba.spec.ts", "latest.ts"], false),
        (vec!["tests/new.rs"], vec!["tests/new.rs"], true),
        // One that is gone tests nothing.
        (vec!["tests/gone.rs", "src/a.rs"], vec!["src/a.rs", "tests/b.rs"], false),
        (vec![], vec!["tests/a.rs"], false),
    ] {
        assert_eq!(has_tests(changed.clone(), all.clone()), expected, "{changed:?} {all:?}");
    }
}

fn files() -> impl Strategy<Value = Vec<FileChange>> {
    let path = prop_oneof![
        "[a-z]{1,3}(/[a-z]{1,3}){0,2}",
        select(vec!["config/x", "Cargo.toml"]).prop_map(ToString::to_string)
    ];
    let one = (path, proptest::option::of(0_u64..30), any::<bool>(), any::<bool>());
    proptest::collection::vec(
        one.prop_map(|(path, lines, is_new, is_plain)| FileChange {
            path,
            lines,
            is_new,
            is_plain,
        }),
        0..6,
    )
}

proptest! {
    #[test]
    fn more_of_a_change_is_never_of_less_risk(
        (files, more, has_tests) in (files(), files(), any::<bool>()),
    ) {
        let part = Proposed { has_tests, ..small(&files) };
        let all = [files.clone(), more].concat();
        let whole = Proposed { files: &all, ..part };
        prop_assert!(tier(&whole) >= tier(&part));
        let failed = Proposed { verified: Verified::Failed, ..part };
        prop_assert_eq!(tier(&failed), 3);
    }

    #[test]
    fn low_risk_is_what_nothing_speaks_against(files in files()) {
        let risk = Rules::default().judge(&small(&files));
        prop_assert_eq!(risk.tier == RiskTier::Low, risk.reasons.is_empty());
    }
}

#[test]
fn tests_are_known_by_their_folders_and_names() {
    for path in [
        "tests/a.rs",
        "src/parser/tests.rs",
        "lib/a_test.exs",
        "test_a.py",
        "src/a.test.ts",
        "a/__tests__/b.js",
        "FooTest.java",
        "pkg/a_test.go",
        "spec/a.rb",
        "Tests/AppTests/Parser.swift",
        "e2e/login.ts",
        "src/a-test.js",
        "login.cy.ts",
        "src/TestParser.java",
    ] {
        assert!(is_test(path), "{path}");
    }
    for path in
        ["testdata/golden.json", "src/snapshots/a__b.snap", "web/__snapshots__/a", "login.feature"]
    {
        assert!(belongs_to_tests(path) && !is_test(path), "{path}");
    }
    for path in [
        "src/contest.rs",
        "latest.rs",
        "src/testing.rs",
        "docs/a.md",
        "attest/a.rs",
        "Testimonial.tsx",
    ] {
        assert!(!belongs_to_tests(path), "{path}");
    }
}

#[test]
fn files_that_say_how_tests_run_are_known_by_their_names() {
    for path in [
        "conftest.py",
        "pkg/tests/conftest.py",
        ".mocharc.yml",
        "web/jest.config.ts",
        "vitest.config.mts",
        "phpunit.xml.dist",
        ".rspec",
        ".config/nextest.toml",
        "makefile",
        ".cargo/config.toml",
        "tox.ini",
        "pytest.py",
        "app/pom.xml",
        "build.gradle.kts",
        "lib/CMakeLists.txt",
        ".mvn/maven.config",
        "bunfig.toml",
        "pytest.toml",
    ] {
        assert!(steers_tests(path), "{path}");
    }
    for path in
        ["tests/a.rs", "src/conftest.pyi", "jest.md", "docs/nextest.toml.md", "rspec", "cargo/a"]
    {
        assert!(!steers_tests(path), "{path}");
    }
}

#[test]
fn rules_of_ones_own_are_other_limits_and_other_names() {
    let files = [file("src/a.rs", 25)];
    let long = Rules { lines_max: 26, ..Rules::default() };
    assert_eq!((tier(&small(&files)), long.judge(&small(&files)).tier), (2, RiskTier::Low));
    let none = Rules { files_max: 0, ..long.clone() };
    assert_eq!(none.judge(&small(&files)).reasons, [Reason::Files(1)]);
    let other = Rules { protected: vec!["SRC/".parse().unwrap()], ..long };
    assert_eq!(other.judge(&small(&files)).tier, RiskTier::High);
    assert_eq!(other.judge(&small(&[file("Cargo.toml", 1)])).tier, RiskTier::Low);
}

#[test]
fn names_that_would_protect_nothing_are_refused() {
    for good in ["src/", "Dockerfile*", "auth.*", ".env", "*"] {
        assert_eq!(good.parse::<Pattern>().map(|name| name.to_string()).as_deref(), Ok(good));
    }
    for bad in ["", "/", "src/auth/", "src/a.rs", "*.rs", "a*/", " a", "a//", "a**"] {
        assert_eq!(bad.parse::<Pattern>(), Err(BadPattern(bad.into())), "{bad}");
    }
}
