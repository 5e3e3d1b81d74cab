//! Why a machine may read a secret or not. A signed route takes no query, so what is asked stands in the path.

use sikkerkey_protocol::management::Scope;

use super::{Route, plain};
use crate::usecase::management::explain;

pub(super) fn routes() -> [Route; 2] {
    [
        plain(Scope::PoliciesRead, "GET /v1/ai/explain/{machine}/{secret}", explain::explain),
        plain(Scope::PoliciesRead, "GET /v1/ai/explain/{machine}/{secret}/{address}", explain::explain_from),
    ]
}
