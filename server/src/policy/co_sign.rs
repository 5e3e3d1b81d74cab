//! Whether a second machine has approved.
//!
//! An approval is of one reader and one secret, under one revision of one policy. It is worth every read until its end,
//! and as much as its signer is worth at the time of the read. What the reader's pods ask for is one request, however
//! many they are: a fleet is one reader.

use sikkerkey_protocol::co_sign::CoSignVerdict;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::policy::{Approver, CoSign};

use super::decide::{live_grants, standing};
use super::{Denial, Facts, window};
use crate::model::co_sign::{Answer, CoSignRequest};
use crate::model::fleet::Fleet;
use crate::model::machine::{Grantee, Machine, is_vouched};
use crate::model::millis::Millis;
use crate::model::policy::Policy;

/// Who may approve.
#[derive(Clone, Copy, Debug)]
pub enum CoSigner<'a> {
    /// Any machine of this fleet.
    Fleet(&'a Fleet),
    /// This machine.
    Machine(&'a Machine),
}

/// How consent stands. Empty where the policy asks for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent<'a> {
    /// The co-signer; none: there is no such machine.
    pub co_signer: Option<CoSigner<'a>>,
    /// What was asked last for this reader and secret.
    pub request: Option<&'a CoSignRequest>,
    /// The machine that answered it, with its fleet, if it is still there.
    pub answered_by: Option<(&'a Machine, Option<&'a Fleet>)>,
}

impl CoSigner<'_> {
    /// Whether `machine` may answer for it.
    pub fn is_answered_by(self, machine: &Machine) -> bool {
        match self {
            Self::Fleet(fleet) => machine.fleet.as_ref() == Some(&fleet.id),
            Self::Machine(it) => it.id == machine.id,
        }
    }

    /// Whether it is the reader itself, or may be: nobody approves their own. Another pod of the reader's fleet is the
    /// reader, and so is a pod of another `Machine` that may have the same service account.
    pub fn is_reader(self, reader: &Grantee, fleet: Option<&Fleet>) -> bool {
        match self {
            Self::Fleet(it) => {
                matches!(reader, Grantee::Fleet(id) if *id == it.id)
                    || fleet.is_some_and(|fleet| it.shares_pods_with(fleet))
            }
            Self::Machine(it) => it.grantee() == *reader,
        }
    }

    /// What it is called in messages.
    pub fn label(self) -> String {
        match self {
            Self::Fleet(fleet) => format!("Machine {}", fleet.managed.object.key),
            Self::Machine(it) => format!("machine {}", it.name),
        }
    }
}

/// Whether the read is approved. A denial that [asks](Denial::asks) wants a request to be left.
pub(super) fn approved(terms: &CoSign, policy: &Policy, facts: &Facts<'_>) -> Result<(), Denial> {
    let missing = |text: String| Denial::new(DenialReason::CoSignMissing, text);
    let Some(co_signer) = facts.consent.co_signer else {
        return Err(missing(match &terms.approver {
            Approver::Object(key) => {
                format!("Machine {key} does not exist, and its approval is needed: apply it, or name another in coSign")
            }
            Approver::Machine(id) => {
                format!("machine {id}, whose approval is needed, is no longer at the server: name another in coSign")
            }
        }));
    };
    let who = co_signer.label();
    if co_signer.is_reader(&facts.machine.grantee(), facts.fleet) {
        return Err(missing(format!("{who} would approve its own reads: name another in coSign")));
    }
    if matches!(co_signer, CoSigner::Machine(it) if it.enrolled_by.is_some()) {
        // Whoever has its token makes as many of them as he likes.
        return Err(missing(format!("{who} is an ephemeral machine, which approves nothing: name a host in coSign")));
    }
    let stands = |it: &&CoSignRequest| it.stands(policy, facts.secret, facts.fleet, live_grants(facts));
    let Some(request) = facts.consent.request.filter(stands) else {
        return Err(missing(format!("waits for {who}: its next read asks it")).asking());
    };
    match &request.answer {
        None => Err(missing(waits_for(co_signer, request))),
        Some(answer) if answer.until <= facts.now => {
            Err(missing(format!("waits for {who} again: its next read asks it")).asking())
        }
        Some(Answer { verdict: CoSignVerdict::Denied, until, .. }) => {
            Err(Denial::new(DenialReason::CoSignRefused, refused(co_signer, request, *until)).until(Some(*until)))
        }
        Some(Answer { verdict: CoSignVerdict::Approved, .. }) => {
            let stands = facts.consent.answered_by.is_some_and(|(machine, fleet)| {
                co_signer.is_answered_by(machine)
                    && may_answer(policy, machine)
                    && standing(facts.account, machine, fleet, facts.now).is_ok()
            });
            let text = || format!("waits for {who} again: the machine that approved may no longer approve");
            if stands { Ok(()) } else { Err(missing(text()).asking()) }
        }
    }
}

/// Whether a policy takes this machine's answers: a protected one takes those of a machine that a person vouches for.
pub fn may_answer(policy: &Policy, machine: &Machine) -> bool {
    !policy.protected || is_vouched(machine)
}

/// What is said while a request waits.
pub fn waits_for(co_signer: CoSigner<'_>, request: &CoSignRequest) -> String {
    format!("waits for {}, request {}", co_signer.label(), request.id)
}

/// What is said while a refusal stands.
pub fn refused(co_signer: CoSigner<'_>, request: &CoSignRequest, until: Millis) -> String {
    let again = window::instant(until);
    format!("{} refused request {}: it can be asked again at {again}", co_signer.label(), request.id)
}
