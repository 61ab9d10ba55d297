//! This file checks corners of ownership: who waits for what, for how long, and who is blamed.

use super::*;
use crate::wire::Released;

fn slots(bench: &mut Bench, slots: u32) -> u64 {
    bench.join("a", Dialect::V1, slots, &[])
}

fn held(bench: &Bench, id: TaskId) -> Held {
    Held { task_id: id, generation: bench.state(id).hold().unwrap().lease }
}

#[test]
fn a_released_task_comes_before_the_first_task_of_every_other_fair_key() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 1);
    let id = bench.submit(draft());
    for key in ["x", "y"] {
        let mut other = draft();
        other.share.fair_key = Key::new(key).ok();
        bench.submit(other);
    }
    bench.pass(Span::from_secs(1));
    let held = held(&bench, id);
    bench.frame(agent, ToHub::TaskReleased(Released { task_id: id, generation: held.generation }));
    assert_eq!(bench.word(id), "assigned");
}
