//! A machine enrols by itself with an enrolment token that many share.

pub mod name;

use std::collections::BTreeMap;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::enrolment::{Enrol, Registered};
use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::kubernetes::Approval;

use super::admin::{check_name, name_flaw};
use super::authenticate::{may_connect, require_active_account};
use super::fresh_id::fresh_uuid;
use super::key_owner::require_unused;
use super::source::Source;
use super::steps::{Steps, answer, describe};
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::enrolment::EnrolmentToken;
use crate::model::grant::Grant;
use crate::model::machine::Machine;
use crate::model::membership::Membership;
use crate::model::secret::SecretPhase;
use crate::policy::address;
use crate::refusal::{Refusal, RefusalKind, unauthenticated};

/// The request, with the vault that the route's address names.
#[derive(Debug)]
pub struct EnrolInVault {
    /// As it stands in the address.
    pub vault: String,
    /// The body.
    pub enrol: Enrol,
}

/// Lets a machine in: approved at once, a member of the token's projects, with the token's grants, until its time is
/// over. Runs in the writer, so a token that has one use left has it for one of those who ask at once.
///
/// The same key with the same token gets the same answer again, which spends no second use: an answer that was lost on
/// its way costs nothing.
pub fn enrol(context: &Context<'_>, source: Source, request: EnrolInVault) -> Decided<Registered> {
    let EnrolInVault { vault, enrol } = request;
    let (state, now) = (context.state, context.now);
    let token = state.enrolment_token(&sha256_hex(enrol.token.expose().as_bytes()));
    // Of another vault is as unknown as of none: who only found a token does not learn whose it is.
    let Some(token) = token.filter(|it| it.vault.as_str() == vault) else {
        return Err(unauthenticated("the enrolment token is not known in this vault: check token and vault id"));
    };
    if token.revoked_at.is_some() {
        return Err(unauthenticated("the enrolment token is revoked: ask for a new one"));
    }
    if token.expires_at <= now {
        return Err(unauthenticated("the enrolment token has expired: ask for a new one"));
    }
    require_active_account(state, &token.vault)?;
    may_connect(state, &token.vault, source.address)?;
    let from_there = |range: &String| address::is_in_any(source.address, std::slice::from_ref(range)).unwrap_or(false);
    if !token.source_cidr.as_ref().is_none_or(from_there) {
        return Err(forbidden("the enrolment token is not good from this address"));
    }
    if !token.hostname_pattern.as_ref().is_none_or(|pattern| name::fits(pattern, &enrol.hostname)) {
        return Err(forbidden("the enrolment token is not good for this host name"));
    }
    let mut held = state.machines_with_key(&enrol.public_key);
    if let Some(held) = held.find(|it| it.enrolled_by.as_ref() == Some(&token.id)) {
        if held.enabled && held.expires_at.is_some_and(|end| now < end) {
            let registered = registered(context, held);
            return Ok(answer(move |_| registered));
        }
        return Err(super::key_owner::in_use(
            "this key has enrolled before, and its machine has ended: make a new key",
        ));
    }
    if token.uses >= token.max_uses {
        return Err(unauthenticated("the enrolment token is used up: ask for a new one"));
    }
    require_unused(state, &enrol.public_key)?;
    admit(context, source, token, &enrol)
}

fn admit(context: &Context<'_>, source: Source, token: &EnrolmentToken, enrol: &Enrol) -> Decided<Registered> {
    let machine = Machine {
        id: fresh_uuid(context)?,
        vault: token.vault.clone(),
        name: called(context, token, enrol)?,
        public_key: enrol.public_key,
        approval: Approval::Approved,
        enabled: true,
        expires_at: Some(context.now.plus_seconds(token.machine_lifetime_seconds)),
        created_at: context.now,
        fleet: None,
        pod: None,
        hostname: name_flaw(&enrol.hostname).is_none().then(|| enrol.hostname.clone()),
        enrolled_by: Some(token.id.clone()),
        approved_by_person: false,
        voucher: None,
        host: None,
    };
    let entry = Entry {
        vault: Some(machine.vault.clone()),
        machine: Some(machine.id.clone()),
        source_ip: Some(source.address),
        ..Entry::new(Action::MachineRegister, Actor::Machine(machine.id.clone()))
    };
    let mut steps = Steps::default();
    let detail = format!(
        "{}, use {} of {} of enrolment token {}, key {}",
        describe(&machine),
        token.uses + 1,
        token.max_uses,
        token.name,
        machine.public_key.fingerprint()
    );
    steps.audit.push(Entry { detail, ..entry.clone() });
    for (project, secrets) in gives(context, token) {
        steps.put(Entity::Membership(Membership {
            vault: token.vault.clone(),
            project: project.clone(),
            machine: machine.id.clone(),
            since: context.now,
        }));
        if secrets.is_empty() {
            continue;
        }
        let detail = format!("{} secrets to {} by enrolment token {}", secrets.len(), describe(&machine), token.name);
        steps.audit.push(Entry { action: Action::GrantApply, project: Some(project.clone()), detail, ..entry.clone() });
        steps.put(Entity::Grant(Grant {
            id: entropy::uuid(context.entropy),
            vault: token.vault.clone(),
            project,
            grantee: machine.grantee(),
            secrets,
            expires_at: machine.expires_at,
            managed: None,
        }));
    }
    let registered = registered(context, &machine);
    steps.put(Entity::Machine(machine));
    steps.put(Entity::EnrolmentToken(EnrolmentToken { uses: token.uses + 1, ..token.clone() }));
    Ok(steps.decide(move |_| registered))
}

/// What the token gives today, by project: what has been deleted since it was made is left out.
fn gives(context: &Context<'_>, token: &EnrolmentToken) -> BTreeMap<ProjectId, Vec<SecretId>> {
    let state = context.state;
    let there = token.projects.iter().filter(|id| state.projects.get(id).is_some_and(|it| it.vault == token.vault));
    let mut gives: BTreeMap<ProjectId, Vec<SecretId>> = there.map(|id| (id.clone(), Vec::new())).collect();
    let secrets = token.secrets.iter().filter_map(|id| state.secrets.get(id));
    for secret in secrets.filter(|it| it.vault == token.vault && it.phase == SecretPhase::Active) {
        if let Some(of_project) = gives.get_mut(&secret.project) {
            of_project.push(secret.id.clone());
        }
    }
    gives
}

fn called(context: &Context<'_>, token: &EnrolmentToken, enrol: &Enrol) -> Result<String, Refusal> {
    let name = match (&token.name_pattern, &enrol.name) {
        (Some(pattern), _) => name::render(pattern, &enrol.hostname, context.entropy),
        (None, Some(name)) => name.clone(),
        (None, None) => enrol.hostname.clone(),
    };
    check_name("the machine's name", &name)?;
    Ok(name)
}

fn registered(context: &Context<'_>, machine: &Machine) -> Registered {
    Registered {
        machine_id: machine.id.clone(),
        machine_name: machine.name.clone(),
        vault_id: machine.vault.clone(),
        api_url: context.public_url.to_owned(),
        expires_at: machine.expires_at.map_or(0, |it| it.0),
    }
}

fn forbidden(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Forbidden, text)
}

#[cfg(test)]
mod tests;
