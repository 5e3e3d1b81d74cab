//! Values that stand sealed in their objects: only here they are opened.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::sealed::{self, Binding, MAX_CIPHERTEXT};

use super::scope::Scope;
use crate::model::millis::Millis;
use crate::model::secret::Sealing;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::value::{Value, ValueError};

/// How far the clock of whoever sealed a value may be ahead of the server's. One that is far ahead would shut out every
/// later value until that time has come.
const MOST_AHEAD_SECONDS: u64 = 600;

/// A value that was opened.
pub(super) struct Unsealed {
    pub(super) value: Value,
    pub(super) at: Millis,
}

/// Opens a ciphertext as what the object is: in the agent's vault and cluster, with this namespace and name.
pub(super) fn open(
    scope: &Scope<'_>,
    object: &ObjectKey,
    key_id: &str,
    ciphertext: &str,
    namespace_scope: bool,
) -> Result<Unsealed, Refusal> {
    let context = &scope.context;
    let vault = &scope.agent.vault;
    // A key of another vault is unknown here: its name tells nobody that it exists.
    let key = context.state.sealing_keys.get(key_id).filter(|it| it.vault == *vault).ok_or_else(|| {
        let text = "the sealing key is none of this vault's: seal the value again, to one that it has";
        invalid(text.to_owned()).code(ErrorCode::SealedKeyUnknown)
    })?;
    if ciphertext.len() > MAX_CIPHERTEXT.div_ceil(3) * 4 {
        return Err(invalid("the sealed value is larger than 24 KiB".to_owned()).code(ErrorCode::ValueTooLarge));
    }
    let failed = |text: String| invalid(text).code(ErrorCode::UnsealFailed);
    let bytes = STANDARD.decode(ciphertext).map_err(|_| failed("the ciphertext is not base64".to_owned()))?;
    let private = context.keyring.sealing_key(key).map_err(|_| {
        Refusal::new(RefusalKind::Unavailable, "the server cannot open its own sealing key: see its log")
    })?;
    let binding = Binding {
        vault,
        key_id,
        cluster: Some(&scope.cluster.name),
        namespace: &object.namespace,
        name: (!namespace_scope).then_some(&object.name),
    };
    let opened = sealed::open(&private, &binding, &bytes).map_err(|error| failed(error.to_string()))?;
    let at = Millis(opened.sealed_at);
    if at > context.now.plus_seconds(MOST_AHEAD_SECONDS) {
        return Err(invalid(format!(
            "the value says that it was sealed at {}, which is still to come: correct the clock of the computer that seals, \
             and seal it again",
            instant(at)
        )));
    }
    let value = Value::parse(opened.value, opened.field_names).map_err(|error| {
        let refusal = invalid(error.to_string());
        if error == ValueError::TooLarge { refusal.code(ErrorCode::ValueTooLarge) } else { refusal }
    })?;
    Ok(Unsealed { value, at })
}

/// What is remembered from now on. An older value never replaces a newer one: what was rotated because it was read by
/// somebody does not come back out of Git's history.
pub(super) fn remember(object: &ObjectKey, held: Option<Sealing>, at: Millis) -> Result<Sealing, Refusal> {
    match held {
        Some(held) if at < held.at => {
            let text = format!(
                "the value of {object} was sealed at {}, and one that was sealed at {} has been in force: to go back to an \
                 earlier value, seal it again",
                instant(at),
                instant(held.at)
            );
            Err(Refusal::new(RefusalKind::Conflict, text).code(ErrorCode::SealedValueOutdated))
        }
        _ => Ok(Sealing { at, is_source: true }),
    }
}
