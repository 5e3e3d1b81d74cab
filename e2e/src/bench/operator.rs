//! P10: the operator with many objects.
//!
//! A real control plane, and server and operator as they are released, on one machine. First a small installation at rest, which says how
//! long a new Secret takes at best. Then the [`crowd`] is applied while the operator is away, as in a cluster that is restored, and the
//! operator starts: from cold, with a server that knows nothing. What it asks for is counted by others: by the API server in its
//! [`notes`], by the server in its own metrics. Whether an object is Ready is seen as a person sees it who watches ([`sight`]).
//!
//! All of it shares the cores of one machine with etcd and the API server, which do most of the work: beside the time stands how long
//! the API server took merely to take the objects.

mod budget;
mod crowd;
mod figures;
mod newcomers;
mod sight;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use sikkerkey_crds::secret;

pub(super) use self::budget::{Hosts, measure as budget};
pub(super) use self::crowd::Crowd;
use self::crowd::object;
pub(super) use self::newcomers::NAMESPACE as NEWCOMERS;

use self::figures::Figures;
use self::newcomers::Newcomers;

use self::sight::Sight;
use super::Bench;
use super::exposition::Expositions;
use super::latency::Latencies;
use super::meter::{Memory, Meter};
use super::notes::{Asked, Notes};
use super::row::Row;
use crate::cargo;
use crate::cluster::{Cluster, Options};
use crate::installation::{Installation, LogLevel, NAMESPACE, Programs};
use crate::wait::wait_for;

/// Whatever takes longer than this has failed.
const BOUND: Duration = Duration::from_mins(10);
/// How often it is looked at whether a comparison runs.
const LOOK: Duration = Duration::from_millis(20);
/// Between two new Secrets of one comparison, and how many there are at most.
const APART: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 6;
/// The webhooks' configuration.
const WEBHOOKS: &str = "sikkerkey";

pub(super) async fn measure(bench: &Bench<'_>, operator: &Path) -> Result<Vec<Row>> {
    let mut stage = Stage::set(bench, operator).await?;
    let rows = stage.play().await;
    stage.strike(rows).await
}

/// What is measured, and who looks.
struct Stage<'b> {
    bench: &'b Bench<'b>,
    installation: Installation,
    client: Client,
    sight: Sight,
    notes: Notes,
    expositions: Expositions,
}

/// From cold.
struct Cold {
    /// The API server takes all objects.
    fill: Duration,
    /// From the start of the operator until all are Ready.
    took: Duration,
    cpu: Cpu,
    asked: Asked,
    /// Answers of the server, and those among them that say to come later.
    answers: f64,
    refusals: f64,
    memory: Memory,
    peak: u64,
}

/// Processor time.
struct Cpu {
    operator: Duration,
    server: Duration,
    api_server: Duration,
}

/// All is in force, and the operator starts again.
struct Again {
    took: Duration,
    memory: Memory,
    peak: u64,
    newcomers: Latencies,
}

/// Nothing changes.
struct Quiet {
    asked: Asked,
    answers: f64,
    time: Duration,
}

/// The server is away.
struct Away {
    /// Conditions that came into another status.
    flips: usize,
    /// From its start until what was applied meanwhile is in force.
    recovery: Duration,
}

impl<'b> Stage<'b> {
    async fn set(bench: &'b Bench<'b>, operator: &Path) -> Result<Self> {
        let policy = cargo::workspace().join("e2e/manifests/audit-requests.yaml");
        let options = Options::control_plane()
            .api_server_flag(format!("--audit-policy-file={}", policy.display()))
            .api_server_flag("--audit-log-path=-")
            .report(bench.report.clone());
        let cluster = Cluster::start(options).await?;
        let programs = Programs::without_pods(bench.programs.server.to_owned(), operator.to_owned());
        let installation = Installation::start(cluster, programs, LogLevel::Info, bench.report).await?;
        let client = installation.admin_client()?;
        let log = installation.cluster.run().log("kube-apiserver").path().to_owned();
        let notes = Notes::of(log, format!("system:serviceaccount:{NAMESPACE}:sikkerkey-operator"));
        let (sight, expositions) = (Sight::open(&client), Expositions::of(&installation)?);
        Ok(Self { bench, installation, client, sight, notes, expositions })
    }

    /// Takes all down when it is known what came of it.
    async fn strike<T>(self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.bench.say(&format!("logs are kept in {}", self.installation.cluster.keep_logs().display()));
        }
        let stopped = self.installation.cluster.stop().await;
        ensure!(stopped.leftovers.is_empty(), "left behind: {}", stopped.leftovers.join("\n"));
        outcome
    }

    async fn play(&mut self) -> Result<Vec<Row>> {
        let scale = self.bench.scale;
        Newcomers::namespace(&self.client).await?;
        self.bench.say("P10: new Secrets in a small installation at rest");
        let idle = self.idle(scale.newcomers).await?;
        self.bench.say(&format!("P10: {} objects are applied, then the operator starts", scale.objects.len()));
        let cold = self.cold().await?;
        self.bench.say("P10: nothing changes");
        let quiet = self.quiet().await?;
        self.bench.say("P10: new Secrets during comparisons");
        let compared = self.comparisons(scale.newcomers).await?;
        self.bench.say("P10: the operator starts again");
        let again = self.again(scale.newcomers).await?;
        self.bench.say("P10: the server is away");
        let away = self.away().await?;
        Ok(Figures { scale, idle, cold, quiet, compared, again, away }.rows())
    }

    /// New Secrets, each after the one before.
    async fn idle(&self, count: usize) -> Result<Latencies> {
        // The first one waits for the operator's first login and lease: a start, and no rest.
        let mut first = Newcomers::new(&self.client, &self.sight, "first");
        first.come().await?;
        first.settle(BOUND).await?;
        let mut newcomers = Newcomers::new(&self.client, &self.sight, "idle");
        for _ in 0..count {
            newcomers.come().await?;
            newcomers.settle(BOUND).await?;
        }
        let latencies = newcomers.latencies(BOUND).await?;
        newcomers.leave(0, BOUND).await?;
        Ok(latencies)
    }

    async fn cold(&mut self) -> Result<Cold> {
        let crowd = self.bench.scale.objects;
        self.installation.operator.terminate(BOUND).await?;
        let fill = self.fill(crowd).await?;
        self.notes.since_last()?;
        let server = Meter::of(&self.installation.server)?;
        let api_server = self.installation.cluster.parts().iter().find(|part| part.name() == "kube-apiserver");
        let api_server = Meter::of(api_server.context("the cluster has no API server")?)?;
        let before = (server.used()?, api_server.used()?, self.expositions.server().await?);
        let begun = Instant::now();
        self.installation.operator.restart().await?;
        self.sight.all_ready(crowd.len(), BOUND).await?;
        let took = begun.elapsed();
        let mut asked = Asked::default();
        // What Grants give is written on both sides when they are in force.
        loop {
            self.next_comparison().await?;
            let more = self.notes.since_last()?;
            asked = asked.and(more);
            if more.writes == 0 {
                break;
            }
        }
        let after = self.expositions.server().await?;
        let answered =
            |label| after.sum("sikkerkey_responses_total", label) - before.2.sum("sikkerkey_responses_total", label);
        let operator = Meter::of(&self.installation.operator)?;
        let cpu = Cpu {
            operator: operator.used()?.cpu,
            server: server.used()?.since(&before.0).cpu,
            api_server: api_server.used()?.since(&before.1).cpu,
        };
        let refusals = answered("\"429\"") + answered("\"503\"");
        let (memory, peak) = (operator.memory()?, operator.peak()?);
        Ok(Cold { fill, took, cpu, asked, answers: answered(""), refusals, memory, peak })
    }

    /// Applies the crowd. How long the four kinds took.
    async fn fill(&self, crowd: Crowd) -> Result<Duration> {
        let took = self.unasked(crowd.fill(&self.client)).await?;
        self.sight.count(crowd.len(), BOUND).await?;
        Ok(took)
    }

    /// Applies what nobody checks: whoever would is away, or would do nothing else.
    async fn unasked<T>(&self, fill: impl Future<Output = Result<T>>) -> Result<T> {
        let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let mut webhook = webhooks.get(WEBHOOKS).await?;
        webhooks.delete(WEBHOOKS, &DeleteParams::default()).await?;
        // The API server learns of it by a watch of its own.
        let probe = serde_json::from_value(object("Secret", "default", "probe", &json!({"source": {"external": {}}})))?;
        let secrets: Api<secret::Secret> = Api::namespaced(self.client.clone(), "default");
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        wait_for("the API server to ask no webhook", BOUND, async || secrets.create(&dry_run, &probe).await).await?;
        let filled = fill.await?;
        webhook.metadata.resource_version = None;
        webhook.metadata.uid = None;
        webhooks.create(&PostParams::default(), &webhook).await?;
        Ok(filled)
    }

    async fn quiet(&mut self) -> Result<Quiet> {
        self.notes.since_last()?;
        let before = self.expositions.server().await?;
        tokio::time::sleep(self.bench.scale.quiet).await;
        let after = self.expositions.server().await?;
        // One of them is the first question itself.
        let answers = after.sum("sikkerkey_responses_total", "") - before.sum("sikkerkey_responses_total", "") - 1.0;
        Ok(Quiet { asked: self.notes.since_last()?, answers, time: self.bench.scale.quiet })
    }

    /// New Secrets, some in each comparison.
    async fn comparisons(&self, count: usize) -> Result<Latencies> {
        let mut newcomers = Newcomers::new(&self.client, &self.sight, "compared");
        while newcomers.count() < count {
            self.next_comparison().await?;
            for _ in 0..AT_ONCE {
                newcomers.come().await?;
                tokio::time::sleep(APART).await;
                if self.expositions.operator().await?.sum("sikkerkey_operator_comparing", "") == 0.0 {
                    break;
                }
            }
        }
        let latencies = newcomers.latencies(BOUND).await?;
        newcomers.leave(self.bench.scale.objects.len(), BOUND).await?;
        Ok(latencies)
    }

    /// Waits until a comparison runs that did not when this was called. One that is over before it is looked at counts as well.
    async fn next_comparison(&self) -> Result<()> {
        let look = async || -> Result<(f64, bool)> {
            let operator = self.expositions.operator().await?;
            let over = operator.sum("sikkerkey_operator_comparison_seconds_count", "");
            Ok((over, operator.sum("sikkerkey_operator_comparing", "") > 0.0))
        };
        let (before, running) = look().await?;
        let mut idle = !running;
        loop {
            tokio::time::sleep(LOOK).await;
            let (over, running) = look().await?;
            if running && idle || over > before + f64::from(u8::from(!idle)) {
                return Ok(());
            }
            idle |= !running || over > before;
        }
    }

    async fn again(&mut self, count: usize) -> Result<Again> {
        let objects = self.bench.scale.objects.len();
        self.installation.operator.terminate(BOUND).await?;
        let begun = Instant::now();
        self.installation.operator.restart().await?;
        self.installation.operator_ready().await?;
        let mut newcomers = Newcomers::new(&self.client, &self.sight, "again");
        let took = loop {
            let operator = self.expositions.operator().await?;
            let passes = operator.sum("sikkerkey_operator_reconciles_total", "\"Done\"");
            #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
            if passes >= objects as f64 {
                break begun.elapsed();
            }
            ensure!(begun.elapsed() < BOUND, "the operator has looked at {passes} objects only");
            if newcomers.count() < count && operator.sum("sikkerkey_operator_leader", "") > 0.0 {
                newcomers.come().await?;
            }
            tokio::time::sleep(APART).await;
        };
        let latencies = newcomers.latencies(BOUND).await?;
        newcomers.leave(objects, BOUND).await?;
        self.next_comparison().await?;
        let operator = Meter::of(&self.installation.operator)?;
        Ok(Again { took, memory: operator.memory()?, peak: operator.peak()?, newcomers: latencies })
    }

    async fn away(&mut self) -> Result<Away> {
        let objects = self.bench.scale.objects.len();
        let before = self.sight.seen().flips();
        self.installation.server.kill().await?;
        let gone = Instant::now();
        let mut newcomers = Newcomers::new(&self.client, &self.sight, "away");
        for _ in 0..AT_ONCE {
            newcomers.come().await?;
        }
        tokio::time::sleep(self.bench.scale.away.saturating_sub(gone.elapsed())).await;
        let returned = Instant::now();
        self.installation.server.restart().await?;
        newcomers.settle(BOUND).await?;
        self.sight.all_ready(objects + AT_ONCE, BOUND).await?;
        let recovery = returned.elapsed();
        Ok(Away { flips: self.sight.seen().flips() - before, recovery })
    }
}
