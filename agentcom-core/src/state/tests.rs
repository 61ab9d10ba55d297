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
