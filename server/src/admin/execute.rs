//! Executing a command, in the server that runs or beside the data.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Answer, Request, audit, listing};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::clock::SystemClock;
use crate::decision::{Context, Decided};
use crate::engine::{Engine, Options};
use crate::entropy::SystemEntropy;
use crate::refusal::Refusal;
use crate::usecase::admin::{account, adopt, agent, cluster, machine, secret, vault};
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
        Request::VerifyAudit => audit::verify(desk).await,
        other => change(desk, other).await.map_err(|refusal| refusal.message),
    }
}

async fn change(desk: Desk<'_>, request: Request) -> Result<Answer, Refusal> {
    let state = |list: fn(&crate::live::World) -> Answer| list(&desk.app.live.read());
    Ok(match request {
        Request::VaultCreate { name, owner } => {
            let id = through(desk, "vault create", move |it| vault::create(it, &name, &owner)).await?;
            Answer::new(json!({ "vaultId": id }), id.to_string())
        }
        Request::VaultList => state(listing::vaults),
        Request::ClusterTrust { vault, name, issuer, jwks, subject } => {
            let done = format!("cluster {name} is trusted: its operator logs in as {subject}");
            let trust = cluster::Trust { vault, name, issuer, jwks, subject };
            through(desk, "cluster trust", move |it| cluster::trust(it, trust)).await?;
            Answer::done(done)
        }
        Request::ClusterList => state(listing::clusters),
        Request::AgentToken { vault, name, cluster } => {
            Answer::token(through(desk, "agent token", move |it| agent::token(it, &vault, name, cluster)).await?)
        }
        Request::AgentApprove { id } => {
            let done = format!("agent {id} is approved");
            through(desk, "agent approve", move |it| agent::approve(it, &id)).await?;
            Answer::done(done)
        }
        Request::AgentRevoke { id } => {
            let done = format!("agent {id} is revoked");
            through(desk, "agent revoke", move |it| agent::revoke(it, &id)).await?;
            Answer::done(done)
        }
        Request::AgentList => state(listing::agents),
        Request::MachineBootstrap { vault, name } => {
            Answer::token(through(desk, "machine bootstrap", move |it| machine::bootstrap(it, &vault, name)).await?)
        }
        Request::MachineApprove { id } => {
            let done = format!("{id} is approved");
            through(desk, "machine approve", move |it| machine::approve(it, &id)).await?;
            Answer::done(done)
        }
        Request::MachineRevoke { id } => {
            let done = format!("{id} is revoked");
            through(desk, "machine revoke", move |it| machine::revoke(it, &id)).await?;
            Answer::done(done)
        }
        Request::MachineList => state(listing::machines),
        Request::SecretSet { id, value, fields } => {
            let shown = id.clone();
            let version = through(desk, "secret set", move |it| secret::set(it, &id, value, fields)).await?;
            Answer::new(json!({ "secretId": shown, "version": version }), format!("{shown} is at version {version}"))
        }
        Request::SecretList => state(listing::secrets),
        Request::Adopt { cluster, namespace, uid } => {
            let adopted =
                through(desk, "adopt", move |it| adopt::adopt(it, &cluster, namespace.as_deref(), uid.as_deref()))
                    .await?;
            Answer::new(json!({ "adopted": adopted }), format!("adopted: {adopted}"))
        }
        Request::AccountStanding { email, standing } => {
            let done = format!("account {email}: {standing:?}");
            through(desk, "account", move |it| account::set_standing(it, &email, standing)).await?;
            Answer::done(done)
        }
        Request::Unlock { ip, machine } => unlock(desk, ip, machine).await?,
        Request::Audit { .. } | Request::VerifyAudit => Answer::done("nothing to change"),
    })
}

async fn unlock(
    desk: Desk<'_>,
    ip: Option<std::net::IpAddr>,
    machine: Option<sikkerkey_protocol::id::MachineId>,
) -> Result<Answer, Refusal> {
    if !desk.serves {
        return Ok(Answer::done("no server runs here, and locks end with the server: nothing is locked"));
    }
    let lockout = &desk.app.lockout;
    let lifted =
        ip.map_or(0, |it| lockout.lift_address(it)) + machine.as_ref().map_or(0, |it| lockout.lift_signer(it.as_str()));
    let whom = ip.map(|it| it.to_string()).into_iter().chain(machine.as_ref().map(ToString::to_string));
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

async fn through<T: Send + 'static>(
    desk: Desk<'_>,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>) -> Decided<T> + Send + 'static,
) -> Result<T, Refusal> {
    let request =
        ChangeRequest { spend: None, actor: Actor::Administrator, source_ip: None, what, decide: Box::new(decide) };
    desk.app.writer.change(request).await
}

/// Executes a command beside the data, when no server runs. The lock on the directory keeps one from starting meanwhile.
pub(crate) async fn alone(
    data_dir: &Path,
    root_key_file: Option<&Path>,
    request: Request,
) -> anyhow::Result<Result<Answer, String>> {
    if !data_dir.is_dir() {
        anyhow::bail!(
            "there is no data directory {}: start the server once, or correct --data-dir",
            data_dir.display()
        );
    }
    let engine = Engine::open(Options {
        data_dir: data_dir.to_owned(),
        root_key_file: root_key_file.map(Path::to_owned),
        public_url: String::new(),
        proxies: Vec::new(),
        shared_addresses: Vec::new(),
        max_group: crate::writer::MAX_GROUP,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })
    .await?;
    let answer = execute(Desk { app: &engine.app, serves: false }, request).await;
    engine.close().await?;
    Ok(answer)
}
