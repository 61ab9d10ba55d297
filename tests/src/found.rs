//! This file lists what the proofs have found, and the test that holds each since it was mended.

/// A mistake of ours that a proof brought to light.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Which proof.
    pub by: &'static str,
    /// What was wrong.
    pub what: &'static str,
    /// The test that would notice it again.
    pub test: &'static str,
}

const fn found(by: &'static str, what: &'static str, test: &'static str) -> Found {
    Found { by, what, test }
}

/// Everything that was found so far.
pub const FOUND: &[Found] = &[
    found(
        "simulation",
        "a hub that was replaced let an agent in and told it that its work was superseded",
        "a_hub_that_was_taken_over_lets_no_agent_in",
    ),
    found(
        "simulation",
        "a hub that was replaced and had nothing to store kept its agents",
        "a_hub_that_was_taken_over_ends_soon_after_a_heartbeat",
    ),
    found(
        "simulation",
        "a hub that was replaced answered commands that change nothing",
        "a_hub_that_was_taken_over_does_not_say_that_there_is_nothing_to_do",
    ),
    found(
        "simulation",
        "a start with the clock set back changed durable buckets without storing them",
        "a_clock_that_was_set_back_between_two_runs_changes_nothing_that_is_durable",
    ),
    found(
        "simulated disk",
        "a call that failed while reading did not stop the store",
        "a_call_that_fails_stops_the_store_and_a_restart_mends_it",
    ),
    found(
        "simulated disk",
        "a reading was answered during which a write failed that redb does not tell of",
        "an_answer_during_which_the_file_failed_is_not_given",
    ),
    found(
        "simulated disk",
        "a power loss while a file was made left one that could not be opened",
        "a_fresh_file_gets_its_name_whole_and_an_empty_one_is_not_taken_for_it",
    ),
    found(
        "reference model",
        "age did not decide between the lanes of tasks behind one limit",
        "age_decides_between_the_lanes_of_those_that_a_limit_lets_on",
    ),
    found(
        "reference model",
        "a task behind a limit hid an older one of its lane",
        "a_task_that_a_limit_holds_back_does_not_hide_an_older_one_from_another_lane",
    ),
    found(
        "reference model",
        "the order of connecting decided between equal agents",
        "of_equal_agents_the_first_by_name_is_taken_whoever_came_first",
    ),
    found(
        "real processes",
        "a hub that was stopped for longer than a lease took every lease when it went on",
        "a_hub_that_was_stopped_takes_no_lease_from_those_it_did_not_hear",
    ),
    found(
        "real processes",
        "one restart of an agent counted as one crash for each of its tasks",
        "an_agent_that_reports_after_a_restart_what_it_lost_has_crashed_once",
    ),
    found(
        "real processes",
        "sidecars came back earlier than a hub without room had asked them to",
        "a_hub_without_room_is_left_alone_as_long_as_it_asks_and_then_not_by_all_at_once",
    ),
    found(
        "real processes",
        "the feed repeated the last error of a task with each later move",
        "the_feed_tells_once_how_an_attempt_ended",
    ),
    found(
        "benches",
        "the loop of a sidecar dropped an input after 32 steps in a row",
        "an_app_keeps_its_agent_however_many_slots_it_has",
    ),
    found(
        "named pitfalls",
        "an attempt without a timeout kept its slot for ever while its agent beat",
        "p22_an_attempt_has_an_end_even_if_nobody_gave_it_one",
    ),
    found(
        "named pitfalls",
        "nothing showed a fleet that is busy and gets nothing done",
        "p22_a_fleet_that_is_busy_and_gets_nothing_done_shows",
    ),
    found(
        "named pitfalls",
        "one damaged row of events kept all later ones from being let go",
        "p08_one_damaged_row_does_not_stop_the_upkeep_of_the_rest",
    ),
    found(
        "fuzzing",
        "redb panicked twice as it closed a damaged file, which ended the process",
        "no_input_of_a_corpus_does_harm",
    ),
    found(
        "simulated disk",
        "a write that failed while redb's cache was full was tried again, and the store went on",
        "after_one_call_that_fails_every_call_fails_with_its_error",
    ),
    found(
        "simulated disk",
        "a power loss while a backup was put in the place of other data could take both",
        "upkeep_that_is_interrupted_leaves_the_old_file_or_the_new_one",
    ),
    found(
        "simulated disk",
        "a torn branch of the tree took up to six rows in a hundred with it when a file was salvaged",
        "a_damaged_branch_hides_no_more_than_one_row_in_a_hundred",
    ),
    found(
        "benches",
        "an agent that got room had every task looked at that waits, also those it cannot run",
        "an_agent_with_room_has_only_what_it_can_run_try_again",
    ),
    found(
        "benches",
        "a look at events that are too many read and decoded 200 MB while the loop waited",
        "old_events_are_let_go_a_few_rows_at_a_time",
    ),
    found(
        "simulated disk",
        "a torn page made a read of a range return a row of another table",
        "a_whole_record_of_another_table_in_a_torn_page_is_not_taken_for_a_row",
    ),
    found(
        "fuzzing",
        "a header with a checksum that fitted a log without an end was a panic, or salvaged for ever",
        "no_input_of_a_corpus_does_harm",
    ),
    found(
        "real processes",
        "after a standstill of the hub, agents that had hung up lost their leases before they came back",
        "who_gave_up_on_a_hub_that_was_stopped_has_the_time_to_come_back",
    ),
    found(
        "simulation",
        "a hub that stood still gave short leases to agents that had hung up meanwhile",
        "what_is_granted_while_agents_have_yet_to_come_back_lasts_until_they_have",
    ),
    found(
        "simulation",
        "while the store stood still leases ran out, of which nobody could be told",
        "a_store_that_stands_still_costs_nobody_a_lease",
    ),
    found(
        "simulation",
        "what was decided was not stored before all that waited had been read for",
        "what_was_decided_is_stored_soon_however_slow_it_is_to_read",
    ),
    found(
        "simulation",
        "an agent that was told again of its work counted a lease that the hub had not renewed",
        "who_is_told_again_after_a_reconnect_has_the_whole_lease_and_two_heartbeats",
    ),
    found(
        "simulation",
        "heartbeats that were on their way when an agent was told again counted as missing the work",
        "who_is_told_again_after_a_reconnect_has_the_whole_lease_and_two_heartbeats",
    ),
    found(
        "sandbox trials",
        "a file that a command had made setuid stayed so when it was written anew, as the user of the sidecar",
        "a_file_that_is_written_anew_lends_nobody_the_rights_of_its_owner",
    ),
    found(
        "sandbox trials",
        "where commands have a user of their own they could not change what a tool had written",
        "what_root_writes_belongs_to_whom_the_workspace_belongs",
    ),
    found(
        "sandbox trials",
        "all names of a folder were read into memory before any bound counted",
        "a_folder_of_more_than_can_be_looked_at_is_told_in_part",
    ),
    found(
        "sandbox trials",
        "a path of thousands of folders was made, deeper than quotas look",
        "folders_are_deep_only_as_far_as_tools_go_and_paths_of_any_length_end_in_an_answer",
    ),
    found(
        "sandbox trials",
        "a long pattern of names was a panic",
        "patterns_that_would_be_large_are_refused",
    ),
    found(
        "sandbox trials",
        "temporary files that were very deep, or closed to their owner, stayed for ever",
        "temporary_files_are_gone_with_their_command_however_deep_or_closed_they_are",
    ),
    found(
        "sandbox trials",
        "how a command ended was not told where it ended while it was killed",
        "all_memory_of_a_command_is_bounded_however_it_is_held",
    ),
];
