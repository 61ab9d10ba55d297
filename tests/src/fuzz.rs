//! This file lists what is fuzzed, and how one input is tried.
//!
//! The fuzzer itself is the package `fuzz`, which needs a nightly compiler; each of its targets
//! calls the function of the same name here. The inputs that it found worth keeping are in
//! `fuzz/corpus`, and a test replays them on every run.

mod files;
mod formats;
mod frames;
mod programs;
mod requests;
mod store_file;

pub use files::{journal, store_record};
pub use formats::{host_and_origin, hub_config, sidecar_config};
pub use frames::{frame_to_agent, frame_to_hub};
pub use programs::{acp_lines, sandbox_order, tool_calls};
pub use requests::http_request;
pub use store_file::store_file;

/// Tries one input. Panics if the code under test did something that it must not.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("acp_lines", acp_lines),
    ("frame_to_agent", frame_to_agent),
    ("frame_to_hub", frame_to_hub),
    ("host_and_origin", host_and_origin),
    ("http_request", http_request),
    ("hub_config", hub_config),
    ("journal", journal),
    ("sandbox_order", sandbox_order),
    ("sidecar_config", sidecar_config),
    ("store_file", store_file),
    ("store_record", store_record),
    ("tool_calls", tool_calls),
];

/// Lets code under test catch panics of its own: the fuzzer's hook would end the process for them.
/// A panic that nobody catches still fails the input.
pub fn let_panics_be_caught() {
    drop(std::panic::take_hook());
    std::panic::set_hook(Box::new(|_| {}));
}
