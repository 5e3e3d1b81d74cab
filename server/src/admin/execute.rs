//! Executing a command, in the server that runs or beside the data.

use std::sync::Arc;

use serde_json::json;

use super::audit::{export, query, verify};
use super::{
    Answer, Request, account, agent, alert, allowlist, application, audit, backup, canary, co_sign, enrolment_token,
    explain, grant, keys, listing, machine, member, policy, project, sealing_key, secret, vault, webhook,
};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::cli::RootKeyArguments;
use crate::clock::{Clock, DatabaseClock, SystemClock};
use crate::decision::{Context, Decided};
use crate::engine::{DataPlace, Engine, Options};
use crate::refusal::Refusal;
use crate::usecase::admin::{adopt, cluster};
use crate::usecase::steps::{Steps, answer};
use crate::writer::ChangeRequest;

/// Where a command is executed.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) app: &'a App,
    /// Whether this is the server that serves: locks are in its memory alone.
    pub(crate) serves: bool,
}

/// Executes a command. The error is a text for the person.
pub(crate) async fn execute(desk: Desk<'_>, request: Request) -> Result<Answer, String> {
    match request {
        Request::Audit { limit, machine } => audit::newest(desk, limit, machine.as_ref()).await,
        Request::VerifyAudit { anchor, archive } => {
            let (records, keyring) = (&desk.app.records, &desk.app.keyring);
            verify::database(records, keyring, anchor.as_deref(), archive.as_deref()).await
        }
        Request::AuditKey => Ok(audit::key(desk)),
        Request::AuditStatus => audit::status(desk),
        Request::AuditCheckpoint => audit::checkpoint(desk).await,
        Request::AuditExport { from, to, out } => export::export(desk, from, to, &out).await,
        Request::Activity { from, to } => audit::activity(desk, from, to).await,
        Request::RotateRootKey { file, command } => keys::rotate_root(desk, file.as_deref(), command.as_deref()).await,
        Request::RotateProjectKey { project } => keys::rotate_projects(desk, project.as_ref()).await,
        Request::SealStatus => keys::status(desk).await,
        Request::Backup { out } => backup::back_up(desk, &out).await,
        other => dispatch(desk, other).await.map_err(|refusal| refusal.message),
    }
}

async fn dispatch(desk: Desk<'_>, request: Request) -> Result<Answer, Refusal> {
    match request {
        Request::Agent(it) => agent::execute(desk, it).await,
        Request::Machine(it) => machine::execute(desk, it).await,
        Request::Secret(it) => secret::execute(desk, it).await,
        Request::Account(it) => account::execute(desk, it).await,
        Request::Vault(it) => vault::execute(desk, it).await,
        Request::Member(it) => member::execute(desk, it).await,
        Request::Project(it) => project::execute(desk, it).await,
        Request::Application(it) => application::execute(desk, it).await,
        Request::Grant(it) => grant::execute(desk, it).await,
        Request::Policy(it) => policy::execute(desk, it).await,
        Request::CoSignList => Ok(co_sign::list(desk)),
        Request::Explain(it) => explain::answer(desk, &it),
        Request::Canary(it) => canary::execute(desk, it).await,
        Request::IpAllowlist(it) => allowlist::execute(desk, it).await,
        Request::Webhook(it) => webhook::execute(desk, it).await,
        Request::Alert(it) => alert::execute(desk, it).await,
        Request::AuditQuery { vault, query, format } => query::answer(desk, vault, &query, format).await,
        Request::SealingKey(it) => sealing_key::execute(desk, it).await,
        Request::EnrolmentToken(it) => enrolment_token::execute(desk, it).await,
        other => change(desk, other).await,
    }
}

/// Answers for a server that has no root key yet.
pub(crate) fn while_sealed(request: &Request, missing: String) -> Result<Answer, String> {
    match request {
        Request::SealStatus => Ok(keys::sealed(missing)),
        _ => Err(missing),
    }
}

async fn change(desk: Desk<'_>, request: Request) -> Result<Answer, Refusal> {
    let state = |list: fn(&crate::live::World) -> Answer| list(&desk.app.live.read());
    Ok(match request {
        Request::ClusterTrust { vault, name, issuer, jwks, subject } => {
            let done = format!("cluster {name} is trusted: its operator logs in as {subject}");
            let trust = cluster::Trust { vault, name, issuer, jwks, subject };
            through(desk, "cluster trust", move |it| cluster::trust(it, trust)).await?;
            Answer::done(done)
        }
        Request::ClusterList => state(listing::clusters),
        Request::Adopt { cluster, namespace, uid } => {
            let adopted =
                through(desk, "adopt", move |it| adopt::adopt(it, &cluster, namespace.as_deref(), uid.as_deref()))
                    .await?;
            Answer::new(json!({ "adopted": adopted }), format!("adopted: {adopted}"))
        }
        Request::Unlock { ip, machine, account } => unlock(desk, ip, machine, account).await?,
        Request::Audit { .. }
        | Request::Secret(_)
        | Request::Agent(_)
        | Request::Machine(_)
        | Request::Account(_)
        | Request::Vault(_)
        | Request::Member(_)
        | Request::Project(_)
        | Request::Application(_)
        | Request::Grant(_)
        | Request::Policy(_)
        | Request::CoSignList
        | Request::Explain(_)
        | Request::Canary(_)
        | Request::IpAllowlist(_)
        | Request::EnrolmentToken(_)
        | Request::SealingKey(_)
        | Request::Webhook(_)
        | Request::Alert(_)
        | Request::AuditQuery { .. }
        | Request::RotateRootKey { .. }
        | Request::RotateProjectKey { .. }
        | Request::SealStatus
        | Request::Backup { .. }
        | Request::VerifyAudit { .. }
        | Request::AuditKey
        | Request::AuditStatus
        | Request::AuditCheckpoint
        | Request::AuditExport { .. }
        | Request::Activity { .. } => Answer::done("nothing to change"),
    })
}

async fn unlock(
    desk: Desk<'_>,
    ip: Option<std::net::IpAddr>,
    machine: Option<sikkerkey_protocol::id::MachineId>,
    account: Option<String>,
) -> Result<Answer, Refusal> {
    if !desk.serves {
        return Ok(Answer::done("no server runs here, and locks end with the server: nothing is locked"));
    }
    let lockout = &desk.app.lockout;
    let people = &desk.app.people;
    let lifted = ip.map_or(0, |it| lockout.lift_address(it) + people.lift_address(it))
        + machine.as_ref().map_or(0, |it| lockout.lift_signer(it.as_str()))
        + account.as_ref().map_or(0, |it| people.lift_account(it));
    let whom = ip.map(|it| it.to_string()).into_iter().chain(machine.as_ref().map(ToString::to_string)).chain(account);
    let detail = format!("{}: {lifted} locks lifted", whom.collect::<Vec<_>>().join(" "));
    let text = detail.clone();
    through(desk, "unlock", move |_| {
        let mut steps = Steps::default();
        let entry = Entry { machine, source_ip: ip, detail, ..Entry::new(Action::LockoutLift, Actor::Administrator) };
        steps.audit.push(entry);
        Ok(if lifted > 0 { steps.decide(|_| ()) } else { answer(|_| ()) })
    })
    .await?;
    Ok(Answer::new(json!({ "lifted": lifted }), text))
}

pub(super) async fn through<T: Send + 'static>(
    desk: Desk<'_>,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>) -> Decided<T> + Send + 'static,
) -> Result<T, Refusal> {
    let request =
        ChangeRequest { spend: None, actor: Actor::Administrator, source_ip: None, what, decide: Box::new(decide) };
    desk.app.writer.change(request).await
}

/// Looks at what the server knows now.
pub(super) fn looking<T>(desk: Desk<'_>, look: impl FnOnce(&Context<'_>) -> T) -> T {
    let world = desk.app.live.read();
    look(&desk.app.context(&world))
}

/// Executes a command beside the data: with embedded data when no server runs, and the lock on the directory keeps one
/// from starting meanwhile; on a shared database as one more of its servers.
pub(crate) async fn alone(
    place: DataPlace,
    root_key: RootKeyArguments,
    request: Request,
) -> anyhow::Result<Result<Answer, String>> {
    if let DataPlace::Directory(directory) = &place
        && !directory.is_dir()
    {
        anyhow::bail!(
            "there is no data directory {}: start the server once, or correct --data-dir",
            directory.display()
        );
    }
    let clock: Arc<dyn Clock> = match place {
        DataPlace::Directory(_) => Arc::new(SystemClock),
        DataPlace::Postgres(_) => Arc::new(DatabaseClock::new(SystemClock)),
    };
    let engine = Engine::open(Options { clock, ..Options::new(place, root_key.into_source()?) }).await?;
    let answer = execute(Desk { app: &engine.app, serves: false }, request).await;
    engine.close().await?;
    Ok(answer)
}
