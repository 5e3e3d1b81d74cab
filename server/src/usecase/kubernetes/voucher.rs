//! Vouchers: one key of one pod may become a machine, once.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{Approval, IssueVoucher, IssuedVoucher, PodIdentity};

use super::scope::{Scope, check_key};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::cluster::GonePod;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::{PodOf, PodUid};
use crate::model::token::{Token, TokenPurpose, Voucher};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::fresh_id::fresh_token;
use crate::usecase::key_owner::require_unused;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// How long a voucher is good, in seconds.
pub const LIFETIME_SECONDS: u64 = 60;

/// Issues a voucher. The operator has reviewed the pod's token; the server checks what it can check itself.
pub fn issue(context: &Context<'_>, agent: &Agent, source: Source, request: IssueVoucher) -> Decided<IssuedVoucher> {
    let scope = Scope::of(context, agent, source)?;
    check_key(&request.machine)?;
    check_pod(&request.pod)?;
    if request.pod.namespace != request.machine.namespace {
        let text = format!(
            "a pod of namespace {} may not assume Machine {}: a pod assumes a Machine of its own namespace",
            request.pod.namespace, request.machine
        );
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    let (state, cluster) = (context.state, &scope.cluster.name);
    let fleet = state.fleet_of(cluster, &request.machine).ok_or_else(|| {
        let text = format!("the server has no Machine {}: apply it, and wait until it is Ready", request.machine);
        Refusal::new(RefusalKind::NotFound, text).code(ErrorCode::MachineNotFound)
    })?;
    require_active(fleet)?;
    require_admitted(fleet, &request.pod.service_account)?;
    require_there(context, cluster, &request.pod.uid)?;
    require_unused(state, &request.public_key)?;

    let mut steps = Steps::default();
    let uid = PodUid::from(request.pod.uid.as_str());
    for token in state.tokens.values() {
        if let TokenPurpose::Pod(voucher) = &token.purpose {
            let Voucher { pod, public_key, .. } = &**voucher;
            if *pod.cluster == **cluster && pod.pod.uid == uid {
                steps.remove(EntityKind::Token, &token.id());
            } else if *public_key == request.public_key && context.now < token.expires_at {
                return Err(crate::usecase::key_owner::in_use("another pod has shown this key: make a new one"));
            }
        }
    }
    let (voucher, hash) = fresh_token("skv_", context);
    let expires_at = context.now.plus_seconds(LIFETIME_SECONDS);
    let pod = &request.pod;
    let detail = format!(
        "for Machine {}, pod {}/{}, uid {}, node {}, service account {}",
        request.machine, pod.namespace, pod.name, pod.uid, pod.node, pod.service_account
    );
    steps.audit.push(scope.entry(Action::VoucherIssue, Some(&fleet.project), detail));
    steps.put(Entity::Token(Token {
        hash,
        vault: fleet.vault.clone(),
        expires_at,
        purpose: TokenPurpose::Pod(Box::new(Voucher {
            fleet: fleet.id.clone(),
            pod: PodOf { cluster: cluster.as_str().into(), pod: request.pod.into() },
            public_key: request.public_key,
        })),
        used: None,
        in_order: true,
    }));
    let (vault_id, fleet_id) = (fleet.vault.clone(), fleet.id.clone());
    Ok(steps.decide(move |_| IssuedVoucher { voucher, vault_id, fleet_id, expires_at: expires_at.0 }))
}

/// Pods may become machines of this fleet now.
pub(crate) fn require_active(fleet: &Fleet) -> Result<(), Refusal> {
    let key = &fleet.managed.object.key;
    if matches!(fleet.subject, FleetSubject::Host { .. }) {
        let text = format!("Machine {key} is a host: pods need a Machine with spec.workload");
        return Err(Refusal::new(RefusalKind::Forbidden, text).code(ErrorCode::MachineNotActive));
    }
    let text = match fleet.approval {
        Approval::Approved if fleet.suspended => format!("Machine {key} is suspended: set spec.suspend to false"),
        Approval::Approved => return Ok(()),
        Approval::Pending => {
            format!("Machine {key} waits for approval: sikkerkey-server admin machine approve {}", fleet.id)
        }
        Approval::Denied => format!("an administrator denied Machine {key} at the server"),
    };
    Err(Refusal::new(RefusalKind::Forbidden, text).code(ErrorCode::MachineNotActive))
}

/// The pod is not known to be gone. The API server goes on accepting a deleted pod's token for some seconds; a machine
/// made of one would outlive everybody who could revoke it.
pub(crate) fn require_there(context: &Context<'_>, cluster: &str, uid: &str) -> Result<(), Refusal> {
    let (text, code) = match context.state.gone_pods.get(&GonePod::id(cluster, uid)) {
        None => return Ok(()),
        Some(GonePod { revoked: true, .. }) => (
            format!("an administrator revoked pod {uid}: delete it, and the next one enrols"),
            ErrorCode::MachineNotActive,
        ),
        Some(_) => (format!("pod {uid} is gone: it gets no identity any more"), ErrorCode::PodGone),
    };
    Err(Refusal::new(RefusalKind::Forbidden, text).code(code))
}

/// The pod's service account may assume the Machine. The operator has checked that too; the list may have changed since.
pub(crate) fn require_admitted(fleet: &Fleet, account: &str) -> Result<(), Refusal> {
    if fleet.admits(account) {
        return Ok(());
    }
    let key = &fleet.managed.object.key;
    let text =
        format!("ServiceAccount {account} may not assume Machine {key}: add it to spec.workload.serviceAccountNames");
    Err(Refusal::new(RefusalKind::Forbidden, text).code(ErrorCode::ServiceAccountNotAllowed))
}

fn check_pod(pod: &PodIdentity) -> Result<(), Refusal> {
    let plain = |text: &str| !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_graphic());
    for (what, text) in [
        ("namespace", &pod.namespace),
        ("name", &pod.name),
        ("uid", &pod.uid),
        ("node", &pod.node),
        ("serviceAccount", &pod.service_account),
    ] {
        if !plain(text) {
            return Err(invalid(format!("pod.{what} is not what Kubernetes calls one")));
        }
    }
    Ok(())
}
