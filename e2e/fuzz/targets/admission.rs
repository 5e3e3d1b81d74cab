//! libFuzzer on [`sikkerkey_fuzz::admission`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sikkerkey_fuzz::admission::run(data));
