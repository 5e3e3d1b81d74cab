//! From where the vault's machines may come.

use sikkerkey_protocol::management::Scope::{AllowlistRead, AllowlistWrite};

use super::lists::bounded;
use super::{Route, filled, plain};
use crate::http::agent::parse;
use crate::usecase::management::allowlist;

pub(super) fn routes() -> [Route; 9] {
    [
        plain(AllowlistRead, "GET /v1/ai/ipallowlist", allowlist::list),
        filled(AllowlistWrite, "POST /v1/ai/ipallowlist", parse, allowlist::add),
        plain(AllowlistWrite, "POST /v1/ai/ipallowlist/on", allowlist::switch_on),
        plain(AllowlistWrite, "POST /v1/ai/ipallowlist/off", allowlist::switch_off),
        filled(AllowlistWrite, "POST /v1/ai/ipallowlist/bulk-delete", bounded, allowlist::delete_many),
        filled(AllowlistWrite, "POST /v1/ai/ipallowlist/{entry}/update", parse, allowlist::update),
        plain(AllowlistWrite, "POST /v1/ai/ipallowlist/{entry}/delete", allowlist::delete),
        plain(AllowlistWrite, "POST /v1/ai/ipallowlist/{entry}/enable", allowlist::enable),
        plain(AllowlistWrite, "POST /v1/ai/ipallowlist/{entry}/disable", allowlist::disable),
    ]
}
