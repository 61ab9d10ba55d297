//! This file holds the core below its driver free of waiting, sharing and the outside world.

use crate::hold;
use crate::layers::{OUTSIDE, RUNNING, layer};
use crate::source::{Source, sources, words};

/// What deciding never mentions.
const NEVER: &[&str] = &[
    "std::",
    "static mut",
    "thread_local",
    "Arc",
    "Rc",
    "Cell",
    "RefCell",
    "Mutex",
    "RwLock",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    ".await",
    "async move",
    "async {",
    "f32",
    "f64",
];

/// Words that one file may use all the same, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "agentcom-core/src/name.rs",
        "Arc",
        "copies of an agent's name share its text, which nobody can change",
    ),
    (
        "agentcom-core/src/port/transport.rs",
        ".await",
        "a method of a port is given in terms of another one of the same port",
    ),
];

/// What only ports may declare.
const PORTS_ONLY: &[&str] = &["async fn"];

#[test]
fn nothing_below_the_driver_waits_shares_or_reaches_outside() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = source.core_module().and_then(|module| layer(module[0])) else { continue };
        if own < RUNNING {
            broken.extend(mentions(source, NEVER));
        }
        if own < OUTSIDE {
            broken.extend(mentions(source, PORTS_ONLY));
        }
    }
    hold("below the driver the core is pure: no waiting, sharing, clock, std or floats", &broken);
}

fn mentions(source: &Source, banned: &[&str]) -> Vec<String> {
    let is_excepted = |word: &str| {
        EXCEPTIONS.iter().any(|(path, excepted, _)| *path == source.path && *excepted == word)
    };
    let found = banned.iter().filter(|word| !is_excepted(word)).flat_map(|word| {
        words(&source.shipped, word).map(move |at| format!("{}: `{word}`", source.place(at)))
    });
    found.collect()
}

#[test]
fn a_banned_word_is_found_in_code_and_nowhere_else() {
    let text =
        "//! Arc\nfn a() { std::x(\"Mutex\"); myArc(); }\n#[cfg(test)]\nmod tests { use std::y; }";
    let source = Source::new("agentcom-core/src/task.rs".into(), text.into());
    assert_eq!(mentions(&source, NEVER), ["agentcom-core/src/task.rs:2: `std::`"]);
}
