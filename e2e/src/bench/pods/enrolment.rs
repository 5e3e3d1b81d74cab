//! P7: many pods enrol and read at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Attest, Register};
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::Sync;
use sikkerkey_sidecar::fetch::Holdings;
use sikkerkey_sidecar::publish::{Label, Volume};
use sikkerkey_sidecar::render::render;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::row;
use super::stage::{BOUND, Placed, SECRETS, Stage};
use crate::bench::Bench;
use crate::bench::row::{Row, Unit, short};
use crate::signed_client::{new_key, sign};

/// How long a pod waits when it was told to come later without a time.
const LATER: Duration = Duration::from_millis(100);

pub(super) async fn measure(bench: &Bench<'_>, stage: &Stage) -> Result<Vec<Row>> {
    let (count, rounds) = (bench.scale.pods, bench.scale.pod_rounds);
    let (server, operator) = (stage.server()?, stage.operator()?);
    let told_to_wait = async || -> Result<f64> {
        let of_server = stage.expositions.server().await?;
        let refused = |code| of_server.sum("sikkerkey_responses_total", code);
        Ok(refused("\"429\"") + refused("\"503\""))
    };
    // What so many at once need of memory stays for good, however many more come.
    storm(bench, stage, 0, count).await?;
    let (memory, used, refused) = (server.memory()?, server.used()?, told_to_wait().await?);
    let operator_used = operator.used()?;
    let mut storms = Vec::new();
    for round in 1..=rounds {
        storms.push(storm(bench, stage, round, count).await?);
    }
    let (after, used, refused) = (server.memory()?, server.used()?.since(&used), told_to_wait().await? - refused);
    let operator_used = operator.used()?.since(&operator_used);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (enrolments, pods) = ((count * rounds) as f64, count as f64);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (kept, written) = (after.anonymous.saturating_sub(memory.anonymous) as f64, used.device_bytes as f64);
    let later: usize = storms.iter().map(|storm| storm.told_to_wait).sum();
    storms.sort_by_key(|storm| storm.took);
    let middle = storms.get(storms.len() / 2).context("there was no storm")?;
    let row = |what, measured, figure, unit, floor, stretch| row("P7", what, measured, figure, unit, floor, stretch);
    let per = |time: Duration| time.as_secs_f64() / enrolments;
    Ok(vec![
        row(
            "1,000 pods enrol and write 10 files each, at once",
            format!(
                "{} s for {count}; CPU of the operator {} ms each",
                short(middle.took.as_secs_f64()),
                short(per(operator_used.cpu) * 1e3)
            ),
            middle.took.as_secs_f64() * 1000.0 / pods,
            Unit::Seconds,
            5.0,
            Some(2.0),
        ),
        row(
            "told to come later meanwhile",
            format!("{later} by the operator or the server"),
            f64::from(u32::try_from(later)?) + refused,
            Unit::Count,
            0.0,
            None,
        ),
        row(
            "server CPU of one enrolment with 10 secrets",
            format!("{} µs", short(per(used.cpu) * 1e6)),
            per(used.cpu),
            Unit::Milliseconds,
            1.4e-3,
            Some(0.7e-3),
        ),
        row(
            "written to the device for it",
            format!("{} KB", short(written / enrolments / 1e3)),
            written / enrolments,
            Unit::Kilobytes,
            20e3,
            None,
        ),
        row(
            "memory that the server keeps for it",
            format!("{} MB for {}", short(kept / 1e6), short(enrolments)),
            kept / enrolments,
            Unit::Kilobytes,
            1024.0,
            None,
        ),
    ])
}

/// What came of one storm.
struct Storm {
    took: Duration,
    told_to_wait: usize,
}

async fn storm(bench: &Bench<'_>, stage: &Stage, round: usize, count: usize) -> Result<Storm> {
    let pods = stage.pods(round, count).await?;
    let volumes = tempfile::tempdir_in("/dev/shm").context("files need memory: /dev/shm")?;
    let to = (stage.operator_address()?, stage.server_address()?);
    let mut ready = Vec::with_capacity(count);
    for (n, placed) in pods.into_iter().enumerate() {
        let volume = volumes.path().join(n.to_string());
        std::fs::create_dir(&volume)?;
        ready.push(OnePod { placed, from: address_of(n)?, key: new_key()?, volume, tls: stage.tls.clone(), to });
    }
    let begun = Instant::now();
    let mut tasks: JoinSet<_> = ready.into_iter().map(OnePod::start).collect();
    let mut told_to_wait = 0;
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            told_to_wait += ended.context("a pod panicked")??;
        }
        anyhow::Ok(begun.elapsed())
    };
    let took = tokio::time::timeout(BOUND, all).await.context("the storm does not end")??;
    check(&volumes, count)?;
    bench.say(&format!("P7: {count} pods in {} s", short(took.as_secs_f64())));
    Ok(Storm { took, told_to_wait })
}

/// All files of all pods are there.
fn check(volumes: &TempDir, count: usize) -> Result<()> {
    for n in 0..count {
        let files = std::fs::read_dir(volumes.path().join(n.to_string()).join("files"))?.count();
        ensure!(files == SECRETS, "pod {n} has {files} files");
    }
    Ok(())
}

/// Each pod of a round has an address of its own.
fn address_of(n: usize) -> Result<IpAddr> {
    let [_, second, third, fourth] = u32::try_from(n + 2)?.to_be_bytes();
    Ok(IpAddr::V4(Ipv4Addr::new(127, second + 1, third, fourth)))
}

/// One pod, as far as operator and server can tell.
struct OnePod {
    placed: Placed,
    from: IpAddr,
    key: MachineKey,
    volume: std::path::PathBuf,
    tls: TlsConnector,
    to: (SocketAddr, SocketAddr),
}

impl OnePod {
    /// From its start to its files; how often it was told to come later.
    async fn start(self) -> Result<usize> {
        let (operator, server) = self.to;
        let mut peer = Peer::open(self.from, operator, &self.tls).await?;
        let public_key = self.key.public_key();
        let prove = |purpose, credential: &str| self.key.sign(&possession(purpose, credential, &public_key));
        let attest = Attest {
            public_key,
            proof: prove(Purpose::Attest, &self.placed.token),
            token: SecretText::new(self.placed.token.clone()),
        };
        let attested = peer.call(&attest, None).await?;
        let mut later = peer.told_to_wait;
        let mut peer = Peer::open(self.from, server, &self.tls).await?;
        let register = Register {
            public_key,
            proof: Some(prove(Purpose::Register, attested.voucher.expose())),
            token: attested.voucher,
            hostname: None,
            os: None,
        };
        let registered = peer.call(&register, None).await?;
        let mut holdings = Holdings::default();
        let signer = (&self.key, registered.machine_id.as_str());
        // The first answer says which files there are, and brings their values.
        let synced = peer.call::<Sync>(&holdings.ask(0), Some(signer)).await?;
        holdings.take(synced);
        later += peer.told_to_wait;
        write(&holdings, &self.volume)?;
        Ok(later)
    }
}

fn write(holdings: &Holdings, volume: &Path) -> Result<()> {
    let set = render(holdings, None);
    ensure!(set.missing.is_empty(), "files are missing: {:?}", set.missing);
    let label = Label { stamp: "1".to_owned(), time: String::new(), delivery_revision: None };
    Volume::open(volume)?.publish(&set.files, &BTreeSet::new(), &label)?;
    Ok(())
}

/// A connection of a pod.
struct Peer {
    sender: SendRequest<Full<Bytes>>,
    host: SocketAddr,
    told_to_wait: usize,
}

impl Peer {
    async fn open(from: IpAddr, to: SocketAddr, tls: &TlsConnector) -> Result<Self> {
        let stream = crate::bench::connection::open_from(from, to, tls).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: to, told_to_wait: 0 })
    }

    /// One call, made again for as long as it is told to come later.
    async fn call<C>(&mut self, call: &C, signer: Option<(&MachineKey, &str)>) -> Result<C::Answer>
    where
        C: Call + Serialize,
        C::Answer: DeserializeOwned,
    {
        let body = Bytes::from(serde_json::to_vec(call)?);
        loop {
            let mut request =
                Request::post(C::PATH).header("host", self.host.to_string()).header("content-type", "application/json");
            if let Some((key, machine)) = signer {
                for (name, value) in sign(key, machine, "POST", C::PATH, &body)?.iter() {
                    request = request.header(name, value);
                }
            }
            self.sender.ready().await?;
            let response = self.sender.send_request(request.body(Full::new(body.clone()))?).await?;
            let status = response.status();
            if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
                self.told_to_wait += 1;
                tokio::time::sleep(LATER).await;
                continue;
            }
            let answer = response.into_body().collect().await?.to_bytes();
            if status != StatusCode::OK {
                bail!("{} answered {status}: {}", C::PATH, String::from_utf8_lossy(&answer));
            }
            return Ok(serde_json::from_slice(&answer)?);
        }
    }
}
