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
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::EnvFilter;

use crate::admin;
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::cli::{Cli, Command, LogFormat, Serve};
use crate::clock::{Anchor, SystemClock};
use crate::decision::{Context, Decision};
use crate::engine::{Engine, Options};
use crate::entropy::SystemEntropy;
use crate::http;
use crate::http::listener::{self, Limits};
use crate::rates::Rate;
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
    let certificate = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Some(Arc::new(Certificate::read(cert, key)?)),
        _ => None,
    };
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let shared = [&arguments.trusted_proxies[..], &arguments.shared_addresses[..]].concat();
    let mut engine = Engine::open(Options {
        data_dir: arguments.data_dir.clone(),
        root_key_file: arguments.root_key_file,
        public_url: arguments.public_url.trim_end_matches('/').to_owned(),
        proxies: arguments.trusted_proxies,
        shared_addresses: arguments.shared_addresses,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })
    .await?;
    let app = engine.app.clone();
    announce(&app, address).await?;

    let (stopping, stopped) = watch::channel(false);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let router = http::router(app.clone());
    app.rates.set(Rate { per_second: arguments.machine_rate });
    let limits = Limits {
        connections: arguments.max_connections,
        per_address: arguments.max_connections_per_address,
        shared,
        ..Limits::default()
    };
    let (connections, house) = (stopped.clone(), stopped.clone());
    tasks.spawn(always(listener::serve(listener, tls, router, limits, Arc::clone(&app.metrics), connections)));
    if let Some(certificate) = certificate {
        tasks.spawn(always(certificate.follow(stopped.clone())));
    }
    tasks.spawn(always(keep_house(app.clone(), house)));
    let (socket_app, data_dir, mut socket_stopped) = (app.clone(), arguments.data_dir.clone(), stopped.clone());
    tasks.spawn(async move {
        http::admin::serve(socket_app, &data_dir, async move { drop(socket_stopped.wait_for(|it| *it).await) }).await
    });
    tracing::info!(%address, "listening");

    let failure = tokio::select! {
        () = stop => None,
        error = engine.writer_ended() => return Err(error),
        Some(ended) = tasks.join_next() => Some(match ended {
            Ok(Ok(())) => anyhow::anyhow!("a task ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error).context("a task panicked"),
        }),
    };
    tracing::info!("ending");
    engine.stop_waiting();
    stopping.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task panicked")??;
    }
    drop(app);
    engine.close().await?;
    failure.map_or(Ok(()), Err)
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
        arguments.root_key_file.is_some(),
        "{} is not a loopback address: give --root-key-file, kept elsewhere than the data; `openssl rand -hex 32` makes a key",
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
