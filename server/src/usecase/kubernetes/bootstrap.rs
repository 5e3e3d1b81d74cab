//! A one-time token for the host of a `Machine`, for a person who asked the operator.
//!
//! Whoever asks has made the token and keeps it: the operator and the API server see its hash alone.

use sikkerkey_protocol::kubernetes::{Approval, BootstrapHost, HostBootstrap};

use super::scope::{Scope, asker, check_identity};
use crate::audit::digest::Digest;
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::fleet::FleetSubject;
use crate::model::token::{ForHost, Token, TokenPurpose};
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::admin::TOKEN_SECONDS;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Makes the token known. Another one for the same `Machine` that nobody has used ends with it.
pub fn bootstrap(context: &Context<'_>, agent: &Agent, source: Source, asked: BootstrapHost) -> Decided<HostBootstrap> {
    let scope = Scope::of(context, agent, source)?;
    let BootstrapHost { machine, token_hash, asked_by } = asked;
    check_identity(&machine)?;
    let by = asker(&asked_by)?;
    let Ok(hash) = token_hash.parse::<Digest>() else {
        return Err(invalid("tokenHash is the SHA-256 of the token, in 64 lower-case hex digits".to_owned()));
    };
    let Some(fleet) = scope.fleet(&machine) else {
        let text = format!(
            "Machine {} is not in force at the server: kubectl describe skm {} says why",
            machine.key, machine.key.name
        );
        return Err(Refusal::new(RefusalKind::NotFound, text));
    };
    let FleetSubject::Host { public_key, .. } = &fleet.subject else {
        return Err(invalid(format!(
            "Machine {} is for pods, which enrol by themselves: a command is for a Machine with spec.host",
            machine.key
        )));
    };
    if fleet.approval == Approval::Denied {
        let text = format!("an administrator denied Machine {} at the server", machine.key);
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    if context.state.tokens.contains_key(&hash) {
        let text = "this token is known already: make another, from 32 random bytes";
        return Err(Refusal::new(RefusalKind::Conflict, text));
    }
    let mut steps = Steps::default();
    for token in context.state.tokens.values().filter(|it| it.used.is_none()) {
        if matches!(&token.purpose, TokenPurpose::Host(it) if it.fleet.as_ref() == Some(&fleet.id)) {
            steps.remove(crate::model::EntityKind::Token, &token.id());
        }
    }
    let expires_at = context.now.plus_seconds(TOKEN_SECONDS);
    let detail = format!("for the host of Machine {}, asked by {by}", machine.key);
    steps.audit.push(scope.entry(Action::BootstrapTokenCreate, Some(&fleet.project), detail));
    let purpose = TokenPurpose::Host(Box::new(ForHost { fleet: Some(fleet.id.clone()), ..ForHost::default() }));
    let vault = fleet.vault.clone();
    steps.put(Entity::Token(Token { hash, vault, expires_at, purpose, used: None, in_order: true }));
    let answer = HostBootstrap {
        url: context.public_url.to_owned(),
        authority: None,
        expires_at: expires_at.0,
        is_pinned: public_key.is_some(),
    };
    Ok(steps.decide(move |_| answer))
}
