//! How a machine stands, in one word, and of which sort it is: as people look for it.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::kubernetes::Approval;

use super::Found;
use crate::model::fleet::Fleet;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::state::State;

/// How a machine or a fleet stands. Of several that hold, the first in the order of refusals
/// ([`crate::usecase::authenticate::may_ask`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A person has to approve it.
    Pending,
    /// It reads what it is granted.
    Approved,
    /// It failed to authenticate too often, from somewhere.
    LockedOut,
    /// It is switched off, or its fleet is.
    Disabled,
    /// Its time is over.
    Expired,
    /// Its fleet was denied.
    Denied,
}

impl Status {
    /// Every one, in the order in which people choose.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Approved, Self::Disabled, Self::Expired, Self::LockedOut, Self::Denied];

    /// For a person, and in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::LockedOut => "locked-out",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Denied => "denied",
        }
    }
}

/// Of which sort a machine is. Finer than [`sikkerkey_protocol::management::MachineKind`]: a pod is told from what an
/// enrolment token let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// A host that goes on until it is revoked.
    Standard,
    /// A host that was let in for a time.
    Temporary,
    /// Let in by an enrolment token.
    Ephemeral,
    /// A pod of a fleet.
    Pod,
    /// All pods, or the host, of a `Machine` object.
    Fleet,
}

impl Sort {
    /// Every one, in the order in which people choose.
    pub const ALL: [Self; 5] = [Self::Standard, Self::Temporary, Self::Ephemeral, Self::Pod, Self::Fleet];

    /// Of which sort this is.
    pub(crate) fn of(found: Found<'_>) -> Self {
        match found {
            Found::Fleet(_) => Self::Fleet,
            Found::Machine(it) if it.pod.is_some() => Self::Pod,
            Found::Machine(it) if it.enrolled_by.is_some() => Self::Ephemeral,
            Found::Machine(it) if it.host.as_ref().is_some_and(|it| it.temporary.is_some()) => Self::Temporary,
            Found::Machine(_) => Self::Standard,
        }
    }

    /// For a person, and in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Temporary => "temporary",
            Self::Ephemeral => "ephemeral",
            Self::Pod => "pod",
            Self::Fleet => "fleet",
        }
    }
}

/// How it stands. `is_locked`: whether it is shut out from somewhere.
pub(crate) fn of(state: &State, found: Found<'_>, now: Millis, is_locked: bool) -> Status {
    match found {
        Found::Fleet(it) => of_fleet(it),
        Found::Machine(it) => of_machine(state, it, now, is_locked),
    }
}

/// Whether a person's word is what it waits for, by its own id. The pods of a fleet wait with it.
pub(crate) fn waits(found: Found<'_>) -> bool {
    match found {
        Found::Fleet(it) => it.approval == Approval::Pending,
        Found::Machine(it) => it.approval == Approval::Pending,
    }
}

fn of_fleet(fleet: &Fleet) -> Status {
    match fleet.approval {
        Approval::Pending => Status::Pending,
        Approval::Denied => Status::Denied,
        Approval::Approved if fleet.suspended => Status::Disabled,
        Approval::Approved => Status::Approved,
    }
}

fn of_machine(state: &State, machine: &Machine, now: Millis, is_locked: bool) -> Status {
    let fleet = match machine.fleet.as_ref().map(|it| state.fleets.get(it)) {
        // Its object is gone: nobody reads as it.
        Some(None) => return Status::Disabled,
        Some(fleet) => fleet,
        None => None,
    };
    let says = |approval| machine.approval == approval || fleet.is_some_and(|it| it.approval == approval);
    if says(Approval::Denied) {
        Status::Denied
    } else if says(Approval::Pending) {
        Status::Pending
    } else if machine.expires_at.is_some_and(|end| end <= now) {
        Status::Expired
    } else if !machine.enabled || fleet.is_some_and(|it| it.suspended) {
        Status::Disabled
    } else if is_locked {
        Status::LockedOut
    } else {
        Status::Approved
    }
}
