//! A grant that is revoked is over at once.

use kube::api::DeleteParams;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

#[test]
fn a_revoked_grant_is_refused_on_the_next_request_and_the_file_goes() {
    on_a_node("revocation", async |installation| {
        let team = Team::new(installation, "revocation").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let host = crate::host::host(&team, "auditor", &["db"]).await;
        host.value("db").await;

        let grants = team.objects("Grant");
        grants.delete("auditor-reads", &DeleteParams::default()).await.unwrap();
        // The object vanishing means that the access is gone: from then on no request succeeds.
        wait_for("the Grant to be gone", BOUND, async || match grants.get_opt("auditor-reads").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
        let answer = host.client.get(&host.target("db")).await.unwrap();
        assert!(matches!(answer.status, 403 | 404), "{answer:?}");

        team.kubectl(&["delete", "skg", "web-reads-db"]).await;
        team.file_becomes("web", PASSWORD, None).await;
        let told = team.event("web", "FilesRemoved").await;
        let said = "file db/password was removed: file db/password waits for Secret revocation/db: NotGranted";
        assert!(told.starts_with(said), "{told}");
        let rows = team.installation.audit(1000).await.unwrap();
        let denied =
            rows.iter().any(|row| row["action"] == "secret_read_denied" && row.to_string().contains("revocation/web"));
        assert!(denied, "{rows:#?}");
        let verified = team.installation.admin(&["verify-audit"]).await.unwrap();
        assert!(!verified.is_empty());
    });
}

#[test]
fn a_request_sent_twice_is_answered_once() {
    on_a_node("replay", async |installation| {
        let team = Team::new(installation, "replay").await;
        team.apply(SHOP).await;
        let host = crate::host::host(&team, "auditor", &["db"]).await;
        let target = host.target("db");
        let headers = host.client.sign("GET", &target, b"").unwrap();
        assert_eq!(host.client.send(&target, &headers).await.unwrap().status, 200);
        let again = host.client.send(&target, &headers).await.unwrap();
        assert_eq!(again.status, 401, "{again:?}");
    });
}
