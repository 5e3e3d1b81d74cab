//! Enrolment tokens.

pub mod choices;

use std::collections::HashMap;

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::management::{
    CreateEnrolmentToken, EnrolmentTokenCreated, EnrolmentTokenList, EnrolmentTokenState, EnrolmentTokenView,
    RevokeEnrolmentToken,
};

use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::enrolment::EnrolmentToken;
use crate::model::millis::Millis;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::enrolment::{self, Terms};
use crate::usecase::steps::Steps;

/// The tokens of the vault, by name. Whoever has a list of projects sees those that give nothing beyond it.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<EnrolmentTokenList> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the enrolment tokens".to_owned()));
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    Ok(steps.decide(move |context| {
        let tokens = context.state.enrolment_tokens.values();
        let tokens = tokens.filter(|it| it.vault == vault && it.projects.iter().all(|it| sight.sees(it)));
        EnrolmentTokenList { enrollment_tokens: views(context, tokens) }
    }))
}

/// Tokens of one page.
pub const PART: usize = 50;

/// A page of tokens.
#[derive(Debug)]
pub struct Part {
    /// Its tokens.
    pub list: EnrolmentTokenList,
    /// How many were found.
    pub total: usize,
    /// How many there are.
    pub all: usize,
    /// Which page.
    pub page: usize,
}

/// A page of the tokens that have a text in their names or ids.
pub fn part(_: &Context<'_>, manager: &Manager<'_>, text: Option<String>, page: usize) -> Decided<Part> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the enrolment tokens".to_owned()));
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    Ok(steps.decide(move |context| {
        let text = text.unwrap_or_default().trim().to_lowercase();
        let tokens = context.state.enrolment_tokens.values();
        let seen: Vec<_> =
            tokens.filter(|it| it.vault == vault && it.projects.iter().all(|it| sight.sees(it))).collect();
        let has = |it: &&&EnrolmentToken| it.name.to_lowercase().contains(&text) || it.id.contains(&text);
        let mut found: Vec<&EnrolmentToken> = seen.iter().filter(has).copied().collect();
        found.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let page = page.clamp(1, found.len().div_ceil(PART).max(1));
        let shown = found.iter().skip((page - 1) * PART).take(PART).copied();
        let list = EnrolmentTokenList { enrollment_tokens: views(context, shown) };
        Part { list, total: found.len(), all: seen.len(), page }
    }))
}

/// One token.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<EnrolmentTokenView> {
    let token = find(context, manager, id)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("enrolment token {} ({})", token.name, token.id)));
    Ok(steps.decide(move |context| view(context, &token)))
}

/// Makes a token. Its text is in the answer and nowhere else.
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    wanted: CreateEnrolmentToken,
) -> Decided<EnrolmentTokenCreated> {
    let project = |id: &ProjectId| manager.project(context, id.as_str());
    let projects = wanted.project_ids.iter().map(project).collect::<Result<Vec<_>, Refusal>>()?;
    if projects.is_empty() && manager.projects.is_some() {
        let text = "projectIds is empty, and such a token is for whoever has no list of projects: name a project";
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    let secret = |id: &SecretId| manager.secret(context, id.as_str());
    let secrets = wanted.secret_ids.iter().map(secret).collect::<Result<Vec<_>, Refusal>>()?;
    let terms = Terms {
        name: wanted.name,
        description: wanted.description.unwrap_or_default(),
        token_lifetime_seconds: wanted.token_lifetime_seconds,
        machine_lifetime_seconds: wanted.machine_lifetime_seconds,
        max_uses: wanted.max_uses,
        source_cidr: wanted.source_cidr,
        hostname_pattern: wanted.hostname_pattern,
        name_pattern: wanted.name_pattern,
    };
    let (text, token, steps) = enrolment::create(context, manager.author(), manager.vault, &projects, &secrets, terms)?;
    Ok(steps.decide(move |context| EnrolmentTokenCreated { token: text, view: view(context, &token) }))
}

/// Revokes a token. The machines that it has let in go on until their time is over.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn revoke(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: RevokeEnrolmentToken,
) -> Decided<EnrolmentTokenView> {
    let token = find(context, manager, id)?;
    let steps = enrolment::revoke(context, manager.author(), token, wanted.reason.as_deref())?;
    let steps = manager.settle_around(steps, || format!("enrolment token {}: nothing to change", token.name));
    let token = token.clone();
    Ok(steps.decide(move |context| view(context, context.state.enrolment_tokens.get(&token.id).unwrap_or(&token))))
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s EnrolmentToken, Refusal> {
    let sight = manager.sight();
    let token = context.state.enrolment_tokens.get(id).filter(|it| it.vault == *manager.vault);
    let token = token.filter(|it| it.projects.iter().all(|it| sight.sees(it)));
    token.ok_or_else(|| not_found("this vault has no enrolment token of that id"))
}

/// A token, without its text.
pub(crate) fn view(context: &Context<'_>, token: &EnrolmentToken) -> EnrolmentTokenView {
    row(token, alive(context).get(token.id.as_str()).copied().unwrap_or(0), context.now)
}

/// Tokens, without their texts, by name.
pub(crate) fn views<'a>(
    context: &Context<'_>,
    tokens: impl Iterator<Item = &'a EnrolmentToken>,
) -> Vec<EnrolmentTokenView> {
    let alive = alive(context);
    let mut views: Vec<_> =
        tokens.map(|it| row(it, alive.get(it.id.as_str()).copied().unwrap_or(0), context.now)).collect();
    views.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    views
}

/// How many machines of each token are alive.
fn alive<'s>(context: &Context<'s>) -> HashMap<&'s str, usize> {
    let mut alive = HashMap::new();
    for machine in context.state.machines.values().filter(|it| it.is_live(context.now)) {
        if let Some(token) = &machine.enrolled_by {
            *alive.entry(token.as_str()).or_default() += 1;
        }
    }
    alive
}

fn row(token: &EnrolmentToken, alive: usize, now: Millis) -> EnrolmentTokenView {
    EnrolmentTokenView {
        id: token.id.clone(),
        vault_id: token.vault.clone(),
        name: token.name.clone(),
        description: token.description.clone(),
        state: standing(token, now),
        project_ids: token.projects.clone(),
        secret_ids: token.secrets.clone(),
        created_at: token.created_at.0,
        expires_at: token.expires_at.0,
        machine_lifetime_seconds: token.machine_lifetime_seconds,
        max_uses: token.max_uses,
        uses: token.uses,
        alive,
        source_cidr: token.source_cidr.clone(),
        hostname_pattern: token.hostname_pattern.clone(),
        name_pattern: token.name_pattern.clone(),
        revoked_at: token.revoked_at.map(|it| it.0),
        revoked_because: token.revoked_because.clone(),
    }
}

fn standing(token: &EnrolmentToken, now: Millis) -> EnrolmentTokenState {
    if token.revoked_at.is_some() {
        EnrolmentTokenState::Revoked
    } else if token.expires_at <= now {
        EnrolmentTokenState::Expired
    } else if token.uses >= token.max_uses {
        EnrolmentTokenState::UsedUp
    } else {
        EnrolmentTokenState::Active
    }
}

#[cfg(test)]
mod tests;
