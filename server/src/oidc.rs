//! Tokens of a cluster's service accounts, and of workloads elsewhere, checked against the keys that a person told the
//! server to trust.
//!
//! Which cluster a token is of follows from the key that verifies it. What the token says of itself is looked at only
//! afterwards, and must then agree with what was written down for that cluster. The same holds for workloads, but that one
//! issuer signs for many: which trust is meant follows from the token's subject and audience as well ([`workload`]).

pub mod workload;

use std::collections::HashMap;

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sikkerkey_protocol::canonical::sha256_hex;

use crate::model::cluster::{Cluster, SpentLogin};
use crate::model::millis::Millis;

pub use self::workload::verify_workload;

/// How far two clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// The longest lifetime of a token, in seconds.
const LONGEST: i64 = 24 * 3600;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// What a good token says.
#[derive(Debug)]
pub struct Verified<'a> {
    /// The cluster whose key verified it.
    pub cluster: &'a Cluster,
    /// The pod it is bound to, `namespace/name`.
    pub pod: String,
    /// When it ends.
    pub expires_at: Millis,
}

/// Why a token is not accepted. The text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64, or too long.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// Signed in a way that service-account tokens are not, or without naming its key.
    #[error("the token must be signed with RS256 or ES256 by a key that it names (kid)")]
    Algorithm,
    /// No trusted cluster has a key that verifies it.
    #[error(
        "no trusted cluster's keys verify the token: trust the cluster with sikkerkey-server admin cluster trust, and again after its keys have changed"
    )]
    UnknownKey,
    /// Its claims are not those of a service-account token.
    #[error("the token lacks claims that a service-account token has")]
    Claims,
    /// Another issuer.
    #[error("the token's issuer is not the one that cluster {0} is trusted with")]
    Issuer(String),
    /// Another account.
    #[error("the token is not of the service account {0} that may log in for its cluster")]
    Subject(String),
    /// Made for somebody else.
    #[error("the token's audience must be {0} and nothing else")]
    Audience(String),
    /// It has ended.
    #[error("the token has expired: ask for a new one")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet: compare the clocks of cluster and server")]
    NotYet,
    /// It is of before a restore.
    #[error("the token was issued before the server was restored from a backup: ask for a new one")]
    BeforeRestore,
    /// It would last too long.
    #[error("the token is good for more than 24 hours: ask for a shorter one")]
    TooLong,
    /// It is not bound to a pod, so it would outlive the one who asked for it.
    #[error("the token is not bound to a pod: project it into the pod, or ask for it with a boundObjectRef")]
    NotBound,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// One audience alone: a token that others accept as well is a token that others could bring.
    fn is_only(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == audience),
        }
    }
}

/// What a token says of its time, in Unix seconds.
struct Times {
    issued: i64,
    begins: Option<i64>,
    ends: i64,
}

impl Times {
    fn check(&self, logins_after: Option<i64>, now: Millis) -> Result<(), TokenError> {
        let now = now.seconds();
        if self.ends.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Expired);
        }
        if self.begins.unwrap_or(self.issued).max(self.issued) > now.saturating_add(LEEWAY) {
            return Err(TokenError::NotYet);
        }
        if logins_after.is_some_and(|it| self.issued <= it) {
            return Err(TokenError::BeforeRestore);
        }
        if self.ends.saturating_sub(self.issued) > LONGEST {
            return Err(TokenError::TooLong);
        }
        Ok(())
    }
}

/// The key by which a token says it is signed, and how.
fn named_key(token: &str) -> Result<(String, Algorithm), TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    let kid = header.kid.filter(|_| matches!(header.alg, Algorithm::RS256 | Algorithm::ES256));
    Ok((kid.ok_or(TokenError::Algorithm)?, header.alg))
}

#[derive(Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Option<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    name: String,
}

/// Checks a token for `audience`.
pub fn verify<'a>(
    clusters: impl Iterator<Item = &'a Cluster>,
    token: &str,
    audience: &str,
    now: Millis,
) -> Result<Verified<'a>, TokenError> {
    let (kid, algorithm) = named_key(token)?;
    let (cluster, claims) = clusters
        .flat_map(|cluster| keys(&cluster.jwks, &kid, algorithm).into_iter().map(move |key| (cluster, key)))
        .find_map(|(cluster, key)| verified(token, &key, algorithm).map(|claims| (cluster, claims)))
        .ok_or(TokenError::UnknownKey)?;
    let claims: Claims = serde_json::from_value(claims).map_err(|_| TokenError::Claims)?;

    if claims.iss != cluster.issuer {
        return Err(TokenError::Issuer(cluster.name.clone()));
    }
    if claims.sub != cluster.subject {
        return Err(TokenError::Subject(cluster.subject.clone()));
    }
    if !claims.aud.is_only(audience) {
        return Err(TokenError::Audience(audience.to_owned()));
    }
    Times { issued: claims.iat, begins: claims.nbf, ends: claims.exp }.check(cluster.logins_after, now)?;
    let (namespace, pod) = match claims.kubernetes {
        Some(Kubernetes { namespace, pod: Some(pod) }) => (namespace, pod.name),
        _ => return Err(TokenError::NotBound),
    };
    let expires_at = Millis(claims.exp.saturating_mul(1000));
    Ok(Verified { cluster, pod: format!("{namespace}/{pod}"), expires_at })
}

/// By what it is remembered that a token was used: the hash of what is signed. The signature itself is no part of it,
/// because others than the signer can write it in another way: for ECDSA, s and n − s are both good.
///
/// Refuses with `None` a token that was used before, be it one of which the whole was hashed, as earlier versions did.
pub(crate) fn unspent(spent: &HashMap<String, SpentLogin>, token: &str) -> Option<String> {
    let (signed, _) = token.rsplit_once('.')?;
    let hash = sha256_hex(signed.as_bytes());
    let was_used = spent.contains_key(&hash) || spent.contains_key(&sha256_hex(token.as_bytes()));
    (!was_used).then_some(hash)
}

/// How long a token that was accepted has to be remembered.
pub fn forget_at(expires_at: Millis) -> Millis {
    expires_at.plus_seconds(LEEWAY.unsigned_abs() + 60)
}

/// Why a JWK set is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a JWK set.
    #[error("the file is not a JWK set: fetch it with kubectl get --raw /openid/v1/jwks")]
    Malformed,
    /// No key in it that could verify a token.
    #[error("the JWK set has no RS256 or ES256 key with a kid")]
    NoKey,
}

/// The thumbprints (RFC 7638) of the keys in a JWK set that can verify tokens: at least one.
pub fn thumbprints(jwks: &str) -> Result<Vec<String>, JwksError> {
    let set: JwkSet = serde_json::from_str(jwks).map_err(|_| JwksError::Malformed)?;
    let usable = |key: &&Jwk| {
        key.common.key_id.is_some()
            && [Algorithm::RS256, Algorithm::ES256].into_iter().any(|it| decoding_key(key, it).is_some())
    };
    let thumbprints: Vec<String> = set
        .keys
        .iter()
        .filter(usable)
        .filter_map(|it| it.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).ok())
        .collect();
    if thumbprints.is_empty() { Err(JwksError::NoKey) } else { Ok(thumbprints) }
}

fn keys(jwks: &str, kid: &str, algorithm: Algorithm) -> Vec<DecodingKey> {
    let Ok(set) = serde_json::from_str::<JwkSet>(jwks) else { return Vec::new() };
    let named = set.keys.iter().filter(|it| it.common.key_id.as_deref() == Some(kid));
    named.filter_map(|it| decoding_key(it, algorithm)).collect()
}

/// The key, when it is one for signatures of this algorithm.
fn decoding_key(key: &Jwk, algorithm: Algorithm) -> Option<DecodingKey> {
    let said = matches!(
        (key.common.key_algorithm, algorithm),
        (None | Some(KeyAlgorithm::RS256), Algorithm::RS256) | (None | Some(KeyAlgorithm::ES256), Algorithm::ES256)
    );
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let family = algorithm.family();
    DecodingKey::from_jwk(key).ok().filter(|it| said && signs && it.family() == family)
}

/// The claims, when the key verifies the token. Claims are compared by the caller, against its own clock.
fn verified(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<serde_json::Value> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    jsonwebtoken::decode(token, key, &validation).ok().map(|it| it.claims)
}

#[cfg(test)]
pub(crate) mod tests;
