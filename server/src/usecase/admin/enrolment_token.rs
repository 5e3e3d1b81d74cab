//! Enrolment tokens.

use sikkerkey_protocol::id::{SecretId, VaultId};
use sikkerkey_protocol::management::EnrolmentTokenView;
use sikkerkey_protocol::secret_text::SecretText;

use super::{find_vault, not_found, project, secret};
use crate::decision::{Context, Decided};
use crate::model::enrolment::EnrolmentToken;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::enrolment::{self, Terms};
use crate::usecase::management::enrolment::view;

pub use crate::usecase::enrolment::MAX_USES;

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
    let projects = request.projects.iter().map(|it| project::find(context, it)).collect::<Result<Vec<_>, Refusal>>()?;
    let secrets = request.secrets.iter().map(|it| secret::find(context, it)).collect::<Result<Vec<_>, Refusal>>()?;
    let terms = Terms {
        name: request.name,
        description: request.description,
        token_lifetime_seconds: request.token_lifetime_seconds,
        machine_lifetime_seconds: request.machine_lifetime_seconds,
        max_uses: request.max_uses,
        source_cidr: request.source_cidr,
        hostname_pattern: request.hostname_pattern,
        name_pattern: request.name_pattern,
    };
    let (text, token, steps) = enrolment::create(context, Author::Person, &request.vault, &projects, &secrets, terms)?;
    Ok(steps.decide(move |_| (text, token)))
}

/// Revokes a token. The machines that it has let in go on until their time is over.
pub fn revoke(context: &Context<'_>, id: &str) -> Decided<EnrolmentTokenView> {
    revoke_because(context, id, None)
}

/// Revokes a token, and notes why.
pub fn revoke_because(context: &Context<'_>, id: &str, reason: Option<&str>) -> Decided<EnrolmentTokenView> {
    let token = find(context, id)?;
    let steps = enrolment::revoke(context, Author::Person, token, reason)?;
    let token = token.clone();
    Ok(steps.decide(move |context| view(context, context.state.enrolment_tokens.get(&token.id).unwrap_or(&token))))
}

/// A token by its id, of any vault.
pub(crate) fn find<'a>(context: &Context<'a>, id: &str) -> Result<&'a EnrolmentToken, Refusal> {
    let token = context.state.enrolment_tokens.get(id);
    token.ok_or_else(|| not_found(format!("there is no enrolment token {id}: enrolment-token list shows them")))
}
