//! `tidings_core::fuzzing::token`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidings_core::fuzzing::token(data));
