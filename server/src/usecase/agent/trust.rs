//! Whose workloads may log in as agents: a person's word.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::TrustView;

use super::super::author::Author;
use super::super::steps::Steps;
use super::{Rights, check_projects, require_person};
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::agent::AgentTrust;
use crate::model::{Entity, EntityKind};
use crate::oidc;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::state::State;

/// How long an agent of a workload lasts, in seconds: from a minute to a day.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=24 * 3600;
const MAX_TEXT: usize = 2048;

/// What to trust.
#[derive(Clone, Debug)]
pub(crate) struct NewTrust {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) jwks: String,
    pub(crate) audience: String,
    pub(crate) subject: String,
    pub(crate) rights: Rights,
    pub(crate) lifetime_seconds: u64,
}

/// Trusts an issuer for workloads of a subject, or replaces what was trusted under the name. Agents that logged in by what
/// was trusted before log in again.
pub(crate) fn trust(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    wanted: NewTrust,
) -> Result<(AgentTrust, Steps), Refusal> {
    require_person(author, "trusts workloads")?;
    check(&wanted)?;
    check_projects(context.state, vault, &wanted.rights)?;
    let keys = oidc::thumbprints(&wanted.jwks).map_err(|_| {
        invalid("the file is no JWK set with an RS256 or ES256 key that has a kid: fetch what jwks_uri says in the issuer's /.well-known/openid-configuration")
    })?;
    // Operators are told by their cluster's key alone.
    for cluster in context.state.clusters.values() {
        if oidc::thumbprints(&cluster.jwks).is_ok_and(|theirs| theirs.iter().any(|it| keys.contains(it))) {
            let text = format!(
                "one of the keys is cluster {}'s, whose operator logs in by it: give pods of a cluster their secrets by a \
                 Machine object",
                cluster.name
            );
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
    }
    let id = AgentTrust::id(vault, &wanted.name);
    let old = context.state.agent_trusts.get(&id);
    let trust = AgentTrust {
        vault: vault.clone(),
        name: wanted.name,
        issuer: wanted.issuer,
        jwks: wanted.jwks,
        audience: wanted.audience,
        subject: wanted.subject,
        scopes: wanted.rights.scopes.clone(),
        projects: wanted.rights.projects.clone(),
        lifetime_seconds: wanted.lifetime_seconds,
        logins_after: old.and_then(|it| it.logins_after),
    };
    let mut steps = Steps::default();
    if old != Some(&trust) {
        let ended = old.map_or(0, |old| end_logins(context.state, old, &mut steps));
        let detail = format!(
            "{}: issuer {}, subject {}, audience {}, {} keys, {}; {ended} logins ended",
            trust.name,
            trust.issuer,
            trust.subject,
            trust.audience,
            keys.len(),
            wanted.rights.describe()
        );
        steps.audit.push(author.entry(Action::AgentTrust, vault, detail));
        steps.put(Entity::AgentTrust(trust.clone()));
    }
    Ok((trust, steps))
}

/// Trusts no longer. Agents that logged in by it end now.
pub(crate) fn distrust(context: &Context<'_>, author: Author<'_>, trust: &AgentTrust) -> Result<Steps, Refusal> {
    require_person(author, "trusts workloads")?;
    let mut steps = Steps::default();
    let ended = end_logins(context.state, trust, &mut steps);
    let detail = format!("{} is trusted no longer; {ended} logins ended", trust.name);
    steps.audit.push(author.entry(Action::AgentTrust, &trust.vault, detail));
    steps.remove(EntityKind::AgentTrust, &AgentTrust::id(&trust.vault, &trust.name));
    Ok(steps)
}

/// A trust, for people.
pub(crate) fn view(state: &State, trust: &AgentTrust) -> TrustView {
    TrustView {
        vault_id: trust.vault.clone(),
        name: trust.name.clone(),
        issuer: trust.issuer.clone(),
        audience: trust.audience.clone(),
        subject: trust.subject.clone(),
        scopes: trust.scopes.clone(),
        project_ids: trust.projects.clone(),
        lifetime_seconds: trust.lifetime_seconds,
        alive: state.agents.values().filter(|it| trust.let_in(it)).count(),
    }
}

fn end_logins(state: &State, trust: &AgentTrust, steps: &mut Steps) -> usize {
    let mut ended: Vec<_> = state.agents.values().filter(|it| trust.let_in(it)).map(|it| &it.id).collect();
    ended.sort_unstable();
    for id in &ended {
        steps.remove(EntityKind::Agent, *id);
    }
    ended.len()
}

fn check(wanted: &NewTrust) -> Result<(), Refusal> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if wanted.name.is_empty() || wanted.name.len() > 63 || !wanted.name.bytes().all(plain) {
        return Err(invalid("--name is from 1 to 63 small letters, digits, '-' and '.'"));
    }
    for (flag, text) in [("--issuer", &wanted.issuer), ("--audience", &wanted.audience), ("--subject", &wanted.subject)]
    {
        if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(invalid(format!("{flag} is from 1 to {MAX_TEXT} printable characters")));
        }
    }
    if !names_owner(&wanted.subject) {
        return Err(invalid(
            "--subject has to say whose workloads it means before its first '*' or '?', up to a '/' or ':', as in \
             repo:example/* or project_path:example/shop:*",
        ));
    }
    if !LIFETIMES.contains(&wanted.lifetime_seconds) {
        let text = format!("--lifetime is from 1 minute to 24 hours, not {} seconds", wanted.lifetime_seconds);
        return Err(invalid(&text));
    }
    Ok(())
}

/// Whether a subject says whose workloads it means. An issuer such as GitHub signs for everybody in the world, and a name
/// that is cut off (`repo:e*`) is the beginning of other people's names.
fn names_owner(subject: &str) -> bool {
    let Some((literal, _)) = subject.split_once(['*', '?']) else { return true };
    let ends = ['/', ':'];
    literal.split_once(':').is_some_and(|(_, owner)| owner.ends_with(ends) && !owner.trim_matches(ends).is_empty())
}
