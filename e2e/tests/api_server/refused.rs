//! What the API server refuses by itself: by the schemas with their rules, and by the admission policies.

use sikkerkey_e2e::wait::wait_for;

use crate::refused_objects::{By, refusal, refused_objects};
use crate::{BOUND, with_kinds};

#[tokio::test]
async fn every_invalid_object_is_refused_for_its_reason() {
    let cluster = with_kinds().await;
    let client = cluster.admin().unwrap();
    for case in refused_objects() {
        let (expected, by_policy) = match case.by {
            By::Schema => (&case.expect, false),
            By::Fields => (case.policy.as_ref().unwrap_or(&case.expect), !case.is_known_to_schema()),
        };
        // The API server puts a policy into force some moments after it stored it.
        wait_for(&format!("a refusal of {case:?}"), BOUND, async || {
            let said = refusal(&client, &case).await;
            let is_right = said.contains(expected) && said.contains("ValidatingAdmissionPolicy") == by_policy;
            // Only what was accepted may still be refused.
            assert!(is_right || by_policy && said == "accepted", "{case:?}: {said}");
            if is_right { Ok(()) } else { Err(said) }
        })
        .await
        .unwrap();
    }
    cluster.stop().await;
}
