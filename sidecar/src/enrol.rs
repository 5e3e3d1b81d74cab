//! How this process becomes a machine, stays one and stops being one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Attest, Register, Renew, Resign};
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use crate::client::{CallError, Client, Origin, OriginError, Trust, TrustError};
use crate::identity::{Identity, fresh_key};
use crate::random::RandomError;

/// How long one step of enrolment may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest token that is read. The kubelet's have one to two KiB.
const MAX_TOKEN: u64 = 64 << 10;

/// Why this process is no machine yet.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token cannot be read.
    #[error("cannot read the pod's token {path}")]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no token in the file.
    #[error("the pod's token {0} is empty: the kubelet has not written it yet")]
    EmptyToken(PathBuf),
    /// The operator does not vouch for this pod.
    #[error("the operator does not vouch for this pod")]
    Attest(#[source] CallError),
    /// The operator's answer is not usable.
    #[error("the operator names the server {url:?}")]
    ServerUrl {
        /// What it named.
        url: String,
        /// What is wrong with it.
        source: OriginError,
    },
    /// The operator's answer is not usable.
    #[error("the operator sent certificates that cannot be used")]
    Trust(#[from] TrustError),
    /// The server does not make this process a machine.
    #[error("the server does not register this pod")]
    Register(#[source] CallError),
    /// There is no key.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl EnrolError {
    fn call(&self) -> Option<&CallError> {
        match self {
            Self::Attest(error) | Self::Register(error) => Some(error),
            _ => None,
        }
    }

    /// Whether trying again without a person's help is of little use.
    pub fn is_refusal(&self) -> bool {
        self.call().and_then(CallError::status) == Some(StatusCode::FORBIDDEN)
    }

    /// Whether it says that this pod's access as a whole is over.
    pub fn ends_access(&self) -> bool {
        self.is_refusal() && self.call().and_then(CallError::code).is_some_and(ErrorCode::ends_access)
    }

    /// Whether it is the server's word, of which the operator knows nothing.
    pub fn is_of_server(&self) -> bool {
        matches!(self, Self::Register(_))
    }

    /// When the other side wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.call().and_then(CallError::retry_after)
    }
}

/// Where enrolment begins.
#[derive(Clone, Debug)]
pub struct Doorway {
    /// The operator.
    pub operator: Origin,
    /// The file that the kubelet keeps the pod's token in. It is read anew each time.
    pub token: PathBuf,
}

/// Makes a fresh key, has the operator vouch for it and registers it with the server.
///
/// What the operator says is to be trusted is trusted from then on, for the operator too.
pub async fn enrol(client: &mut Client, doorway: &Doorway) -> Result<Identity, EnrolError> {
    let token = read_token(&doorway.token)?;
    let key = fresh_key(client.random())?;
    let attest = Attest { public_key: key.public_key(), proof: prove(&key, Purpose::Attest, token.expose()), token };
    let attested = client.call(&doorway.operator, &attest, PATIENCE).await.map_err(EnrolError::Attest)?;
    drop(attest);

    let server = Origin::parse(&attested.server_url)
        .map_err(|source| EnrolError::ServerUrl { url: crate::client::printable(&attested.server_url), source })?;
    client.set_trust(Trust::parse(&attested.trust_bundle)?);
    let register = Register {
        public_key: key.public_key(),
        proof: Some(prove(&key, Purpose::Register, attested.voucher.expose())),
        token: attested.voucher,
        hostname: None,
        os: None,
    };
    let mut answer = client.call(&server, &register, PATIENCE).await;
    if answer.as_ref().is_err_and(CallError::is_answer_lost) {
        // The same voucher with the same key gives the same answer.
        answer = client.call(&server, &register, PATIENCE).await;
    }
    let registered = answer.map_err(EnrolError::Register)?;
    Ok(Identity::new(server, key, &registered, client.server_time(), client.random().jitter()))
}

/// Replaces the key before the identity ends. When the answer is lost, the identity remembers both keys.
pub async fn renew(client: &mut Client, identity: &mut Identity) -> Result<(), CallError> {
    let key = fresh_key(client.random())?;
    let renew =
        Renew { public_key: key.public_key(), proof: prove(&key, Purpose::Renew, identity.machine_id().as_str()) };
    let server = identity.server().clone();
    match client.call_signed(&server, &renew, identity.signer(), PATIENCE).await {
        Ok(registered) => {
            identity.renewed(key, registered.expires_at, client.server_time(), client.random().jitter());
            Ok(())
        }
        Err(error) => {
            if error.is_answer_lost() {
                identity.renewal_lost(key);
            }
            identity.postpone_renewal(client.server_time(), client.random().jitter());
            Err(error)
        }
    }
}

/// Gives the identity up. The files stay: the application may still be using them.
pub async fn resign(client: &mut Client, identity: &Identity, patience: Duration) -> Result<(), CallError> {
    let server = identity.server().clone();
    client.call_signed(&server, &Resign {}, identity.signer(), patience).await.map(|_| ())
}

fn prove(key: &MachineKey, purpose: Purpose, credential: &str) -> sikkerkey_protocol::key::Signature {
    key.sign(&possession(purpose, credential, &key.public_key()))
}

pub(crate) fn read_token(path: &Path) -> Result<SecretText, EnrolError> {
    let failed = |source| EnrolError::Token { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(String::with_capacity(8 << 10));
    file.take(MAX_TOKEN).read_to_string(&mut text).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(EnrolError::EmptyToken(path.to_owned()));
    }
    Ok(SecretText::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_without_the_white_space_around_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "ey.J.x\n").unwrap();
        assert_eq!(read_token(&path).unwrap().expose(), "ey.J.x");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(read_token(&path), Err(EnrolError::EmptyToken(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_token(&path), Err(EnrolError::Token { .. })));
    }
}
