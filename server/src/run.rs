//! The one place where things are wired together.
//!
//! Every task that is started here is joined here, and when one ends that should not, the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing_subscriber::EnvFilter;

use crate::admin;
use crate::anchor::{Keeper, Known, Means, Target};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::cli::{Cli, Command, LogFormat, Serve};
use crate::clock::{Anchor, Clock, DatabaseClock, SystemClock};
use crate::decision::{Context, Decision};
use crate::engine::{DataPlace, Engine, Options, sealed};
use crate::entropy::SystemEntropy;
use crate::http;
use crate::http::listener::{self, Limits};
use crate::http::sealed::Door;
use crate::metrics::Metrics;
use crate::rates::Rate;
use crate::store::Database;
use crate::tls::Certificate;
use crate::usecase::{archive, housekeeping};
use crate::writer::ChangeRequest;

/// How often values that are due are renewed and what has no use any more is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(15);
/// How often it is looked at whether a day of the audit is to be archived.
const ARCHIVING: Duration = Duration::from_mins(30);
/// How long the last checkpoint may take.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(arguments) => {
            start_tracing(arguments.log_format);
            serve(arguments, signalled()?).await
        }
        Command::Admin(arguments) => admin::run(arguments).await,
    }
}

/// Runs the server until `stop` ends.
pub async fn serve(arguments: Serve, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    check(&arguments)?;
    // Before anything is opened: it may be a descriptor.
    let root_key = arguments.root_key.into_source()?;
    let certificate = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Certificate::read(cert, key)?)),
        _ => None,
    };
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let shared = [&arguments.trusted_proxies[..], &arguments.shared_addresses[..]].concat();
    let metrics = Arc::new(Metrics::default());
    let place = DataPlace::new(arguments.database_url, arguments.data_dir.clone())?;
    let database = place.open()?;
    let clock: Arc<dyn Clock> =
        if database.is_shared() { Arc::new(DatabaseClock::new(SystemClock)) } else { Arc::new(SystemClock) };
    let options = Options {
        place,
        root_key,
        public_url: arguments.public_url.trim_end_matches('/').to_owned(),
        proxies: arguments.trusted_proxies,
        shared_addresses: arguments.shared_addresses,
        max_group: arguments.max_group,
        rate: Rate { per_second: arguments.machine_rate },
        metrics: Arc::clone(&metrics),
        clock,
        entropy: Arc::new(SystemEntropy),
    };
    let audit = AuditArguments {
        directory: arguments.data_dir.as_ref().map(|it| it.join("audit")),
        anchors: arguments.audit_anchors,
        accept_restored: arguments.accept_restored,
    };
    let archive = arguments.audit_archive.or(audit.directory.clone());
    let retention = arguments.audit_retention_days.map(|days| {
        Ok::<_, anyhow::Error>((days, archive.context("give --audit-archive: there is no data directory")?))
    });
    let retention = retention.transpose()?;
    let opening = Opening { database, options, address, audit };
    let (door, opened) = match opening.open().await {
        Ok(engine) => (Door::open(engine.app.clone()), Some(engine)),
        Err(error) => (Door::shut(sealed(&error).ok_or(error)?), None),
    };

    let (stopping, stopped) = watch::channel(false);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let limits = Limits {
        connections: arguments.max_connections,
        per_address: arguments.max_connections_per_address,
        shared,
        ..Limits::default()
    };
    tasks.spawn(always(listener::serve(listener, tls, door.router(), limits, metrics, stopped.clone())));
    if let Some(certificate) = certificate {
        tasks.spawn(always(certificate.follow(stopped.clone())));
    }
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
        tasks.spawn(always(keep_house(engine.app.clone(), stopped.clone())));
        tasks.spawn(always(until(stopped.clone(), engine.follow().run())));
        if let Some(keeper) = engine.app.checkpoints.get().cloned() {
            let stopped = stopped.clone();
            tasks.spawn(always(async move { keeper.run(stopped).await }));
        }
        if let Some((days, directory)) = retention {
            tasks.spawn(always(retain(engine.app.clone(), days, directory, stopped.clone())));
        }
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

/// What it means that a task has ended which should not.
fn untimely(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("a task ended by itself"),
        Ok(Err(error)) => error,
        Err(error) => anyhow::Error::new(error).context("a task panicked"),
    }
}

/// What is done about checkpoints of the audit.
struct AuditArguments {
    /// Where this server keeps what it needs to go on from its last one.
    directory: Option<PathBuf>,
    anchors: Vec<Target>,
    accept_restored: bool,
}

/// What the data is opened with, now or when the root key is there.
struct Opening {
    database: Arc<Database>,
    options: Options,
    address: SocketAddr,
    audit: AuditArguments,
}

impl Opening {
    /// Opens the data, compares it with its anchors and writes the first row.
    async fn open(&self) -> anyhow::Result<Engine> {
        let engine = Engine::open_in(Arc::clone(&self.database), self.options.clone()).await?;
        let compared = match keeper(&engine.app, &self.audit).await {
            Ok(()) => announce(&engine.app, self.address).await,
            Err(error) => Err(error),
        };
        if let Err(error) = compared {
            engine.close().await?;
            return Err(error);
        }
        Ok(engine)
    }

    /// Tries until the root key is there. Ends with an error when it is there and is wrong, or when something else fails.
    async fn unseal(&self, door: &Door) -> anyhow::Result<Engine> {
        let mut said = None;
        for attempt in 0.. {
            let missing = match self.open().await {
                Ok(engine) => {
                    door.unseal(engine.app.clone());
                    tracing::info!("the root key is there: the server is open");
                    return Ok(engine);
                }
                Err(error) => sealed(&error).ok_or(error)?,
            };
            // Once, and again when it is something else: every few seconds for days would hide the rest of the log.
            if said.as_ref() != Some(&missing) {
                tracing::warn!(missing, "sealed: nothing is answered until the root key is there");
            }
            door.still_missing(missing.clone());
            said = Some(missing);
            sleep(pause(attempt)).await;
        }
        bail!("the root key never came")
    }
}

/// How long a sealed server waits before it tries again.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(2_u32.saturating_pow(attempt)).min(Duration::from_secs(5))
}

/// Does something that never ends, until it is told to.
async fn until(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|it| *it) => {}
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

/// The first row of every run. A server that cannot write it must not serve.
async fn announce(app: &App, address: SocketAddr) -> anyhow::Result<()> {
    let mut entry = Entry::new(Action::ServerStart, Actor::System);
    entry.detail = format!("version {} on {address}", env!("CARGO_PKG_VERSION"));
    let decide = Box::new(move |_: &Context<'_>| {
        Ok(Decision { changes: Vec::new(), audit: vec![entry], answer: Box::new(|_| ()) })
    });
    let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "start", decide };
    app.writer.change(request).await.context("cannot write the first row of the audit")
}

/// What makes checkpoints; refuses a database that knows less than its anchor.
async fn keeper(app: &App, audit: &AuditArguments) -> anyhow::Result<()> {
    let head = app.writer.audit_head();
    let end = *head.borrow();
    let means = Means {
        keyring: Arc::clone(&app.keyring),
        clock: Arc::clone(&app.clock),
        metrics: Arc::clone(&app.metrics),
        head,
        known: Known::read(&app.records, app.keyring.rows(), end).await?,
        directory: audit.directory.clone(),
    };
    let keeper = Arc::new(Keeper::open(means, &audit.anchors, &app.records, audit.accept_restored).await?);
    // Set once, here.
    drop(app.checkpoints.set(keeper));
    Ok(())
}

async fn keep_house(app: App, mut stopped: watch::Receiver<bool>) {
    let mut tick = interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let anchor = Anchor::new(&*app.clock);
    let mut has_leapt = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.wait_for(|it| *it) => return,
        }
        let was_told = std::mem::replace(&mut has_leapt, anchor.has_leapt(&*app.clock));
        if has_leapt {
            if !was_told {
                tracing::error!(
                    "the wall clock has leapt ahead: nothing is ended or deleted until it is set right, or the server is restarted"
                );
            }
            continue;
        }
        let decide = Box::new(housekeeping::run);
        let request =
            ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "housekeeping", decide };
        if let Err(refusal) = app.writer.change(request).await {
            tracing::warn!(%refusal, "housekeeping is put off");
        }
    }
}

/// Archives days of the audit that are old enough.
async fn retain(app: App, days: u64, directory: PathBuf, mut stopped: watch::Receiver<bool>) {
    let mut tick = interval(ARCHIVING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let anchor = Anchor::new(&*app.clock);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.wait_for(|it| *it) => return,
        }
        if let Err(error) = archive::retain(&app, anchor.bounded_now(&*app.clock), days, &directory).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "archiving the audit is put off: its rows stay in the database");
        }
    }
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

fn start_tracing(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SIKKERKEY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
}

#[cfg(test)]
mod tests;
