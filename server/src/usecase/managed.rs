//! What a Kubernetes object stands for is changed by that object.

use crate::model::managed::Managed;
use crate::refusal::{Refusal, RefusalKind};

/// Refuses other writers than the object's operator. `kind` is the object's.
pub(crate) fn refuse_managed(kind: &str, managed: Option<&Managed>) -> Result<(), Refusal> {
    match managed {
        None => Ok(()),
        Some(it) => Err(Refusal::new(
            RefusalKind::Conflict,
            format!("{kind} {} of cluster {} stands for it: edit or delete that object", it.object.key, it.cluster),
        )),
    }
}
