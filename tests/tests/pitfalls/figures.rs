//! This file holds the pitfall of figures that do not say what they would survive.

use std::fs;
use std::path::PathBuf;

/// How durable what was measured can be.
const CLASSES: [&str; 5] = ["none", "memory", "fsync-grouped", "fsync-each", "replicated"];

/// What says that something was counted per second.
const RATES: [&str; 4] = ["tasks/s", "jobs/s", "tasks per second", "jobs per second"];

/// The classes that a section of a page names.
fn classes(section: &str) -> Vec<&str> {
    let lines = section.lines().filter_map(|line| line.strip_prefix("Durability: "));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn page(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn p27_every_published_rate_says_how_durable_it_is() {
    let figures = page("docs/benchmarks.md");
    let mut tables = 0;
    for section in figures.split("\n## ").filter(|section| section.contains("\n|---")) {
        let (title, named) = (section.lines().next().unwrap_or_default(), classes(section));
        assert!(!named.is_empty(), "{title}: say `Durability: ..`, with a class of {CLASSES:?}");
        assert!(named.iter().all(|class| CLASSES.contains(class)), "{title}: {named:?}");
        tables += 1;
    }
    assert!(tables >= 5, "tables are found: {tables}");
    for path in ["README.md", "docs/operations.md", "docs/ARCHITECTURE.md"] {
        let text = page(path);
        for paragraph in text.split("\n\n") {
            let tells = RATES.iter().any(|unit| paragraph.contains(unit));
            let says = CLASSES.iter().any(|class| paragraph.contains(&format!("`{class}`")));
            assert!(!tells || says, "{path}: at which durability?\n{paragraph}");
        }
    }
}
