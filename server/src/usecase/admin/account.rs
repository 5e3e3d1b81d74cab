//! Accounts.

use sikkerkey_protocol::account::Sessions;

use super::{by_person, check_email, conflict, find_account};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::account::{Account, Standing};
use crate::model::credential::Credential;
use crate::usecase::account::{second_factor, session};
use crate::usecase::steps::Steps;

/// Makes an account that can log in. Returns its id.
pub fn create(context: &Context<'_>, email: &str, hash: String) -> Decided<String> {
    check_email(email)?;
    let alike = |it: &&Account| it.email.to_lowercase() == email.to_lowercase();
    if let Some(held) = context.state.accounts.values().find(alike) {
        let text =
            format!("there is an account {} already: account set-password gives it another password", held.email);
        return Err(conflict(text));
    }
    let account = Account { id: entropy::uuid(context.entropy), email: email.to_owned(), standing: Standing::Active };
    let id = account.id.clone();
    let mut steps = Steps::default();
    steps.audit.push(by_person(Action::AccountUpdate, None, format!("account {email} created, active")));
    steps.put(Entity::Credential(Credential::new(id.clone(), hash, context.now)));
    steps.put(Entity::Account(account));
    Ok(steps.decide(|_| id))
}

/// Sets the password of an account. Returns how many sessions that ends.
pub fn set_password(context: &Context<'_>, email: &str, hash: String) -> Decided<usize> {
    let account = find_account(context, email)?;
    let credential = match context.state.credentials.get(&account.id) {
        Some(it) => Credential { password: hash, password_set_at: context.now, ..it.clone() },
        None => Credential::new(account.id.clone(), hash, context.now),
    };
    let mut steps = Steps::default();
    let detail = format!("account {}: another password", account.email);
    steps.audit.push(by_person(Action::PasswordChange, None, detail));
    steps.put(Entity::Credential(credential));
    let ended = end(context, account, "the administrator set another password", &mut steps);
    Ok(steps.decide(move |_| ended))
}

/// Removes the second factor of whoever has lost it. Returns how many sessions that ends.
pub fn reset_second_factor(context: &Context<'_>, email: &str) -> Decided<usize> {
    let account = find_account(context, email)?;
    let credential = context.state.credentials.get(&account.id);
    let credential = credential.filter(|it| it.second_factor.is_some() || it.begun.is_some());
    let credential = credential.ok_or_else(|| conflict(format!("account {} has no second factor", account.email)))?;
    let mut steps = Steps::default();
    let detail = format!("account {}: no second factor from now on", account.email);
    steps.audit.push(by_person(Action::SecondFactorRemove, None, detail));
    steps.put(Entity::Credential(second_factor::without(credential)));
    let ended = end(context, account, "the administrator removed the second factor", &mut steps);
    Ok(steps.decide(move |_| ended))
}

/// Ends every session of an account. Returns how many.
pub fn end_sessions(context: &Context<'_>, email: &str) -> Decided<usize> {
    let account = find_account(context, email)?;
    let mut steps = Steps::default();
    let ended = end(context, account, "the administrator ended them", &mut steps);
    Ok(steps.decide(move |_| ended))
}

/// The sessions of an account that go on, that used last first.
pub fn sessions(context: &Context<'_>, email: &str) -> Decided<Sessions> {
    let account = find_account(context, email)?;
    let sessions = session::list_of(context, account, None);
    Ok(Steps::default().decide(move |_| sessions))
}

/// Changes whether an account's person and machines may do anything. One that may not is logged out at once. Returns how
/// many sessions that ends.
pub fn set_standing(context: &Context<'_>, email: &str, standing: Standing) -> Decided<usize> {
    let account = find_account(context, email)?;
    let mut steps = Steps::default();
    if account.standing != standing {
        let detail = format!("account {}: {:?} (was {:?})", account.email, standing, account.standing);
        steps.audit.push(by_person(Action::AccountUpdate, None, detail));
        steps.put(Entity::Account(Account { standing, ..account.clone() }));
    }
    let mut ended = 0;
    if standing != Standing::Active {
        ended = end(context, account, "the account is not active", &mut steps);
    }
    Ok(steps.decide(move |_| ended))
}

fn end(context: &Context<'_>, account: &Account, why: &str, steps: &mut Steps) -> usize {
    let entry: Entry = by_person(Action::SessionRevoke, None, String::new());
    session::end(context.state.sessions_of(&account.id), &entry, &account.email, why, steps)
}
