//! Webhooks.

use sikkerkey_protocol::management::Scope;

use super::lists::bounded;
use super::{Route, acting, filled, nothing, plain};
use crate::usecase::management::webhook;

pub(super) fn routes() -> [Route; 7] {
    [
        plain(Scope::AlertsRead, "GET /v1/ai/webhooks", webhook::list),
        filled(Scope::AlertsWrite, "POST /v1/ai/webhooks", bounded, webhook::create),
        plain(Scope::AlertsRead, "GET /v1/ai/webhooks/{webhook}", webhook::get),
        filled(Scope::AlertsWrite, "POST /v1/ai/webhooks/{webhook}/update", bounded, webhook::update),
        plain(Scope::AlertsWrite, "POST /v1/ai/webhooks/{webhook}/delete", webhook::delete),
        plain(Scope::AlertsWrite, "POST /v1/ai/webhooks/{webhook}/rotate-secret", webhook::rotate_secret),
        acting(
            Scope::AlertsWrite,
            "POST /v1/ai/webhooks/{webhook}/test",
            nothing,
            |context, manager, ids, ()| webhook::test(context, manager, ids),
            webhook::send,
        )
        .takes_nothing(),
    ]
}
