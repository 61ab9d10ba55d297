//! This file holds each word of a port's contract to the tests that check it.

use std::collections::BTreeSet;

use crate::hold;
use crate::source::{Source, sources, words};

/// A port, where its tests are, and which of them check each word of its contract.
struct Contract {
    port: &'static str,
    /// Where its tests are: what the paths of the files start with.
    suites: &'static [&'static str],
    words: &'static [(&'static str, &'static [&'static str])],
}

const CONTRACTS: &[Contract] = &[
    Contract {
        port: "Store",
        suites: &["agentcom-core/src/testing/store_suite"],
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
        suites: &["agentcom-core/src/testing/transport_suite"],
        words: &[
            (
                "Ordered",
                &["frames_arrive_in_the_order_they_were_sent", "both_directions_flow_at_once"],
            ),
            ("Whole", &["frames_arrive_as_they_were_sent", "frames_of_one_mebibyte_arrive_whole"]),
            ("Honest", &["what_was_taken_arrives_and_what_was_refused_does_not"]),
            ("Bounded", &["a_side_that_does_not_read_makes_send_fail", "reading_makes_room_again"]),
            (
                "Ending",
                &[
                    "closing_delivers_what_was_sent_before",
                    "dropping_the_sending_half_delivers_what_was_sent_before",
                    "dropping_the_receiving_half_ends_the_connection",
                    "dropping_a_connection_delivers_what_was_sent_before",
                    "an_end_stays_an_end",
                ],
            ),
            (
                "Cancel safe",
                &[
                    "a_dropped_recv_loses_no_frame",
                    "a_dropped_open_of_the_hub_loses_no_connection",
                    "a_dropped_open_of_an_agent_leaves_the_hub_able_to_serve",
                ],
            ),
        ],
    },
    Contract {
        port: "Executor",
        suites: &["agentcom-core/src/testing/executor_suite"],
        words: &[
            (
                "Heeds",
                &[
                    "a_job_that_is_asked_to_stop_stops_in_time",
                    "a_job_that_is_asked_before_it_starts_stops_in_time",
                ],
            ),
            ("Clean", &["a_dropped_job_leaves_nothing_behind"]),
            ("Bounded", &["a_job_that_prints_much_has_a_bounded_result"]),
            (
                "Apart",
                &[
                    "jobs_at_the_same_time_are_both_done",
                    "stopping_one_job_leaves_the_other_alone",
                    "dropping_one_job_leaves_the_other_alone",
                ],
            ),
        ],
    },
    Contract {
        port: "Clock",
        suites: &["agentcom-core/src/driver/clock"],
        words: &[
            ("Steady", &["time_never_goes_back_and_goes_on"]),
            (
                "Prompt",
                &[
                    "sleeps_end_when_their_time_has_come_and_not_before",
                    "an_earlier_alarm_rings_before_a_later_one_that_was_set_first",
                ],
            ),
            ("Cancel safe", &["a_dropped_sleep_leaves_nothing_behind"]),
        ],
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
        let tests = functions(contract);
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
                format!("{}: {word}: no `{name}` is run by {:?}", contract.port, contract.suites)
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
    let mut mentions = suite(contract).flat_map(|source| words(&source.code, case));
    mentions.nth(1).is_some() || !suite(contract).any(|source| source.code.contains("macro_rules!"))
}

fn suite(contract: &Contract) -> impl Iterator<Item = &'static Source> {
    let suites = contract.suites;
    sources().iter().filter(|source| suites.iter().any(|suite| source.path.starts_with(suite)))
}

fn functions(contract: &Contract) -> BTreeSet<&'static str> {
    let names = suite(contract).flat_map(|source| {
        words(&source.code, "fn").map(|at| {
            let rest = source.code[at + "fn".len()..].trim_start();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
    });
    names.filter(|name| !name.is_empty()).collect()
}
