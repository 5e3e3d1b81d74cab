//! The certificate that this replica serves with, exchanged while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Facts;
use super::root::{Leaf, RootError};

/// The certificate in use. Handshakes that begin after an exchange see the new one; connections that are open stay.
#[derive(Debug, Default)]
pub struct Serving(RwLock<Option<InUse>>);

#[derive(Debug)]
struct InUse {
    key: Arc<CertifiedKey>,
    facts: Facts,
}

impl Serving {
    /// Takes a new certificate and its key into use, together.
    pub fn exchange(&self, leaf: &Leaf) -> Result<(), RootError> {
        let in_use = InUse { key: Arc::new(leaf.certified_key()?), facts: leaf.facts().clone() };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(in_use);
        Ok(())
    }

    /// What stands in the certificate in use.
    pub fn facts(&self) -> Option<Facts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|in_use| in_use.facts.clone())
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|in_use| Arc::clone(&in_use.key))
    }
}
