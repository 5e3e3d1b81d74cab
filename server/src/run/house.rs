//! What is done now and then while the server runs.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::always;
use crate::app::App;
use crate::audit::entry::Actor;
use crate::clock::Anchor;
use crate::engine::Engine;
use crate::metrics::Work;
use crate::usecase::webhook::progress::Rules;
use crate::usecase::{archive, housekeeping};
use crate::webhook::courier::Courier;
use crate::writer::ChangeRequest;

/// How often values that are due are renewed and what has no use any more is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(15);
/// How often it is looked at whether a day of the audit is to be archived.
const ARCHIVING: Duration = Duration::from_mins(30);

/// How long rows of the audit stay in the database, in days, and where they go then.
pub(super) type Retention = (u64, PathBuf);

/// Starts what goes on until `stopped` turns true.
pub(super) async fn keep(
    engine: &Engine,
    retention: Option<Retention>,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let app = &engine.app;
    let (courier, webhooks_stopped) = (Courier::new(app.clone(), Rules::default()).await?, stopped.clone());
    tasks.spawn(async move { courier.run(webhooks_stopped).await });
    tasks.spawn(always(keep_house(app.clone(), stopped.clone())));
    tasks.spawn(always(until(stopped.clone(), engine.follow().run())));
    if let Some(keeper) = app.checkpoints.get().map(Arc::clone) {
        let stopped = stopped.clone();
        tasks.spawn(always(async move { keeper.run(stopped).await }));
    }
    if let Some((days, directory)) = retention {
        tasks.spawn(always(retain(app.clone(), days, directory, stopped.clone())));
    }
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
        app.metrics.clock_has_leapt.set(i64::from(has_leapt));
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
            app.metrics.count_failed(Work::Housekeeping);
            tracing::warn!(%refusal, "housekeeping is put off");
        }
        let overdue = housekeeping::overdue(&app.live.read().state, app.clock.now());
        app.metrics.overdue_rotations.set(i64::try_from(overdue).unwrap_or(i64::MAX));
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
            app.metrics.count_failed(Work::Archiving);
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "archiving the audit is put off: its rows stay in the database");
        }
    }
}

/// Does something that never ends, until it is told to.
async fn until(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|it| *it) => {}
    }
}
