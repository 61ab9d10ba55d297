//! This file holds what the core drags in, directly or not.

use std::collections::BTreeSet;
use std::env;
use std::process::Command;

use crate::hold;
use crate::source::root;

/// What deciding needs: formats, errors, object-safe ports.
const DECIDING: &[&str] = &[
    "agentcom-core",
    "async-trait",
    "itoa",
    "memchr",
    "proc-macro2",
    "quote",
    "ryu",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "subtle",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
    "zmij",
];

/// What the loops need besides: futures without a runtime, logs, seeds, digests, the names of fields
/// that do not fit, and a clock that counts suspension, which the standard library has not (`nix`).
const RUNNING: &[&str] = &[
    "bitflags",
    "block-buffer",
    "cfg-if",
    "cpufeatures",
    "crypto-common",
    "digest",
    "futures-channel",
    "futures-core",
    "futures-macro",
    "futures-sink",
    "futures-task",
    "futures-util",
    "getrandom",
    "hybrid-array",
    "libc",
    "nix",
    "once_cell",
    "pin-project-lite",
    "serde_path_to_error",
    "sha2",
    "slab",
    "tracing",
    "tracing-attributes",
    "tracing-core",
    "typenum",
];

/// What these need on machines other than Linux on x86-64.
const ELSEWHERE: &[&str] = &["r-efi", "wasip2", "wasip3", "wit-bindgen", "windows-link"];

#[test]
fn deciding_drags_in_formats_and_errors_only() {
    check(&["--no-default-features"], &[DECIDING]);
}

#[test]
fn the_driver_drags_in_no_runtime_and_no_adapter() {
    check(&["--no-default-features", "--features", "driver"], &[DECIDING, RUNNING, ELSEWHERE]);
}

/// What unpacks. A few bytes that become many are a way to use up whoever reads them.
const UNPACKING: &[&str] = &[
    "async-compression",
    "brotli",
    "brotli-decompressor",
    "flate2",
    "libz-sys",
    "lz4",
    "lz4_flex",
    "miniz_oxide",
    "snap",
    "zlib-rs",
    "zstd",
    "zstd-sys",
];

#[test]
fn nothing_of_ours_can_unpack_what_it_is_sent() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("the lock is there");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let found: BTreeSet<_> = names.collect();
    assert!(found.contains("hyper"), "what serves is there: {found:?}");
    let broken: Vec<_> =
        UNPACKING.iter().filter(|name| found.contains(*name)).map(ToString::to_string).collect();
    hold("nothing that unpacks is linked", &broken);
}

fn check(features: &[&str], allowed: &[&[&str]]) {
    let tree = ["tree", "--locked", "--package", "agentcom-core", "--edges", "normal"];
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(tree)
        .args(["--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let found: BTreeSet<_> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(found.contains("serde"), "the tree of the core is there: {found:?}");
    let allowed = allowed.concat();
    let broken: Vec<_> = found
        .into_iter()
        .filter(|name| !allowed.contains(name))
        .map(|name| format!("{name} (`cargo tree -p agentcom-core -i {name}` says why)"))
        .collect();
    hold(&format!("what the core depends on with {features:?} is on a list"), &broken);
}
