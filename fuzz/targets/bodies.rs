//! `tidings_doors::fuzzing::bodies`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidings_doors::fuzzing::bodies(data));
