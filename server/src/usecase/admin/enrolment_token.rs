//! Enrolment tokens: making and revoking them.

use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use sikkerkey_protocol::secret_text::SecretText;

use super::{by_person, check_name, conflict, find_vault, invalid, not_found, project, secret};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::enrolment::EnrolmentToken;
use crate::policy::address;
use crate::refusal::Refusal;
use crate::usecase::enrol::name;
use crate::usecase::fresh_id::fresh_token;
use crate::usecase::steps::Steps;

/// The most machines that one token lets in.
pub const MAX_USES: u32 = 10_000;
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=366 * 24 * 3600;

/// What a token is to give.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The vault.
    pub vault: VaultId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The projects, by id or name.
    pub projects: Vec<String>,
    /// The secrets, each of one of these projects.
    pub secrets: Vec<SecretId>,
    /// How long the token is good, in seconds.
    pub token_lifetime_seconds: u64,
    /// How long each machine lasts, in seconds.
    pub machine_lifetime_seconds: u64,
    /// How many machines it lets in.
    pub max_uses: u32,
    /// From where.
    pub source_cidr: Option<String>,
    /// Which host names.
    pub hostname_pattern: Option<String>,
    /// What the machines are called.
    pub name_pattern: Option<String>,
}

/// Makes a token. Its text is in the answer and nowhere else.
pub fn create(context: &Context<'_>, request: NewToken) -> Decided<(SecretText, EnrolmentToken)> {
    find_vault(context, &request.vault)?;
    check_name("the name", &request.name)?;
    if request.description.len() > 1024 || request.description.chars().any(char::is_control) {
        return Err(invalid("the description must be at most 1024 printable characters".to_owned()));
    }
    for (what, seconds) in
        [("--lifetime", request.token_lifetime_seconds), ("--machine-lifetime", request.machine_lifetime_seconds)]
    {
        if !LIFETIMES.contains(&seconds) {
            return Err(invalid(format!("{what} is from 1 minute (60) to 366 days (31622400), not {seconds} seconds")));
        }
    }
    if !(1..=MAX_USES).contains(&request.max_uses) {
        return Err(invalid(format!("--max-uses is from 1 to {MAX_USES}, not {}", request.max_uses)));
    }
    if let Some(range) = &request.source_cidr {
        address::parse(range).map_err(invalid)?;
    }
    if let Some(pattern) = &request.hostname_pattern {
        name::check_hostname_pattern(pattern).map_err(invalid)?;
    }
    if let Some(pattern) = &request.name_pattern {
        name::check_name_pattern(pattern).map_err(invalid)?;
    }
    let projects = projects(context, &request)?;
    for id in &request.secrets {
        let secret = secret::find(context, id)?;
        if !projects.contains(&secret.project) {
            return Err(invalid(format!(
                "{} is in none of the token's projects: add its project, or leave it out",
                secret.name
            )));
        }
    }
    let (text, hash) = fresh_token("", context);
    let token = EnrolmentToken {
        id: entropy::uuid(context.entropy),
        hash,
        vault: request.vault,
        name: request.name,
        description: request.description,
        projects,
        secrets: request.secrets,
        created_at: context.now,
        expires_at: context.now.plus_seconds(request.token_lifetime_seconds),
        machine_lifetime_seconds: request.machine_lifetime_seconds,
        max_uses: request.max_uses,
        uses: 0,
        source_cidr: request.source_cidr,
        hostname_pattern: request.hostname_pattern,
        name_pattern: request.name_pattern,
        revoked_at: None,
    };
    let mut steps = Steps::default();
    let detail = format!(
        "enrolment token {} ({}): {} machines, {} projects, {} secrets",
        token.name,
        token.id,
        token.max_uses,
        token.projects.len(),
        token.secrets.len()
    );
    steps.audit.push(by_person(Action::EnrolmentTokenCreate, Some(&token.vault), detail));
    steps.put(Entity::EnrolmentToken(token.clone()));
    Ok(steps.decide(move |_| (text, token)))
}

/// Revokes a token. The machines that it has let in go on until their time is over.
pub fn revoke(context: &Context<'_>, id: &str) -> Decided<()> {
    let token = context.state.enrolment_tokens.get(id);
    let token =
        token.ok_or_else(|| not_found(format!("there is no enrolment token {id}: enrolment-token list shows them")))?;
    let mut steps = Steps::default();
    if token.revoked_at.is_none() {
        let detail = format!("enrolment token {} ({id}), after {} of {} uses", token.name, token.uses, token.max_uses);
        steps.audit.push(by_person(Action::EnrolmentTokenRevoke, Some(&token.vault), detail));
        steps.put(Entity::EnrolmentToken(EnrolmentToken { revoked_at: Some(context.now), ..token.clone() }));
    }
    Ok(steps.decide(|_| ()))
}

fn projects(context: &Context<'_>, request: &NewToken) -> Result<Vec<ProjectId>, Refusal> {
    let mut ids = Vec::new();
    for text in &request.projects {
        let project = project::find(context, text)?;
        if project.vault != request.vault {
            return Err(conflict(format!("project {} is not of vault {}", project.name, request.vault)));
        }
        if !ids.contains(&project.id) {
            ids.push(project.id.clone());
        }
    }
    Ok(ids)
}
