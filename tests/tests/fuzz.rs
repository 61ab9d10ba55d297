//! This file replays the corpora of the fuzzer, on whatever compiler there is.

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use agentcom_tests::fuzz::TARGETS;

/// The fewest inputs that a corpus may hold.
const INPUTS_MIN: usize = 8;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz().join(folder)).expect("the folder is there");
    let name = |entry: fs::DirEntry| {
        let path = PathBuf::from(entry.file_name());
        path.file_stem().expect("files have names").to_string_lossy().into_owned()
    };
    entries.map(|entry| name(entry.expect("the folder is read"))).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    for (name, _) in TARGETS {
        let inputs = fs::read_dir(fuzz().join("corpus").join(name)).expect("it has a corpus");
        let count = inputs.count();
        assert!(count >= INPUTS_MIN, "{name} has {count} inputs");
    }
}

#[test]
fn no_input_of_a_corpus_does_harm() {
    let mut harmful = Vec::new();
    for (name, target) in TARGETS {
        let entries = fs::read_dir(fuzz().join("corpus").join(name)).expect("it has a corpus");
        for entry in entries {
            let path = entry.expect("the folder is read").path();
            let input = fs::read(&path).expect("the input is read");
            if panic::catch_unwind(|| target(&input)).is_err() {
                harmful.push(path);
            }
        }
    }
    assert!(harmful.is_empty(), "{harmful:#?}");
}
