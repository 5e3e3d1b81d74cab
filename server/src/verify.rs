//! From a request that was received to one that was verified.
//!
//! [`Verified`] can be made here alone, so whatever takes one cannot be reached by an unsigned request.

mod verifier;

use axum::http::{Method, Uri};
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::header::SignedHeaders;
use sikkerkey_protocol::key::PublicKey;

pub use self::verifier::{Unverified, Verifier};
use crate::http::body::Received as Body;
use crate::model::spend::Spend;
use crate::usecase::source::Source;

/// A request as it came, with its headers parsed.
pub struct Received {
    /// The method.
    pub method: Method,
    /// The target. Its path is as it stood on the wire.
    pub target: Uri,
    /// The four headers.
    pub headers: SignedHeaders,
    /// The body's exact bytes.
    pub body: Body,
    /// Where it comes from.
    pub source: Source,
}

/// A request whose signature verified under the key of `P`. Its nonce is not burnt yet.
pub struct Verified<P> {
    signer: P,
    spend: Spend,
    body: Body,
    source: Source,
}

impl Received {
    /// Verifies the signature over the raw bytes, together with whatever else waits for it at the moment.
    pub async fn verify<P>(self, verifier: &Verifier, key: &PublicKey, signer: P) -> Result<Verified<P>, Unverified> {
        let headers = self.headers;
        let message = string_to_sign(
            self.method.as_str(),
            self.target.path(),
            &headers.timestamp_text,
            &headers.nonce,
            &self.body,
        );
        verifier.verify(*key, message, headers.signature).await?;
        let spend = Spend {
            signer: headers.machine_id.to_string(),
            nonce: headers.nonce,
            timestamp: headers.timestamp,
            address: Some(self.source.address),
        };
        Ok(Verified { signer, spend, body: self.body, source: self.source })
    }
}

impl<P> Verified<P> {
    /// Who signed.
    pub fn signer(&self) -> &P {
        &self.signer
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Takes it apart: the nonce can be spent once.
    pub fn into_parts(self) -> (P, Spend, Source) {
        (self.signer, self.spend, self.source)
    }
}
