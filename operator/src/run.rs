//! The one place where everything is wired together. It joins every task it starts; a task that ends or panics before its
//! time ends the process.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::api_server;
use crate::attest::Attestation;
use crate::attest::pod_events::PodEvents;
use crate::ca::{Authority, Names, TrustBundle, name};
use crate::cli::RunOptions;
use crate::clock::Clock;
use crate::controller::events::Events;
use crate::controller::ledger::Ledger;
use crate::controller::{self, uninstall};
use crate::index::{self, Index};
use crate::leader::{Leader, Leadership};
use crate::logging;
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::question::Questions;
use crate::serve::bounds::Reviews;
use crate::serve::counters::Counters;
use crate::serve::{self, serve};
use crate::server::{Account, Session};
use crate::webhook::Webhook;
use crate::webhook::machines::{Machines, Remembered};
use crate::webhook::resources::Resources;
use crate::webhook::sidecar::{Settings, Traces};

/// What most parts need.
#[derive(Clone)]
struct Parts {
    client: Client,
    account: Account,
    index: Arc<Index>,
    session: Session,
    clock: Clock,
    metrics: Metrics,
}

/// What a person told the controllers.
#[derive(Clone, Copy)]
struct ControllerOptions {
    acknowledged_removals: usize,
    kubernetes_secret_source: bool,
}

/// Runs until a signal, or until something ends that must not.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    // Fails when one is installed already; there is only this one to choose from.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (clock, metrics) = (Clock::system(), Metrics::new());
    let otlp_authority = match &options.otlp_ca {
        Some(path) => {
            let pem = tokio::fs::read_to_string(path).await;
            Some(pem.with_context(|| format!("--otlp-ca: read {}", path.display()))?)
        }
        None => None,
    };
    let exporter = logging::start(&options, otlp_authority.clone(), &metrics)?;
    let config = Config::infer().await.context("find the API server: no kubeconfig, and not in a cluster")?;
    let client = api_server::client(config).context("make a client for the API server")?;
    let account = account(&options);
    let listener = listen(options.listen).await?;
    let attest_listener = match options.attest_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let names = names(&options)?;
    let authority = Authority::ensure(client.clone(), &account.namespace, names, clock.clone(), metrics.clone())
        .await
        .context("read or make the certificate authority")?;
    let trust = authority.trust();
    let session = Session::new(
        options.server_url.clone(),
        client.clone(),
        account.clone(),
        trust.subscribe(),
        clock.clone(),
        metrics.clone(),
    )
    .of_cluster(options.cluster_name.clone());
    let (index, feeds) = Index::of(options.namespace_selector.clone().unwrap_or_default());
    let identity = format!("{}_{}", account.pod_name, account.pod_uid);
    let leader = Leader::new(client.clone(), &account.namespace, &identity, clock.clone(), session.up());
    let leadership = leader.leadership();
    let parts = Parts { client, account, index, session, clock, metrics };
    let context = Arc::new(serving(&options, &parts, trust, otlp_authority)?);
    let (admission, attestation) = (serve::admission(Arc::clone(&context)), serve::attestation(context));
    let served = match attest_listener {
        None => vec![(listener, admission.merge(attestation))],
        Some(attest_listener) => vec![(listener, admission), (attest_listener, attestation)],
    };

    // Two signals: what works on the cluster stops at the first; the lease and what others look at, when all is done.
    let (stop, stopping) = watch::channel(false);
    let (quit, quitting) = watch::channel(false);
    let (mut workers, mut tasks) = (JoinSet::new(), JoinSet::new());
    let of_controllers = ControllerOptions {
        acknowledged_removals: options.acknowledge_removals,
        kubernetes_secret_source: options.kubernetes_secret_source,
    };
    workers.spawn(until(&stopping, lead(parts.clone(), of_controllers, leadership.clone())));
    tasks.spawn(until(&quitting, index::watch(parts.client.clone(), feeds, parts.metrics.clone())));
    let quits = told(quitting.clone());
    tasks.spawn(async move { Ok(leader.run(quits).await?) });
    if let Some(exporter) = exporter {
        let quits = told(quitting.clone());
        tasks.spawn(finishes(exporter.run(quits)));
    }
    let certificate = authority.serving();
    let stopped = told(stopping.clone());
    tasks.spawn(finishes(async move { authority.run(leadership, stopped).await }));
    for (listener, router) in served {
        let (certificate, stopped) = (Arc::clone(&certificate), told(stopping.clone()));
        tasks.spawn(async move { serve(listener, certificate, router, stopped).await.context("serve") });
    }
    tracing::info!(address = %options.listen, server = %options.server_url, "the operator runs");

    let ended = tokio::select! {
        signal = terminated() => signal,
        Some(ended) = workers.join_next() => Err(too_early(ended)),
        Some(ended) = tasks.join_next() => Err(too_early(ended)),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    let mut outcome = ended.and(joined(&mut workers).await);
    if outcome.is_ok() && uninstall::is_under_way(&parts.client, &parts.account).await {
        tracing::info!("the operator is being uninstalled: it takes its finalizers off");
        uninstall::strip(&parts.client, &parts.index).await;
    }
    quit.send_replace(true);
    let others = joined(&mut tasks).await;
    if outcome.is_ok() {
        outcome = others;
    }
    tracing::info!("stopped");
    outcome
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
}

fn account(options: &RunOptions) -> Account {
    Account {
        namespace: options.namespace.clone(),
        service_account: options.service_account.clone(),
        pod_name: options.pod_name.clone(),
        pod_uid: options.pod_uid.clone(),
    }
}

/// For whom certificates are issued: whoever is called by the two URLs, and the further names.
fn names(options: &RunOptions) -> anyhow::Result<Names> {
    let mut serving = options.serving_san.iter().cloned().collect::<BTreeSet<_>>();
    serving.insert(name::of_url(&options.attest_url).context("--attest-url")?);
    let mut server = options.server_san.iter().cloned().collect::<BTreeSet<_>>();
    // One without TLS needs no certificate.
    if options.server_url.is_https() {
        server.insert(name::of_url(options.server_url.as_str()).context("--server-url")?);
    }
    Ok(Names { serving, server })
}

/// What the listener serves.
fn serving(
    options: &RunOptions,
    parts: &Parts,
    trust: TrustBundle,
    otlp_authority: Option<String>,
) -> anyhow::Result<serve::Context> {
    let Parts { client, index, session, clock, metrics, .. } = parts.clone();
    let resources = Resources::new(
        &options.sidecar_cpu_request,
        &options.sidecar_cpu_limit,
        &options.sidecar_memory,
        &options.sidecar_resources_of,
    )
    .context("the resources of sidecars")?;
    let settings = Settings {
        image: options.sidecar_image.clone(),
        resources,
        log_level: options.sidecar_log_level.clone(),
        status_address: options.sidecar_status_address,
        attest_url: options.attest_url.trim_end_matches('/').to_owned(),
        traces: options.otlp_endpoint.as_ref().map(|endpoint| Traces {
            endpoint: endpoint.to_string(),
            authority: otlp_authority,
            ratio: options.trace_ratio.to_string(),
            parent: None,
        }),
    };
    let events = Events::new(client.clone(), &parts.account.pod_name, clock.clone(), metrics.clone());
    let cached = Arc::clone(&index);
    let cached = Box::new(move |namespace: &str, name: &str| match cached.machine(namespace, name) {
        Some(machine) => Remembered::Machine(machine),
        None if cached.manages(namespace) => Remembered::Nothing,
        None => Remembered::NotManaged,
    });
    let machines = Arc::new(Machines::new(cached, client.clone()));
    let counted = Arc::clone(&index);
    Ok(serve::Context {
        webhook: Webhook {
            settings,
            machines: Arc::clone(&machines),
            index: Arc::clone(&index),
            trust: trust.clone(),
            clock: clock.clone(),
        },
        questions: Questions::new(client.clone(), Arc::clone(&index), session.clone()),
        attestation: Attestation::new(client, machines, session, trust, clock, PodEvents::new(events)),
        ready: Box::new(
            move || if index.is_synced() { Ok(()) } else { Err("the lists of the cluster are not whole yet") },
        ),
        metrics: Box::new(move || {
            for (kind, ready, count) in counted.readiness() {
                metrics.objects(kind, ready, count);
            }
            metrics.encode()
        }),
        counters: Counters::new(),
        reviews: Reviews::new(),
    })
}

/// Runs the controllers while this replica leads. Each term begins with an empty memory: another replica may have worked
/// in between.
async fn lead(parts: Parts, options: ControllerOptions, leadership: Leadership) {
    let mut leads = leadership.subscribe();
    let Account { namespace, pod_name, pod_uid, .. } = parts.account.clone();
    let own_pod = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace),
        name: Some(pod_name.clone()),
        uid: Some(pod_uid),
        ..ObjectReference::default()
    };
    // The sender lives as long as the election, whose end ends the process.
    while leads.wait_for(|leads| *leads).await.is_ok() {
        let Parts { client, index, session, clock, metrics, .. } = parts.clone();
        let context = controller::Context {
            events: Events::new(client.clone(), &pod_name, clock.clone(), metrics.clone()),
            ledger: Ledger::new(clock.now()),
            pods: Pods::default(),
            own_pod: own_pod.clone(),
            client,
            index,
            session,
            clock,
            metrics: metrics.clone(),
            acknowledged_removals: options.acknowledged_removals,
            kubernetes_secret_source: options.kubernetes_secret_source,
        };
        metrics.leads(true);
        tracing::info!("this replica leads");
        tokio::select! {
            () = controller::run(Arc::new(context)) => {}
            _ = leads.wait_for(|leads| !*leads) => {}
        }
        metrics.leads(false);
        metrics.pods_to_revoke(0);
        tracing::info!("this replica leads no longer");
    }
}

/// Resolves when told, or when nobody can tell any more.
async fn told(mut signal: watch::Receiver<bool>) {
    let _ = signal.wait_for(|told| *told).await;
}

/// Works until told.
fn until<W: Future<Output = ()>>(
    signal: &watch::Receiver<bool>,
    work: W,
) -> impl Future<Output = anyhow::Result<()>> + use<W> {
    let told = told(signal.clone());
    finishes(async move {
        tokio::select! {
            () = work => {}
            () = told => {}
        }
    })
}

async fn finishes(work: impl Future<Output = ()>) -> anyhow::Result<()> {
    work.await;
    Ok(())
}

async fn terminated() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("hear signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("hear signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A task ended although nobody told it to.
fn too_early(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("a task ended before its time"),
        Ok(Err(error)) => error,
        Err(panic) => anyhow!("a task panicked: {panic}"),
    }
}

/// Waits for all; the first failure.
async fn joined(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(anyhow!("a task panicked: {panic}")));
        outcome = outcome.and(ended);
    }
    outcome
}
