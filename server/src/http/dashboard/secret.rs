//! Secrets. A value is typed in and never shown again: no use case answers one.

mod canary;
mod detail;
mod fields;
mod forms;
mod list;
mod manifest;
mod new;
mod readers;
mod value;
mod versions;

use super::page::{Nothing, Then, does, does_with, finds, shows};
use super::visit::Visit;
use crate::http::route::Route;
use crate::usecase::management::secret::{self, compose, dossier, overview, project_of};
use crate::usecase::management::{policy, schedule};
use sikkerkey_protocol::management::Scope::{PoliciesWrite, SecretsRead, SecretsWrite};
use sikkerkey_protocol::management::{
    Binding, RollBackSecret, ScheduleDeleted, ScheduleView, SecretDeleted, SecretNamed, SecretNoted, SecretVersioned,
};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        shows(SecretsRead, "GET /vaults/{vault}/secrets", overview::overview, list::list),
        does(SecretsWrite, "POST /vaults/{vault}/secrets", new::NewForm::parse, compose::create, created),
        shows(
            SecretsWrite,
            "GET /vaults/{vault}/secrets/new",
            |context, manager, [], _: new::NewQuery| compose::choices(context, manager, []),
            new::page,
        ),
        finds(
            SecretsRead,
            "GET /vaults/{vault}/secrets/{secret}",
            |context, manager, [secret], Nothing {}| dossier::dossier(context, manager, [secret]),
            dossier::find,
            detail::page,
        ),
    ];
    routes.extend(of_value());
    routes.extend(of_schedule());
    routes.extend(of_rest());
    routes.extend(canary::routes());
    routes
}

fn of_value() -> [Route; 4] {
    [
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/value",
            forms::ValueForm::parse,
            |context, manager, [secret], wanted| {
                let project = project_of(context, manager, secret)?;
                secret::update(context, manager, [&project, secret], wanted)
            },
            |visit, [secret], _: SecretVersioned| back(visit, secret, "value-replaced"),
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/fields",
            forms::FieldsForm::parse,
            compose::set_fields,
            |visit, [secret], _: SecretVersioned| back(visit, secret, "value-replaced"),
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/rotate",
            forms::RotateForm::parse,
            |context, manager, [secret], wanted| {
                let project = project_of(context, manager, secret)?;
                secret::rotate(context, manager, [&project, secret], wanted)
            },
            |visit, [secret], _: SecretVersioned| back(visit, secret, "value-generated"),
        ),
        does_with(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/rollback",
            forms::RollBackForm::parse,
            |app, ids, request: RollBackSecret| async move {
                let id = ids.into_iter().next().unwrap_or_default();
                let stored = dossier::version(app, id, request.version).await?;
                Ok((request, stored))
            },
            |context, manager, [secret], wanted| {
                let project = project_of(context, manager, secret)?;
                secret::roll_back(context, manager, [&project, secret], wanted)
            },
            |visit, [secret], _: SecretVersioned| back(visit, secret, "value-rolled-back"),
        ),
    ]
}

fn of_schedule() -> [Route; 3] {
    [
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/schedule",
            forms::ScheduleForm::parse,
            |context, manager, [secret], wanted| schedule::put(context, manager, [secret], wanted),
            |visit, [secret], _: ScheduleView| back(visit, secret, "schedule-set"),
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/schedule/pause",
            forms::PauseForm::parse,
            schedule::update,
            |visit, [secret], it: ScheduleView| {
                back(visit, secret, if it.enabled { "schedule-on" } else { "schedule-off" })
            },
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/schedule/delete",
            Ok,
            |context, manager, [secret], Nothing {}| schedule::delete(context, manager, [secret]),
            |visit, [secret], _: ScheduleDeleted| back(visit, secret, "schedule-removed"),
        ),
    ]
}

fn of_rest() -> [Route; 5] {
    [
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/name",
            forms::NameForm::parse,
            |context, manager, [secret], wanted| {
                let project = project_of(context, manager, secret)?;
                secret::rename(context, manager, [&project, secret], wanted)
            },
            |visit, [secret], _: SecretNamed| back(visit, secret, "secret-renamed"),
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/note",
            forms::NoteForm::parse,
            |context, manager, [secret], wanted| {
                let project = project_of(context, manager, secret)?;
                secret::annotate(context, manager, [&project, secret], wanted)
            },
            |visit, [secret], _: SecretNoted| back(visit, secret, "note-saved"),
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/secrets/{secret}/policy",
            forms::PolicyForm::parse,
            policy::choose,
            |visit, [secret], it: Binding| {
                back(visit, secret, if it.policy_name.is_some() { "policy-bound" } else { "policy-unbound" })
            },
        ),
        shows(
            SecretsWrite,
            "GET /vaults/{vault}/secrets/{secret}/delete",
            |context, manager, [secret], Nothing {}| dossier::falling(context, manager, [secret]),
            detail::delete,
        ),
        does(
            SecretsWrite,
            "POST /vaults/{vault}/secrets/{secret}/delete",
            Ok,
            |context, manager, [secret], Nothing {}| {
                let project = project_of(context, manager, secret)?;
                secret::delete(context, manager, [&project, secret])
            },
            |visit, [_], _: SecretDeleted| Then::Go(visit.href("secrets"), "secret-trashed"),
        ),
    ]
}

#[expect(clippy::needless_pass_by_value, reason = "an answer is handed over")]
fn created(visit: &Visit, []: [&str; 0], it: SecretNamed) -> Then {
    Then::Go(visit.href(&format!("secrets/{}", it.id)), "secret-created")
}

fn back(visit: &Visit, secret: &str, said: &'static str) -> Then {
    Then::Go(visit.href(&format!("secrets/{secret}")), said)
}
