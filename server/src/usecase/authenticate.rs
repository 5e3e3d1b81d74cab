//! Whether a machine or an agent whose signature verified may ask for anything.

use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::kubernetes::Approval;

use crate::model::account::Standing;
use crate::model::agent::Agent;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::policy::address;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::machine::guardrails;

/// The refusal of whoever is not known or did not sign: the same for both, so that nobody learns which ids exist.
pub fn unknown() -> Refusal {
    Refusal::new(
        RefusalKind::Unauthenticated,
        "unknown machine or bad signature: check the machine id and the key, or register again",
    )
}

/// Whether the machines of a vault may connect and enrol from `address`. Says nothing about the list: whoever is kept out
/// learns only that he is.
pub fn may_connect(state: &State, vault: &VaultId, address: IpAddr) -> Result<(), Refusal> {
    let Some(list) = state.allowlists.get(vault).filter(|it| it.enabled) else { return Ok(()) };
    let address = address.to_canonical();
    // An entry that cannot be read lets nobody in.
    let names_it = |cidr: &str| address::parse(cidr).is_ok_and(|range| range.contains(&address));
    if list.entries.iter().any(|it| it.enabled && names_it(&it.cidr)) {
        return Ok(());
    }
    Err(Refusal::new(RefusalKind::Forbidden, "Access denied").denial(DenialReason::AddressNotAllowed))
}

/// Whether `machine` may come from `address` now: its vault's allowlist, and what it has to keep to itself.
pub fn may_come(state: &State, machine: &Machine, address: IpAddr, now: Millis) -> Result<(), Refusal> {
    may_connect(state, &machine.vault, address)?;
    guardrails::may_come(machine, address, now)
}

/// Whether `machine` may ask for anything at all: its account, its approval, its identity's end.
pub fn may_ask(state: &State, machine: &Machine, now: Millis) -> Result<(), Refusal> {
    let refused = |kind, reason, text: &str| Err(Refusal::new(kind, text).denial(reason));
    require_active_account(state, &machine.vault)?;
    let fleet = machine.fleet.as_ref().map(|id| state.fleets.get(id));
    if fleet.is_some_and(|it| it.is_none()) {
        return refused(
            RefusalKind::Forbidden,
            DenialReason::MachineSuspended,
            "the fleet of this machine no longer exists",
        );
    }
    let fleet = fleet.flatten();
    for approval in [Some(machine.approval), fleet.map(|it| it.approval)].into_iter().flatten() {
        let text = match approval {
            Approval::Approved => continue,
            Approval::Pending => "this machine waits for approval: compare its fingerprint and approve it",
            Approval::Denied => "this machine was denied",
        };
        return refused(RefusalKind::Forbidden, DenialReason::MachineNotApproved, text);
    }
    // Told before that it is disabled: the end of an identity disables it, and what helps is to enrol again.
    if machine.expires_at.is_some_and(|end| end <= now) {
        return refused(
            RefusalKind::Unauthenticated,
            DenialReason::MachineExpired,
            "the identity of this machine has ended: enrol again",
        );
    }
    if !machine.enabled {
        return refused(RefusalKind::Forbidden, DenialReason::MachineSuspended, "this machine is disabled or revoked");
    }
    if fleet.is_some_and(|it| it.suspended) {
        return refused(RefusalKind::Forbidden, DenialReason::MachineSuspended, "this machine is suspended");
    }
    Ok(())
}

/// Whether `agent` may manage anything at all.
pub fn may_manage(state: &State, agent: &Agent, now: Millis) -> Result<(), Refusal> {
    require_active_account(state, &agent.vault)?;
    if !agent.approved {
        return Err(Refusal::new(RefusalKind::Forbidden, "this agent waits for approval by a person"));
    }
    if !agent.enabled {
        return Err(Refusal::new(RefusalKind::Forbidden, "Agent is disabled"));
    }
    if agent.expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::new(RefusalKind::Unauthenticated, "this agent's login has ended: log in again"));
    }
    Ok(())
}

/// The account that owns a vault must be in good standing. A vault without an account is in nobody's.
pub(crate) fn require_active_account(state: &State, vault: &VaultId) -> Result<(), Refusal> {
    if state.account_of(vault).is_some_and(|account| account.standing == Standing::Active) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Forbidden,
        "the account that owns this vault is suspended, banned or not verified: its machines are refused",
    )
    .denial(DenialReason::AccountNotActive))
}
