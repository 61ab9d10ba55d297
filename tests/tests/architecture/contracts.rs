//! This file holds each word of a port's contract to the tests that check it.

use std::collections::BTreeSet;

use crate::hold;
use crate::source::{sources, words};

/// A port, where its tests are, and which of them check each word of its contract.
struct Contract {
    port: &'static str,
    suite: &'static str,
    words: &'static [(&'static str, &'static [&'static str])],
}

const CONTRACTS: &[Contract] = &[
    Contract {
        port: "Store",
        suite: "agentcom-core/src/testing/store_suite",
        words: &[
            ("Atomic", &[]),
            ("Durable", &[]),
            ("Ordered", &[]),
            ("Exclusive", &[]),
            ("Exact", &[]),
            ("Sorted", &[]),
            ("Cancel safe", &[]),
        ],
    },
    Contract {
        port: "Transport",
        suite: "agentcom-core/src/testing/transport_suite",
        words: &[
            ("Ordered", &[]),
            ("Whole", &[]),
            ("Honest", &[]),
            ("Bounded", &[]),
            ("Ending", &[]),
            ("Cancel safe", &[]),
        ],
    },
    Contract {
        port: "Executor",
        suite: "agentcom-core/src/testing/executor_suite",
        words: &[("Heeds", &[]), ("Clean", &[]), ("Bounded", &[]), ("Apart", &[])],
    },
    Contract {
        port: "Clock",
        suite: "agentcom-core/src/driver/clock",
        words: &[("Steady", &[]), ("Prompt", &[]), ("Cancel safe", &[])],
    },
];

#[test]
fn every_word_of_a_contract_is_in_the_table_and_only_those() {
    let promised = promises();
    let in_table = |port: &str, word: &str| {
        let contract = CONTRACTS.iter().find(|contract| contract.port == port);
        contract.is_some_and(|contract| contract.words.iter().any(|(known, _)| *known == word))
    };
    let mut broken: Vec<_> = promised
        .iter()
        .filter(|(port, word)| !in_table(port, word))
        .map(|(port, word)| format!("{port}: **{word}.** is promised and not in the table"))
        .collect();
    for contract in CONTRACTS {
        for (word, _) in contract.words {
            if !promised.contains(&(contract.port.to_owned(), (*word).to_owned())) {
                broken.push(format!("{}: {word} is in the table and not promised", contract.port));
            }
        }
    }
    hold("the table of contracts and the contracts are the same", &broken);
}

/// A suite that has no test yet is left out; from its first test on it has to be complete.
#[test]
fn every_word_of_a_contract_has_its_tests() {
    let mut broken = Vec::new();
    for contract in CONTRACTS {
        let tests = functions(contract.suite);
        if tests.is_empty() {
            continue;
        }
        for (word, named) in contract.words {
            if named.is_empty() {
                broken.push(format!("{}: {word} names no test", contract.port));
            }
            let gone = named.iter().filter(|name| !tests.contains(**name));
            broken.extend(gone.map(|name| {
                format!("{}: {word}: there is no `{name}` in {}", contract.port, contract.suite)
            }));
        }
    }
    hold("each word of a contract is checked by a test of the port's suite", &broken);
}

/// Ports and the bold words in the contracts of their documentation.
fn promises() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for source in
        sources().iter().filter(|source| source.path.starts_with("agentcom-core/src/port/"))
    {
        let mut bold = Vec::new();
        let mut inside = false;
        for line in source.text.lines() {
            if let Some(heading) = line.strip_prefix("/// # ") {
                inside = heading == "Contract";
            } else if let Some(item) = line.strip_prefix("/// - **").filter(|_| inside) {
                bold.extend(item.split(".**").next().map(String::from));
            } else if let Some(declared) = line.strip_prefix("pub trait ") {
                let end = declared.find(|c: char| !c.is_alphanumeric()).unwrap_or(declared.len());
                found.extend(bold.drain(..).map(|word| (declared[..end].to_owned(), word)));
                inside = false;
            }
        }
    }
    assert!(found.len() >= 15, "contracts are read: {found:?}");
    found
}

fn functions(prefix: &str) -> BTreeSet<&'static str> {
    let suite = sources().iter().filter(|source| source.path.starts_with(prefix));
    let names = suite.flat_map(|source| {
        words(&source.code, "fn").map(|at| {
            let rest = source.code[at + "fn".len()..].trim_start();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
    });
    names.filter(|name| !name.is_empty()).collect()
}
