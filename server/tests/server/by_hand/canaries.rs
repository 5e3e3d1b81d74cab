//! Canaries: planted, sprung, switched off.

use sikkerkey_protocol::management::Scope;

use super::*;

#[tokio::test]
async fn a_canary_is_planted_sprung_switched_off_and_its_project_thawed() {
    let server = server().await;
    let plain = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let (status, planted) =
        post(&server, "/v1/ai/canaries", json!({"projectId": "proj_ci", "name": "ROOT_PASSWORD"})).await;
    let id = planted["id"].as_str().unwrap().to_owned();
    let mut view = json!({
        "id": id, "projectId": "proj_ci", "name": "ROOT_PASSWORD", "enabled": true, "triggerFreezeProject": true,
        "triggerFreezeRelatedProjects": false, "fireCount": 0, "lastTrip": null, "projectFrozen": false,
    });
    assert_eq!((status, &planted), (200, &view));
    let (secret, canary) = (format!("{SECRETS}/{id}"), format!("/v1/ai/canaries/{id}"));
    assert_eq!(get(&server, &secret).await.1["type"], "canary");
    grant_to_host(&server, &id).await;
    assert_eq!(act(&server, &format!("{canary}/disable")).await.1["enabled"], false);
    let bait = read(&server, &id).await;
    assert_eq!(bait.len(), 64);
    assert_eq!(get(&server, &canary).await.1["fireCount"], 0, "it is off");
    assert_eq!(act(&server, &format!("{canary}/enable")).await, (200, view.clone()));
    assert_eq!(read(&server, &id).await, bait);
    (view["fireCount"], view["projectFrozen"]) = (json!(1), json!(true));
    view["lastTrip"] = json!({"at": START, "machineId": host().id, "sourceIp": POD_ADDRESS});
    assert_eq!(get(&server, &canary).await, (200, view.clone()));
    assert_eq!(get(&server, "/v1/ai/projects/proj_ci/canaries").await, (200, json!({"canaries": [view]})));
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{plain}")).await.status, 423);

    let what = "is a canary, whose value stays as it is";
    for (route, body) in [("update", json!({"value": "x"})), ("rotate", json!({})), ("rollback", json!({"version": 1}))]
    {
        let (status, refused) = post(&server, &format!("{secret}/{route}"), body).await;
        assert!(status == 409 && refused["error"].as_str().unwrap().contains(what), "{route}: {refused}");
    }
    let (status, _) = post(&server, "/v1/ai/dynamic-secrets", json!({"secretId": id, "intervalSeconds": 300})).await;
    assert_eq!(status, 409);

    let unfreeze = "/v1/ai/projects/proj_ci/unfreeze";
    assert_eq!(act(&server, unfreeze).await, (200, json!({"id": "proj_ci", "frozen": false})));
    let row = server.last_audit().await;
    assert_eq!(
        (row.action, row.action.severity()),
        (Action::ProjectUnfreeze, sikkerkey_server::audit::entry::Severity::Critical)
    );
    assert_eq!(act(&server, unfreeze).await.0, 200, "once more changes nothing");
    assert_eq!(read(&server, &plain).await, "hunter");
    let related = json!({"triggerFreezeProject": false, "triggerFreezeRelatedProjects": true});
    assert_eq!(post(&server, &format!("{canary}/config"), related).await.1["triggerFreezeRelatedProjects"], true);
    assert_eq!(read(&server, &id).await, bait, "it is armed still");
    assert_eq!(get(&server, &canary).await.1["fireCount"], 2);
    // The host is a member of project shop as well.
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 423);
    assert_eq!(read(&server, &plain).await, "hunter");

    // Whoever may not set canaries up takes none away.
    let scopes = Some([Scope::SecretsWrite, Scope::TrashWrite].into());
    server.put(Entity::Agent(Agent { scopes, ..assistant() })).await;
    let (status, refused) = act(&server, &format!("{secret}/delete")).await;
    assert!(status == 403 && refused["error"].as_str().unwrap().contains("projects.policies.write"), "{refused}");
    server.put(Entity::Agent(assistant())).await;
    assert_eq!(act(&server, &format!("{secret}/delete")).await.0, 200);
    assert_eq!(get(&server, "/v1/ai/projects/proj_ci/canaries").await.1, json!({"canaries": []}));
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/restore")).await.0, 200);
    assert_eq!(get(&server, &canary).await.1["enabled"], true, "it comes back armed");
}
