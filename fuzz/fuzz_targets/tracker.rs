//! Coverage-guided runs of `fuzz::tracker`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::tracker(data));
