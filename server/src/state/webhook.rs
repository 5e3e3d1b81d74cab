//! Webhooks and alerts. There are few of each.

use sikkerkey_protocol::id::VaultId;

use super::State;
use crate::audit::entry::Action;
use crate::model::webhook::{Alerts, Webhook};

impl State {
    /// The webhooks of a vault, the oldest first.
    pub fn webhooks_of(&self, vault: &VaultId) -> Vec<&Webhook> {
        let mut webhooks: Vec<_> = self.webhooks.values().filter(|it| it.vault == *vault).collect();
        webhooks.sort_by(|a, b| (a.made, &a.id).cmp(&(b.made, &b.id)));
        webhooks
    }

    /// What the people of a vault want to be told of.
    pub fn alerts_of(&self, vault: &VaultId) -> Vec<Action> {
        self.alerts.get(vault).map_or_else(Alerts::usual, |it| it.actions.clone())
    }

    /// What a webhook is told of.
    pub fn told_to(&self, webhook: &Webhook) -> Vec<Action> {
        if webhook.actions.is_empty() { self.alerts_of(&webhook.vault) } else { webhook.actions.clone() }
    }
}
