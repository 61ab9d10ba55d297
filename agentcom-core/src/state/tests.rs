//! This file checks how a state takes note of the time.

use super::*;
use crate::time::{Mono, Wall};

#[test]
fn a_wall_clock_that_is_set_back_goes_on_at_half_speed_until_it_has_caught_up() {
    let mut state = State::default();
    let mut at = |mono, wall| {
        state.tick(Now { mono: Mono(mono), wall: Wall(wall) });
        state.now().wall.0
    };
    assert_eq!(at(0, 10_000), 10_000);
    assert_eq!(at(1_000, 1_000), 10_500);
    assert_eq!(at(1_001, 1_001), 10_500);
    assert_eq!(at(2_000, 2_000), 11_000);
    assert_eq!(at(10_000, 10_000), 15_000);
    assert_eq!(at(16_000, 16_000), 16_000);
    assert_eq!(at(16_010, 16_010), 16_010);
}

#[test]
fn a_flow_that_comes_after_a_start_stands_beside_the_head_of_those_that_wait() {
    let mut fair = Fair::default();
    assert_eq!(fair.start_tag(&(2, None)), 0);
    fair.loaded(2, 500);
    assert_eq!([fair.start_tag(&(2, None)), fair.start_tag(&(1, None))], [500, 0]);
}
