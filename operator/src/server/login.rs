//! How a replica logs in: with a key it has just made, and a token that the API server issues for its own pod.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::kubernetes::{LoggedIn, Login};
use sikkerkey_protocol::secret_text::SecretText;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::error::ServerError;

const TOKEN_LIFETIME_SECONDS: i64 = 3_600;
/// How long the API server may take to issue a token: whoever has to ask the server waits for it.
const TOKEN: Duration = Duration::from_secs(10);

/// Who the operator is in its cluster: the account and the pod that its tokens are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Namespace of the account and the pod.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// Name of the pod.
    pub pod_name: String,
    /// Uid of the pod: the token ends with it.
    pub pod_uid: String,
}

/// What a replica signs with.
pub(super) struct Identity {
    pub(super) key: MachineKey,
    pub(super) logged_in: LoggedIn,
    /// When to log in again, in Unix milliseconds.
    pub(super) renew_at: i64,
}

impl Identity {
    pub(super) fn new(key: MachineKey, logged_in: LoggedIn, now_millis: i64) -> Self {
        let life = logged_in.expires_at.saturating_sub(now_millis).max(0);
        let renew_at = now_millis.saturating_add(life / 3 * 2);
        Self { key, logged_in, renew_at }
    }

    pub(super) fn is_fresh(&self, now_millis: i64) -> bool {
        now_millis < self.renew_at
    }

    pub(super) fn is_alive(&self, now_millis: i64) -> bool {
        now_millis < self.logged_in.expires_at
    }
}

/// A key, and the request that shows it.
pub(super) struct Attempt {
    pub(super) key: MachineKey,
    pub(super) request: Login,
}

/// Asks the API server for a token of our own and makes a key for it.
pub(super) async fn prepare(kubernetes: &Client, account: &Account, audience: &str) -> Result<Attempt, ServerError> {
    let token = request_token(kubernetes, account, audience).await?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| ServerError::NoToken(format!("no random bytes for a key: {error}")))?;
    let key = MachineKey::from_seed(&seed);
    let public_key = key.public_key();
    let proof = key.sign(&possession(Purpose::Login, token.expose(), &public_key));
    Ok(Attempt { key, request: Login { token, public_key, proof } })
}

async fn request_token(kubernetes: &Client, account: &Account, audience: &str) -> Result<SecretText, ServerError> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(TOKEN_LIFETIME_SECONDS),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(account.pod_name.clone()),
                uid: Some(account.pod_uid.clone()),
            }),
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(kubernetes.clone(), &account.namespace);
    let parameters = PostParams::default();
    let issued = accounts.create_token_request(&account.service_account, &parameters, &request);
    let issued = timeout(TOKEN, issued).await;
    let issued = issued.map_err(|_| ServerError::NoToken(format!("the API server has not answered for {TOKEN:?}")))?;
    let issued = issued.map_err(|error| ServerError::NoToken(token_refusal(&error, account)))?;
    let token = issued.status.map(|status| SecretText::new(status.token));
    token.ok_or_else(|| ServerError::NoToken("the API server's answer holds none".to_owned()))
}

/// What to do about it: the API server's own text is kept, because it names the missing right or the missing pod.
fn token_refusal(error: &kube::Error, account: &Account) -> String {
    let Account { namespace, service_account, pod_name, .. } = account;
    match error {
        kube::Error::Api(status) => format!(
            "TokenRequest for ServiceAccount {namespace}/{service_account}, Pod {pod_name}: {} ({})",
            status.message, status.code
        ),
        _ => "the API server cannot be reached".to_owned(),
    }
}
