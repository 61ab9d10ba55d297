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
            ("Atomic", &["a_batch_is_there_whole", "a_refused_batch_leaves_nothing"]),
            (
                "Durable",
                &[
                    "what_was_confirmed_is_there_after_reopening",
                    "what_was_deleted_is_gone_after_reopening",
                    "many_batches_are_there_after_reopening",
                ],
            ),
            (
                "Ordered",
                &[
                    "load_returns_the_seq_of_the_last_batch",
                    "a_seq_that_repeats_is_refused_as_fenced",
                    "a_seq_that_goes_back_is_refused_as_fenced",
                    "a_seq_from_before_reopening_is_refused_as_fenced",
                ],
            ),
            (
                "Exclusive",
                &["two_writers_are_never_alive", "a_dropped_store_makes_room_for_the_next"],
            ),
            (
                "Exact",
                &[
                    "all_bytes_are_kept",
                    "empty_values_are_values",
                    "the_longest_value_is_kept",
                    "the_shortest_and_longest_keys_are_kept",
                    "the_last_put_wins",
                    "the_same_key_in_other_tables_is_another_row",
                    "any_history_equals_the_model",
                ],
            ),
            (
                "Sorted",
                &[
                    "history_is_in_the_order_of_raw_bytes",
                    "history_reads_every_range_as_defined",
                    "load_visits_rows_in_the_order_of_raw_bytes",
                ],
            ),
            (
                "Cancel safe",
                &["dropped_reads_change_nothing", "a_dropped_commit_is_there_whole_or_not_at_all"],
            ),
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
            let idle =
                named.iter().filter(|name| !tests.contains(**name) || !is_run(contract, name));
            broken.extend(idle.map(|name| {
                format!("{}: {word}: no `{name}` is run by {}", contract.port, contract.suite)
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

/// Whether a case is on the list of the suite's macro, if the suite has one.
fn is_run(contract: &Contract, case: &str) -> bool {
    let suite = || sources().iter().filter(|source| source.path.starts_with(contract.suite));
    let is_listed = suite().flat_map(|source| words(&source.code, case)).count() >= 2;
    is_listed || !suite().any(|source| source.code.contains("macro_rules!"))
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
