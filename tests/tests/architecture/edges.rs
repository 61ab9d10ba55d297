//! This file holds which crate of the workspace may know which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::MetadataCommand;

use crate::hold;
use crate::source::root;

/// The core and the adapters.
const LIBRARIES: &[&str] = &[
    "agentcom-core",
    "agentcom-exec",
    "agentcom-http",
    "agentcom-store-redb",
    "agentcom-transport-ws",
];

/// The programs whose parts the command line offers too.
const PROGRAMS: &[&str] = &["agentcom-hub", "agentcom-sidecar"];

/// Each crate, with the crates of ours that it may depend on in any way.
const MAY_KNOW: &[(&str, &[&[&str]])] = &[
    // decides
    ("agentcom-core", &[]),
    // adapters know the core and not each other
    ("agentcom-exec", &[&["agentcom-core"]]),
    ("agentcom-http", &[&["agentcom-core"]]),
    ("agentcom-store-redb", &[&["agentcom-core"]]),
    ("agentcom-transport-ws", &[&["agentcom-core"]]),
    // only examples choose
    // .. and the command line is killed, frozen and filled up by the proof
    ("agentcom", &[LIBRARIES, PROGRAMS, &["agentcom-tests"]]),
    ("agentcom-custom-store", &[&["agentcom-core"]]),
    ("agentcom-embed", &[LIBRARIES]),
    ("agentcom-hub", &[LIBRARIES]),
    ("agentcom-sidecar", &[LIBRARIES]),
    // proof may look at everything; of programs it reads the configuration only
    ("agentcom-benches", &[LIBRARIES]),
    ("agentcom-tests", &[LIBRARIES, PROGRAMS, &["agentcom-custom-store"]]),
    // needs nothing
    ("xtask", &[]),
];

#[test]
fn a_crate_knows_only_the_crates_that_the_table_names() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes the workspace");
    let ours: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let table: BTreeMap<_, _> =
        MAY_KNOW.iter().map(|(name, known)| (*name, known.concat())).collect();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(allowed) = table.get(name) else {
            broken.push(format!("{name} is not in the table of tests/tests/architecture/edges.rs"));
            continue;
        };
        let known = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        let too_much = known.filter(|known| ours.contains(known) && !allowed.contains(known));
        broken.extend(too_much.map(|known| format!("{name} knows {known}")));
    }
    let gone = table.keys().filter(|name| !ours.contains(*name));
    broken.extend(gone.map(|name| format!("{name} is in the table and not in the workspace")));
    hold("adapters know the core, the core knows nobody, only examples choose", &broken);
}
