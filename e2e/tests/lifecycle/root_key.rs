//! The root key's Secret is lost, comes back, and is another one.

use serde_json::Value;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::site::{NAMESPACE, Site};
use crate::team::{self, Team};

const POD: &str = "sikkerkey-server-0";
const LATER: &str =
    "{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: later}, spec: {source: {generate: {}}}}";

pub(crate) async fn is_lost(site: &Site, team: &Team) {
    let before = team::restarts(site).await;
    site.ask(&["delete", "secret", "sikkerkey-root-key", "-n", NAMESPACE]).await;
    site.ask(&["delete", "pod", POD, "-n", NAMESPACE]).await;

    // The server's log, its answer to whoever watches it, and the status of an object that waits.
    log_says(site, "sealed: nothing is answered until the root key is there").await;
    log_says(site, "the root key file /etc/sikkerkey/root-key/root.key is not there").await;
    let (status, text) = team.reader.readiness().await;
    assert_eq!(status, 503);
    assert!(
        text.contains("the server is sealed: the root key file /etc/sikkerkey/root-key/root.key is not there"),
        "{text}"
    );
    wait_for("the pod to run and not to be ready", BOUND, async || {
        let pod = site.get(&["pod", POD]).await;
        let container = &pod["status"]["containerStatuses"][0];
        let waits =
            container["ready"] == false && container["restartCount"] == 0 && container["state"]["running"].is_object();
        if waits { Ok(()) } else { Err(container.to_string()) }
    })
    .await
    .unwrap();
    apply_later(site).await;
    let message = programmed(site, "False", "ServerSealed").await;
    assert!(message.contains("root key"), "it says what to do: {message}");
    team.noticed_nothing(site, &before).await;

    restore(site).await;
    // The kubelet looks by itself within about a minute, and at once when something of the pod is changed.
    site.ask(&["annotate", "pod", POD, "-n", NAMESPACE, "example.com/look=now"]).await;
    goes_on(site, team).await;
    site.told("the root key was lost: server and operator said so, pods kept their files; restored, all went on");

    // A value that leads to no Secret: the pod is never ready, and is replaced all the same.
    let misled =
        "helm upgrade sikkerkey charts/sikkerkey --reuse-values --set server.rootKey.existingSecret.name=absent";
    site.shell(&format!("{misled} -n {NAMESPACE}")).await;
    log_says(site, "sealed: nothing is answered until the root key is there").await;
    site.shell(&format!("helm rollback sikkerkey -n {NAMESPACE} --wait --timeout 2m")).await;
    goes_on(site, team).await;
    site.told("a release whose server is sealed was taken back with helm rollback");

    // Another key than the data is encrypted with.
    site.ask(&["delete", "secret", "sikkerkey-root-key", "-n", NAMESPACE]).await;
    let other = format!(
        "kubectl create secret generic sikkerkey-root-key -n {NAMESPACE} --from-literal=root.key={}",
        "ab".repeat(32)
    );
    site.shell(&other).await;
    site.ask(&["delete", "pod", POD, "-n", NAMESPACE]).await;
    wait_for("the pod to say why it ended", BOUND, async || {
        let described = site.ask(&["describe", "pod", POD, "-n", NAMESPACE]).await;
        if described.contains("this root key is not the one the data was sealed with") {
            Ok(())
        } else {
            Err(described)
        }
    })
    .await
    .unwrap();
    team.noticed_nothing(site, &before).await;
    site.ask(&["delete", "secret", "sikkerkey-root-key", "-n", NAMESPACE]).await;
    restore(site).await;
    site.ask(&["delete", "pod", POD, "-n", NAMESPACE]).await;
    goes_on(site, team).await;
    team.noticed_nothing(site, &before).await;
    site.told("a wrong root key: the server refused to serve and said so; with the right one all went on");
}

/// From the copy that the README has a person keep.
async fn restore(site: &Site) {
    let copy = site.root_key();
    let file = format!("--from-file=root.key={}", copy.display());
    site.ask(&["create", "secret", "generic", "sikkerkey-root-key", "-n", NAMESPACE, &file]).await;
}

async fn goes_on(site: &Site, team: &Team) {
    site.is_up().await;
    team.reader.reads().await;
    programmed(site, "True", "Programmed").await;
    team.new_pod(site, "after-root-key").await;
    let gone = ["delete", "pod", "after-root-key", "-n", team::NAMESPACE, "--ignore-not-found"];
    site.ask(&gone).await;
}

async fn log_says(site: &Site, text: &str) {
    wait_for(&format!("the server's log to say {text:?}"), BOUND, async || {
        let log = site.kubectl().run(["logs", "-n", NAMESPACE, POD]).await.map_err(|error| error.to_string())?;
        if log.contains(text) { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
}

async fn apply_later(site: &Site) {
    let args = ["apply", "-n", team::NAMESPACE, "-f", "-"];
    site.kubectl().run_with_input(args, &format!("# YAML\n{LATER}")).await.unwrap();
}

/// Waits until that Secret's condition has this status and reason; its message.
async fn programmed(site: &Site, status: &str, reason: &str) -> String {
    wait_for(&format!("Secret later to be Programmed={status}/{reason}"), BOUND, async || {
        let object = site.ask(&["get", "sks", "later", "-n", team::NAMESPACE, "-o", "json"]).await;
        let object: Value = serde_json::from_str(&object).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found =
            conditions.iter().find(|it| it["type"] == "Programmed" && it["status"] == status && it["reason"] == reason);
        found.map(|it| it["message"].to_string()).ok_or_else(|| object["status"].to_string())
    })
    .await
    .unwrap()
}
