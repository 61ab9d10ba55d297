//! This file freezes hub and sidecar and fills their disk, as `cargo xtask abuse` does for longer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use agentcom_tests::proof::Outcome;
use agentcom_tests::real::process::{Program, Up};
use agentcom_tests::real::{disk, freeze};

use crate::support::program;

#[test]
fn a_hub_that_was_frozen_takes_nothing_from_its_agents_and_blames_nobody() {
    let figures = freeze::hub(&program(), Duration::from_secs(9)).sound();
    assert_eq!(figures["hub_frozen_leases_lost"], 0);
}

#[test]
fn the_work_of_a_frozen_sidecar_goes_to_another_and_its_late_result_does_not_count() {
    let figures = freeze::sidecar(&program()).sound();
    assert_eq!(figures["sidecar_frozen_late_results_taken"], 0);
}

#[test]
fn a_hub_may_have_more_sockets_than_the_shell_that_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let modest = dir.path().join("modest");
    let agentcom = program().0;
    let script = format!("#!/bin/sh\nulimit -Sn 256\nexec '{}' \"$@\"\n", agentcom.display());
    std::fs::write(&modest, script).unwrap();
    std::fs::set_permissions(&modest, Permissions::from_mode(0o700)).unwrap();
    let up = Up::start(&Program(modest), dir.path(), &["--agents", "0"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", up.process.0.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let figures: Vec<&str> = files.split_whitespace().skip(3).collect();
    assert_eq!(figures[0], figures[1], "{files}");
    assert_ne!(figures[0], "256");
}

#[test]
fn a_hub_whose_disk_is_full_stops_and_has_lost_nothing_when_there_is_room_again() {
    // Without leave to mount it says that it was skipped.
    let figures = disk::full(&program()).map(Outcome::sound);
    assert!(figures.is_none_or(|figures| figures["disk_full_exit_code"] == 74));
}
