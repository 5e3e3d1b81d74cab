//! What a verification costs, by how many come at once: `cargo bench -p sikkerkey-protocol`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::{Duration, Instant};

use sikkerkey_protocol::key::{Claim, MachineKey, verify_all};
use zeroize::Zeroizing;

/// Each size is timed several times, and the least counts: what else runs on the machine only adds.
const ROUNDS: usize = 7;
const SIGNATURES: usize = 1024;

fn main() {
    let made: Vec<_> = (0..SIGNATURES)
        .map(|n| {
            let seed = Zeroizing::new(core::array::from_fn(|i| n.to_le_bytes().get(i).copied().unwrap_or_default()));
            let key = MachineKey::from_seed(&seed);
            let message = format!("GET:/v1/secret/sk_{n:010}:1711468800:{n:024}:{n:064}").into_bytes();
            let signature = key.sign(&message);
            (key.public_key(), message, signature)
        })
        .collect();
    let claims: Vec<_> = made.iter().map(|(key, message, signature)| Claim { key, message, signature }).collect();
    let mut alone = Duration::ZERO;
    for size in [1, 2, 3, 4, 8, 16, 32, 64, 128, 256] {
        let least = (0..ROUNDS).map(|_| {
            let begun = Instant::now();
            assert!(claims.chunks_exact(size).all(|it| verify_all(it).into_iter().all(|good| good)));
            begun.elapsed() / u32::try_from(SIGNATURES).unwrap_or(u32::MAX)
        });
        let least = least.min().unwrap_or_default();
        if size == 1 {
            alone = least;
        }
        println!(
            "{size:>4} at once: {:>5.1} µs each, {:.2} of one alone",
            least.as_secs_f64() * 1e6,
            least.as_secs_f64() / alone.as_secs_f64()
        );
    }
}
