//! What was deleted, and what is gone for good.

use sikkerkey_server::decision::Context;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Change, EntityKey, EntityKind};
use sikkerkey_server::usecase::admin::canary;

use super::*;

#[tokio::test]
async fn a_purge_leaves_no_row_with_the_id_of_the_secret() {
    let server = server().await;
    let (id, other) = (
        made(&server, json!({"name": "gone", "value": "hunter"})).await,
        made(&server, json!({"name": "stays", "value": "hunter"})).await,
    );
    let both = grant(90, Grantee::Machine(host().id), &[&id, &other]);
    server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..both })).await;
    for _ in 0..3 {
        assert_eq!(act(&server, &format!("{SECRETS}/{id}/rotate")).await.0, 200);
        read(&server, &id).await;
    }
    let schedule = json!({"secretId": id, "intervalSeconds": 300});
    assert_eq!(post(&server, "/v1/ai/dynamic-secrets", schedule).await.0, 200);
    let policy = json!({"name": "cap", "rateCapEnabled": true, "maxReadsPerMinute": 50});
    let (_, policy) = post(&server, "/v1/ai/projects/proj_ci/policies", policy).await;
    let binding = format!("/v1/ai/secrets/{id}/binding");
    assert_eq!(post(&server, &binding, json!({"policyId": policy["id"]})).await.0, 200);
    let armed = id.parse().unwrap();
    let request = ChangeRequest {
        spend: None,
        actor: Actor::Administrator,
        source_ip: None,
        what: "canary arm",
        decide: Box::new(move |context: &Context<'_>| canary::arm(context, &armed, false, false)),
    };
    server.engine.app.writer.change(request).await.unwrap();
    read(&server, &id).await;
    let rows = async |server: &Server, id: &str| {
        let mut found = Vec::new();
        for (table, columns) in [
            ("entity", "id || doc"),
            ("version", "secret"),
            ("tally", "secret || doc"),
            ("delivered", "secret"),
            ("nonce", "signer || nonce"),
            ("last_seen", "machine"),
            ("meta", "name || value"),
        ] {
            let sql = format!("select '{table}' from {table} where {columns} like '%{id}%'");
            found.extend(server.database().query(&sql).await);
        }
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(rows(&server, &id).await, ["delivered", "entity", "tally", "version"]);
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/purge")).await.0, 200);
    assert_eq!(rows(&server, &id).await, [""; 0]);
    assert_eq!(rows(&server, &other).await, ["entity", "version"], "another secret of the same grant stays");
    assert_eq!(read(&server, &other).await, "hunter");
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{id}")).await.status, 404);
    let server = server.restart().await.unwrap();
    assert_eq!(read(&server, &other).await, "hunter");
}

#[tokio::test]
async fn the_trash_gives_back_what_still_stands_and_empties_itself_after_30_days() {
    let server = server().await;
    let id = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let policy = json!({"name": "office", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"]});
    let (_, policy) = post(&server, "/v1/ai/projects/proj_ci/policies", policy).await;
    let (policy, binding) = (policy["id"].as_str().unwrap().to_owned(), format!("/v1/ai/secrets/{id}/binding"));
    assert_eq!(post(&server, &binding, json!({"policyId": policy})).await.0, 200);
    assert_eq!(read(&server, &id).await, "hunter");
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    assert_eq!(polled(&server, &id).await.as_deref(), Some("deleted"));
    // Its name is taken meanwhile.
    let taken = made(&server, json!({"name": "db", "value": "hunter5"})).await;
    let text = format!("project ci has another secret db meanwhile, {taken}: rename or delete that one first");
    let restore = format!("/v1/ai/trash/{id}/restore");
    assert_eq!(act(&server, &restore).await, (409, json!({"error": text})));
    assert_eq!(post(&server, &format!("{SECRETS}/{taken}/name"), json!({"name": "db2"})).await.0, 200);
    // And the policy that guarded it is removed.
    assert_eq!(act(&server, &format!("/v1/ai/projects/proj_ci/policies/{policy}/delete")).await.0, 200);
    let (status, restored) = act(&server, &restore).await;
    assert_eq!((status, &restored["policy"], &restored["policyInForce"]), (200, &json!("office"), &json!(false)));
    let locked = server.get(&Client::host(), &format!("/v1/secret/{id}")).await;
    assert_eq!(locked.status, 403, "{}", locked.text());
    assert_eq!(act(&server, &format!("{binding}/delete")).await.0, 200);
    assert_eq!(read(&server, &id).await, "hunter");
    // A grant that is gone meanwhile does not come back.
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    let of_it: Vec<_> = {
        let world = server.engine.app.live.read();
        let ours = world.state.grants.values().filter(|it| it.secrets.iter().any(|it| it.as_str() == id));
        ours.map(|it| it.id.clone()).collect()
    };
    for grant in of_it {
        server.remove(EntityKind::Grant, &grant).await;
    }
    assert_eq!(act(&server, &restore).await.0, 200);
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{id}")).await.status, 403);

    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    server.clock.advance_seconds(30 * DAY - 1);
    keep_house(&server).await;
    assert_eq!(get(&server, "/v1/ai/trash").await.1["secrets"].as_array().unwrap().len(), 1);
    server.clock.advance_seconds(1);
    keep_house(&server).await;
    assert_eq!(get(&server, "/v1/ai/trash").await.1["secrets"], json!([]));
    let sql = format!("select secret from version where secret = '{id}'");
    assert_eq!(server.database().query(&sql).await, [""; 0]);
}

#[tokio::test]
async fn a_secret_that_is_made_and_removed_in_one_group_leaves_nothing() {
    let server = server().await;
    let brief = Secret { managed: None, ..secret("brief", "ci") };
    let mut changes = server.version(&brief, "hunter");
    changes.push(Change::Remove(EntityKey { kind: EntityKind::Secret, id: brief.id.to_string() }));
    server.apply(changes).await.unwrap();
    assert_eq!(server.database().query("select secret from version where secret = 'sk_brief'").await, [""; 0]);
    // A version without its secret would be one that somebody put there.
    let server = server.restart().await.unwrap();
    assert!(!server.engine.app.live.read().state.secrets.contains_key(&brief.id));
}
