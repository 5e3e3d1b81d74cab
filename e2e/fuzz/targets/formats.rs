//! libFuzzer on [`sikkerkey_fuzz::formats`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sikkerkey_fuzz::formats::run(data));
