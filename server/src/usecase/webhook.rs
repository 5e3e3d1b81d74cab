//! Webhooks and alerts: what people say, and what the server notes of them ([`progress`]).

pub mod progress;

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::{CreateWebhook, UpdateWebhook, WebhookDeleted, WebhookEvent, WebhookView};
use sikkerkey_protocol::secret_text::SecretText;

use super::audit::actions_named;
use super::author::Author;
use super::fresh_id::fresh_uuid;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::crypto::CryptoError;
use crate::decision::Context;
use crate::entropy;
use crate::model::millis::Millis;
use crate::model::webhook::{Alerts, Position, Progress, Webhook};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::webhook::endpoint::Endpoint;
use crate::webhook::event;

/// How many webhooks a vault may have.
pub const MOST_WEBHOOKS: usize = 50;
/// How long a secret that was replaced signs as well, in seconds.
const OVERLAP_SECONDS: u64 = 24 * 3600;

/// A delivery that was asked for to try a webhook.
pub struct Trial {
    pub(crate) webhook: String,
    pub(crate) to: Endpoint,
    pub(crate) event: WebhookEvent,
    pub(crate) secrets: Secrets,
}

/// What signs the deliveries of a webhook.
pub struct Secrets {
    pub(crate) present: SecretText,
    pub(crate) previous: Option<SecretText>,
}

/// Makes a webhook. It is told what is written from now on.
pub(crate) fn create(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    wanted: &CreateWebhook,
) -> Result<(Webhook, SecretText, Steps), Refusal> {
    let endpoint = endpoint(&wanted.url)?;
    let actions = actions_named(wanted.actions.as_deref().unwrap_or_default())?;
    if context.state.webhooks_of(vault).len() >= MOST_WEBHOOKS {
        let text = format!("a vault has at most {MOST_WEBHOOKS} webhooks: delete one that is not needed");
        return Err(Refusal::new(RefusalKind::Conflict, text));
    }
    let id: String = fresh_uuid(context)?;
    let (wrapped_secret, secret) =
        context.keyring.new_webhook_secret(vault, &id, context.entropy).map_err(unsealable)?;
    let webhook = Webhook {
        id,
        vault: vault.clone(),
        url: wanted.url.clone(),
        actions,
        enabled: wanted.enabled.unwrap_or(true),
        disabled_because: None,
        made: context.now,
        wrapped_secret,
        previous_secret: None,
    };
    let mut steps = Steps::default();
    let tells = tells(&webhook.actions);
    steps.audit.push(row(author, Action::WebhookCreate, &webhook, &format!("to {endpoint} tells {tells}")));
    steps.put(Entity::WebhookProgress(Progress::since(&webhook.id, context.now)));
    steps.put(Entity::Webhook(webhook.clone()));
    Ok((webhook, secret, steps))
}

/// Changes a webhook.
pub(crate) fn update(
    context: &Context<'_>,
    author: Author<'_>,
    webhook: &Webhook,
    wanted: &UpdateWebhook,
) -> Result<(Webhook, Steps), Refusal> {
    let (mut new, mut said) = (webhook.clone(), Vec::new());
    if let Some(url) = wanted.url.as_ref().filter(|it| **it != webhook.url) {
        let endpoint = endpoint(url)?;
        new.url.clone_from(url);
        said.push(format!("goes to {endpoint}"));
    }
    if let Some(names) = &wanted.actions {
        new.actions = actions_named(names)?;
        if new.actions != webhook.actions {
            said.push(format!("tells {}", tells(&new.actions)));
        }
    }
    let mut steps = Steps::default();
    let mut progress = progress_of(context.state, webhook);
    let before = progress.clone();
    if let Some(enabled) = wanted.enabled
        && (enabled != webhook.enabled || webhook.disabled_because.is_some())
    {
        new.enabled = enabled;
        new.disabled_because = None;
        said.push(if enabled { "is switched on" } else { "is switched off" }.to_owned());
    }
    // Whoever changes something about it has a reason to believe that it works now.
    if new.enabled && (new.url != webhook.url || !webhook.enabled) {
        progress = Progress { failures: 0, last_failure: None, retry_at: None, ..progress };
    }
    if wanted.skip_missed == Some(true) {
        if let Position::After(seq) = progress.position {
            progress.left_at = progress.left_at.or(Some(seq));
        }
        progress.position = Position::Since(context.now);
        progress = Progress { failures: 0, last_failure: None, retry_at: None, ..progress };
        said.push("leaves out what it has not told yet".to_owned());
    }
    if progress != before {
        steps.put(Entity::WebhookProgress(progress));
    }
    if new != *webhook {
        steps.put(Entity::Webhook(new.clone()));
    }
    let said = if said.is_empty() { "nothing to change".to_owned() } else { said.join(", ") };
    let action = if steps.changes.is_empty() { Action::ManagementRead } else { Action::WebhookUpdate };
    steps.audit.push(row(author, action, &new, &said));
    Ok((new, steps))
}

/// Gives a webhook another secret. The present one signs as well for a day.
pub(crate) fn rotate_secret(
    context: &Context<'_>,
    author: Author<'_>,
    webhook: &Webhook,
) -> Result<(Webhook, SecretText, Steps), Refusal> {
    let made = context.keyring.new_webhook_secret(&webhook.vault, &webhook.id, context.entropy);
    let (wrapped_secret, secret) = made.map_err(unsealable)?;
    let until = context.now.plus_seconds(OVERLAP_SECONDS);
    let previous_secret = Some((webhook.wrapped_secret.clone(), until));
    let new = Webhook { wrapped_secret, previous_secret, ..webhook.clone() };
    let mut steps = Steps::default();
    steps.audit.push(row(author, Action::WebhookUpdate, &new, "has another secret"));
    steps.put(Entity::Webhook(new.clone()));
    Ok((new, secret, steps))
}

/// Removes a webhook.
pub(crate) fn delete(author: Author<'_>, webhook: &Webhook) -> (WebhookDeleted, Steps) {
    let mut steps = Steps::default();
    steps.audit.push(row(author, Action::WebhookDelete, webhook, "is deleted"));
    steps.remove(EntityKind::Webhook, &webhook.id);
    steps.remove(EntityKind::WebhookProgress, &webhook.id);
    (WebhookDeleted { id: webhook.id.clone(), deleted: true }, steps)
}

/// Prepares a delivery that tries a webhook, switched on or not.
pub(crate) fn test(context: &Context<'_>, author: Author<'_>, webhook: &Webhook) -> Result<(Trial, Steps), Refusal> {
    let trial = Trial {
        webhook: webhook.id.clone(),
        to: endpoint(&webhook.url)?,
        event: event::of_test(entropy::uuid(context.entropy), context.now),
        secrets: secrets(context, webhook).map_err(unsealable)?,
    };
    let mut steps = Steps::default();
    steps.audit.push(row(author, Action::WebhookTest, webhook, &format!("is tried, to {}", trial.to)));
    Ok((trial, steps))
}

/// Says what the people of a vault want to be told of.
pub(crate) fn set_alerts(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    names: &[String],
) -> Result<(Vec<Action>, Steps), Refusal> {
    let actions = actions_named(names)?;
    let mut steps = Steps::default();
    let action = if context.state.alerts.get(vault).is_some_and(|it| it.actions == actions) {
        Action::ManagementRead
    } else {
        steps.put(Entity::Alerts(Alerts { vault: vault.clone(), actions: actions.clone() }));
        Action::AlertUpdate
    };
    let names = if actions.is_empty() { "nothing".to_owned() } else { list(&actions) };
    steps.audit.push(author.entry(action, vault, format!("alerts tell {names}")));
    Ok((actions, steps))
}

/// What signs the deliveries of a webhook.
pub(crate) fn secrets(context: &Context<'_>, webhook: &Webhook) -> Result<Secrets, CryptoError> {
    open_secrets(context.keyring, webhook, context.now)
}

/// The same, for whoever decides nothing.
pub(crate) fn open_secrets(
    keyring: &crate::crypto::keyring::Keyring,
    webhook: &Webhook,
    now: Millis,
) -> Result<Secrets, CryptoError> {
    let open = |wrapped: &[u8]| keyring.webhook_secret(&webhook.vault, &webhook.id, wrapped);
    let previous = webhook.previous_secret.as_ref().filter(|(_, until)| *until > now);
    Ok(Secrets {
        present: open(&webhook.wrapped_secret)?,
        previous: previous.map(|(wrapped, _)| open(wrapped)).transpose()?,
    })
}

/// A webhook as it is shown to whoever has just said where it goes.
pub(crate) fn view_as_set(state: &State, webhook: &Webhook, now: Millis) -> WebhookView {
    WebhookView { url: webhook.url.clone(), ..view(state, webhook, now) }
}

/// A webhook as it is shown. The path of its URL may hold a token, which is nobody's who looks.
pub(crate) fn view(state: &State, webhook: &Webhook, now: Millis) -> WebhookView {
    let progress = progress_of(state, webhook);
    let previous = webhook.previous_secret.as_ref().map(|(_, until)| *until);
    WebhookView {
        id: webhook.id.clone(),
        url: webhook.url.parse().map(|it: Endpoint| it.to_string()).unwrap_or_default(),
        actions: webhook.actions.iter().map(|it| it.name()).collect(),
        enabled: webhook.enabled,
        disabled_because: webhook.disabled_because.clone(),
        created_at: webhook.made.0,
        consecutive_failures: progress.failures,
        last_failure: progress.last_failure,
        last_delivery_at: progress.delivered_at.map(|it| it.0),
        retry_at: progress.retry_at.filter(|it| webhook.enabled && *it > now).map(|it| it.0),
        previous_secret_until: previous.filter(|it| *it > now).map(|it| it.0),
    }
}

/// How far a webhook has come.
pub(crate) fn progress_of(state: &State, webhook: &Webhook) -> Progress {
    let known = state.webhook_progress.get(&webhook.id).cloned();
    known.unwrap_or_else(|| Progress::since(&webhook.id, webhook.made))
}

/// Names of actions, one after the other.
pub(crate) fn names(actions: &[Action]) -> Vec<String> {
    let mut names: Vec<String> = actions.iter().map(|it| it.name()).collect();
    names.sort_unstable();
    names
}

fn list(actions: &[Action]) -> String {
    names(actions).join(", ")
}

fn tells(actions: &[Action]) -> String {
    if actions.is_empty() { "what the alerts name".to_owned() } else { list(actions) }
}

fn endpoint(url: &str) -> Result<Endpoint, Refusal> {
    url.parse().map_err(|text: &str| Refusal::new(RefusalKind::Invalid, text))
}

fn row(author: Author<'_>, action: Action, webhook: &Webhook, what: &str) -> Entry {
    author.entry(action, &webhook.vault, format!("webhook {} {what}", webhook.id))
}

fn unsealable(_: CryptoError) -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "the webhook's secret cannot be sealed or opened: see the server's log")
}

#[cfg(test)]
mod tests;
