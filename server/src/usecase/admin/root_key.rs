//! Another root key.

use super::by_person;
use crate::audit::entry::Action;
use crate::crypto::master::WrappedMaster;
use crate::decision::Decision;
use crate::model::Change;
use crate::usecase::steps::Steps;

/// Stores the master key as another root key wraps it: one row, with its row of the audit.
pub fn rotate(was: &str, wrapped: WrappedMaster) -> Decision<()> {
    let mut steps = Steps::default();
    steps.audit.push(by_person(Action::RootKeyRotate, None, format!("from {was} to {}", wrapped.by)));
    steps.changes.push(Change::WrapMaster(wrapped));
    steps.decide(|_| ())
}
