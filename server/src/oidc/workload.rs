//! Tokens of workloads outside clusters, such as the jobs of a build server.

use serde::Deserialize;
use wildmatch::WildMatch;

use super::{Audience, Times, TokenError, keys, named_key, verified};
use crate::model::agent::AgentTrust;
use crate::model::millis::Millis;

/// What a good token of a workload says.
#[derive(Debug)]
pub struct VerifiedWorkload<'a> {
    /// The trust that it fits.
    pub trust: &'a AgentTrust,
    /// Its `sub`.
    pub subject: String,
    /// When the token ends.
    pub expires_at: Millis,
}

/// Why a token of a workload is not accepted. Nothing here tells whom the server trusts: an issuer signs for everybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// As for a cluster's.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// No trust has a key that verifies it.
    #[error(
        "no trusted issuer's keys verify the token: a person trusts it with sikkerkey-server admin agent trust, and again \
         after its keys have changed"
    )]
    UnknownKey,
    /// No trust fits what it says.
    #[error(
        "nobody trusts tokens of issuer {issuer:?} for subject {subject:?} with this audience: compare them with what admin agent trusts shows"
    )]
    Unfit {
        /// Its issuer.
        issuer: String,
        /// Its subject.
        subject: String,
    },
    /// Several do.
    #[error("several trusts fit the token: say which is meant by vaultId and trust")]
    Ambiguous,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
}

/// Checks a token against the trusts that may be meant.
pub fn verify_workload<'a>(
    trusts: impl Iterator<Item = &'a AgentTrust>,
    token: &str,
    now: Millis,
) -> Result<VerifiedWorkload<'a>, WorkloadError> {
    let (kid, algorithm) = named_key(token)?;
    let signed =
        |trust: &AgentTrust| keys(&trust.jwks, &kid, algorithm).iter().find_map(|key| verified(token, key, algorithm));
    let signed: Vec<_> = trusts.filter_map(|it| Some((it, signed(it)?))).collect();
    let (_, claims) = signed.first().ok_or(WorkloadError::UnknownKey)?;
    let claims: Claims = serde_json::from_value(claims.clone()).map_err(|_| TokenError::Claims)?;
    let mut fit = signed.iter().map(|(trust, _)| *trust).filter(|it| {
        it.issuer == claims.iss && claims.aud.is_only(&it.audience) && WildMatch::new(&it.subject).matches(&claims.sub)
    });
    let Some(trust) = fit.next() else {
        let short = |text: &str| text.chars().take(256).collect();
        return Err(WorkloadError::Unfit { issuer: short(&claims.iss), subject: short(&claims.sub) });
    };
    if fit.next().is_some() {
        return Err(WorkloadError::Ambiguous);
    }
    Times { issued: claims.iat, begins: claims.nbf, ends: claims.exp }.check(trust.logins_after, now)?;
    Ok(VerifiedWorkload { trust, subject: claims.sub, expires_at: Millis(claims.exp.saturating_mul(1000)) })
}
