//! The machine that this process is, for as long as it lives.

use std::time::Duration;

use sikkerkey_protocol::enrolment::Registered;
use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use crate::client::{Origin, Signer};
use crate::clock::UnixMillis;
use crate::random::{Random, RandomError};
use crate::schedule;

/// Draws a key. It exists in this process only.
pub fn fresh_key(random: &dyn Random) -> Result<MachineKey, RandomError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(&mut *seed)?;
    Ok(MachineKey::from_seed(&seed))
}

/// A machine's identity at the server.
#[derive(Debug)]
pub struct Identity {
    server: Origin,
    machine_id: MachineId,
    key: MachineKey,
    /// The fresh key of a renewal whose answer was lost: the server knows either this one or `key`.
    unconfirmed: Option<MachineKey>,
    expires_at: UnixMillis,
    renew_at: Option<UnixMillis>,
}

impl Identity {
    /// What the server answered to a registration.
    pub fn new(server: Origin, key: MachineKey, registered: &Registered, now: UnixMillis, jitter: u64) -> Self {
        let expires_at = registered.expires_at;
        Self {
            server,
            machine_id: registered.machine_id.clone(),
            key,
            unconfirmed: None,
            expires_at,
            renew_at: schedule::renewal(now, expires_at, jitter),
        }
    }

    /// Where it reads.
    pub fn server(&self) -> &Origin {
        &self.server
    }

    /// Its name at the server.
    pub fn machine_id(&self) -> &MachineId {
        &self.machine_id
    }

    /// Signs with the key that the server most likely knows: after a lost answer, the fresh one.
    pub fn signer(&self) -> Signer<'_> {
        Signer { machine_id: &self.machine_id, key: self.unconfirmed.as_ref().unwrap_or(&self.key) }
    }

    /// When it ends, in the server's time; none for never.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        (self.expires_at != 0).then_some(self.expires_at)
    }

    /// How long until it should be renewed.
    pub fn until_renewal(&self, now: UnixMillis) -> Option<Duration> {
        let left = self.renew_at?.saturating_sub(now);
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// The server took `key` in place of the old one.
    pub fn renewed(&mut self, key: MachineKey, expires_at: UnixMillis, now: UnixMillis, jitter: u64) {
        self.key = key;
        self.unconfirmed = None;
        self.expires_at = expires_at;
        self.renew_at = schedule::renewal(now, expires_at, jitter);
    }

    /// The answer to a renewal was lost.
    pub fn renewal_lost(&mut self, key: MachineKey) {
        self.unconfirmed = Some(key);
    }

    /// Tries again later, still before the end.
    pub fn postpone_renewal(&mut self, now: UnixMillis, jitter: u64) {
        self.renew_at = schedule::renewal(now, self.expires_at, jitter);
    }

    /// The server accepted a signature of [`Identity::signer`] and says when the identity ends.
    pub fn confirmed(&mut self, expires_at: UnixMillis, now: UnixMillis, jitter: u64) {
        let fresh = self.unconfirmed.take();
        if let Some(key) = fresh {
            self.renewed(key, expires_at, now, jitter);
        } else if expires_at != self.expires_at {
            self.expires_at = expires_at;
            self.renew_at = schedule::renewal(now, expires_at, jitter);
        }
    }

    /// The server refused a signature of [`Identity::signer`]. True when there is another key to try: a renewal that
    /// never arrived left the old one in force.
    pub fn refused(&mut self) -> bool {
        self.unconfirmed.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    fn identity(expires_at: UnixMillis) -> Identity {
        let registered = Registered {
            machine_id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap(),
            machine_name: "web-0".into(),
            vault_id: "vault_a".parse().unwrap(),
            api_url: "https://server".into(),
            expires_at,
        };
        let server = Origin::parse("https://server").unwrap();
        Identity::new(server, fresh_key(&OsRandom).unwrap(), &registered, 0, 0)
    }

    #[test]
    fn two_keys_are_never_the_same() {
        let (a, b) = (fresh_key(&OsRandom).unwrap(), fresh_key(&OsRandom).unwrap());
        assert_ne!(a.public_key(), b.public_key());
    }

    #[test]
    fn after_a_lost_renewal_the_fresh_key_signs_and_a_refusal_falls_back_to_the_old() {
        let mut identity = identity(3_600_000);
        let old = identity.signer().key.public_key();
        let key = fresh_key(&OsRandom).unwrap();
        let new = key.public_key();
        identity.renewal_lost(key);
        assert_eq!(identity.signer().key.public_key(), new);
        assert!(identity.refused());
        assert_eq!(identity.signer().key.public_key(), old);
        assert!(!identity.refused(), "there is no third key");
    }

    #[test]
    fn after_a_lost_renewal_an_accepted_signature_makes_the_fresh_key_the_only_one() {
        let mut identity = identity(3_600_000);
        let key = fresh_key(&OsRandom).unwrap();
        let new = key.public_key();
        identity.renewal_lost(key);
        identity.confirmed(7_200_000, 3_600_000, 0);
        assert_eq!(identity.signer().key.public_key(), new);
        assert!(!identity.refused());
        assert_eq!(identity.until_renewal(3_600_000), Some(Duration::from_mins(36)));
    }

    #[test]
    fn an_identity_without_an_end_is_never_renewed() {
        assert_eq!(identity(0).until_renewal(i64::MAX), None);
    }
}
