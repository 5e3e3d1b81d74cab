//! libFuzzer on [`sikkerkey_fuzz::template`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sikkerkey_fuzz::template::run(data));
