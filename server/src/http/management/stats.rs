//! Counts of a vault.

use sikkerkey_protocol::management::{ReadsOverTimeQuery, Scope};

use super::audit::or_nothing;
use super::{Route, acting, nothing, plain};
use crate::usecase::management::stats;

pub(super) fn routes() -> [Route; 3] {
    [
        acting(
            Scope::AuditRead,
            "GET /v1/ai/stats",
            nothing,
            |context, manager, ids, ()| stats::stats(context, manager, ids),
            stats::with_reads,
        )
        .takes_nothing(),
        acting(
            Scope::AuditRead,
            "POST /v1/ai/stats/reads-over-time",
            or_nothing,
            stats::reads_over_time,
            stats::count_reads,
        )
        .may_take::<ReadsOverTimeQuery>(),
        plain(Scope::AuditRead, "GET /v1/ai/usage", stats::usage),
    ]
}
