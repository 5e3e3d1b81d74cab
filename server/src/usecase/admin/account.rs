//! Accounts.

use super::{by_person, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::account::{Account, Standing};
use crate::usecase::steps::Steps;

/// Changes whether an account's machines may read.
pub fn set_standing(context: &Context<'_>, email: &str, standing: Standing) -> Decided<()> {
    let account = context.state.accounts.values().find(|it| it.email == email);
    let account = account.ok_or_else(|| not_found(format!("there is no account {email}: vault create makes one")))?;
    let mut steps = Steps::default();
    if account.standing != standing {
        let detail = format!("account {email}: {:?} (was {:?})", standing, account.standing);
        steps.audit.push(by_person(Action::AccountUpdate, None, detail));
        steps.put(Entity::Account(Account { standing, ..account.clone() }));
    }
    Ok(steps.decide(|_| ()))
}
