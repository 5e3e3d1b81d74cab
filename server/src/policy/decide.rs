//! The decision.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::policy::PolicyDocument;

use super::window::{self, Window};
use super::{Denial, Facts, Guard, Permit, Verdict, address, cap};
use crate::model::account::Standing;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};

/// Decides. Of several reasons the first in this order is told: account, machine, project, grant, value, policy.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    match examine(facts) {
        Ok(grants) => Verdict::Permit(Permit {
            machine: facts.machine.id.clone(),
            secret: facts.secret.id.clone(),
            version: facts.secret.version,
            grants,
        }),
        Err(denial) => Verdict::Deny(denial),
    }
}

/// The denial of a secret that is not granted. One that does not exist gets the same text: from outside the two are the
/// same. `namespace` is the secret's; none when no cluster manages it.
pub fn not_granted(machine: &Machine, fleet: Option<&Fleet>, namespace: Option<&str>, secret: &str) -> Denial {
    let machine = label(machine, fleet);
    let message = match namespace {
        Some(namespace) => format!(
            "Secret {namespace}/{secret} is not granted to {machine}: add it to a Grant in namespace {namespace}"
        ),
        None => format!("secret {secret} is not granted to {machine}: grant it at the server"),
    };
    Denial::new(DenialReason::NotGranted, message)
}

fn examine(facts: &Facts<'_>) -> Result<Vec<String>, Denial> {
    standing(facts.account, facts.machine, facts.fleet, facts.now)?;
    if facts.project.frozen {
        return Err(Denial::new(
            DenialReason::ProjectFrozen,
            format!(
                "project {} is frozen since a canary was read: every read is refused until an administrator unfreezes it",
                facts.project.name
            ),
        ));
    }
    let grants = grants(facts)?;
    if facts.secret.held {
        return Err(Denial::new(
            DenialReason::CoSignMissing,
            format!(
                "{} is limited in its reads and was restored from a backup: a person compares the reads since then, and \
                 lets it be read with sikkerkey-server admin secret release {}",
                facts.secret.name, facts.secret.id
            ),
        ));
    }
    if facts.secret.version == 0 {
        return Err(Denial::new(
            DenialReason::ValueMissing,
            format!(
                "nobody has set a value for {}: set one with sikkerkey-server admin secret set {}",
                facts.secret.name, facts.secret.id
            ),
        ));
    }
    match facts.policy {
        Guard::Open if facts.secret.policy.is_none() => Ok(()),
        // A caller that found no policy for a secret that names one has looked in the wrong place: deny.
        Guard::Open | Guard::Missing => {
            let name = facts.secret.policy.as_deref().unwrap_or_default();
            Err(missing_policy(&format!("AccessPolicy {name} is not in force: every read is denied until it is")))
        }
        Guard::Policy(policy)
            if policy.project == facts.secret.project && facts.secret.policy.as_ref() == Some(&policy.name) =>
        {
            axes(&policy.document, facts)
        }
        Guard::Policy(policy) => {
            Err(missing_policy(&format!("AccessPolicy {} does not guard this secret", policy.name)))
        }
    }?;
    Ok(grants)
}

/// Whether a machine may read anything at all: looked at before what it asks for, so that one that may not learns nothing of
/// what there is.
pub fn standing(account: Standing, machine: &Machine, fleet: Option<&Fleet>, now: Millis) -> Result<(), Denial> {
    in_good_standing(account)?;
    let label = label(machine, fleet);
    // A machine of a fleet that is gone is nobody any more.
    if fleet.map(|it| &it.id) != machine.fleet.as_ref() {
        let text = format!("{label} no longer exists: apply its Machine object again");
        return Err(Denial::new(DenialReason::MachineSuspended, text));
    }
    for approval in [Some(machine.approval), fleet.map(|it| it.approval)].into_iter().flatten() {
        let text = match approval {
            Approval::Approved => continue,
            Approval::Pending => format!(
                "{label} waits for approval: compare its fingerprint {} and approve it",
                machine.public_key.fingerprint()
            ),
            Approval::Denied => format!("an administrator denied {label} at the server"),
        };
        return Err(Denial::new(DenialReason::MachineNotApproved, text));
    }
    if machine.expires_at.is_some_and(|end| end <= now) {
        let text = format!("the identity of {label} has ended: enrol again");
        return Err(Denial::new(DenialReason::MachineExpired, text));
    }
    if !machine.enabled {
        let text = format!("{label} is disabled: an administrator of the server can enable it");
        return Err(Denial::new(DenialReason::MachineSuspended, text));
    }
    if fleet.is_some_and(|it| it.suspended) {
        let text = format!("{label} is suspended: set spec.suspend to false to let it read again");
        return Err(Denial::new(DenialReason::MachineSuspended, text));
    }
    Ok(())
}

fn in_good_standing(account: Standing) -> Result<(), Denial> {
    let text = match account {
        Standing::Active => return Ok(()),
        Standing::Suspended => "the account that owns this vault is suspended",
        Standing::Banned => "the account that owns this vault is banned",
        Standing::PendingVerification => "the account that owns this vault is not verified yet",
    };
    Err(Denial::new(DenialReason::AccountNotActive, format!("{text}: an administrator of the server can activate it")))
}

fn grants(facts: &Facts<'_>) -> Result<Vec<String>, Denial> {
    let secret = facts.secret;
    let covering: Vec<&Grant> = facts.grants.iter().copied().filter(|it| covers(it, facts.machine, secret)).collect();
    // Membership by itself gives nothing, and a grant without it neither. Both are told as one: from outside, a project
    // that the machine is no member of is not there.
    if secret.phase != SecretPhase::Active || covering.is_empty() || !facts.member {
        let namespace = secret.managed.as_ref().map(|it| it.object.key.namespace.as_str());
        return Err(not_granted(facts.machine, facts.fleet, namespace, &secret.name));
    }
    let live: Vec<String> =
        covering.iter().filter(|it| it.expires_at.is_none_or(|end| facts.now < end)).map(|it| it.id.clone()).collect();
    if !live.is_empty() {
        return Ok(live);
    }
    let last = covering.iter().max_by_key(|it| it.expires_at);
    let name = last
        .and_then(|it| it.managed.as_ref())
        .map_or_else(|| "the grant".to_owned(), |it| format!("Grant {}", it.object.key));
    let end = last.and_then(|it| it.expires_at).map(window::instant).unwrap_or_default();
    Err(Denial::new(DenialReason::GrantExpired, format!("{name} ended at {end}: set a later expiresAt")))
}

/// Whether a grant is one of this pair. Looked at again here, so that an index that is wrong opens nothing.
fn covers(grant: &Grant, machine: &Machine, secret: &Secret) -> bool {
    grant.grantee == machine.grantee()
        && grant.vault == machine.vault
        && secret.vault == machine.vault
        && grant.project == secret.project
        && grant.secrets.contains(&secret.id)
}

fn axes(document: &PolicyDocument, facts: &Facts<'_>) -> Result<(), Denial> {
    let now = facts.now;
    if let Some(ttl) = &document.ttl {
        if let Some(end) = ttl.expires_at
            && end <= now.0
        {
            let text = format!("the policy ended at {}: set a later ttl.expiresAt", window::instant(Millis(end)));
            return Err(Denial::new(DenialReason::PolicyEnded, text));
        }
        if let Some(max) = ttl.max_reads
            && facts.counters.total >= u64::from(max)
        {
            let text = format!("the policy allows {max} reads of this secret, and all are used: raise ttl.maxReads");
            return Err(Denial::new(DenialReason::PolicyEnded, text));
        }
    }
    if let Some(window) = Window::of(document).map_err(unreadable)?
        && !window.is_open(now)
    {
        let change = window.next_change(now);
        let text = change.map_or_else(
            || "closed: the window never opens again".to_owned(),
            |change| format!("closed until {}", window.wall_clock(change)),
        );
        return Err(Denial::new(DenialReason::OutsideTimeWindow, text).until(change));
    }
    if let Some(ranges) = &document.ip_allowlist
        && !address::is_in_any(facts.address, ranges).map_err(unreadable)?
    {
        let text = format!("{} is in none of the policy's CIDRs", facts.address.to_canonical());
        return Err(Denial::new(DenialReason::AddressNotAllowed, text));
    }
    if let Some(rate) = &document.rate_cap {
        let minute = cap::minute_of(now);
        if rate.per_minute.is_some_and(|cap| facts.counters.minute >= u64::from(cap)) {
            return Err(capped(minute.end));
        }
        if let Some(cap) = rate.per_day {
            let day = cap::day_of(document, now).map_err(unreadable)?;
            if facts.counters.day >= u64::from(cap) {
                return Err(capped(day.end));
            }
        }
    }
    // Refused when they are applied, because nothing enforces them yet. A document that has them all the same is denied.
    if document.co_sign.is_some() {
        let text = "the policy asks for a co-signer, and this server takes no approvals: remove coSign";
        return Err(Denial::new(DenialReason::CoSignMissing, text));
    }
    if document.rotate_after_reads.is_some() {
        return Err(missing_policy("this server does not rotate after reads: remove rotateAfterReads"));
    }
    Ok(())
}

fn capped(again: Millis) -> Denial {
    let text = format!("the policy's rate cap is reached: again at {}", window::instant(again));
    Denial::new(DenialReason::RateCapReached, text).until(Some(again))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unreadable(problem: String) -> Denial {
    missing_policy(&format!("the policy cannot be evaluated ({problem}): correct it"))
}

fn missing_policy(text: &str) -> Denial {
    Denial::new(DenialReason::PolicyMissing, text)
}

fn label(machine: &Machine, fleet: Option<&Fleet>) -> String {
    fleet.map_or_else(|| format!("machine {}", machine.name), |fleet| format!("Machine {}", fleet.managed.object.key))
}
