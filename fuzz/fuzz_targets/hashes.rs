//! Coverage-guided runs of `fuzz::hashes`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::hashes(data));
