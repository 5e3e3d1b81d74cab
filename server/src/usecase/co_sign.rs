//! Consent of a second machine: asked for by reads, given or refused by the co-signer of a policy.

use std::sync::Arc;

use sikkerkey_protocol::co_sign::{self as wire, CoSignList, CoSignVerdict, Settled};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::header::SKEW_SECONDS;
use sikkerkey_protocol::id::{SecretId, VaultId};
use sikkerkey_protocol::policy::{Approver, CoSign};

use super::admit::admit;
use super::authenticate;
use super::fence;
use super::reading;
use super::source::Source;
use super::steps::{Steps, describe};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::ledger::ActivityKind;
use crate::model::co_sign::{Answer, CoSignRequest};
use crate::model::fleet::Fleet;
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Entity, EntityKind};
use crate::policy::{self, CoSigner, Consent, Guard};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::verify::Verified;

/// How long an answer that has ended is kept, for those who look, in seconds.
const KEPT_SECONDS: u64 = 24 * 3600;
/// The most requests under one policy.
const MOST_OF_POLICY: usize = 1000;
/// The most of them by machines of one enrolment token.
const MOST_OF_TOKEN: usize = 20;
/// How long a request waits for an answer, in seconds.
const UNANSWERED_SECONDS: u64 = 30 * 24 * 3600;

/// How consent stands for a reader and a secret under a policy.
pub fn consent<'a>(state: &'a State, policy: &Policy, reader: &Grantee, secret: &SecretId) -> Consent<'a> {
    if policy.document.co_sign.is_none() {
        return Consent::default();
    }
    let request = state.co_sign(secret, reader);
    let answered_by = request.and_then(|it| it.answer.as_ref()).and_then(|it| state.machines.get(&it.by));
    let with_fleet = |machine: &'a Machine| (machine, machine.fleet.as_ref().and_then(|fleet| state.fleets.get(fleet)));
    Consent { co_signer: co_signer(state, policy), request, answered_by: answered_by.map(|it| with_fleet(it)) }
}

/// Whom a policy asks, if there is such a machine.
pub fn co_signer<'a>(state: &'a State, policy: &Policy) -> Option<CoSigner<'a>> {
    match &policy.document.co_sign.as_ref()?.approver {
        Approver::Object(key) => {
            let fleet = state.fleet_of(fence::cluster_of(state, policy)?, key);
            fleet.filter(|it| it.vault == policy.vault).map(CoSigner::Fleet)
        }
        Approver::Machine(id) => {
            state.machines.get(id).filter(|it| it.vault == policy.vault).map(|it| CoSigner::Machine(it))
        }
    }
}

/// The request that a read leaves which lacks nothing but consent, with its row for the audit. None when as many wait as
/// a person can look through: else whoever lets machines enrol by himself could bury the others.
pub(crate) fn ask(context: &Context<'_>, machine: &Machine, source: Source, secret: &Secret) -> Option<Steps> {
    let Guard::Policy(policy) = reading::guard(context.state, secret) else { return None };
    let of_token = |it: &&CoSignRequest| {
        let asked_by = context.state.machines.get(&it.asked_by);
        machine.enrolled_by.is_some() && asked_by.is_some_and(|it| it.enrolled_by == machine.enrolled_by)
    };
    let asked = || context.state.co_signs_under(&policy.id);
    if asked().count() >= MOST_OF_POLICY || asked().filter(of_token).count() >= MOST_OF_TOKEN {
        return None;
    }
    let fleet = machine.fleet.as_ref().and_then(|id| context.state.fleets.get(id));
    let reader = machine.grantee();
    let grants = context.state.grants_for(&reader, &secret.id);
    let request = CoSignRequest {
        id: entropy::uuid(context.entropy),
        vault: secret.vault.clone(),
        project: secret.project.clone(),
        secret: secret.id.clone(),
        policy: policy.id.clone(),
        revision: policy.revision,
        bindings: secret.bindings,
        grants: grants.filter(|it| it.is_live(context.now)).map(|it| it.id.clone()).collect(),
        who: fleet.map(Fleet::who),
        reader,
        asked_by: machine.id.clone(),
        asked_as: describe(machine),
        asked_from: source.address,
        asked_at: context.now,
        answer: None,
    };
    let who = co_signer(context.state, policy).map(CoSigner::label).unwrap_or_default();
    let mut steps = Steps::default();
    let detail = format!(
        "{} asks {who} to approve reads of {} (policy {}, revision {})",
        describe(machine),
        policy::secret_label(secret),
        policy.name,
        policy.revision
    );
    steps.audit.push(row(Action::CoSignRequest, &request, machine, source, &detail));
    steps.put(Entity::CoSign(request));
    Some(steps)
}

/// A request that nothing has voided, with what it is about.
pub struct InForce<'a> {
    /// The request.
    pub request: &'a CoSignRequest,
    /// What is to be read.
    pub secret: &'a Secret,
    /// The policy that asks.
    pub policy: &'a Policy,
    /// What it asks.
    pub terms: &'a CoSign,
    /// Whom it asks.
    pub co_signer: CoSigner<'a>,
}

/// What a request is about, unless something has voided it since: another policy or revision, an end of the grant, a
/// secret that is gone, a co-signer that is.
pub fn in_force<'a>(state: &'a State, request: &'a CoSignRequest, now: Millis) -> Option<InForce<'a>> {
    let secret = state.secrets.get(&request.secret).filter(|it| it.phase == SecretPhase::Active)?;
    let Guard::Policy(policy) = reading::guard(state, secret) else { return None };
    let fleet = match &request.reader {
        Grantee::Fleet(id) => Some(state.fleets.get(id)?),
        Grantee::Machine(_) => None,
    };
    let grants = state.grants_for(&request.reader, &secret.id).filter(|it| it.is_live(now));
    let terms = policy.document.co_sign.as_ref().filter(|_| request.stands(policy, secret, fleet, grants))?;
    let co_signer = co_signer(state, policy).filter(|it| !it.is_reader(&request.reader, fleet))?;
    Some(InForce { request, secret, policy, terms, co_signer })
}

/// Whom a reader waits for before it may read a secret, or who has refused. None: nobody stands in its way.
pub fn awaited(state: &State, secret: &SecretId, reader: &Grantee, now: Millis) -> Option<(DenialReason, String)> {
    let asked = in_force(state, state.co_sign(secret, reader)?, now)?;
    match &asked.request.answer {
        None => Some((DenialReason::CoSignMissing, policy::co_sign::waits_for(asked.co_signer, asked.request))),
        Some(answer) if answer.verdict == CoSignVerdict::Denied && now < answer.until => {
            let text = policy::co_sign::refused(asked.co_signer, asked.request, answer.until);
            Some((DenialReason::CoSignRefused, text))
        }
        Some(_) => None,
    }
}

/// What waits for an answer, and what is approved, the oldest first.
pub fn standing(state: &State, now: Millis) -> Vec<InForce<'_>> {
    by_age(state.co_signs.values().filter_map(|it| unsettled(state, it, now)))
}

/// What waits for an answer in a vault, and the answers that stand, the oldest first.
pub fn in_vault<'a>(state: &'a State, vault: &VaultId, now: Millis) -> Vec<InForce<'a>> {
    let stands = |it: &&CoSignRequest| it.answer.as_ref().is_none_or(|answer| now < answer.until);
    let ours = state.co_signs.values().filter(|it| it.vault == *vault).filter(stands);
    by_age(ours.filter_map(|it| in_force(state, it, now)))
}

/// When a request is forgotten that nobody answers.
pub fn forgotten_at(request: &CoSignRequest) -> Millis {
    request.asked_at.plus_seconds(UNANSWERED_SECONDS)
}

/// What waits under one policy.
pub fn waiting_under<'a>(state: &'a State, policy: &Policy, now: Millis) -> impl Iterator<Item = InForce<'a>> {
    let unanswered = state.co_signs_under(&policy.id).filter(|it| it.answer.is_none());
    unanswered.filter_map(move |it| in_force(state, it, now))
}

fn unsettled<'a>(state: &'a State, request: &'a CoSignRequest, now: Millis) -> Option<InForce<'a>> {
    let is_approved = |it: &Answer| it.verdict == CoSignVerdict::Approved && now < it.until;
    request.answer.as_ref().is_none_or(is_approved).then(|| in_force(state, request, now)).flatten()
}

fn by_age<'a>(requests: impl Iterator<Item = InForce<'a>>) -> Vec<InForce<'a>> {
    let mut requests: Vec<_> = requests.collect();
    requests.sort_by(|a, b| (a.request.asked_at, &a.request.id).cmp(&(b.request.asked_at, &b.request.id)));
    requests
}

/// What waits for the machine that signed, and what is approved.
pub async fn list_for(app: &App, request: Verified<Arc<Machine>>) -> Result<CoSignList, Refusal> {
    let (machine, _) = admit(app, request, ActivityKind::List).await?;
    Ok(list(&app.live.read().state, &machine, app.clock.now()))
}

/// What waits for `machine`, and what is approved in its name.
pub fn list(state: &State, machine: &Machine, now: Millis) -> CoSignList {
    // From the policies that ask it: there may be many requests that are nobody's business here.
    let policies = state.policies_with_co_signs().filter(|it| it.vault == machine.vault);
    let mine = policies.filter(|it| co_signer(state, it).is_some_and(|it| it.is_answered_by(machine)));
    let mine = mine.filter(|it| policy::co_sign::may_answer(it, machine));
    let requests = mine.flat_map(|it| state.co_signs_under(&it.id)).filter_map(|it| unsettled(state, it, now));
    let requests = by_age(requests).into_iter().map(|it| wire::CoSignRequest {
        id: it.request.id.clone(),
        vault_id: it.request.vault.clone(),
        approver_id: machine.id.clone(),
        reader_id: it.request.reader.to_string(),
        reader: reader(state, &it.request.reader),
        asked_by: it.request.asked_as.clone(),
        asked_from: it.request.asked_from.to_canonical().to_string(),
        asked_at: it.request.asked_at.0,
        secret_id: it.secret.id.clone(),
        secret: policy::secret_label(it.secret),
        policy: it.policy.name.clone(),
        policy_revision: it.policy.revision,
        window_seconds: it.terms.window_seconds,
        approved_until: it.request.answer.as_ref().map(|it| it.until.0),
    });
    CoSignList { requests: requests.collect() }
}

/// What a reader is called.
pub fn reader(state: &State, reader: &Grantee) -> String {
    match reader {
        Grantee::Fleet(id) => state
            .fleets
            .get(id)
            .map_or_else(|| format!("fleet {id}"), |it| format!("Machine {}", it.managed.object.key)),
        Grantee::Machine(id) => state.machines.get(id).map_or_else(|| format!("machine {id}"), |it| describe(it)),
    }
}

/// Approves or refuses a request. `consent` repeats what its signer has seen, and is compared field by field.
pub fn answer(
    context: &Context<'_>,
    machine: &Machine,
    source: Source,
    request: &str,
    verdict: CoSignVerdict,
    consent: &wire::Consent,
) -> Decided<Settled> {
    let (state, now) = (context.state, context.now);
    authenticate::may_ask(state, machine, now)?;
    let request = state.co_sign_request(request).filter(|it| it.vault == machine.vault).ok_or_else(not_waiting)?;
    if request.reader == machine.grantee() {
        return Err(Refusal::new(RefusalKind::Forbidden, "nobody approves their own reads, nor those of their fleet"));
    }
    let policy = state.policies.get(&request.policy).ok_or_else(not_waiting)?;
    co_signer(state, policy).filter(|it| it.is_answered_by(machine)).ok_or_else(not_waiting)?;
    let Some(asked) = in_force(state, request, now) else {
        let text =
            "the request is void: its policy, grant or secret has changed since; the reader's next try leaves another";
        return Err(Refusal::new(RefusalKind::Conflict, text));
    };
    if !policy::co_sign::may_answer(asked.policy, machine) {
        let text = format!(
            "policy {} is protected, and takes the answer of a host that a person approved: sikkerkey-server admin machine \
             approve {}",
            asked.policy.name, machine.id
        );
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    compare(machine, &asked, consent)?;
    let (until, is_new) = match &request.answer {
        // Whoever lost the answer to his own is told it again, and nothing is made longer by it.
        Some(answer) if answer.by == machine.id && answer.verdict == verdict && now < answer.until => {
            (answer.until, false)
        }
        // What was approved can be taken back by any machine that may approve it, and whoever refused may think better of it.
        Some(answer) if now < answer.until && (verdict == CoSignVerdict::Denied || answer.by == machine.id) => {
            (until(now, asked.terms, Millis(consent.not_after))?, true)
        }
        Some(answer) => {
            let was = match answer.verdict {
                CoSignVerdict::Approved => "approved",
                CoSignVerdict::Denied => "refused",
            };
            let text = format!("the request was {was} already, until {}", policy::window::instant(answer.until));
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        None => (until(now, asked.terms, Millis(consent.not_after))?, true),
    };
    let action = match verdict {
        CoSignVerdict::Approved => Action::CoSignApprove,
        CoSignVerdict::Denied => Action::CoSignDeny,
    };
    let mut steps = Steps::default();
    let detail = format!(
        "reads of {} by {}, by {}, until {} (policy {}, revision {}){}",
        policy::secret_label(asked.secret),
        reader(state, &request.reader),
        describe(machine),
        policy::window::instant(until),
        asked.policy.name,
        asked.policy.revision,
        if is_new { "" } else { ", told again" }
    );
    steps.audit.push(row(action, request, machine, source, &detail));
    if is_new {
        let answer = Answer { by: machine.id.clone(), at: now, verdict, until };
        steps.put(Entity::CoSign(CoSignRequest { answer: Some(answer), ..request.clone() }));
    }
    let settled = Settled { id: request.id.clone(), verdict, until: until.0 };
    Ok(steps.decide(move |_| settled))
}

/// A row about a request, by the machine that asks or answers.
fn row(action: Action, request: &CoSignRequest, machine: &Machine, source: Source, detail: &str) -> Entry {
    Entry {
        vault: Some(request.vault.clone()),
        project: Some(request.project.clone()),
        machine: Some(machine.id.clone()),
        fleet: machine.fleet.clone(),
        secret: Some(request.secret.clone()),
        source_ip: Some(source.address),
        detail: format!("request {}: {detail}", request.id),
        ..Entry::new(action, Actor::Machine(machine.id.clone()))
    }
}

/// Until when an answer stands whose signer wants it to end at `not_after`.
fn until(now: Millis, terms: &CoSign, not_after: Millis) -> Result<Millis, Refusal> {
    let longest = now.plus_seconds(terms.window_seconds);
    if not_after <= now {
        return Err(Refusal::new(RefusalKind::Invalid, "notAfter is past: check the clock"));
    }
    if not_after > longest.plus_seconds(SKEW_SECONDS.unsigned_abs()) {
        let text = format!("notAfter is further away than the policy's window of {} s", terms.window_seconds);
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    Ok(not_after.min(longest))
}

fn compare(machine: &Machine, asked: &InForce<'_>, consent: &wire::Consent) -> Result<(), Refusal> {
    let request = asked.request;
    let differs = [
        ("requestId", consent.request_id != request.id),
        ("vaultId", consent.vault_id != request.vault),
        ("approverId", consent.approver_id != machine.id),
        ("readerId", consent.reader_id != request.reader.to_string()),
        ("secretId", consent.secret_id != request.secret),
        ("policyRevision", consent.policy_revision != request.revision),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((field, _)) => {
            let text = format!("{field} is not that of the request: list it again, and answer what it says");
            Err(Refusal::new(RefusalKind::Conflict, text))
        }
    }
}

fn not_waiting() -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        "no request of that id waits for this machine: GET /v1/cosign lists those that do",
    )
}

/// Forgets what is void, what has ended, and what nobody has answered.
pub(crate) fn forget(context: &Context<'_>, steps: &mut Steps) {
    for (key, request) in &context.state.co_signs {
        let end = match &request.answer {
            Some(answer) => answer.until.plus_seconds(KEPT_SECONDS),
            None => forgotten_at(request),
        };
        if end <= context.now || in_force(context.state, request, context.now).is_none() {
            steps.remove(EntityKind::CoSign, key);
        }
    }
}
