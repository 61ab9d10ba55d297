//! This file fuzzes [`agentcom_tests::fuzz::tool_calls`].
#![no_main]

libfuzzer_sys::fuzz_target!(init: agentcom_tests::fuzz::let_panics_be_caught(), |input: &[u8]| {
    agentcom_tests::fuzz::tool_calls(input);
});
