//! Webhooks and alerts on the management plane.

use serde::{Deserialize, Serialize};

use super::AuditAction;
use crate::secret_text::{self, SecretText};

/// A webhook that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where each event is posted: `https://…`, at most 2,048 characters.
    #[cfg_attr(feature = "schema", schemars(length(max = 2048)))]
    pub url: String,
    /// Which actions; left out or empty: those that `/v1/ai/alerts` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// Whether it is switched on; left out: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// What is changed of a webhook. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateWebhook {
    /// Where each event is posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 2048)))]
    pub url: Option<String>,
    /// Which actions; an empty list: those that `/v1/ai/alerts` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// Whether it is switched on. One that is switched on again goes on where it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Leaves out what has not been delivered yet and goes on from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_missed: Option<bool>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    /// Its id.
    pub id: String,
    /// Where each event is posted: scheme, host and port, for the rest may hold a token. As a whole only in the answer to
    /// whoever has just said it. To change something else of a webhook, leave `url` out.
    pub url: String,
    /// Which actions; empty: those that `/v1/ai/alerts` names.
    pub actions: Vec<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Why the server has switched it off.
    pub disabled_because: Option<String>,
    /// When it was made, in milliseconds since the epoch.
    pub created_at: i64,
    /// Tries in a row that have failed.
    pub consecutive_failures: u32,
    /// Why the last try has failed; `null` when it has not.
    pub last_failure: Option<String>,
    /// When something was last delivered.
    pub last_delivery_at: Option<i64>,
    /// When it is tried again.
    pub retry_at: Option<i64>,
    /// Until when deliveries are signed by the secret before the present one, too.
    pub previous_secret_until: Option<i64>,
}

/// The webhooks of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookList {
    /// The oldest first.
    pub webhooks: Vec<WebhookView>,
}

/// A webhook, with the secret that signs what it sends. Shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// The key of the HMAC, as the text that it is.
    #[serde(serialize_with = "secret_text::serialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub signing_secret: SecretText,
}

/// A webhook that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookDeleted {
    /// Its id.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

/// What came of a delivery that was asked for to try a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookTested {
    /// Whether the receiver answered 2xx.
    pub delivered: bool,
    /// The id that the delivery had.
    pub delivery_id: String,
    /// What the receiver answered, if it did.
    pub status: Option<u16>,
    /// What went wrong, and what to do.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Which actions people want to be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAlerts {
    /// All of them: what is not in here is not told.
    pub enabled_actions: Vec<String>,
}

/// Which actions people are told of: in the server's log, and by the webhooks that name none of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// By name.
    pub enabled_actions: Vec<String>,
}

/// Every action that people can be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertActions {
    /// By name.
    pub actions: Vec<AuditAction>,
}

/// What a webhook posts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookEvent {
    /// The delivery's id: the same one when it is sent again.
    pub id: String,
    /// The action.
    pub event: String,
    /// How much it matters.
    pub severity: super::Severity,
    /// When it was done, in milliseconds since the epoch.
    pub timestamp: i64,
    /// What it is about.
    pub data: WebhookData,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookData {
    /// The person who did it, where it is known.
    pub user_id: Option<String>,
    /// The machine that did it, or to which it was done.
    pub machine_id: Option<String>,
    /// The secret.
    pub secret_id: Option<String>,
    /// From where.
    pub source_ip: Option<String>,
    /// For a person.
    pub detail: String,
}
