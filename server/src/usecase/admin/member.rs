//! Who may do what in a vault that is not theirs.

use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::id::VaultId;

use super::{by_person, conflict, find_account, find_vault, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::account::Account;
use crate::model::member::Member;
use crate::model::millis::Millis;
use crate::model::{Entity, EntityKind};
use crate::refusal::Refusal;
use crate::state::State;
use crate::usecase::steps::Steps;

/// Gives an account a role in a vault, or another one.
pub fn add(context: &Context<'_>, vault: &VaultId, email: &str, role: Role) -> Decided<()> {
    let account = find_account(context, email)?;
    let vault = find_vault(context, vault)?;
    if vault.account == account.id {
        return Err(conflict(format!("vault {} belongs to {}, who may do everything there", vault.id, account.email)));
    }
    let before = context.state.role_in(&vault.id, &account.id);
    let mut steps = Steps::default();
    if before != Some(role) {
        let was = before.map_or(String::new(), |it| format!(" (was {it})"));
        let detail = format!("account {} is {role} of vault {}{was}", account.email, vault.name);
        steps.audit.push(by_person(Action::MemberAdd, Some(&vault.id), detail));
        let (vault, account) = (vault.id.clone(), account.id.clone());
        steps.put(Entity::Member(Member { vault, account, role, since: context.now }));
    }
    Ok(steps.decide(|_| ()))
}

/// Takes an account its role in a vault.
pub fn remove(context: &Context<'_>, vault: &VaultId, email: &str) -> Decided<()> {
    let account = find_account(context, email)?;
    let vault = find_vault(context, vault)?;
    if vault.account == account.id {
        return Err(conflict(format!("vault {} belongs to {}, who stays its owner", vault.id, account.email)));
    }
    let id = Member::id(&vault.id, &account.id);
    let member = context.state.vault_members.get(&id);
    let member =
        member.ok_or_else(|| not_found(format!("account {} is no member of vault {}", account.email, vault.id)))?;
    let mut steps = Steps::default();
    let detail = format!("account {} is no {} of vault {} any more", account.email, member.role, vault.name);
    steps.audit.push(by_person(Action::MemberRemove, Some(&vault.id), detail));
    steps.remove(EntityKind::Member, &id);
    Ok(steps.decide(|_| ()))
}

/// Somebody who may do something in a vault: the account, what, and since when, unless the vault is theirs.
pub type Named<'s> = (&'s Account, Role, Option<Millis>);

/// Who may do what in a vault: whom it belongs to first, then by e-mail address.
pub fn of<'s>(state: &'s State, vault: &VaultId) -> Result<Vec<Named<'s>>, Refusal> {
    let owner = state.account_of(vault);
    let owner = owner.ok_or_else(|| not_found(format!("there is no vault {vault}: vault list shows them")))?;
    let members = state.vault_members.values().filter(|it| it.vault == *vault);
    let mut members: Vec<_> =
        members.filter_map(|it| Some((state.accounts.get(&it.account)?, it.role, Some(it.since)))).collect();
    members.sort_by(|a, b| a.0.email.cmp(&b.0.email));
    members.insert(0, (owner, Role::Owner, None));
    Ok(members)
}
