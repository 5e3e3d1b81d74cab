//! Opening the data: now, or when the root key is there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::sleep;

use crate::anchor::{Keeper, Known, Means, Target};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decision};
use crate::engine::{Engine, Options, sealed};
use crate::http::sealed::Door;
use crate::store::Database;
use crate::writer::ChangeRequest;

/// What is done about checkpoints of the audit.
pub(super) struct AuditArguments {
    /// Where this server keeps what it needs to go on from its last one.
    pub(super) directory: Option<PathBuf>,
    pub(super) anchors: Vec<Target>,
    pub(super) accept_restored: bool,
}

/// What the data is opened with, now or when the root key is there.
pub(super) struct Opening {
    pub(super) database: Arc<Database>,
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) audit: AuditArguments,
}

impl Opening {
    /// Opens the data, compares it with its anchors and writes the first row.
    pub(super) async fn open(&self) -> anyhow::Result<Engine> {
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
    pub(super) async fn unseal(&self, door: &Door) -> anyhow::Result<Engine> {
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
pub(super) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(2_u32.saturating_pow(attempt)).min(Duration::from_secs(5))
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
