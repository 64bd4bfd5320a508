//! `tidings_doors::fuzzing::websocket`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidings_doors::fuzzing::websocket(data));
