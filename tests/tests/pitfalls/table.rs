//! This file is the table of pitfalls into which other queues fell, with the tests that hold us
//! clear of each. `tests/tests/architecture/named.rs` checks that it is complete and that the tests
//! exist.

use crate::named::Held::{self, Part, Tests};

/// How many there are.
pub(crate) const COUNT: usize = 27;

/// The number, the pitfall, and what holds us clear of it.
#[rustfmt::skip]
pub(crate) const TABLE: &[(&str, &str, Held)] = &[
    ("p01", "work is taken for dead because it is old", Tests(&["p01_age_alone_takes_no_work_away", "p01_a_lost_lease_and_a_spent_budget_are_two_reasons"])),
    ("p02", "a rescue kills what has just ended", Tests(&["p02_a_task_that_was_just_finished_is_not_rescued"])),
    ("p03", "a stale worker ends a newer attempt", Tests(&["p03_no_word_of_an_earlier_attempt_counts_for_a_later_one", "p03_numbers_of_attempts_go_on_after_a_restart"])),
    ("p04", "an agent is not told that it lost its lease", Tests(&["p04_an_agent_is_told_at_once_what_it_lost", "p04_an_agent_that_is_cut_off_stops_before_others_may_be_given_its_work"])),
    ("p05", "running work is stuck for ever", Tests(&["p05_what_is_held_has_an_end_whatever_becomes_of_its_agent", "p05_a_restarted_agent_of_the_same_name_keeps_nothing_alive_that_it_does_not_do"])),
    ("p06", "a poison task takes the fleet down", Tests(&["p06_a_task_that_takes_agents_down_is_set_aside_after_three"])),
    ("p07", "what was lost comes back as a herd", Tests(&["p07_work_that_was_lost_all_at_once_does_not_come_back_all_at_once", "p07_what_is_lost_again_waits_for_longer"])),
    ("p08", "one bad row stops all recovery", Tests(&["p08_one_damaged_row_does_not_stop_the_upkeep_of_the_rest"])),
    ("p09", "a worker rescues what it cannot run", Tests(&["p09_lost_work_waits_for_an_agent_that_can_do_it"])),
    ("p10", "work is lost between two stores", Tests(&["p10_a_grant_is_stored_before_it_is_sent", "p10_a_grant_that_was_stored_and_never_sent_is_not_lost"])),
    ("p11", "slots of a limit leak", Tests(&["p11_a_slot_is_free_again_however_its_holder_ends"])),
    ("p12", "low priorities starve", Tests(&["p12_a_stream_of_urgent_work_does_not_starve_the_rest"])),
    ("p13", "work that nobody can run blocks the head", Tests(&["p13_what_cannot_run_is_not_looked_at_again_and_holds_nothing_up"])),
    ("p14", "unique submissions race", Tests(&["p14_of_a_thousand_submissions_with_one_key_at_once_one_makes_the_task", "p14_nobody_is_told_of_a_task_that_was_not_stored", "p14_a_late_repetition_gets_the_first_result"])),
    ("p15", "retries storm", Part(&["p15_nobody_comes_back_earlier_than_asked_nor_all_at_once", "p15_repetitions_count_against_a_rate_like_first_attempts"], "a budget for retries as a share of a key's starts")),
    ("p16", "everybody is woken", Tests(&["p16_one_task_wakes_one_agent", "p16_a_hub_with_nothing_to_do_sleeps"])),
    ("p17", "tables swell", Part(&["p17_a_file_does_not_swell_under_churn_though_somebody_reads_all_the_time"], "the store on PostgreSQL")),
    ("p18", "clocks disagree", Tests(&["p18_a_date_that_jumps_ends_no_lease_and_turns_no_stamp_back", "p18_a_date_that_jumps_ends_no_wait_before_the_next_attempt_early", "p18_what_an_agent_takes_the_time_to_be_does_not_matter"])),
    ("p19", "schedules fire twice or never when clocks change", Part(&["p19_schedules_are_refused_by_name_as_long_as_there_are_none", "p19_an_outside_clock_that_fires_twice_makes_one_task"], "schedules")),
    ("p20", "work for later waits in a worker", Tests(&["p20_work_for_later_is_with_nobody_before_its_time"])),
    ("p21", "work that was fetched ahead is held hostage", Tests(&["p21_what_was_handed_out_and_not_begun_comes_back_within_a_minute", "p21_a_crashed_agent_keeps_what_it_had_not_begun_for_a_lease_and_no_longer"])),
    ("p22", "hung work keeps its slot and nobody sees it", Tests(&["p22_an_attempt_has_an_end_even_if_nobody_gave_it_one", "p22_a_fleet_that_is_busy_and_gets_nothing_done_shows"])),
    ("p23", "a shutdown spends attempts", Tests(&["p23_a_drain_spends_no_attempt_and_what_it_gives_back_comes_first"])),
    ("p24", "a key is locked for ever", Tests(&["p24_a_key_is_held_neither_by_who_is_gone_nor_by_what_failed"])),
    ("p25", "watching the queue slows it down", Tests(&["p25_figures_cost_the_same_however_long_the_queue_is", "p25_figures_are_those_that_a_count_would_find"])),
    ("p26", "background work never starts in an embedded queue", Tests(&["p26_an_embedded_hub_needs_nothing_but_to_be_run", "p26_a_host_that_runs_its_hub_too_late_shows"])),
    ("p27", "what is only in memory is sold as durable", Tests(&["p27_every_published_rate_says_how_durable_it_is"])),
];
