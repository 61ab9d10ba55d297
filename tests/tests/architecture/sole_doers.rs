//! This file holds what only one part of the deciding core may do.

use crate::hold;
use crate::layers::{RUNNING, layer, uses};
use crate::source::{sources, words};

/// Something that is done in few places only.
struct Sole {
    rule: &'static str,
    word: &'static str,
    places: &'static [&'static str],
}

const SOLE: &[Sole] = &[
    Sole {
        rule: "the state changes through the transaction only",
        word: "mut State",
        places: &["hub/tx.rs", "state", "change"],
    },
    Sole {
        rule: "the scheduler alone gives out tasks",
        word: "TaskEvent::Assign",
        places: &["hub/schedule", "task"],
    },
];

/// The passes of a step; they do not call each other.
const PASSES: &[&str] = &["command", "frame", "heal", "advance", "schedule"];

#[test]
fn what_one_part_does_no_other_does() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(module) = source.core_module() else { continue };
        if layer(module[0]).is_none_or(|layer| layer >= RUNNING) {
            continue;
        }
        let inside = source.path.trim_start_matches("agentcom-core/src/");
        for sole in SOLE {
            if !sole.places.iter().any(|place| inside.starts_with(place)) {
                let found = words(&source.shipped, sole.word);
                broken.extend(found.map(|at| format!("{}: {}", source.place(at), sole.rule)));
            }
        }
    }
    hold("what one part of the core does, no other does", &broken);
}

#[test]
fn the_passes_of_a_step_do_not_call_each_other() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(module) = source.core_module() else { continue };
        let ["hub", own, ..] = module[..] else { continue };
        if !PASSES.contains(&own) {
            continue;
        }
        for (at, used) in uses(source, &module) {
            let [hub, other, .., item] = &used[..] else { continue };
            let is_pass = hub == "hub" && other != own && PASSES.contains(&other.as_str());
            // Types are shared; functions are what is called.
            if is_pass && item.starts_with(|c: char| c.is_lowercase()) {
                broken.push(format!("{}: {own} uses {}", source.place(at), used.join("::")));
            }
        }
    }
    hold("the passes of a step share the transaction and do not call each other", &broken);
}
