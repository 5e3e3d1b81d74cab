//! Enrolment tokens: making and revoking them. What one gives is said when it is made, and never changed.

use std::collections::HashSet;

use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use sikkerkey_protocol::secret_text::SecretText;

use super::admin::check_name;
use super::author::Author;
use super::enrol::name;
use super::fresh_id::fresh_token;
use super::project::refuse_namespace;
use super::steps::Steps;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::entropy;
use crate::model::Entity;
use crate::model::enrolment::EnrolmentToken;
use crate::model::project::Project;
use crate::model::secret::Secret;
use crate::policy::address;
use crate::refusal::{Refusal, RefusalKind, invalid};

/// The most machines that one token lets in.
pub const MAX_USES: u32 = 10_000;
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=366 * 24 * 3600;
const MAX_REASON: usize = 255;

/// What a token is to give, besides projects and secrets.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) name: String,
    pub(crate) description: String,
    /// How long the token is good, in seconds.
    pub(crate) token_lifetime_seconds: u64,
    /// How long each machine lasts, in seconds.
    pub(crate) machine_lifetime_seconds: u64,
    pub(crate) max_uses: u32,
    pub(crate) source_cidr: Option<String>,
    pub(crate) hostname_pattern: Option<String>,
    pub(crate) name_pattern: Option<String>,
}

/// Makes a token. Its text is in the answer and nowhere else.
pub(crate) fn create(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    projects: &[&Project],
    secrets: &[&Secret],
    terms: Terms,
) -> Result<(SecretText, EnrolmentToken, Steps), Refusal> {
    check(&terms)?;
    let mut ids: Vec<ProjectId> = Vec::new();
    let mut seen: HashSet<&ProjectId> = HashSet::new();
    for project in projects {
        if project.vault != *vault {
            let text = format!("project {} is not of vault {vault}", project.name);
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        refuse_namespace(author, project)?;
        if seen.insert(&project.id) {
            ids.push(project.id.clone());
        }
    }
    for secret in secrets {
        if !seen.contains(&secret.project) {
            return Err(invalid(format!(
                "{} is in none of the token's projects: add its project, or leave it out",
                secret.name
            )));
        }
    }
    let mut secrets: Vec<SecretId> = secrets.iter().map(|it| it.id.clone()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let (text, hash) = fresh_token("", context);
    let token = EnrolmentToken {
        id: entropy::uuid(context.entropy),
        hash: hash.to_string(),
        vault: vault.clone(),
        name: terms.name,
        description: terms.description,
        projects: ids,
        secrets,
        created_at: context.now,
        expires_at: context.now.plus_seconds(terms.token_lifetime_seconds),
        machine_lifetime_seconds: terms.machine_lifetime_seconds,
        max_uses: terms.max_uses,
        uses: 0,
        source_cidr: terms.source_cidr,
        hostname_pattern: terms.hostname_pattern,
        name_pattern: terms.name_pattern,
        revoked_at: None,
        revoked_because: None,
    };
    let detail = format!(
        "enrolment token {} ({}): {} machines, {} projects, {} secrets",
        token.name,
        token.id,
        token.max_uses,
        token.projects.len(),
        token.secrets.len()
    );
    let mut steps = Steps::default();
    steps.audit.push(author.entry(Action::EnrolmentTokenCreate, vault, detail));
    steps.put(Entity::EnrolmentToken(token.clone()));
    Ok((text, token, steps))
}

/// Revokes a token. The machines that it has let in go on until their time is over.
pub(crate) fn revoke(
    context: &Context<'_>,
    author: Author<'_>,
    token: &EnrolmentToken,
    reason: Option<&str>,
) -> Result<Steps, Refusal> {
    let reason = reason.map(str::trim).filter(|it| !it.is_empty());
    if reason.is_some_and(|it| it.len() > MAX_REASON || it.chars().any(char::is_control)) {
        return Err(invalid(format!("the reason must be at most {MAX_REASON} printable characters")));
    }
    let mut steps = Steps::default();
    if token.revoked_at.is_none() {
        let why = reason.map_or_else(String::new, |it| format!(": {it}"));
        let detail = format!(
            "enrolment token {} ({}), after {} of {} uses{why}",
            token.name, token.id, token.uses, token.max_uses
        );
        steps.audit.push(author.entry(Action::EnrolmentTokenRevoke, &token.vault, detail));
        let revoked_because = reason.map(str::to_owned);
        let revoked_at = Some(context.now);
        steps.put(Entity::EnrolmentToken(EnrolmentToken { revoked_at, revoked_because, ..token.clone() }));
    }
    Ok(steps)
}

fn check(terms: &Terms) -> Result<(), Refusal> {
    check_name("the name", &terms.name)?;
    if terms.description.len() > 1024 || terms.description.chars().any(char::is_control) {
        return Err(invalid("the description must be at most 1024 printable characters".to_owned()));
    }
    for (whose, seconds) in
        [("the token", terms.token_lifetime_seconds), ("each machine", terms.machine_lifetime_seconds)]
    {
        if !LIFETIMES.contains(&seconds) {
            return Err(invalid(format!(
                "the lifetime of {whose} is from 1 minute (60) to 366 days (31622400), not {seconds} seconds"
            )));
        }
    }
    if !(1..=MAX_USES).contains(&terms.max_uses) {
        return Err(invalid(format!("a token lets in from 1 to {MAX_USES} machines, not {}", terms.max_uses)));
    }
    if let Some(range) = &terms.source_cidr {
        address::parse(range).map_err(invalid)?;
    }
    if let Some(pattern) = &terms.hostname_pattern {
        name::check_hostname_pattern(pattern).map_err(invalid)?;
    }
    if let Some(pattern) = &terms.name_pattern {
        name::check_name_pattern(pattern).map_err(invalid)?;
    }
    Ok(())
}
