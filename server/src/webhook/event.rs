//! What is posted, and how it is signed.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use sikkerkey_protocol::management::{AuditEntry, Severity, WebhookData, WebhookEvent};
use sikkerkey_protocol::secret_text::SecretText;

use crate::model::millis::Millis;

/// The event of a delivery that was asked for to try a webhook.
pub const TEST: &str = "webhook_test";

/// The id of the delivery of a row to a webhook: the same one whenever it is sent. `hash` is the row's place in the chain,
/// which no other row has, of a restored database neither.
pub fn delivery_id(webhook: &str, hash: &[u8; 32]) -> String {
    let mut digest = Sha256::new_with_prefix(b"sikkerkey webhook delivery\n");
    digest.update(webhook.as_bytes());
    digest.update(hash);
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// What is posted of a row.
pub fn of_row(id: String, row: &AuditEntry) -> WebhookEvent {
    WebhookEvent {
        id,
        event: row.action.clone(),
        severity: row.severity,
        timestamp: row.timestamp,
        data: WebhookData {
            user_id: row.user_id.clone(),
            machine_id: row.machine_id.as_ref().map(ToString::to_string),
            secret_id: row.secret_id.as_ref().map(ToString::to_string),
            source_ip: row.source_ip.map(|it| it.to_string()),
            detail: row.detail.clone(),
        },
    }
}

/// What is posted to try a webhook.
pub fn of_test(id: String, now: Millis) -> WebhookEvent {
    WebhookEvent {
        id,
        event: TEST.to_owned(),
        severity: Severity::Info,
        timestamp: now.0,
        data: WebhookData {
            detail: "a delivery that was asked for to try this webhook".to_owned(),
            ..WebhookData::default()
        },
    }
}

/// HMAC-SHA256 of a body, in small hex digits. The key is the secret's text.
pub fn signature(secret: &SecretText, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(body);
    let mut digits = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        // Writing to a string cannot fail.
        let _: std::fmt::Result = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        let secret = SecretText::new("Jefe".into());
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&secret, b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn a_delivery_has_the_same_id_whenever_it_is_sent_and_no_other_has_it() {
        let id = delivery_id("a", &[1; 32]);
        assert_eq!(id, delivery_id("a", &[1; 32]));
        assert!(id != delivery_id("a", &[2; 32]) && id != delivery_id("b", &[1; 32]));
        assert_eq!(id.parse::<uuid::Uuid>().unwrap().to_string(), id);
    }

    #[test]
    fn what_is_posted_has_the_keys_of_the_protocol_and_no_others() {
        let event = of_test("the-id".into(), Millis(5));
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"id":"the-id","event":"webhook_test","severity":"info","timestamp":5,"data":{"userId":null,"machineId":null,"secretId":null,"sourceIp":null,"detail":"a delivery that was asked for to try this webhook"}}"#
        );
    }
}
