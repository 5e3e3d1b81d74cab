//! Telling people, in the server's log, what they want to be told of.

use crate::audit::entry::{Action, Entry, Severity};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::state::State;

/// Tells of these rows, which are committed.
pub(super) fn tell(live: &Live, metrics: &Metrics, rows: &[Entry]) {
    if rows.is_empty() {
        return;
    }
    let world = live.read();
    for row in rows {
        if row.action == Action::CanaryTriggered {
            metrics.canaries.inc();
        }
        if !is_told(&world.state, row) {
            continue;
        }
        metrics.count_alert(row.action.severity());
        let machine = row.machine.as_ref().map(tracing::field::display);
        let secret = row.secret.as_ref().map(tracing::field::display);
        let address = row.source_ip.map(tracing::field::display);
        let (action, severity) = (row.action.name(), row.action.severity().as_str());
        let detail = &row.detail;
        let vault = row.vault.as_ref().map(tracing::field::display);
        tracing::warn!(action, severity, vault, machine, secret, address, detail, "alert");
    }
}

/// Looked at for every row of the audit.
fn is_told(state: &State, row: &Entry) -> bool {
    let chosen = row.vault.as_ref().filter(|_| !state.alerts.is_empty()).and_then(|it| state.alerts.get(it));
    chosen.map_or_else(|| is_usual(row.action), |it| it.actions.contains(&row.action))
}

/// What is told while nobody has said anything else.
fn is_usual(action: Action) -> bool {
    action.severity() == Severity::Critical
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Actor;
    use crate::model::webhook::Alerts;
    use crate::model::{Change, Entity};

    #[test]
    fn what_people_have_chosen_is_told_and_critical_things_while_they_have_not() {
        let mut state = State::default();
        let vault: sikkerkey_protocol::id::VaultId = "vault_v".parse().unwrap();
        let row = |action| Entry { vault: Some(vault.clone()), ..Entry::new(action, Actor::System) };
        let told = |state: &State| {
            let all = Action::all().iter().copied();
            all.filter(|it| is_told(state, &row(*it))).collect::<Vec<_>>()
        };
        assert_eq!(told(&state), Alerts::usual());
        let actions = vec![Action::SecretDelete];
        state.apply(Change::put(Entity::Alerts(Alerts { vault: vault.clone(), actions: actions.clone() })));
        assert_eq!(told(&state), actions);
        // Of no vault, and of another one.
        assert!(is_told(&state, &Entry::new(Action::ServerRestore, Actor::System)));
        assert!(!is_told(&state, &Entry::new(Action::SecretDelete, Actor::System)));
        state.apply(Change::put(Entity::Alerts(Alerts { vault: vault.clone(), actions: Vec::new() })));
        assert_eq!(told(&state), []);
    }
}
