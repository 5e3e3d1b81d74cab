//! Whether a value may leave: one pure, total function.
//!
//! [`decide`] looks at [`Facts`] and at nothing else. Any deny wins, what cannot be evaluated denies, and only `decide`
//! makes the [`Permit`] that revealing a value asks for. Removing a grant or adding an axis to a policy never turns a
//! deny into a permit. [`explain`] looks at the same rules and tells how each of them stands.
//!
//! # Time
//!
//! A window is read off the clock on the wall of the policy's time zone. One that wraps past midnight belongs to the day
//! it started on: `days: [Fri]`, 22:00 to 06:00, is open in the small hours of Saturday and closed in those of Friday.
//! Where the clock is put forward, a minute that the clock skips does not happen: a window that would open in it opens
//! with the first minute after it, one that lies in it as a whole does not open on that day. Where it is put back, a
//! minute that the clock shows twice counts both times.

pub mod address;
pub mod cap;
pub mod check;
pub mod co_sign;
mod decide;
mod explain;
mod tighten;
pub mod window;
pub mod words;
pub mod written;

use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{MachineId, SecretId};

pub use self::check::{Flaw, check};
pub use self::co_sign::{CoSigner, Consent};
pub use self::decide::{decide, guarded, label, not_granted, standing};
pub use self::explain::{changes_at, explain, secret_label};
pub use self::tighten::loosens;
pub use self::window::window_state;
use crate::model::account::Standing;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::Secret;

/// Everything a decision depends on.
#[derive(Clone)]
pub struct Facts<'a> {
    /// The instant to decide for.
    pub now: Millis,
    /// Where the request comes from.
    pub address: IpAddr,
    /// The standing of the account that owns the vault.
    pub account: Standing,
    /// The secret's project.
    pub project: &'a Project,
    /// Who reads.
    pub machine: &'a Machine,
    /// The fleet of the machine, when it belongs to one.
    pub fleet: Option<&'a Fleet>,
    /// What is to be read.
    pub secret: &'a Secret,
    /// Whether a grant in the secret's project may let the machine read: it is a member, or its fleet speaks for it.
    pub member: bool,
    /// Every grant of the pair, ended ones included.
    pub grants: Vec<&'a Grant>,
    /// The policy that guards the secret.
    pub policy: Guard<'a>,
    /// Reads until now, this one not included.
    pub counters: Counters,
    /// How the consent of the policy's co-signer stands.
    pub consent: Consent<'a>,
}

/// The policy that guards a secret.
#[derive(Clone, Copy, Debug)]
pub enum Guard<'a> {
    /// The secret names none.
    Open,
    /// The secret names one that is not in force.
    Missing,
    /// This one.
    Policy(&'a Policy),
}

/// Reads that a cap or a limit counts, this one not included. All 0 where the policy counts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// In the minute that begins at [`cap::minute_of`], by those whose reads the cap counts together.
    pub minute: u64,
    /// On the day that begins at [`cap::day_of`], by the same.
    pub day: u64,
    /// Ever, by everybody.
    pub total: u64,
    /// Of the newest version, by machines that had it already.
    pub again: u64,
}

/// What [`decide`] says.
#[derive(Debug)]
pub enum Verdict {
    /// The value may leave.
    Permit(Permit),
    /// It may not.
    Deny(Denial),
}

/// The right to reveal one version of one secret to one machine. Only [`decide`] makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    machine: MachineId,
    secret: SecretId,
    version: u64,
    grants: Vec<String>,
}

impl Permit {
    /// To whom.
    pub fn machine(&self) -> &MachineId {
        &self.machine
    }

    /// What.
    pub fn secret(&self) -> &SecretId {
        &self.secret
    }

    /// Which version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The live grants that cover the read: each counts it.
    pub fn grants(&self) -> &[String] {
        &self.grants
    }
}

/// Why a value may not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason, for programs.
    pub reason: DenialReason,
    /// The reason, for a person.
    pub message: String,
    /// When another answer may be had.
    pub until: Option<Millis>,
    /// Whether a co-signer is to be asked: it is the only thing that is missing, and nobody has been asked yet.
    pub asks: bool,
}

impl Denial {
    fn new(reason: DenialReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), until: None, asks: false }
    }

    fn until(mut self, until: Option<Millis>) -> Self {
        self.until = until;
        self
    }

    fn asking(mut self) -> Self {
        self.asks = true;
        self
    }
}

#[cfg(test)]
mod tests;
