//! Whoever reads: machines with keys of their own, and their requests, signed before the clock runs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::header;
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use super::load::Requests;

/// The machines of a data directory, which secrets each may read, and what is in a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    pub(super) machines: usize,
    pub(super) secrets: usize,
    /// How many secrets each machine may read.
    pub(super) per_machine: usize,
}

/// The key of a machine. It is no secret: the data is thrown away.
pub(super) fn key(machine: usize) -> MachineKey {
    let mut seed = Zeroizing::new([0; 32]);
    seed.iter_mut().zip(machine.to_le_bytes()).for_each(|(place, byte)| *place = byte);
    MachineKey::from_seed(&seed)
}

/// The id of a machine.
pub(super) fn machine_id(machine: usize) -> String {
    format!("00000000-0000-4000-8000-{machine:012x}")
}

/// The id of a secret.
pub(super) fn secret_id(secret: usize) -> String {
    format!("sk_{secret:010}")
}

impl Fleet {
    /// The secrets of a machine.
    pub(super) fn secrets_of(self, machine: usize) -> impl Iterator<Item = usize> {
        (0..self.per_machine).map(move |n| (machine * self.per_machine + n) % self.secrets)
    }

    /// Reads of one secret each, by all machines in turn; each machine reads its secrets in turn.
    pub(super) async fn reads(self, count: usize) -> Result<Requests> {
        signed(count, move |n| {
            let machine = n % self.machines;
            let secret = self.secrets_of(machine).nth(n / self.machines % self.per_machine).unwrap_or_default();
            (machine, "GET", format!("/v1/secret/{}", secret_id(secret)))
        })
        .await
    }

    /// One export of everything by each machine.
    pub(super) async fn exports(self) -> Result<Requests> {
        signed(self.machines, |machine| (machine, "POST", "/v1/secrets/export".to_owned())).await
    }
}

/// Signs on all cores. Good for five minutes.
async fn signed(
    count: usize,
    request: impl Fn(usize) -> (usize, &'static str, String) + Copy + Send + Sync + 'static,
) -> Result<Requests> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = count.div_ceil(cores).max(1);
    let mut tasks = Vec::new();
    for start in (0..count).step_by(share) {
        let numbers = start..(start + share).min(count);
        tasks.push(tokio::task::spawn_blocking(move || -> Result<Vec<_>> {
            numbers.map(|n| sign(request(n))).collect()
        }));
    }
    let mut requests = Vec::with_capacity(count);
    for task in tasks {
        requests.extend(task.await.context("signing panicked")??);
    }
    Ok(Requests::Each(Arc::new(requests)))
}

fn sign((machine, method, target): (usize, &'static str, String)) -> Result<Vec<u8>> {
    request(&key(machine), &machine_id(machine), method, &target)
}

/// A request without a body, signed as this machine.
#[expect(clippy::disallowed_methods, reason = "a client's clock is the wall clock")]
pub(super) fn request(key: &MachineKey, machine_id: &str, method: &str, target: &str) -> Result<Vec<u8>> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| anyhow!("no random bytes: {error}"))?;
    let nonce = STANDARD.encode(nonce);
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    let signature = key.sign(&string_to_sign(method, target, &timestamp, &nonce, b""));
    let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
    Ok(format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{length}{}: {}\r\n{}: {timestamp}\r\n{}: {nonce}\r\n{}: {signature}\r\n\r\n",
        header::MACHINE_ID,
        machine_id,
        header::TIMESTAMP,
        header::NONCE,
        header::SIGNATURE,
    )
    .into_bytes())
}
