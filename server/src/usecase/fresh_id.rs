//! Ids: those that nobody had before, and those that follow from an object.

use std::str::FromStr;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::kubernetes::ObjectMeta;
use sikkerkey_protocol::secret_text::SecretText;

use crate::audit::digest::Digest;
use crate::decision::Context;
use crate::entropy;
use crate::refusal::{Refusal, RefusalKind};

/// An id of a kind whose ids have a prefix.
pub(crate) fn fresh_id<T: FromStr>(prefix: &str, context: &Context<'_>) -> Result<T, Refusal> {
    parse(&format!("{prefix}{}", *entropy::text(context.entropy, entropy::ID_ALPHABET, 16)))
}

/// An id of a kind whose ids are UUIDs. Those that are made together are neighbours in the database (version 7), and are
/// written together: pods come in storms.
pub(crate) fn fresh_uuid<T: FromStr>(context: &Context<'_>) -> Result<T, Refusal> {
    let millis = u64::try_from(context.now.0).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &entropy::bytes(context.entropy));
    parse(&id.into_uuid().to_string())
}

/// The id of what an object of a namespace stands for. An object that is deleted and applied again is the same to whatever
/// was counted for it: else each new one would begin its caps anew. One of another namespace of the same name is another.
pub(crate) fn object_id<T: FromStr>(cluster: &str, object: &ObjectMeta) -> Result<T, Refusal> {
    let ObjectMeta { key, namespace_uid, .. } = object;
    let text = format!("object\n{cluster}\n{}\n{namespace_uid}\n{}", key.namespace, key.name);
    let hash = sha256_hex(text.as_bytes());
    let id = hash.get(..32).and_then(|it| uuid::Uuid::try_parse(it).ok());
    parse(&id.map(|it| uuid::Builder::from_custom_bytes(it.into_bytes()).into_uuid().to_string()).unwrap_or_default())
}

/// A one-time token of 64 hex digits after `prefix`, and the hash by which it is known from then on.
pub(crate) fn fresh_token(prefix: &str, context: &Context<'_>) -> (SecretText, Digest) {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(prefix.len() + 64));
    text.push_str(prefix);
    text.push_str(&entropy::text(context.entropy, b"0123456789abcdef", 64));
    let hash = Digest::of(text.as_bytes());
    (text.into(), hash)
}

fn parse<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::new(RefusalKind::Unavailable, "the server cannot make an id: see its log"))
}
