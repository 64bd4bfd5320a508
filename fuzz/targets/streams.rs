//! `tidings_doors::fuzzing::streams`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidings_doors::fuzzing::streams(data));
