//! Whether a machine may read a secret now, for whoever wants to know why not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use sikkerkey_protocol::explain::{Explanation, Rule, RuleSays};
use sikkerkey_protocol::id::{FleetId, MachineId, SecretId, VaultId};
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::kubernetes::Approval;
use zeroize::Zeroizing;

use super::machine::guardrails;
use super::reading::{self, Asking};
use crate::ledger::Ledger;
use crate::model::fleet::Fleet;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::{self, Guard};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;

/// What is asked.
pub struct Question<'a> {
    /// Who would read: the id or the name of a machine, the id of a fleet, or `namespace/name` of a Machine object.
    pub machine: &'a str,
    /// What: its id, its name, or `namespace/name` of a Secret object.
    pub secret: &'a str,
    /// From where; none: from where the machine was seen last.
    pub address: Option<IpAddr>,
    /// Only what is of this vault; none: of any.
    pub vault: Option<&'a VaultId>,
}

/// Answers a question by the rules that reads are decided by. Writes nothing and counts as nothing.
pub fn explain(state: &State, ledger: &Ledger, now: Millis, question: &Question<'_>) -> Result<Explanation, Refusal> {
    let machine = machine(state, ledger, question, now)?;
    let secret = secret(state, question)?;
    of(state, ledger, now, &machine, secret, question.address)
}

/// Whether this machine may read this secret. Without an address: from where it, or another of its fleet, was seen last.
pub(super) fn of(
    state: &State,
    ledger: &Ledger,
    now: Millis,
    machine: &Machine,
    secret: &Secret,
    address: Option<IpAddr>,
) -> Result<Explanation, Refusal> {
    let own = || ledger.seen(&machine.id).and_then(|it| it.address);
    let of_fleet = || {
        let machines = state.machines_in(machine.fleet.as_ref()?);
        machines.filter_map(|it| ledger.seen(&it.id)).max_by_key(|it| it.at)?.address
    };
    let known = address.or_else(own).or_else(of_fleet);
    let looks_at_it = match reading::guard(state, secret) {
        Guard::Policy(policy) => policy.document.ip_allowlist.is_some(),
        Guard::Open | Guard::Missing => false,
    };
    let rails = machine.host.as_ref().and_then(|it| it.guardrails.as_ref());
    if known.is_none() && (looks_at_it || rails.is_some_and(|it| it.ip_allowlist.is_some())) {
        let what = if looks_at_it { "the policy looks" } else { "its guardrails look" };
        let text = format!("{} was never seen, and {what} at its address: give one", machine.name);
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    let address = known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let asking = Asking { machine, address, now };
    let facts = reading::facts(state, ledger, asking, secret);
    let facts = facts.map_err(|denial| Refusal::new(RefusalKind::NotFound, denial.message))?;
    let mut explanation = policy::explain(&facts);
    // What the machine has to keep to is looked at before any rule.
    if let Err(refusal) = guardrails::may_come(machine, address, now) {
        explanation.allowed = false;
        explanation.changes_at = None;
        for rule in explanation.rules.iter_mut().filter(|it| it.rule == Rule::Machine && it.says != RuleSays::Denies) {
            (rule.says, rule.reason) = (RuleSays::Denies, refusal.denial);
            rule.message.clone_from(&refusal.message);
        }
    }
    Ok(explanation)
}

fn machine(state: &State, ledger: &Ledger, question: &Question<'_>, now: Millis) -> Result<Machine, Refusal> {
    let asked = question.machine;
    let is_ours = |vault: &VaultId| question.vault.is_none_or(|it| it == vault);
    if let Some(found) = asked.parse::<MachineId>().ok().and_then(|id| state.machines.get(&id))
        && is_ours(&found.vault)
    {
        return Ok((**found).clone());
    }
    let is_it = |it: &&Fleet| it.id.as_str() == asked || it.managed.object.key.to_string() == asked;
    let fleets: Vec<&Fleet> = state.fleets.values().filter(|it| is_ours(&it.vault)).filter(is_it).collect();
    match *fleets.as_slice() {
        [] => {}
        [fleet] => return member(state, ledger, fleet, now),
        _ => return Err(ambiguous("Machine", asked, fleets.iter().map(|it| it.id.to_string()))),
    }
    let machines = state.machines.values().filter(|it| is_ours(&it.vault) && it.name == asked);
    let machines: Vec<_> = machines.collect();
    match machines.as_slice() {
        [machine] => Ok((***machine).clone()),
        [] => Err(Refusal::new(RefusalKind::NotFound, format!("there is no machine {asked}: machine list shows them"))),
        _ => Err(ambiguous("machine", asked, machines.iter().map(|it| it.id.to_string()))),
    }
}

/// The foremost machine of a fleet; of one that has none, a machine as its pods are going to be.
pub(super) fn member(state: &State, ledger: &Ledger, fleet: &Fleet, now: Millis) -> Result<Machine, Refusal> {
    if let Some(machine) = foremost(state.machines_in(&fleet.id), ledger, now) {
        return Ok(machine.clone());
    }
    // Both are UUIDs.
    let id = fleet.id.as_str().parse::<MachineId>();
    let id = id.map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
    let name = format!("{} (no pod yet)", fleet.managed.object.key);
    Ok(stand_in(id, name, &fleet.vault, Some(fleet.id.clone()), now))
}

/// A machine in place of one that is not there: nothing is signed by it.
pub(super) fn stand_in(id: MachineId, name: String, vault: &VaultId, fleet: Option<FleetId>, now: Millis) -> Machine {
    Machine {
        id,
        vault: vault.clone(),
        name,
        public_key: MachineKey::from_seed(&Zeroizing::new([0; 32])).public_key(),
        approval: Approval::Approved,
        enabled: true,
        expires_at: None,
        created_at: now,
        fleet,
        pod: None,
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    }
}

/// The one of several machines that is explained: a live one before one that has ended, and of those the one that enrolled or
/// was seen last.
pub(super) fn foremost<'a>(
    machines: impl Iterator<Item = &'a Arc<Machine>>,
    ledger: &Ledger,
    now: Millis,
) -> Option<&'a Machine> {
    machines.map(|it| &**it).max_by_key(|it| (it.is_live(now), ledger.last_seen(&it.id).max(Some(it.created_at))))
}

fn secret<'a>(state: &'a State, question: &Question<'_>) -> Result<&'a Secret, Refusal> {
    let asked = question.secret;
    let is_ours = |it: &&Secret| question.vault.is_none_or(|vault| *vault == it.vault);
    let by_id = asked.parse::<SecretId>().ok().and_then(|id| state.secrets.get(&id));
    if let Some(secret) = by_id.filter(|it| is_ours(it)) {
        return Ok(secret);
    }
    let is_named = |it: &&Secret| {
        !matches!(it.phase, SecretPhase::Trashed(_)) && (policy::secret_label(it) == asked || it.name == asked)
    };
    let secrets: Vec<&Secret> = state.secrets.values().filter(is_ours).filter(is_named).collect();
    match *secrets.as_slice() {
        [secret] => Ok(secret),
        [] => Err(Refusal::new(RefusalKind::NotFound, format!("there is no secret {asked}: secret list shows them"))),
        _ => Err(ambiguous("secret", asked, secrets.iter().map(|it| it.id.to_string()))),
    }
}

fn ambiguous(what: &str, asked: &str, ids: impl Iterator<Item = String>) -> Refusal {
    let mut ids: Vec<String> = ids.take(5).collect();
    ids.sort();
    let text = format!("{what} {asked} is not the only one of that name: name it by its id ({})", ids.join(", "));
    Refusal::new(RefusalKind::Invalid, text)
}
