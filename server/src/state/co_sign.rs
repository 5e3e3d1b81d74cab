//! Approvals, and what they are found by.

use sikkerkey_protocol::id::SecretId;

use super::{State, forget_member, remove_if};
use crate::model::co_sign::CoSignRequest;
use crate::model::machine::Grantee;
use crate::model::policy::Policy;

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

    /// The requests under a policy, whatever became of them.
    pub fn co_signs_under(&self, policy: &str) -> impl Iterator<Item = &CoSignRequest> {
        let keys = self.co_signs_of_policy.get(policy);
        keys.into_iter().flatten().filter_map(|key| self.co_signs.get(key))
    }

    /// The policies under which there are requests.
    pub fn policies_with_co_signs(&self) -> impl Iterator<Item = &Policy> {
        self.co_signs_of_policy.keys().filter_map(|id| self.policies.get(id))
    }

    pub(super) fn put_co_sign(&mut self, key: String, request: CoSignRequest) {
        self.co_sign_of_request.insert(request.id.clone(), key.clone());
        self.co_signs_of_policy.entry(request.policy.clone()).or_default().insert(key.clone());
        self.co_signs.insert(key, request);
    }

    pub(super) fn remove_co_sign(&mut self, key: &str) {
        if let Some(gone) = self.co_signs.remove(key) {
            remove_if(&mut self.co_sign_of_request, &gone.id, |it| it == key);
            forget_member(&mut self.co_signs_of_policy, &gone.policy, &key.to_owned());
        }
    }
}
