//! This file holds the tables of mistakes, of others and of ours, to the tests that are named there.

use std::collections::{BTreeMap, BTreeSet};

use agentcom_tests::found::FOUND;

use crate::hold;
use crate::source::{sources, words};

#[path = "../original_defects/table.rs"]
mod original_defects;
#[path = "../pitfalls/table.rs"]
mod pitfalls;

/// What keeps us from a mistake.
pub(crate) enum Held {
    /// Tests that are named after it.
    Tests(&'static [&'static str]),
    /// Tests for what is built of it; the rest concerns what is not built yet.
    Part(&'static [&'static str], &'static str),
    /// It concerns what is not built yet.
    NotBuilt(&'static str),
}

type Line = (&'static str, &'static str, Held);

/// Each table, and how many lines it has to have.
const TABLES: [(&str, &[Line], usize); 2] = [
    ("pitfalls", pitfalls::TABLE, pitfalls::COUNT),
    ("original_defects", original_defects::TABLE, original_defects::COUNT),
];

#[test]
fn no_number_of_a_table_is_left_out() {
    let mut broken = Vec::new();
    for (table, lines, count) in TABLES {
        let numbers: BTreeSet<_> = lines.iter().map(|(number, ..)| *number).collect();
        if numbers.len() != count || lines.len() != count {
            broken.push(format!("{table} has {} lines, not {count}", lines.len()));
        }
        let letters: BTreeSet<_> = numbers.iter().map(|number| &number[..1]).collect();
        for letter in letters {
            let of_letter = numbers.iter().filter(|number| number.starts_with(letter)).count();
            let extra = usize::from(letter == "b");
            let missing = (1..=of_letter - extra)
                .map(|n| format!("{letter}{n:02}"))
                .filter(|number| !numbers.contains(&**number));
            broken.extend(missing.map(|number| format!("{table} has no {number}")));
        }
        for (number, what, held) in lines {
            let (Held::Part(_, phrase) | Held::NotBuilt(phrase)) = held else { continue };
            if phrase.is_empty() || what.is_empty() {
                broken.push(format!("{table}: {number} does not say what is not built"));
            }
        }
    }
    hold("each mistake has a line of its table", &broken);
}

#[test]
fn every_line_of_a_table_has_tests_that_are_named_after_it() {
    let tests = tests();
    let mut broken = Vec::new();
    for (table, lines, _) in TABLES {
        for (number, _, held) in lines {
            let named = match held {
                Held::Tests([]) | Held::Part([], _) => {
                    broken.push(format!("{table}: {number} names no test"));
                    continue;
                }
                Held::Tests(named) | Held::Part(named, _) => *named,
                Held::NotBuilt(_) => &[],
            };
            for name in named {
                match tests.get(name).map_or(0, |places| *places) {
                    1 if name.starts_with(&format!("{number}_")) => {}
                    1 => broken.push(format!("{table}: `{name}` is not named after {number}")),
                    found => broken.push(format!("{table}: {number}: {found} tests `{name}`")),
                }
            }
        }
    }
    hold("each mistake has a test that is named after it", &broken);
}

#[test]
fn every_test_that_is_named_after_a_mistake_is_in_a_table() {
    let known: BTreeSet<&str> = TABLES
        .iter()
        .flat_map(|(_, lines, _)| lines.iter())
        .flat_map(|(_, _, held)| match held {
            Held::Tests(named) | Held::Part(named, _) => *named,
            Held::NotBuilt(_) => &[],
        })
        .copied()
        .collect();
    let is_numbered = |name: &str| {
        let (letter, rest) = name.split_at_checked(1).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        ["a", "b", "p"].contains(&letter)
            && digits == 2
            && rest[2..].trim_start_matches('b').starts_with('_')
    };
    let tests = tests();
    let strays = tests.keys().filter(|name| is_numbered(name) && !known.contains(**name));
    let broken: Vec<_> = strays.map(|name| format!("`{name}` is in no table")).collect();
    hold("a test that is named after a mistake is in its table", &broken);
}

#[test]
fn whatever_the_proofs_have_found_is_held_by_a_test() {
    let tests = tests();
    let lost = FOUND.iter().filter(|found| !tests.contains_key(found.test));
    let broken: Vec<_> = lost.map(|found| format!("there is no test `{}`", found.test)).collect();
    hold("what was found and mended is held by the test that is named beside it", &broken);
}

/// The names of all tests of the workspace, with how often there is one of that name.
fn tests() -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for source in sources() {
        for attribute in ["#[test]", "#[tokio::test"] {
            for (at, _) in source.code.match_indices(attribute) {
                let Some(function) = words(&source.code[at..], "fn").next() else { continue };
                // Where it is given to a macro, what comes next is no test by that.
                if source.code[at..at + function].contains(';') {
                    continue;
                }
                let rest = source.code[at + function + "fn".len()..].trim_start();
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                *found.entry(&rest[..end]).or_insert(0) += 1;
            }
        }
    }
    found
}
