//! The one place where things are wired together.
//!
//! Every task that is started here is joined here, and when one ends that should not, the process ends.

mod house;
mod opening;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sikkerkey_traces::export::Exporter;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use self::opening::{AuditArguments, Opening};
use crate::admin;
use crate::cli::{Cli, Command, Serve};
use crate::clock::{Clock, DatabaseClock, SystemClock};
use crate::engine::{DataPlace, Options, sealed};
use crate::entropy::SystemEntropy;
use crate::http;
use crate::http::listener::{self, Limits};
use crate::http::sealed::Door;
use crate::logging;
use crate::metrics::Metrics;
use crate::rates::Rate;
use crate::tls::{Authority, Certificate};
use crate::webhook::sender::Sender;

/// How long the last checkpoint may take.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(arguments) => {
            let metrics = Arc::new(Metrics::default());
            let exporter = logging::start(&arguments, &metrics)?;
            serve(arguments, metrics, exporter, signalled()?).await
        }
        Command::Admin(arguments) => admin::run(arguments).await,
    }
}

/// Runs the server until `stop` ends.
async fn serve(
    arguments: Serve,
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    check(&arguments)?;
    let limits = limits(&arguments);
    // Before anything is opened: it may be a descriptor.
    let root_key = arguments.root_key.into_source()?;
    let certificate = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Certificate::read(cert, key)?)),
        _ => None,
    };
    let authority = arguments.tls_ca.as_deref().map(Authority::read).transpose()?.map(Arc::new);
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let place = DataPlace::new(arguments.database_url, arguments.data_dir.clone())?;
    let database = place.open()?;
    let clock: Arc<dyn Clock> =
        if database.is_shared() { Arc::new(DatabaseClock::new(SystemClock)) } else { Arc::new(SystemClock) };
    let options = Options {
        place,
        root_key,
        public_url: arguments.public_url.trim_end_matches('/').to_owned(),
        authority: authority.clone(),
        proxies: arguments.trusted_proxies,
        shared_addresses: arguments.shared_addresses,
        max_group: arguments.max_group,
        rate: Rate { per_second: arguments.machine_rate },
        metrics: Arc::clone(&metrics),
        clock,
        entropy: Arc::new(SystemEntropy),
        webhooks: Arc::new(Sender::new(arguments.webhook_allow, arguments.webhook_ca.as_deref())?),
    };
    let audit = AuditArguments {
        directory: arguments.data_dir.as_ref().map(|it| it.join("audit")),
        anchors: arguments.audit_anchors,
        accept_restored: arguments.accept_restored,
    };
    let archive = arguments.audit_archive.or(audit.directory.clone());
    let retention = match arguments.audit_retention_days {
        Some(days) => Some((days, archive.context("give --audit-archive: there is no data directory")?)),
        None => None,
    };
    let opening = Opening { database, options, address, audit };
    let (door, opened) = match opening.open().await {
        Ok(engine) => (Door::open(engine.app.clone()), Some(engine)),
        Err(error) => (Door::shut(sealed(&error).ok_or(error)?, Arc::clone(&metrics)), None),
    };

    let (stopping, stopped) = watch::channel(false);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let (router, counted) = (door.router(), Arc::clone(&metrics));
    tasks.spawn(always(listener::serve(listener, tls, router, limits, counted, stopped.clone())));
    let beside = Beside { exporter, certificate, authority };
    beside.start(&metrics, &mut tasks, &stopped);
    if let Some(data_dir) = &arguments.data_dir {
        // Before it is said that the server listens: whoever then finds no socket would take the data for nobody's.
        let (socket, mut socket_stopped) = (http::admin::listen(data_dir)?, stopped.clone());
        let socket_stopped = async move { drop(socket_stopped.wait_for(|it| *it).await) };
        tasks.spawn(http::admin::serve(socket, Arc::clone(&door), socket_stopped));
    }
    tracing::info!(%address, "listening");

    tokio::pin!(stop);
    let (mut engine, mut failure) = (opened, None);
    if engine.is_none() {
        tokio::select! {
            () = &mut stop => {}
            unsealed = opening.unseal(&door) => match unsealed {
                Ok(unsealed) => engine = Some(unsealed),
                Err(error) => failure = Some(error),
            },
            Some(ended) = tasks.join_next() => failure = Some(untimely(ended)),
        }
    }
    if let Some(engine) = &mut engine {
        house::keep(engine, retention, &mut tasks, &stopped).await?;
        failure = tokio::select! {
            () = stop => None,
            error = engine.writer_ended() => return Err(error),
            Some(ended) = tasks.join_next() => Some(untimely(ended)),
        };
    }
    tracing::info!("ending");
    if let Some(engine) = &engine {
        engine.stop_waiting();
    }
    stopping.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task panicked")??;
    }
    drop(door);
    if let Some(engine) = engine {
        if let Some(keeper) = engine.app.checkpoints.get() {
            // Of everything that was answered; an anchor that is away does not hold up the end.
            drop(timeout(LAST_CHECKPOINT, keeper.now()).await);
        }
        engine.close().await?;
    }
    failure.map_or(Ok(()), Err)
}

/// What goes on beside the listener.
struct Beside {
    exporter: Option<Exporter>,
    certificate: Option<Arc<Certificate>>,
    authority: Option<Arc<Authority>>,
}

impl Beside {
    fn start(self, metrics: &Arc<Metrics>, tasks: &mut JoinSet<anyhow::Result<()>>, stopped: &watch::Receiver<bool>) {
        if let Some(exporter) = self.exporter {
            let mut stopped = stopped.clone();
            tasks.spawn(always(exporter.run(async move { drop(stopped.wait_for(|it| *it).await) })));
        }
        if let Some(certificate) = self.certificate {
            tasks.spawn(always(certificate.follow(Arc::clone(metrics), stopped.clone())));
        }
        if let Some(authority) = self.authority {
            tasks.spawn(always(authority.follow(Arc::clone(metrics), stopped.clone())));
        }
    }
}

/// What clients may take.
fn limits(arguments: &Serve) -> Limits {
    Limits {
        connections: arguments.max_connections,
        per_address: arguments.max_connections_per_address,
        shared: [&arguments.trusted_proxies[..], &arguments.shared_addresses[..]].concat(),
        ..Limits::default()
    }
}

/// What it means that a task has ended which should not.
fn untimely(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("a task ended by itself"),
        Ok(Err(error)) => error,
        Err(error) => anyhow::Error::new(error).context("a task panicked"),
    }
}

/// A task that cannot fail, beside those that can.
async fn always(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

/// What is unsafe is refused before anything is opened.
fn check(arguments: &Serve) -> anyhow::Result<()> {
    let url = &arguments.public_url;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { bail!("--public-url {url} must begin with https:// (http:// on loopback only)") };
    ensure!(
        !rest.is_empty() && !rest.trim_end_matches('/').contains(['/', '?', '#', '@']),
        "--public-url {url} must be an origin: scheme, host and port, without a path"
    );
    if arguments.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    ensure!(
        arguments.tls_cert.is_some(),
        "{} is not a loopback address: give --tls-cert and --tls-key; plain HTTP is for loopback only",
        arguments.listen
    );
    ensure!(
        arguments.root_key.are_given(),
        "{} is not a loopback address: give --root-key-file, kept elsewhere than the data (`openssl rand -hex 32` makes a \
         key), --root-key-fd or --root-key-command",
        arguments.listen
    );
    Ok(())
}

/// Ends with the first signal that asks the process to end.
fn signalled() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests;
