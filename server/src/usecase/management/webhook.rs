//! Webhooks of a vault. A webhook tells of the whole vault, so an agent with a list of projects has none.

use sikkerkey_protocol::management::{
    CreateWebhook, UpdateWebhook, WebhookDeleted, WebhookList, WebhookSecret, WebhookTested, WebhookView,
};

use super::{Manager, not_found};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::webhook::Webhook;
use crate::refusal::{Refusal, RefusalKind};
use crate::turns::NoTurn;
use crate::usecase::steps::Steps;
use crate::usecase::webhook::{self, Trial, view, view_as_set};
use crate::webhook::sender::{Delivery, SendError};

/// The webhooks.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<WebhookList> {
    sees_all(manager)?;
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the webhooks".to_owned()));
    let vault = manager.vault.clone();
    Ok(steps.decide(move |context| {
        let webhooks = context.state.webhooks_of(&vault);
        WebhookList { webhooks: webhooks.into_iter().map(|it| view(context.state, it, context.now)).collect() }
    }))
}

/// One webhook.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<WebhookView> {
    let webhook = find(context, manager, id)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("webhook {id}")));
    Ok(steps.decide(move |context| view(context.state, &webhook, context.now)))
}

/// Makes a webhook. Its secret is shown this once.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    wanted: CreateWebhook,
) -> Decided<WebhookSecret> {
    sees_all(manager)?;
    let (webhook, signing_secret, steps) = webhook::create(context, manager.author(), manager.vault, &wanted)?;
    Ok(steps.decide(move |context| {
        let webhook = view_as_set(context.state, &webhook, context.now);
        WebhookSecret { webhook, signing_secret }
    }))
}

/// Changes a webhook.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: UpdateWebhook,
) -> Decided<WebhookView> {
    let webhook = find(context, manager, id)?;
    let (webhook, steps) = webhook::update(context, manager.author(), webhook, &wanted)?;
    let view = if wanted.url.is_some() { view_as_set } else { view };
    Ok(steps.decide(move |context| view(context.state, &webhook, context.now)))
}

/// Gives a webhook another secret, which is shown this once.
pub fn rotate_secret(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<WebhookSecret> {
    let webhook = find(context, manager, id)?;
    let (webhook, signing_secret, steps) = webhook::rotate_secret(context, manager.author(), webhook)?;
    Ok(steps
        .decide(move |context| WebhookSecret { webhook: view(context.state, &webhook, context.now), signing_secret }))
}

/// Removes a webhook.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<WebhookDeleted> {
    let (deleted, steps) = webhook::delete(manager.author(), find(context, manager, id)?);
    Ok(steps.decide(move |_| deleted))
}

/// Tries a webhook. The delivery is sent by [`send`].
pub fn test(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<Trial> {
    let (trial, steps) = webhook::test(context, manager.author(), find(context, manager, id)?)?;
    Ok(steps.decide(move |_| trial))
}

/// Sends the delivery that tries a webhook.
pub async fn send(app: App, trial: Trial) -> Result<WebhookTested, Refusal> {
    tried(&app, &trial).await
}

/// What comes of the delivery that tries a webhook.
pub(crate) async fn tried(app: &App, trial: &Trial) -> Result<WebhookTested, Refusal> {
    let Trial { webhook, to, event, secrets } = trial;
    let _turn = app.trials.take(webhook).map_err(no_turn)?;
    let began = app.clock.steady();
    let delivery = Delivery { to, event, secret: &secrets.present, previous: secrets.previous.as_ref() };
    let sent = app.webhooks.send(&delivery).await;
    let took = app.clock.steady().saturating_sub(began);
    Ok(WebhookTested {
        delivered: sent.is_ok(),
        delivery_id: event.id.clone(),
        status: sent.as_ref().map_or_else(SendError::status, |it| Some(*it)),
        error: sent.err().map(|it| it.to_string()),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// A trial takes as long as its receiver likes, up to [`crate::webhook::sender::PATIENCE`].
fn no_turn(why: NoTurn) -> Refusal {
    let text = match why {
        NoTurn::HasOne => {
            "this webhook is being tried already: wait for the answer to that, which comes within seconds"
        }
        NoTurn::AllTaken => "other webhooks are being tried: try this one again in some seconds",
    };
    Refusal::new(RefusalKind::TooMany, text).retry_after(3)
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s Webhook, Refusal> {
    sees_all(manager)?;
    let webhook = context.state.webhooks.get(id).filter(|it| it.vault == *manager.vault);
    webhook.ok_or_else(|| not_found("this vault has no webhook of that id"))
}

/// What tells of the whole vault is nothing for who sees a part of it.
pub(super) fn sees_all(manager: &Manager<'_>) -> Result<(), Refusal> {
    if manager.projects.is_none() {
        return Ok(());
    }
    let text = "this agent may look at some projects only, and webhooks and alerts tell of the whole vault: use one without a \
                list of projects";
    Err(Refusal::new(RefusalKind::Forbidden, text))
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::secret_text::SecretText;

    use super::*;
    use crate::crypto::root_key::Source;
    use crate::engine::{DataPlace, Engine, Options};
    use crate::model::millis::Millis;
    use crate::usecase::management::office::Office;
    use crate::usecase::webhook::Secrets;

    #[test]
    fn the_path_of_a_url_is_shown_to_whoever_sets_it_alone() {
        const URL: &str = "https://hooks.example.com/services/token";
        let mut office = Office::open();
        let wanted = CreateWebhook { url: URL.into(), actions: None, enabled: None };
        let made = office.ask(|it, manager| create(it, manager, [], wanted)).unwrap();
        assert_eq!(made.webhook.url, URL);
        let id = made.webhook.id.as_str();
        let origin = "https://hooks.example.com";
        assert_eq!(office.ask(|it, manager| get(it, manager, [id])).unwrap().url, origin);
        assert_eq!(office.ask(|it, manager| list(it, manager, [])).unwrap().webhooks[0].url, origin);
        let mut change =
            |change: UpdateWebhook| office.ask(|it, manager| update(it, manager, [id], change)).unwrap().url;
        assert_eq!(change(UpdateWebhook { enabled: Some(false), ..UpdateWebhook::default() }), origin);
        let other = "https://hooks.example.com:8443/other";
        assert_eq!(change(UpdateWebhook { url: Some(other.into()), ..UpdateWebhook::default() }), other);
        let rotated = office.ask(|it, manager| rotate_secret(it, manager, [id])).unwrap();
        assert_eq!(rotated.webhook.url, "https://hooks.example.com:8443");
        assert_eq!(office.bench.state.webhooks[id].url, other);
    }

    fn trial(webhook: &str) -> Trial {
        Trial {
            webhook: webhook.into(),
            // Nothing is sent there: it is the server's own host.
            to: "https://127.0.0.1:9/hook".parse().unwrap(),
            event: crate::webhook::event::of_test("id".into(), Millis(0)),
            secrets: Secrets { present: SecretText::new("s".to_owned()), previous: None },
        }
    }

    #[tokio::test]
    async fn a_webhook_is_tried_once_at_a_time_and_a_few_are_in_all() {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().join("data"));
        let public_url = "https://sikkerkey.example.com".into();
        let engine = Engine::open(Options { public_url, ..Options::new(place, Source::Beside) }).await.unwrap();
        let app = &engine.app;
        let first = app.trials.take("a").unwrap();
        let refusal = send(app.clone(), trial("a")).await.unwrap_err();
        assert_eq!((refusal.kind, refusal.retry_after_seconds), (RefusalKind::TooMany, Some(3)));
        assert!(refusal.message.starts_with("this webhook is being tried already"), "{}", refusal.message);
        assert!(send(app.clone(), trial("b")).await.is_ok());
        let others: Vec<_> = ["b", "c", "d"].iter().map(|it| app.trials.take(it).unwrap()).collect();
        let refusal = send(app.clone(), trial("e")).await.unwrap_err();
        assert_eq!((refusal.kind, refusal.retry_after_seconds), (RefusalKind::TooMany, Some(3)));
        assert!(refusal.message.starts_with("other webhooks are being tried"), "{}", refusal.message);
        drop((first, others));
        assert!(!send(app.clone(), trial("a")).await.unwrap().delivered);
    }
}
