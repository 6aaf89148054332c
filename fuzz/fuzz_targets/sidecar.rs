//! Coverage-guided runs of `fuzz::sidecar`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sidecar(data));
