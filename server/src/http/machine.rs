//! Routes that a machine signs.

mod change;
mod cli;
mod co_sign;
mod export;
mod list;
mod poll;
mod secret;
mod sync;
mod verify_access;

use sikkerkey_protocol::Call;
use sikkerkey_protocol::co_sign::{CoSignList, Consent, Settled};
use sikkerkey_protocol::enrolment::{Renew, Resign};
use sikkerkey_protocol::machine_plane::{
    AccessVerified, Changes, Export, Poll, SecretBody, SecretList, Selection, VerifyAccess,
};
use sikkerkey_protocol::sync::Sync;

use super::route::{Route, Signer, Verb};
use crate::usecase::list_secrets::{DetailedList, ProjectList};
use crate::usecase::{renew, resign};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    use Signer::Machine;
    use Verb::{Get, Post};
    vec![
        Route::new(Get, "/v1/secret/{secret}", Machine, secret::handle).answers::<SecretBody>(),
        Route::new(Get, "/v1/secrets", Machine, list::all).answers::<SecretList>(),
        Route::new(Post, "/v1/secrets/list", Machine, list::selected).may_take::<Selection>().answers::<SecretList>(),
        Route::new(Post, "/v1/secrets/export", Machine, export::handle).may_take::<Selection>().answers::<Export>(),
        Route::new(Post, "/v1/secrets/poll", Machine, poll::handle).takes::<Poll>().answers::<Changes>(),
        Route::new(Get, "/v1/cli/projects", Machine, cli::projects).answers::<ProjectList>(),
        Route::new(Get, "/v1/cli/secrets", Machine, cli::secrets).answers::<DetailedList>(),
        Route::new(Post, "/v1/verify-access", Machine, verify_access::handle)
            .takes::<VerifyAccess>()
            .answers::<AccessVerified>(),
        Route::new(Get, "/v1/cosign", Machine, co_sign::list).answers::<CoSignList>(),
        Route::new(Post, "/v1/cosign/{request}/approve", Machine, co_sign::approve)
            .takes::<Consent>()
            .answers::<Settled>(),
        Route::new(Post, "/v1/cosign/{request}/deny", Machine, co_sign::deny).takes::<Consent>().answers::<Settled>(),
        Route::new(Post, Sync::PATH, Machine, sync::handle).takes::<Sync>().answers::<<Sync as Call>::Answer>(),
        change::call::<Renew>(renew::renew),
        change::call::<Resign>(resign::resign),
    ]
}
