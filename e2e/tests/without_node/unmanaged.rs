//! Namespaces that the operator does not manage.

use serde_json::Value;
use sikkerkey_e2e::installation::UNMANAGED_LABEL;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team, condition_of};
use crate::{BOUND, without_a_node};

const LATER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: later}
spec: {source: {generate: {}}}
";

/// How many rows of the audit are of this action and speak of this object.
async fn rows(team: &Team<'_>, action: &str, object: &str) -> usize {
    let rows = team.installation.audit(1000).await.unwrap();
    rows.iter().filter(|row| row["action"] == action && row.to_string().contains(object)).count()
}

async fn label(team: &Team<'_>, label: &str) {
    team.installation.cluster.kubectl().run(["label", "namespace", &team.namespace, label]).await.unwrap();
}

#[test]
fn a_namespace_that_loses_its_operator_has_nothing_in_force_until_it_has_it_again() {
    without_a_node("a namespace that is not managed", async |installation| {
        let team = Team::new(installation, "left-alone").await;
        team.apply(SHOP).await;
        for (kind, name) in [("Machine", "web"), ("Secret", "db"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        // More than the sweep removes without a person's word: here somebody has spoken.
        let more = (0..30).map(|n| LATER.replace("later", &format!("more-{n}"))).collect::<Vec<_>>().join("---");
        team.apply(&more).await;
        team.ready("Secret", "more-29").await;
        let had = team.object("Secret", "db").await["status"].clone();

        label(&team, &format!("{UNMANAGED_LABEL}=")).await;
        let message = "The operator does not manage namespace left-alone: see namespaceSelector in the chart.";
        for (kind, name) in [("Machine", "web"), ("Secret", "db"), ("Grant", "web-reads-db")] {
            let said = team.condition(kind, name, "Ready", "False", "NamespaceNotManaged").await;
            assert_eq!(said, message);
            let object = team.object(kind, name).await;
            assert_eq!(condition_of(&object, "Accepted").unwrap().0, "False");
            assert_eq!(condition_of(&object, "Stalled").unwrap().0, "True");
        }
        for (action, object) in [("fleet_delete", "left-alone/web"), ("grant_delete", "left-alone/web-reads-db")] {
            wait_for(&format!("{action} of {object}"), BOUND, async || match rows(&team, action, object).await {
                0 => Err("it is in force".to_owned()),
                _ => Ok(()),
            })
            .await
            .unwrap();
        }
        // Neither webhook is asked: what holds without them refuses the pod.
        let refused = team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap_err();
        assert!(refused.contains("sikkerkey-pods") && !refused.contains("admission webhook"), "{refused}");

        // An object that comes is told so, and nothing holds it.
        team.apply(LATER).await;
        team.condition("Secret", "later", "Ready", "False", "NamespaceNotManaged").await;
        let later = team.object("Secret", "later").await;
        assert_eq!((&later["metadata"]["finalizers"], &later["status"]["secretID"]), (&Value::Null, &Value::Null));
        team.kubectl(&["delete", "sks", "later", "--timeout=30s"]).await;
        // One that was in force goes as well, and at once.
        team.kubectl(&["delete", "skg", "web-reads-db", "--timeout=30s"]).await;

        label(&team, &format!("{UNMANAGED_LABEL}-")).await;
        team.apply(SHOP).await;
        for (kind, name) in [("Machine", "web"), ("Secret", "db"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        let has = team.object("Secret", "db").await["status"].clone();
        for field in ["secretID", "version", "versionTime"] {
            assert_eq!(has[field], had[field], "{field}: its value was kept");
        }
        assert_eq!(rows(&team, "secret_create", "left-alone/later").await, 0);
        team.run(team.pod_object("web", "test -s /run/secrets/sikkerkey/db/password && exec sleep 3600")).await;
    });
}
