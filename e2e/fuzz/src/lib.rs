//! Fuzz targets: what takes input from outside, each as a function of bytes that returns, or panics where a promise of the
//! code is broken.
//!
//! | Target | Input | Promises |
//! |---|---|---|
//! | [`template`] | a template and values | it ends; what is refused is refused at admission in the same words; no error tells a value; same input, same content |
//! | [`formats`] | values, for every format and both kinds of store | it ends; no error tells a value; what is written as Raw, `DotEnv`, JSON or YAML is read back |
//! | [`names`] | paths of files | none leaves the volume or takes a name of the swap scheme; no two are in each other's way |
//! | [`admission`] | the body of a review | it is answered; injecting twice gives the same pod as once |
//! | [`wire`] | messages, headers, sealed values | they are read or refused; what is read is written as it was read |
//!
//! `e2e/fuzz/run` builds them with libFuzzer and lets each run for some seconds. Seeds stand in `seeds/TARGET`; what the
//! fuzzer finds interesting is kept in the target directory from one run to the next. An input that fails is written to
//! `target/fuzz/failures`, and becomes a seed once it is understood: the seeds are run by `cargo test` as well, without any
//! fuzzer.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a target says that a promise is broken")]

pub mod admission;
pub mod formats;
pub mod names;
mod parts;
pub mod template;
pub mod wire;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 5] = [
        ("template", super::template::run),
        ("formats", super::formats::run),
        ("names", super::names::run),
        ("admission", super::admission::run),
        ("wire", super::wire::run),
    ];

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    fn seed(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name)).unwrap()
    }

    #[test]
    fn every_seed_passes_also_when_it_is_cut() {
        for (target, run) in TARGETS {
            let seeds = seeds(target);
            assert!(seeds.len() >= 3, "{target}");
            for seed in seeds {
                run(&seed);
                for cut in [seed.len() / 3, seed.len() / 2, seed.len().saturating_sub(1)] {
                    run(&seed[..cut]);
                    run(&seed[cut..]);
                }
            }
        }
    }

    /// A seed that is refused at the first step leads nowhere.
    #[test]
    fn seeds_are_what_their_names_say() {
        use sikkerkey_protocol::{enrolment, kubernetes, report, sync};
        fn reads<T: serde::de::DeserializeOwned>(name: &str) {
            let error = serde_json::from_slice::<T>(&seed(name)).err();
            assert!(error.is_none(), "{name}: {error:?}");
        }
        reads::<sync::Sync>("wire/sync");
        reads::<sync::Synced>("wire/synced");
        reads::<enrolment::Attest>("wire/attest");
        reads::<report::Report>("wire/report");
        reads::<kubernetes::ApplyMachine>("wire/machine");
        reads::<kubernetes::ApplySecret>("wire/secret");
        reads::<kubernetes::ApplyGrant>("wire/grant");
        reads::<kubernetes::ApplyPolicy>("wire/policy");
        super::formats::key_store(&seed("formats/keystore")).unwrap();
        for name in ["readme", "url", "loop", "filters", "blocks", "tests"] {
            super::template::content(&seed(&format!("template/{name}"))).unwrap();
        }
        for name in ["pod", "pod-mesh", "pod-annotated"] {
            assert!(super::admission::is_injected(&seed(&format!("admission/{name}"))), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_pass(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
            for (target, run) in TARGETS {
                run(&bytes);
                let seeds = seeds(target);
                let mut seed = seeds[at.index(seeds.len())].clone();
                let place = at.index(seed.len());
                seed.splice(place..place, bytes.iter().copied().take(8));
                run(&seed);
            }
        }
    }
}
