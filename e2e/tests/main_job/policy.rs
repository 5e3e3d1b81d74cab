//! Access policies: what is said of them when they are applied, and a pod that starts while its window is closed.

use k8s_openapi::jiff::tz::TimeZone;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
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

#[test]
fn a_pod_that_starts_while_its_window_is_closed_waits_and_starts_when_it_opens() {
    on_a_node("a closed window", async |installation| {
        let team = Team::new(installation, "closed-window").await;
        team.apply(SHOP).await;
        let made = team.object("Machine", "web").await["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
        let today = made.parse::<k8s_openapi::jiff::Timestamp>().unwrap().to_zoned(TimeZone::UTC).weekday();
        let closed = format!("{:?}", today.wrapping_add(3)).chars().take(3).collect::<String>();
        let window = json!({"timeZone": "UTC", "timeWindow": {"days": [closed], "start": "00:00", "end": "24:00"}});
        let hours = json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "hours"},
                           "spec": window});
        team.apply(&hours.to_string()).await;
        let merge = |kind: &'static str, name: &'static str, spec: Value| {
            let (api, patch) = (team.objects(kind), json!({"spec": spec}));
            async move { api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap() }
        };
        let _: DynamicObject = merge("Secret", "db", json!({"policyRef": {"name": "hours"}})).await;
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db"), ("AccessPolicy", "hours")]
        {
            team.ready(kind, name).await;
        }
        assert_eq!(team.object("AccessPolicy", "hours").await["status"]["window"]["state"], "Closed");

        let name = team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap();
        let spec = team.pods().get(&name).await.unwrap().spec.unwrap();
        let sidecar = spec.init_containers.unwrap().remove(0);
        assert!(sidecar.startup_probe.is_some() && sidecar.lifecycle.is_none(), "{sidecar:?}");
        // It has asked and was refused for the window: nothing was restarted for it.
        wait_for("the denial to show on the policy", BOUND, async || {
            let status = team.object("AccessPolicy", "hours").await["status"].clone();
            let by_window = json!("TimeWindow");
            if status["usage"]["deniedBy"][0]["axis"] == by_window { Ok(()) } else { Err(status.to_string()) }
        })
        .await
        .unwrap();
        let restarts = async || {
            let status = team.pods().get(&name).await.unwrap().status.unwrap();
            status.init_container_statuses.unwrap().first().map(|status| status.restart_count)
        };
        assert_eq!(restarts().await, Some(0));

        merge("AccessPolicy", "hours", json!({"timeWindow": {"days": null}})).await;
        pod::ready(&team.client, &team.namespace, &name, BOUND).await.unwrap();
        assert_eq!(team.read(&name, PASSWORD).await.unwrap().len(), 40);
        assert_eq!(restarts().await, Some(0));
    });
}
