//! libFuzzer on [`sikkerkey_fuzz::names`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sikkerkey_fuzz::names::run(data));
