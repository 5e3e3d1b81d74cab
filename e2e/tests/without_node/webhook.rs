//! What the webhook refuses by itself, where a cluster has no admission policies of ours.

use sikkerkey_e2e::wait::wait_for;

use crate::refused_objects::{By, refusal, refused_objects};
use crate::{BOUND, alone};

#[test]
fn keys_that_are_no_fields_are_refused_by_the_webhook_without_the_admission_policies() {
    // The policies are those of the whole cluster.
    alone("the webhook's refusals", async |installation| {
        let cluster = &installation.cluster;
        let client = cluster.admin().unwrap();
        cluster.kubectl().run(["delete", "validatingadmissionpolicybindings", "--all"]).await.unwrap();
        let cases = refused_objects().into_iter().filter(|case| case.by == By::Fields && !case.is_known_to_schema());
        for case in cases {
            // The API server forgets a policy some moments after it was taken out of force.
            wait_for(&format!("the webhook's refusal of {case:?}"), BOUND, async || {
                let said = refusal(&client, &case).await;
                let is_right = said.contains("admission webhook") && said.contains(&case.expect);
                assert!(is_right || said.contains("ValidatingAdmissionPolicy"), "{case:?}: {said}");
                if is_right { Ok(()) } else { Err(said) }
            })
            .await
            .unwrap();
        }
    });
}
