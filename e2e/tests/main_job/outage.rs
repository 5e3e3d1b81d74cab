//! Parts that are away: what is in force stays, what waits says so, and all recovers by itself.

use sikkerkey_e2e::pod;

use crate::team::{PASSWORD, SHOP, Team, condition_of};
use crate::{BOUND, alone_on_a_node};

#[test]
fn a_killed_operator_changes_nothing_for_running_pods() {
    alone_on_a_node("killed operator", async |installation| {
        let team = Team::new(installation, "killed-operator").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let before = (team.machines().await, team.read("web", PASSWORD).await.unwrap());
        let namespace = team.namespace.clone();
        drop(team);

        installation.operator.kill().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), before.1);
        let ids = |machines: &[serde_json::Value]| machines.iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&team.machines().await), ids(&before.0));
        // A change that was made meanwhile is caught up with.
        let api = team.objects("Grant");
        api.delete("web-reads-db", &kube::api::DeleteParams::default()).await.unwrap();
        let namespace = team.namespace.clone();
        drop(team);

        installation.operator.restart().await.unwrap();
        installation.operator_ready().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.file_becomes("web", PASSWORD, None).await;
        assert_eq!(ids(&team.machines().await), ids(&before.0), "the pod kept its identity throughout");
    });
}

#[test]
fn with_the_server_away_what_is_in_force_stays_and_a_change_and_a_new_pod_wait() {
    alone_on_a_node("server away", async |installation| {
        let team = Team::new(installation, "server-away").await;
        team.apply(SHOP).await;
        team.ready("Machine", "web").await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let content = team.read("web", PASSWORD).await.unwrap();
        let namespace = team.namespace.clone();
        drop(team);

        installation.server.kill().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.apply("{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: later}, spec: {source: {generate: {}}}}").await;
        let message = team.condition("Secret", "later", "Programmed", "False", "ServerUnreachable").await;
        assert!(message.starts_with("The change waits for the server, which cannot be reached ("), "{message}");
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db")] {
            let (status, reason, _) = condition_of(&team.object(kind, name).await, "Ready").unwrap();
            assert_eq!((status.as_str(), reason.as_str()), ("True", "Ready"), "{kind} {name}");
        }
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), content, "files stay");
        // A pod that comes now waits, and says for what.
        team.create(team.pod_object("late", &format!("test -s {PASSWORD} && exec sleep 3600"))).await.unwrap();
        let told = team.event("late", "EnrolmentFailed").await;
        let described = team.kubectl(&["describe", "pod", "late"]).await;
        assert!(told.contains("server") && described.contains(&told), "{told}: {described}");
        let namespace = team.namespace.clone();
        drop(team);

        installation.server.restart().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.ready("Secret", "later").await;
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), content);
        pod::ready(&team.client, &team.namespace, "late", BOUND).await.unwrap();
        assert_eq!(team.read("late", PASSWORD).await.unwrap(), content);
        team.kubectl(&["delete", "skg", "web-reads-db"]).await;
        team.file_becomes("web", PASSWORD, None).await;
    });
}

#[test]
fn files_that_have_become_stale_go_and_come_back_with_the_server() {
    alone_on_a_node("stale files", async |installation| {
        let team = Team::new(installation, "stale").await;
        team.apply(&SHOP.replace("  delivery:\n", "  delivery:\n    maxStaleness: 30s\n")).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let content = team.read("web", PASSWORD).await.unwrap();
        let namespace = team.namespace.clone();
        drop(team);

        installation.server.kill().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), content, "not at once");
        team.file_becomes("web", PASSWORD, None).await;
        let told = team.event("web", "FilesStale").await;
        assert!(told.contains("spec.delivery.maxStaleness"), "{told}");
        let namespace = team.namespace.clone();
        drop(team);

        installation.server.restart().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.file_becomes("web", PASSWORD, Some(&content)).await;
    });
}
