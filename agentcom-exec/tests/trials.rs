//! This file tries to break out of sandboxes and workspaces, here and in other environments, and to outlive commands
//! whose time is over; as often as a test may. `cargo xtask sandbox` does it as often as is published.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "support/elsewhere.rs"]
mod elsewhere;
mod support;

use agentcom_exec::sandbox::{Level, Sandbox};
use agentcom_exec::tool::{RunCommand, Tool as _, ToolErrorKind};
use agentcom_exec::trial::environment::Environment;
use agentcom_exec::trial::escapes::{Tried, try_all};
use agentcom_exec::trial::{late, races};
use elsewhere::{environment, passes};
use serde_json::json;
use support::{Watched, level_here, spawner};

/// The user that commands become where the sidecar is root.
const OTHER: u32 = 65_534;

#[tokio::test]
async fn every_attempt_to_break_out_ends_as_is_declared() {
    let levels: Vec<Level> =
        [Level::L2, Level::L3].into_iter().filter(|&level| level <= level_here()).collect();
    let here = environment();
    // A container of somebody who is not root has one user.
    let own_user = (here != Environment::Rootless).then_some(OTHER);
    let tried = try_all(&spawner(), &levels, own_user, here.is_odd()).await.unwrap();
    let unexpected: Vec<&String> = tried.iter().flat_map(|tried| &tried.unexpected).collect();
    assert_eq!(unexpected, [""; 0], "{here:?}");
    assert!(tried.len() >= levels.len(), "{tried:?}");
    let has_enough = |tried: &Tried| tried.ground.level == Level::L0 || tried.as_declared > 120;
    assert!(tried.iter().all(has_enough), "{tried:?}");
}

#[test]
fn attempts_end_as_is_declared_in_every_environment_that_can_be_made() {
    for elsewhere in Environment::makeable(level_here()).filter(|&it| it != Environment::Here) {
        passes(elsewhere, &["--exact", "every_attempt_to_break_out_ends_as_is_declared"], 1);
    }
}

#[tokio::test]
async fn where_a_kernel_has_no_landlock_commands_are_refused_and_it_is_said_why() {
    const NAME: &str = "where_a_kernel_has_no_landlock_commands_are_refused_and_it_is_said_why";
    if environment() != Environment::NoLandlock {
        return passes(Environment::NoLandlock, &["--exact", NAME], 1);
    }
    let (sandbox, report) = Sandbox::new(Level::L2).proved(None, &spawner()).unwrap();
    assert_eq!((sandbox.level, report.level, report.landlock_abi), (Level::L1, Level::L1, None));
    for level in [Level::L2, Level::L3] {
        let why = report.why(level);
        assert!(why.contains("Landlock") && why.contains("Linux 6.2 or later"), "{level}: {why}");
        let weak = Sandbox::new(level).proved(Some(level), &spawner()).unwrap_err();
        assert_eq!((weak.demanded, weak.report.level), (level, Level::L1));
    }
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().canonicalize().unwrap();
    // Neither one that knows what it has, nor one that relies on more.
    for level in [sandbox.level, Level::L2, Level::L3] {
        let tool = RunCommand::new(spawner(), Sandbox::new(level), &workspace, Default::default());
        let input = json!({ "command": "echo ran > file" });
        let refused = tool.call(input, &Watched::new()).await.map_err(|error| error.kind);
        assert!(refused.is_err_and(|kind| kind == ToolErrorKind::CannotRun), "{level}");
        assert!(!workspace.join("file").exists(), "{level}");
    }
}

#[test]
fn no_file_tool_is_led_out_by_what_changes_while_it_looks_and_one_that_looks_first_is() {
    const CALLS: u64 = 4_000;
    let tries = races::race_naively().unwrap();
    assert!(tries.is_some(), "the race would show nothing");
    let raced = races::race(CALLS).unwrap();
    assert_eq!((raced.calls, raced.escapes), (5 * CALLS, 0), "{raced:?}");
    assert!(raced.done > CALLS / 2, "they are refused always: {raced:?}");
}

#[tokio::test]
async fn nothing_outlives_a_command_whose_time_is_over() {
    for level in [Level::L2, Level::L3].into_iter().filter(|&level| level <= level_here()) {
        let late = late::outlive(&spawner(), level, 20, 2).await.unwrap();
        assert_eq!((late.runs >= 20, late.survivors), (true, 0), "{level}: {late:?}");
    }
}
