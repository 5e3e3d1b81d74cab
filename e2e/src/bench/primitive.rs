//! What the parts of a read cost at best on one core, with the libraries that the server uses.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::key::{Claim, verify_all};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_server::crypto::keyring::Keyring;
use sikkerkey_server::crypto::master::Master;
use sikkerkey_server::crypto::withheld::Withheld;
use sikkerkey_server::entropy::SystemEntropy;
use sikkerkey_server::model::project::Project;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::clients::{key, machine_id, secret_id};
use super::data::VALUE;
use super::latency::Latencies;

/// Requests that are verified, and written, together.
pub(super) const GROUP: usize = 64;
/// Of so many rounds the quickest counts: whatever else runs can only add.
const ROUNDS: u32 = 5;

/// Processor time of one read's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// One signature by itself.
    pub(super) verify: Duration,
    /// One signature of [`GROUP`] that are verified together.
    pub(super) verify_together: Duration,
    /// The string to sign, with its hash, and opening a value.
    pub(super) hash_and_open: Duration,
    /// A nonce and a row of the audit, of [`GROUP`] that are committed together.
    pub(super) write: Duration,
}

impl Parts {
    /// Times them, each for about `time`.
    pub(super) async fn measure(directory: &Path, time: Duration) -> Result<Self> {
        let (verify, verify_together, hash_and_open) =
            tokio::task::spawn_blocking(move || -> Result<_> { Ok((verify(time)?, together(time)?, open(time)?)) })
                .await
                .context("timing panicked")??;
        let write = write(&directory.join("lean.db"), time).await?;
        Ok(Self { verify, verify_together, hash_and_open, write })
    }
}

/// What writing a page and waiting for the device takes, in the middle. The pages are there already, as they are in the database's log once it
/// has its size: a file that grows has to wait for more than its data.
pub(super) fn fdatasync(directory: &Path, count: usize) -> Result<Duration> {
    const PAGE: u16 = 4096;
    const PAGES: u16 = 256;
    let path = directory.join("fdatasync");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let write = |page: u16| file.write_all_at(&[7; PAGE as usize], u64::from(page) * u64::from(PAGE));
    (0..PAGES).try_for_each(write)?;
    file.sync_all()?;
    let mut latencies = Vec::with_capacity(count);
    for page in (0..PAGES).cycle().take(count) {
        let begun = Instant::now();
        write(page)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(Latencies::new(latencies).median())
}

struct Signed {
    key: sikkerkey_protocol::key::PublicKey,
    message: Vec<u8>,
    signature: sikkerkey_protocol::key::Signature,
}

fn message(n: usize) -> Vec<u8> {
    let target = format!("/v1/secret/{}", secret_id(n));
    string_to_sign("GET", &target, "1767225600", &format!("{n:022}=="), b"")
}

fn signed() -> Vec<Signed> {
    let signed = (0..GROUP).map(|n| {
        let (key, message) = (key(n), message(n));
        Signed { key: key.public_key(), signature: key.sign(&message), message }
    });
    signed.collect()
}

fn verify(time: Duration) -> Result<Duration> {
    let signed = signed();
    timed(time, ClockId::ThreadCPUTime, || {
        for it in &signed {
            it.key.verify(&it.message, &it.signature)?;
        }
        Ok(signed.len())
    })
}

fn together(time: Duration) -> Result<Duration> {
    let signed = signed();
    let claims = signed.iter().map(|it| Claim { key: &it.key, message: &it.message, signature: &it.signature });
    let claims: Vec<_> = claims.collect();
    timed(time, ClockId::ThreadCPUTime, || {
        ensure!(verify_all(&claims).into_iter().all(|it| it), "a signature does not verify");
        Ok(GROUP)
    })
}

fn open(time: Duration) -> Result<Duration> {
    let keyring = Keyring::new(Master::generate(&SystemEntropy));
    let (vault, id) = ("vault_bench".parse()?, "proj_bench".parse()?);
    let wrapped_key = keyring.new_project_key(&vault, &id, &SystemEntropy)?;
    let project = Project {
        id,
        vault,
        name: "bench".into(),
        namespace: None,
        frozen: false,
        description: String::new(),
        created_at: None,
        wrapped_key,
    };
    let secret = secret_id(0).parse()?;
    let sealed = keyring.seal(&project, &secret, 1, &SecretText::new("x".repeat(VALUE)), &SystemEntropy)?;
    timed(time, ClockId::ThreadCPUTime, || {
        for n in 0..GROUP {
            black_box(message(n));
            black_box(Withheld::open(&keyring, &project, &secret, 1, &sealed)?);
        }
        Ok(GROUP)
    })
}

/// Processor time for one of what `work` does many of: least of some rounds.
fn timed(time: Duration, clock: ClockId, mut work: impl FnMut() -> Result<usize>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let (begun, mut count) = (now(clock), 0);
        while now(clock).saturating_sub(begun) < time / ROUNDS {
            count += work()?;
        }
        best = best.min(each(now(clock).saturating_sub(begun), count));
    }
    Ok(best)
}

fn each(time: Duration, count: usize) -> Duration {
    time / u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

fn now(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

const SCHEMA: &str = "
    create table nonce (expiry integer not null, signer text not null, nonce text not null,
        primary key (expiry, signer, nonce)) without rowid, strict;
    create table audit (seq integer primary key not null, time integer not null, entry text not null,
        hash blob not null) strict";

const BURN: &str = "begin immediate;
    insert into nonce (expiry, signer, nonce)
        select value ->> 0, value ->> 1, value ->> 2 from json_each(?1) where true
        on conflict do nothing returning signer, nonce";

const AUDIT: &str = "
    insert into audit (seq, time, entry, hash)
        select value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) from json_each(?);
    commit";

/// Both threads count, the one that asks and the one that SQLite runs on: so it is the time of this process, which does nothing else.
async fn write(path: &Path, time: Duration) -> Result<Duration> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await
        .context("cannot make a database to compare with")?;
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
    let mut best = Duration::MAX;
    let mut written = 0;
    for _ in 0..ROUNDS {
        let (mut used, mut count) = (Duration::ZERO, 0);
        while used < time / ROUNDS {
            let (nonces, audit) = rows(written);
            let before = now(ClockId::ProcessCPUTime);
            commit(&mut connection, nonces, audit).await?;
            used += now(ClockId::ProcessCPUTime).saturating_sub(before);
            written += GROUP;
            count += GROUP;
        }
        best = best.min(each(used, count));
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from audit").fetch_one(&mut connection).await?;
    ensure!(usize::try_from(stored)? == written, "{stored} of {written} rows were written");
    connection.close().await?;
    Ok(best)
}

async fn commit(connection: &mut SqliteConnection, nonces: String, audit: String) -> Result<()> {
    let burnt = sqlx::query(BURN).bind(nonces).fetch_all(&mut *connection).await?;
    ensure!(burnt.len() == GROUP, "a nonce was not fresh");
    sqlx::query(AUDIT).bind(audit).execute(connection).await?;
    Ok(())
}

/// The rows of one group, as JSON; as long as the server's.
fn rows(first: usize) -> (String, String) {
    let (mut nonces, mut audit) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    for n in first..first + GROUP {
        let (machine, secret) = (machine_id(n % 1000), secret_id(n % 1000));
        nonces.push(serde_json::json!([1_767_225_960 + n / 5000, machine, format!("{n:022}==")]));
        let entry = serde_json::json!({
            "action": "secret_read", "actor": {"Machine": machine}, "vault": "vault_bench", "project": "proj_bench",
            "machine": machine, "secret": secret, "source_ip": "127.0.0.1",
            "detail": format!("v1 secret-{}; machine host-{}", n % 1000, n % 1000),
        });
        audit.push(serde_json::json!([n + 1, 1_767_225_600_000_u64, entry.to_string(), "ab".repeat(32)]));
    }
    (serde_json::Value::from(nonces).to_string(), serde_json::Value::from(audit).to_string())
}
