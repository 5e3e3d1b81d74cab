//! The one place where things are wired together.
//!
//! Every task that is started here is joined here, and when one ends that should not, the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing_subscriber::EnvFilter;

use crate::admin;
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::cli::{Cli, Command, LogFormat, Serve};
use crate::clock::{Anchor, SystemClock};
use crate::decision::{Context, Decision};
use crate::engine::{Engine, Options, sealed};
use crate::entropy::SystemEntropy;
use crate::http::sealed::Door;
use crate::http::{self, listener};
use crate::store::DataDirectory;
use crate::tls::Certificate;
use crate::usecase::housekeeping;
use crate::writer::ChangeRequest;

/// How often values that are due are renewed and what has no use any more is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

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
    let directory = Arc::new(DataDirectory::lock(&arguments.data_dir)?);
    let options = Options {
        data_dir: arguments.data_dir.clone(),
        root_key,
        public_url: arguments.public_url.trim_end_matches('/').to_owned(),
        proxies: arguments.trusted_proxies,
        shared_addresses: arguments.shared_addresses,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let (door, opened) = match open(&directory, &options, address).await {
        Ok(engine) => (Door::open(engine.app.clone()), Some(engine)),
        Err(error) => (Door::shut(sealed(&error).ok_or(error)?), None),
    };

    let (stopping, stopped) = watch::channel(false);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    tasks.spawn(always(listener::serve(listener, tls, door.router(), stopped.clone())));
    if let Some(certificate) = certificate {
        tasks.spawn(always(certificate.follow(stopped.clone())));
    }
    // Before it is said that the server listens: whoever then finds no socket would take the data for nobody's.
    let (socket, mut socket_stopped) = (http::admin::listen(&arguments.data_dir)?, stopped.clone());
    let socket_stopped = async move { drop(socket_stopped.wait_for(|it| *it).await) };
    tasks.spawn(http::admin::serve(socket, Arc::clone(&door), socket_stopped));
    tracing::info!(%address, "listening");

    tokio::pin!(stop);
    let (mut engine, mut failure) = (opened, None);
    if engine.is_none() {
        tokio::select! {
            () = &mut stop => {}
            unsealed = unseal(&door, &directory, &options, address) => match unsealed {
                Ok(unsealed) => engine = Some(unsealed),
                Err(error) => failure = Some(error),
            },
            Some(ended) = tasks.join_next() => failure = Some(untimely(ended)),
        }
    }
    if let Some(engine) = &mut engine {
        tasks.spawn(always(keep_house(engine.app.clone(), stopped.clone())));
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

/// Opens the data and writes the first row.
async fn open(directory: &Arc<DataDirectory>, options: &Options, address: SocketAddr) -> anyhow::Result<Engine> {
    let engine = Engine::open_in(Arc::clone(directory), options.clone()).await?;
    announce(&engine.app, address).await?;
    Ok(engine)
}

/// Tries until the root key is there. Ends with an error when it is there and is wrong, or when something else fails.
async fn unseal(
    door: &Door,
    directory: &Arc<DataDirectory>,
    options: &Options,
    address: SocketAddr,
) -> anyhow::Result<Engine> {
    let mut said = None;
    for attempt in 0.. {
        let missing = match open(directory, options, address).await {
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

/// How long a sealed server waits before it tries again.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(2_u32.saturating_pow(attempt)).min(Duration::from_secs(5))
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
