//! The root of the certificates changes under running pods.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use sikkerkey_e2e::installation::NAMESPACE;
use sikkerkey_e2e::wait::wait_for;

use crate::noticed::now;
use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

/// The roots that the API server trusts the webhook by, the one that signs first.
async fn bundle(team: &Team<'_>) -> String {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(team.client.clone());
    let webhooks = configurations.get("sikkerkey").await.unwrap().webhooks.unwrap();
    String::from_utf8(webhooks[0].client_config.ca_bundle.clone().unwrap().0).unwrap()
}

#[test]
fn pods_from_before_and_after_a_change_of_root_go_on() {
    on_a_node("changed root", async |installation| {
        let team = Team::new(installation, "changed-root").await;
        team.apply(SHOP).await;
        let pod = team.run(team.pod_object("before", "exec sleep 3600")).await;
        let old = bundle(&team).await;
        installation
            .cluster
            .kubectl()
            .run(["annotate", "secret", "sikkerkey-ca", "-n", NAMESPACE, "sikkerkey.com/change-root=now"])
            .await
            .unwrap();
        wait_for("the next root to sign, and the old one to be trusted beside it", BOUND, async || {
            let bundle = bundle(&team).await;
            let is_overlap =
                bundle != old && bundle.ends_with(&old) && bundle.matches("BEGIN CERTIFICATE").count() == 2;
            if is_overlap { Ok(()) } else { Err(bundle) }
        })
        .await
        .unwrap();
        installation.renew_server_certificate(&old).await.unwrap();

        let changed = async |name: &str, before: String| {
            wait_for(&format!("another value in {name}"), BOUND, async || match team.read(name, PASSWORD).await {
                Ok(value) if value != before => Ok(value),
                other => Err(format!("{other:?}")),
            })
            .await
            .unwrap()
        };
        let first = team.read("before", PASSWORD).await.unwrap();
        team.rotate("db", now()).await;
        let second = changed("before", first).await;
        // One that was given the old root alone when it was injected, and becomes another machine now.
        let machine = team.machine_count_becomes(1).await.remove(0);
        let sidecar = rustix::process::Pid::from_raw(installation.sidecar(&pod).unwrap().pid()).unwrap();
        rustix::process::kill_process(sidecar, rustix::process::Signal::KILL).unwrap();
        wait_for("another machine", BOUND, async || {
            let machines = team.machines().await;
            if machines.len() == 1 && machines[0]["id"] != machine["id"] {
                Ok(())
            } else {
                Err(format!("{machines:?}"))
            }
        })
        .await
        .unwrap();
        team.run(team.pod_object("after", "exec sleep 3600")).await;
        assert_eq!(team.read("after", PASSWORD).await.unwrap(), second);
        team.rotate("db", now()).await;
        let third = changed("before", second).await;
        team.file_becomes("after", PASSWORD, Some(&third)).await;
    });
}
