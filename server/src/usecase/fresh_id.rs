//! Ids that nobody had before.

use std::str::FromStr;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::secret_text::SecretText;

use crate::decision::Context;
use crate::entropy;
use crate::refusal::{Refusal, RefusalKind};

/// An id of a kind whose ids have a prefix.
pub(crate) fn fresh_id<T: FromStr>(prefix: &str, context: &Context<'_>) -> Result<T, Refusal> {
    parse(&format!("{prefix}{}", *entropy::text(context.entropy, entropy::ID_ALPHABET, 16)))
}

/// An id of a kind whose ids are UUIDs.
pub(crate) fn fresh_uuid<T: FromStr>(context: &Context<'_>) -> Result<T, Refusal> {
    parse(&entropy::uuid(context.entropy))
}

/// A one-time token of 64 hex digits after `prefix`, and the hash by which it is known from then on.
pub(crate) fn fresh_token(prefix: &str, context: &Context<'_>) -> (SecretText, String) {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(prefix.len() + 64));
    text.push_str(prefix);
    text.push_str(&entropy::text(context.entropy, b"0123456789abcdef", 64));
    let hash = sha256_hex(text.as_bytes());
    (text.into(), hash)
}

fn parse<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::new(RefusalKind::Unavailable, "the server cannot make an id: see its log"))
}
