//! `admin webhook …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::{CreateWebhook, UpdateWebhook, WebhookList, WebhookSecret, WebhookView};

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::live::World;
use crate::model::millis::Millis;
use crate::model::webhook;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::find_vault;
use crate::usecase::author::Author;
use crate::usecase::management::webhook::tried;
use crate::usecase::webhook::{create, delete, names, rotate_secret, test, update, view, view_as_set};

/// Webhooks: web servers that are told what happens in a vault.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Webhook {
    /// Makes a webhook and prints the secret that signs what it sends, this once.
    Create {
        /// Of which vault.
        #[arg(long)]
        vault: VaultId,
        /// Where each event is posted: https://…
        #[arg(long)]
        url: String,
        /// An action that it is told of. May be given several times; left out: those of `alert get`.
        #[arg(long = "action", value_enum, hide_possible_values = true)]
        actions: Vec<Action>,
    },
    /// Changes where a webhook goes, or what it is told of.
    Update {
        /// Its id.
        id: String,
        /// Where each event is posted.
        #[arg(long)]
        url: Option<String>,
        /// An action that it is told of, in place of all others. May be given several times.
        #[arg(long = "action", value_enum, hide_possible_values = true)]
        actions: Vec<Action>,
    },
    /// Lists the webhooks.
    List,
    /// Sends a webhook an event, and says what came of it.
    Test {
        /// Its id.
        id: String,
    },
    /// Switches a webhook on. It goes on where it stopped.
    Enable {
        /// Its id.
        id: String,
        /// Leaves out what it was not told of meanwhile.
        #[arg(long)]
        skip_missed: bool,
    },
    /// Switches a webhook off.
    Disable {
        /// Its id.
        id: String,
    },
    /// Gives a webhook another secret and prints it, this once. The present one signs as well for a day.
    RotateSecret {
        /// Its id.
        id: String,
    },
    /// Deletes a webhook.
    Delete {
        /// Its id.
        id: String,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: Webhook) -> Result<Answer, Refusal> {
    Ok(match command {
        Webhook::Create { vault, url, actions } => {
            let wanted = CreateWebhook { url, actions: Some(names(&actions)), enabled: None };
            let decide = move |it: &Context<'_>| {
                find_vault(it, &vault)?;
                let (webhook, signing_secret, steps) = create(it, Author::Person, &vault, &wanted)?;
                Ok(steps.decide(move |it| WebhookSecret {
                    webhook: view_as_set(it.state, &webhook, it.now),
                    signing_secret,
                }))
            };
            secret(&through(desk, "webhook create", decide).await?)
        }
        Webhook::Update { id, url, actions } => {
            let actions = (!actions.is_empty()).then(|| names(&actions));
            let wanted = UpdateWebhook { url, actions, ..UpdateWebhook::default() };
            changed(desk, "webhook update", id, wanted, "is changed").await?
        }
        Webhook::List => list(&desk.app.live.read(), desk.app.clock.now()),
        Webhook::Test { id } => {
            let decide = move |it: &Context<'_>| {
                let (trial, steps) = test(it, Author::Person, find(it, &id)?)?;
                Ok(steps.decide(move |_| trial))
            };
            let trial = through(desk, "webhook test", decide).await?;
            let tested = tried(desk.app, &trial).await?;
            let text = match &tested.error {
                None => format!("delivered {}", tested.delivery_id),
                Some(error) => format!("not delivered: {error}"),
            };
            Answer::new(json!(tested), text)
        }
        Webhook::Enable { id, skip_missed } => {
            let wanted =
                UpdateWebhook { enabled: Some(true), skip_missed: Some(skip_missed), ..UpdateWebhook::default() };
            changed(desk, "webhook enable", id, wanted, "is switched on").await?
        }
        Webhook::Disable { id } => {
            let wanted = UpdateWebhook { enabled: Some(false), ..UpdateWebhook::default() };
            changed(desk, "webhook disable", id, wanted, "is switched off").await?
        }
        Webhook::RotateSecret { id } => {
            let decide = move |it: &Context<'_>| {
                let (webhook, signing_secret, steps) = rotate_secret(it, Author::Person, find(it, &id)?)?;
                Ok(steps.decide(move |it| WebhookSecret { webhook: view(it.state, &webhook, it.now), signing_secret }))
            };
            secret(&through(desk, "webhook rotate-secret", decide).await?)
        }
        Webhook::Delete { id } => {
            let done = format!("webhook {id} is deleted");
            let decide = move |it: &Context<'_>| {
                let (deleted, steps) = delete(Author::Person, find(it, &id)?);
                Ok(steps.decide(move |_| deleted))
            };
            let deleted = through(desk, "webhook delete", decide).await?;
            Answer::new(json!(deleted), done)
        }
    })
}

async fn changed(
    desk: Desk<'_>,
    what: &'static str,
    id: String,
    wanted: UpdateWebhook,
    done: &str,
) -> Result<Answer, Refusal> {
    let text = format!("webhook {id} {done}");
    let decide = move |it: &Context<'_>| {
        let (webhook, steps) = update(it, Author::Person, find(it, &id)?, &wanted)?;
        let view = if wanted.url.is_some() { view_as_set } else { view };
        Ok(steps.decide(move |it| view(it.state, &webhook, it.now)))
    };
    Ok(Answer::new(json!(through(desk, what, decide).await?), text))
}

/// The text is the secret alone, so that a script can take it as it is.
fn secret(made: &WebhookSecret) -> Answer {
    Answer::new(json!(made), made.signing_secret.expose())
}

fn find<'s>(context: &Context<'s>, id: &str) -> Result<&'s webhook::Webhook, Refusal> {
    let text = || format!("there is no webhook {id}: webhook list shows them");
    context.state.webhooks.get(id).ok_or_else(|| Refusal::new(RefusalKind::NotFound, text()))
}

fn list(world: &World, now: Millis) -> Answer {
    let state = &world.state;
    let mut webhooks: Vec<_> = state.webhooks.values().collect();
    webhooks.sort_by(|a, b| (&a.vault, a.made, &a.id).cmp(&(&b.vault, b.made, &b.id)));
    let views: Vec<(String, WebhookView)> =
        webhooks.into_iter().map(|it| (it.vault.to_string(), view(state, it, now))).collect();
    let rows: Vec<[String; 7]> = views.iter().map(|(vault, it)| cells(vault, it)).collect();
    let headings = ["WEBHOOK", "VAULT", "URL", "ACTIONS", "STATE", "DELIVERED", "FAILURE"];
    let list = WebhookList { webhooks: views.into_iter().map(|(_, it)| it).collect() };
    Answer::new(json!(list), table(headings, &rows))
}

fn cells(vault: &str, it: &WebhookView) -> [String; 7] {
    let state = match (it.enabled, &it.disabled_because, it.consecutive_failures) {
        (true, _, 0) => "on".to_owned(),
        (true, _, failures) => format!("on, {failures} failures"),
        (false, Some(_), _) => "switched off by the server".to_owned(),
        (false, None, _) => "off".to_owned(),
    };
    [
        it.id.clone(),
        vault.to_owned(),
        it.url.clone(),
        if it.actions.is_empty() { "alerts".to_owned() } else { it.actions.join(",") },
        state,
        it.last_delivery_at.map(|it| instant(Millis(it))).unwrap_or_default(),
        it.disabled_because.clone().or(it.last_failure.clone()).unwrap_or_default(),
    ]
}
