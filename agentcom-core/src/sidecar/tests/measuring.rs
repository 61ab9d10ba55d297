//! This file tests when a sidecar has its machine measured, and when it says what came of it.

use super::*;
use crate::wire::Figures;

const FIGURES: Figures = Figures {
    cpu_per_mille: Some(125),
    ram_used_bytes: Some(3),
    ram_total_bytes: Some(16),
    vram_used_bytes: None,
    vram_total_bytes: None,
};

impl Rig {
    fn measuring() -> Self {
        let rig = Self::new(1);
        Self { sidecar: rig.sidecar.measuring(), ..rig }
    }

    /// Goes on, with pings answered, until it measures.
    fn until_measured(&mut self) -> u64 {
        for _ in 0..20 {
            self.pong();
            if self.next().1.contains(&"measure".into()) {
                return self.ms;
            }
        }
        panic!("it does not measure");
    }
}

#[test]
fn it_measures_five_seconds_after_it_is_known_and_then_every_thirty() {
    let mut rig = Rig::measuring();
    rig.identify();
    let since = rig.ms;
    let times = [rig.until_measured(), rig.until_measured(), rig.until_measured()];
    assert_eq!(times.map(|at| at - since), [5_000, 35_000, 65_000]);
}

#[test]
fn what_was_measured_is_said_with_its_time() {
    let mut rig = Rig::measuring();
    rig.identify();
    rig.until_measured();
    let said = rig.after(700, Input::Measured(FIGURES));
    let at = rig.ms;
    assert_eq!(
        said,
        [format!(
            "> {{resource_report,cpu_percent:12.5,ram_total_bytes:16,ram_used_bytes:3,timestamp:{at}}}"
        )]
    );
}

#[test]
fn a_measurement_that_fails_is_followed_by_the_next() {
    let mut rig = Rig::measuring();
    rig.identify();
    let first = rig.until_measured();
    assert_eq!(rig.until_measured() - first, 30_000);
}

#[test]
fn nothing_is_said_to_a_hub_that_is_gone_and_it_begins_anew_with_the_next() {
    let mut rig = Rig::measuring();
    rig.identify();
    rig.until_measured();
    rig.step(Input::Disconnected);
    assert!(rig.step(Input::Measured(FIGURES)).is_empty());
    assert_eq!(rig.sidecar.measure_due(), None);
    rig.identify();
    let since = rig.ms;
    assert_eq!(rig.until_measured() - since, 5_000);
}

#[test]
fn one_that_cannot_measure_is_not_woken_for_it() {
    let mut rig = Rig::online(1);
    for _ in 0..40 {
        let (wake, said) = rig.next();
        assert_eq!((wake, said), (Some(Wake::Ping), alloc::vec!["> ping []".into()]));
        rig.pong();
    }
}
