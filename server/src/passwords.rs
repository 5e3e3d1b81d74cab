//! Hashing passwords without letting that take the server.
//!
//! A hash takes 64 MiB and a good part of a second of one core. Two are made at a time, each on a thread that may block;
//! whoever would have to wait for more than a moment is asked to come again. Whoever goes away meanwhile leaves the place
//! taken until the hash is made, so that nobody makes more by going away.

use std::sync::Arc;
use std::time::Duration;

use sikkerkey_protocol::secret_text::SecretText;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::crypto::CryptoError;
use crate::crypto::keyring::Keyring;
use crate::crypto::password::{Pepper, Verdict};
use crate::entropy::Entropy;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::account::password::{Password, Proof, prepared};

/// How many are made at a time.
const PLACES: usize = 2;
/// How long one waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);
/// When to come again, in seconds.
const AGAIN: u64 = 2;

/// Makes and verifies hashes of passwords.
pub struct Passwords {
    places: Arc<Semaphore>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
}

impl Passwords {
    /// With the pepper of `keyring`.
    pub fn new(keyring: Arc<Keyring>, entropy: Arc<dyn Entropy>) -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), keyring, entropy }
    }

    /// The hash of a password that is to be set.
    pub async fn hash(&self, password: Password) -> Result<String, Refusal> {
        let entropy = Arc::clone(&self.entropy);
        self.run(move |pepper| pepper.hash(password.as_bytes(), &*entropy)).await
    }

    /// Whether `stored` is this password. Takes as long when there is none.
    pub async fn verify(&self, password: SecretText, stored: Option<String>) -> Result<Proof, Refusal> {
        let entropy = Arc::clone(&self.entropy);
        self.run(move |pepper| {
            let password = prepared(&password);
            Ok(match (pepper.verify(password.as_bytes(), stored.as_deref())?, stored) {
                (Verdict::Right { weak }, Some(stored)) => {
                    let renewed = weak.then(|| pepper.hash(password.as_bytes(), &*entropy)).transpose()?;
                    Proof::Right { stored, renewed }
                }
                _ => Proof::Wrong,
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pepper) -> Result<T, CryptoError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.place().await?;
        let keyring = Arc::clone(&self.keyring);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(keyring.pepper());
            drop(place);
            done
        });
        match done.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                tracing::error!(%error, "a password cannot be hashed or verified");
                Err(Refusal::new(RefusalKind::Unavailable, "the server cannot look at passwords: see its log"))
            }
            Err(error) => {
                tracing::error!(%error, "a thread that hashes passwords ended");
                Err(Refusal::new(RefusalKind::Unavailable, "the server cannot look at passwords: see its log"))
            }
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(Ok(place)) = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await {
            return Ok(place);
        }
        let text = "too many people log in at this moment: try again in a few seconds";
        Err(Refusal::new(RefusalKind::Unavailable, text).retry_after(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::crypto::master::Master;
    use crate::entropy::SystemEntropy;

    fn passwords() -> Passwords {
        let keyring = Arc::new(Keyring::new(Master::new("test".into(), Zeroizing::new([9; 32]))));
        Passwords::new(keyring, Arc::new(SystemEntropy))
    }

    #[tokio::test]
    async fn whoever_comes_while_two_are_at_it_is_asked_to_come_again() {
        let passwords = passwords();
        let places = (passwords.place().await.unwrap(), passwords.place().await.unwrap());
        let refused = passwords.verify(SecretText::new("x".into()), None).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_seconds), (RefusalKind::Unavailable, Some(2)));
        drop(places);
        assert_eq!(passwords.verify(SecretText::new("x".into()), None).await, Ok(Proof::Wrong));
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_accents_are_composed() {
        let passwords = passwords();
        let composed = Password::new(&SecretText::new("caf\u{e9} au lait, bitte".into()), "a@b").unwrap();
        let hash = passwords.hash(composed).await.unwrap();
        let decomposed = SecretText::new("cafe\u{301} au lait, bitte".into());
        let proof = passwords.verify(decomposed, Some(hash.clone())).await;
        assert_eq!(proof, Ok(Proof::Right { stored: hash, renewed: None }));
    }
}
