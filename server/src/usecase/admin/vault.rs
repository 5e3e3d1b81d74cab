//! Vaults.

use sikkerkey_protocol::id::VaultId;

use super::{by_person, check_email, check_name, conflict};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::account::{Account, Standing, Vault};
use crate::usecase::fresh_id::fresh_id;
use crate::usecase::steps::Steps;

/// Makes a vault, and its owner's account when there is none.
pub fn create(context: &Context<'_>, name: &str, owner: &str) -> Decided<VaultId> {
    check_name("the name", name)?;
    check_email(owner)?;
    let state = context.state;
    let account = state.account_named(owner);
    let alike = |it: &&Account| it.email.to_lowercase() == owner.to_lowercase();
    if account.is_none() && state.accounts.values().any(|it| alike(&it)) {
        return Err(conflict(format!("several accounts are written like {owner}: write it as account list does")));
    }
    let taken = |it: &&Vault| account.is_some_and(|account| account.id == it.account) && it.name == name;
    if let Some(held) = state.vaults.values().find(taken) {
        return Err(conflict(format!("{owner} has a vault {name} already: {}", held.id)));
    }
    let mut steps = Steps::default();
    let account = account.cloned().unwrap_or_else(|| {
        let account =
            Account { id: entropy::uuid(context.entropy), email: owner.to_owned(), standing: Standing::Active };
        steps.audit.push(by_person(Action::AccountUpdate, None, format!("account {owner} created, active")));
        steps.put(Entity::Account(account.clone()));
        account
    });
    let vault = Vault { id: fresh_id("vault_", context)?, account: account.id, name: name.to_owned() };
    let id = vault.id.clone();
    steps.audit.push(by_person(Action::VaultCreate, Some(&id), format!("vault {name} of {owner}")));
    steps.put(Entity::Vault(vault));
    Ok(steps.decide(move |_| id))
}
