//! This file kills hub and agents under load, as `cargo xtask kill` does far more often.

use agentcom_tests::real::kill;

use crate::support::program;

const KILLS: usize = 54;
/// Decides unless `AGENTCOM_KILL_SEED` does.
const SEED: u64 = 0x5eed;

#[test]
fn nothing_is_lost_and_nothing_is_left_when_hub_and_agents_are_killed() {
    let given = std::env::var("AGENTCOM_KILL_SEED").ok();
    let seed = given.map_or(SEED, |given| given.parse().unwrap());
    let figures = kill::run(&program(), KILLS, seed).sound();
    assert_eq!(figures["kills"], KILLS);
}
