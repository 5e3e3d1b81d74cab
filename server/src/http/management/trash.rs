//! The trash.

use sikkerkey_protocol::management::Scope::{TrashRead, TrashWrite};

use super::{Route, plain};
use crate::usecase::management::trash;

pub(super) fn routes() -> [Route; 3] {
    [
        plain(TrashRead, "GET /v1/ai/trash", trash::list),
        plain(TrashWrite, "POST /v1/ai/trash/{trashed}/restore", trash::restore),
        plain(TrashWrite, "POST /v1/ai/trash/{trashed}/purge", trash::purge),
    ]
}
