//! The decision.

use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::explain::Rule;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::policy::{PolicyDocument, RateCap, Ttl};

use super::window::{self, Window};
use super::{Denial, Facts, Guard, Permit, Verdict, address, cap, co_sign};
use crate::model::account::Standing;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};

/// The rules, in the order in which a read meets them.
pub(super) const RULES: [Rule; 11] = [
    Rule::Machine,
    Rule::Project,
    Rule::Grant,
    Rule::Value,
    Rule::Policy,
    Rule::Ttl,
    Rule::TimeWindow,
    Rule::IpAllowlist,
    Rule::RateCap,
    // The last that denies: nobody is asked for a read that another rule denies.
    Rule::CoSign,
    Rule::RotateAfterReads,
];

/// Decides: a read passes every rule or none. Of several that deny, the first is told.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    if let Some(denial) = first_denial(&RULES, facts) {
        return Verdict::Deny(denial);
    }
    Verdict::Permit(Permit {
        machine: facts.machine.id.clone(),
        secret: facts.secret.id.clone(),
        version: facts.secret.version,
        grants: live_grants(facts).map(|it| it.id.clone()).collect(),
    })
}

/// What the policy alone says, whoever reads: the same rules without those of the machine, its grants and the value.
pub fn guarded(facts: &Facts<'_>) -> Result<(), Denial> {
    let of_policy = |it: &&Rule| !matches!(it, Rule::Machine | Rule::Project | Rule::Grant | Rule::Value);
    first_denial(RULES.iter().filter(of_policy), facts).map_or(Ok(()), Err)
}

fn first_denial<'r>(rules: impl IntoIterator<Item = &'r Rule>, facts: &Facts<'_>) -> Option<Denial> {
    rules.into_iter().find_map(|rule| match check(*rule, facts) {
        Finding::Denies(denial) => Some(denial),
        Finding::Off | Finding::Allows => None,
    })
}

/// What one rule finds.
pub(super) enum Finding {
    /// It asks for nothing.
    Off,
    /// Nothing stands against the read.
    Allows,
    /// No read.
    Denies(Denial),
}

impl From<Result<(), Denial>> for Finding {
    fn from(result: Result<(), Denial>) -> Self {
        result.map_or_else(Self::Denies, |()| Self::Allows)
    }
}

/// Looks at one rule alone.
pub(super) fn check(rule: Rule, facts: &Facts<'_>) -> Finding {
    match rule {
        Rule::Machine => standing(facts.account, facts.machine, facts.fleet, facts.now).into(),
        Rule::Project => not_frozen(facts).into(),
        Rule::Grant => granted(facts).into(),
        Rule::Value => readable(facts).into(),
        Rule::Policy => match guard(facts) {
            Ok(None) => Finding::Off,
            Ok(Some(_)) => Finding::Allows,
            Err(denial) => Finding::Denies(denial),
        },
        Rule::Ttl | Rule::TimeWindow | Rule::IpAllowlist | Rule::RateCap | Rule::CoSign | Rule::RotateAfterReads => {
            match guard(facts) {
                Ok(Some(policy)) => axis(rule, policy, facts),
                Ok(None) | Err(_) => Finding::Off,
            }
        }
    }
}

fn axis(rule: Rule, policy: &Policy, facts: &Facts<'_>) -> Finding {
    let document = &policy.document;
    let result = match rule {
        Rule::Ttl => document.ttl.as_ref().map(|it| not_ended(it, facts)),
        Rule::TimeWindow => document.time_window.as_ref().map(|_| is_open(document, facts.now)),
        Rule::IpAllowlist => document.ip_allowlist.as_ref().map(|it| is_allowed(it, facts.address)),
        Rule::RateCap => document.rate_cap.as_ref().map(|it| below_cap(it, document, facts)),
        Rule::CoSign => document.co_sign.as_ref().map(|it| co_sign::approved(it, policy, facts)),
        Rule::RotateAfterReads => document.rotate_after_reads.map(|_| Ok(())),
        _ => None,
    };
    result.map_or(Finding::Off, Finding::from)
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

fn not_frozen(facts: &Facts<'_>) -> Result<(), Denial> {
    // Whoever has nothing to do with a project does not learn that it is frozen: the next rule denies.
    let is_concerned = match facts.fleet {
        Some(fleet) => fleet.project == facts.secret.project || covering(facts).next().is_some(),
        None => facts.member,
    };
    if !facts.project.frozen || !is_concerned {
        return Ok(());
    }
    Err(Denial::new(
        DenialReason::ProjectFrozen,
        format!(
            "project {} is frozen since a canary was read: every read is refused until an administrator unfreezes it",
            facts.project.name
        ),
    ))
}

fn readable(facts: &Facts<'_>) -> Result<(), Denial> {
    if facts.secret.held {
        return Err(Denial::new(
            DenialReason::ReleaseMissing,
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
    Ok(())
}

/// The policy in force for the secret, if it names one.
pub(super) fn guard<'a>(facts: &Facts<'a>) -> Result<Option<&'a Policy>, Denial> {
    match facts.policy {
        Guard::Open if facts.secret.policy.is_none() => Ok(None),
        // A caller that found no policy for a secret that names one has looked in the wrong place: deny.
        Guard::Open | Guard::Missing => {
            let name = facts.secret.policy.as_deref().unwrap_or_default();
            Err(missing_policy(&format!("AccessPolicy {name} is not in force: every read is denied until it is")))
        }
        Guard::Policy(policy)
            if policy.project == facts.secret.project && facts.secret.policy.as_ref() == Some(&policy.name) =>
        {
            Ok(Some(policy))
        }
        Guard::Policy(policy) => {
            Err(missing_policy(&format!("AccessPolicy {} does not guard this secret", policy.name)))
        }
    }
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

fn covering<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f Grant> {
    facts.grants.iter().copied().filter(|it| covers(it, facts.machine, facts.secret))
}

/// The grants by which the machine may read the secret now.
pub(super) fn live_grants<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f Grant> {
    covering(facts).filter(|it| it.is_live(facts.now))
}

fn granted(facts: &Facts<'_>) -> Result<(), Denial> {
    let secret = facts.secret;
    // Membership by itself gives nothing, and a grant without it neither. Both are told as one: from outside, a project
    // that the machine is no member of is not there.
    let last = covering(facts).max_by_key(|it| it.expires_at);
    let Some(last) = last.filter(|_| secret.phase == SecretPhase::Active && facts.member) else {
        let namespace = secret.managed.as_ref().map(|it| it.object.key.namespace.as_str());
        return Err(not_granted(facts.machine, facts.fleet, namespace, &secret.name));
    };
    if live_grants(facts).next().is_some() {
        return Ok(());
    }
    let name = last.managed.as_ref().map_or_else(|| "the grant".to_owned(), |it| format!("Grant {}", it.object.key));
    let end = last.expires_at.map(window::instant).unwrap_or_default();
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

fn not_ended(ttl: &Ttl, facts: &Facts<'_>) -> Result<(), Denial> {
    if let Some(end) = ttl.expires_at
        && end <= facts.now.0
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
    Ok(())
}

fn is_open(document: &PolicyDocument, now: Millis) -> Result<(), Denial> {
    let Some(window) = Window::of(document).map_err(unreadable)?.filter(|it| !it.is_open(now)) else { return Ok(()) };
    let change = window.next_change(now);
    let text = change.map_or_else(
        || "closed: the window never opens again".to_owned(),
        |change| format!("closed until {}", window.wall_clock(change)),
    );
    Err(Denial::new(DenialReason::OutsideTimeWindow, text).until(change))
}

fn is_allowed(ranges: &[String], address: IpAddr) -> Result<(), Denial> {
    if address::is_in_any(address, ranges).map_err(unreadable)? {
        return Ok(());
    }
    let text = format!("{} is in none of the policy's CIDRs", address.to_canonical());
    Err(Denial::new(DenialReason::AddressNotAllowed, text))
}

fn below_cap(rate: &RateCap, document: &PolicyDocument, facts: &Facts<'_>) -> Result<(), Denial> {
    if let Some(cap) = rate.per_minute
        && facts.counters.minute >= u64::from(cap)
    {
        return Err(capped(cap, "minute", cap::minute_of(facts.now).end));
    }
    if let Some(cap) = rate.per_day {
        let day = cap::day_of(document, facts.now).map_err(unreadable)?;
        if facts.counters.day >= u64::from(cap) {
            return Err(capped(cap, "day", day.end));
        }
    }
    Ok(())
}

fn capped(cap: u32, per: &str, again: Millis) -> Denial {
    let text = format!("the policy's cap of {cap} reads a {per} is reached: again at {}", window::instant(again));
    Denial::new(DenialReason::RateCapReached, text).until(Some(again))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unreadable(problem: String) -> Denial {
    missing_policy(&format!("the policy cannot be evaluated ({problem}): correct it"))
}

fn missing_policy(text: &str) -> Denial {
    Denial::new(DenialReason::PolicyMissing, text)
}

/// What a reader is called in messages.
pub fn label(machine: &Machine, fleet: Option<&Fleet>) -> String {
    fleet.map_or_else(|| format!("machine {}", machine.name), |fleet| format!("Machine {}", fleet.managed.object.key))
}
