//! This file fuzzes [`agentcom_tests::fuzz::store_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(init: agentcom_tests::fuzz::let_panics_be_caught(), |input: &[u8]| {
    agentcom_tests::fuzz::store_file(input);
});
