//! What is said of access policies when they are applied.

use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team};
use crate::{BOUND, on_a_node};

fn policy(spec: &str) -> String {
    format!("{{apiVersion: sikkerkey.com/v1alpha1, kind: AccessPolicy, metadata: {{name: p}}, spec: {spec}}}")
}

#[test]
fn a_policy_is_refused_or_warned_of_in_these_words() {
    on_a_node("policies at admission", async |installation| {
        let team = Team::new(installation, "policy-admission").await;
        team.apply(SHOP).await;
        team.ready("Grant", "web-reads-db").await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: pin}, \
             spec: {source: {external: {}}, policyRef: {name: p}}}",
        )
        .await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Grant, metadata: {name: web-reads-pin}, \
             spec: {machineRef: {name: web}, secretRefs: [{name: pin}]}}",
        )
        .await;
        for (spec, expected) in [
            (
                "{timeZone: Europe/Olso, timeWindow: {start: '06:00', end: '20:00'}}",
                "spec.timeZone: Europe/Olso is not a time zone of the IANA database: did you mean Europe/Oslo?",
            ),
            (
                "{ipAllowlist: {cidrs: ['fd00::/8', 'FD00:0::/8']}}",
                "spec.ipAllowlist.cidrs[1]: FD00:0::/8 is the same range as cidrs[0]: remove one",
            ),
        ] {
            let said = team.try_apply(&policy(spec)).await.unwrap_err();
            assert!(said.contains(expected), "{spec}: {said}");
        }
        for (spec, expected) in [
            (
                "{ttl: {expiresAt: '2020-01-01T00:00:00Z'}}",
                "Warning: spec.ttl.expiresAt 2020-01-01T00:00:00Z is past: every read of the bound Secrets is denied.",
            ),
            (
                "{ipAllowlist: {cidrs: ['0.0.0.0/0']}}",
                "Warning: spec.ipAllowlist.cidrs[0]: 0.0.0.0/0 lets everybody in who comes by IPv4.",
            ),
            (
                "{coSign: {machineRef: {name: boss}, window: 1h}}",
                "Warning: spec.coSign.machineRef: Machine boss does not exist in namespace policy-admission (yet): reads that \
                 need its approval are denied until it does.",
            ),
            (
                "{coSign: {machineRef: {name: web}, window: 1h}}",
                "Warning: spec.coSign.machineRef: Machine web co-signs for AccessPolicy p and is itself granted Secret pin: \
                 nobody approves their own reads, so it cannot read that.",
            ),
            (
                "{rotateAfterReads: 20}",
                "Warning: spec.rotateAfterReads: The server makes no new value of Secret pin (external): after 20 reads under \
                 AccessPolicy p it becomes due (RotationDue), and somebody has to set it.",
            ),
        ] {
            // The cache of the replica that answers may be a moment behind.
            wait_for(&format!("a warning of {spec}"), BOUND, async || {
                let kubectl = team.installation.cluster.kubectl();
                let args = ["apply", "-n", &team.namespace, "--dry-run=server", "--warnings-as-errors", "-f", "-"];
                match kubectl.run_with_input(args, &format!("# YAML\n{}", policy(spec))).await {
                    Err(said) if said.to_string().contains(expected) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await
            .unwrap();
        }
    });
}
