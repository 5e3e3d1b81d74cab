//! Approvals, and what they are found by.

use sikkerkey_protocol::id::SecretId;

use super::{State, remove_if};
use crate::model::co_sign::CoSignRequest;
use crate::model::machine::Grantee;

impl State {
    /// What was asked last for this reader and secret, whatever became of it.
    pub fn co_sign(&self, secret: &SecretId, reader: &Grantee) -> Option<&CoSignRequest> {
        // Most servers have none, and this is looked at by every read of a policy with a co-signer.
        if self.co_signs.is_empty() {
            return None;
        }
        self.co_signs.get(&CoSignRequest::key(secret, reader))
    }

    /// The request of that id.
    pub fn co_sign_request(&self, id: &str) -> Option<&CoSignRequest> {
        self.co_signs.get(self.co_sign_of_request.get(id)?)
    }

    pub(super) fn put_co_sign(&mut self, key: String, request: CoSignRequest) {
        self.co_sign_of_request.insert(request.id.clone(), key.clone());
        self.co_signs.insert(key, request);
    }

    pub(super) fn remove_co_sign(&mut self, key: &str) {
        if let Some(gone) = self.co_signs.remove(key) {
            remove_if(&mut self.co_sign_of_request, &gone.id, |it| it == key);
        }
    }
}
