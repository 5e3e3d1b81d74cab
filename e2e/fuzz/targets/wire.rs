//! libFuzzer on [`sikkerkey_fuzz::wire`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sikkerkey_fuzz::wire::run(data));
