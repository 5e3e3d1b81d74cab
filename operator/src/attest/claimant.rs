//! Who a token says its bearer is, in the words of the API server. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use sikkerkey_crds::names::AUDIENCE;

use super::denial::Denial;

/// The part of a `TokenReview` that is read. The token, which the API server repeats in it, is skipped.
#[derive(Debug, Default, Deserialize)]
pub struct Reviewed {
    /// The outcome.
    #[serde(default)]
    pub status: ReviewStatus,
}

/// The outcome of a `TokenReview`.
#[derive(Clone, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "fields of authentication.k8s.io/v1")]
pub struct ReviewStatus {
    #[serde(default)]
    pub authenticated: bool,
    #[serde(default)]
    pub audiences: Vec<String>,
    #[serde(default)]
    pub user: User,
}

/// Whose token it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "fields of authentication.k8s.io/v1")]
pub struct User {
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub extra: std::collections::BTreeMap<String, Vec<String>>,
}

/// A pod, as the API server vouches for it. Nothing here comes from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its name.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// Its node, where the API server names it (1.30 and newer).
    pub node: Option<String>,
}

impl Claimant {
    /// Reads the outcome of a review for our audience.
    pub fn of(status: &ReviewStatus) -> Result<Self, Denial> {
        if !status.authenticated {
            return Err(Denial::TokenInvalid);
        }
        // A server that does not know audiences answers without them, and would accept a token made for anybody.
        if !status.audiences.iter().any(|audience| audience == AUDIENCE) {
            return Err(Denial::WrongAudience);
        }
        let account = status.user.username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (namespace, service_account) = account.ok_or(Denial::NotAPod)?;
        let extra = |name: &str| {
            let values = status.user.extra.get(&format!("authentication.kubernetes.io/{name}"))?;
            match values.as_slice() {
                [value] if !value.is_empty() => Some(value.clone()),
                _ => None,
            }
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod: extra("pod-name").ok_or(Denial::NotAPod)?,
            uid: extra("pod-uid").ok_or(Denial::NotAPod)?,
            node: extra("node-name"),
        })
    }
}

/// Why the API server may have said no: what the token says of itself, unverified. It only picks a word for its bearer,
/// who can read the token anyway.
pub fn explain(token: &str, now: Timestamp) -> Denial {
    #[derive(Deserialize)]
    struct Claims {
        aud: Audiences,
        exp: Option<i64>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audiences {
        One(String),
        Many(Vec<String>),
    }
    let claims = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let Some(claims) = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok()) else {
        return Denial::TokenInvalid;
    };
    let is_ours = match &claims.aud {
        Audiences::One(audience) => audience == AUDIENCE,
        Audiences::Many(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
    };
    match claims.exp {
        _ if !is_ours => Denial::WrongAudience,
        Some(end) if end <= now.as_second() => Denial::TokenExpired,
        _ => Denial::TokenInvalid,
    }
}
