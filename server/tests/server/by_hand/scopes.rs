//! Who may ask for what.

use sikkerkey_protocol::management::Scope;
use sikkerkey_server::model::account::Vault;

use super::*;

/// Every route, with a body that it would take.
fn routes(
    project: &str,
    secret: &str,
    canary: &str,
    trashed: &str,
) -> Vec<(&'static str, String, Option<Value>, Scope)> {
    use Scope::*;
    let secrets = format!("/v1/ai/projects/{project}/secrets");
    let dynamic = "/v1/ai/dynamic-secrets";
    vec![
        ("GET", secrets.clone(), None, SecretsRead),
        ("POST", secrets.clone(), Some(json!({"name": "n", "value": "hunter"})), SecretsWrite),
        ("GET", format!("{secrets}/{secret}"), None, SecretsRead),
        ("GET", format!("{secrets}/{secret}/versions"), None, SecretsRead),
        ("POST", format!("{secrets}/{secret}/update"), Some(json!({"value": "hunter"})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/rotate"), None, SecretsWrite),
        ("POST", format!("{secrets}/{secret}/rollback"), Some(json!({"version": 1})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/name"), Some(json!({"name": "m"})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/note"), Some(json!({"note": "m"})), SecretsWrite),
        ("POST", dynamic.into(), Some(json!({"secretId": secret, "intervalSeconds": 300})), SecretsWrite),
        (
            "POST",
            dynamic.into(),
            Some(json!({"projectId": project, "name": "k", "intervalSeconds": 300})),
            SecretsWrite,
        ),
        ("GET", format!("{dynamic}/{secret}"), None, SecretsRead),
        ("POST", format!("{dynamic}/{secret}/update"), Some(json!({"enabled": false})), SecretsWrite),
        ("POST", format!("{dynamic}/{secret}/delete"), None, SecretsWrite),
        ("POST", format!("{secrets}/{secret}/delete"), None, SecretsWrite),
        ("GET", format!("/v1/ai/projects/{project}/canaries"), None, PoliciesRead),
        ("POST", "/v1/ai/canaries".into(), Some(json!({"projectId": project, "name": "c"})), PoliciesWrite),
        ("GET", format!("/v1/ai/canaries/{canary}"), None, PoliciesRead),
        ("POST", format!("/v1/ai/canaries/{canary}/config"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/canaries/{canary}/disable"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/canaries/{canary}/enable"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/projects/{project}/unfreeze"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/trash/{trashed}/restore"), None, TrashWrite),
        ("POST", format!("/v1/ai/trash/{trashed}/purge"), None, TrashWrite),
    ]
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_knows_nothing_outside_of_the_vault_and_the_list_of_projects() {
    let server = server().await;
    let secret = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let trashed = made(&server, json!({"name": "old", "value": "hunter"})).await;
    assert_eq!(act(&server, &format!("{SECRETS}/{trashed}/delete")).await.0, 200);
    let canary = post(&server, "/v1/ai/canaries", json!({"projectId": "proj_ci", "name": "trap"})).await.1;
    let canary = canary["id"].as_str().unwrap();
    let all = routes("proj_ci", &secret, canary, &trashed);
    let before = server.engine.app.live.read().state.secrets.len();

    for (method, path, body, scope) in &all {
        let others = Scope::ALL.iter().copied().filter(|it| it != scope).collect();
        server.put(Entity::Agent(Agent { scopes: Some(others), ..assistant() })).await;
        let refused = ask(&server, method, path, body.clone()).await;
        let text = format!("this needs the scope {scope}: a person gives it with sikkerkey-server admin agent");
        assert_eq!(refused, (403, json!({"error": text})), "{method} {path}");
    }
    let vault = "vault_w".parse().unwrap();
    server.put(Entity::Vault(Vault { id: vault, account: "account".into(), name: "others".into() })).await;
    let elsewhere = [
        Agent { vault: "vault_w".parse().unwrap(), ..assistant() },
        Agent { projects: Some(["proj_shop".parse().unwrap()].into()), ..assistant() },
    ];
    for agent in elsewhere {
        server.put(Entity::Agent(agent)).await;
        for (method, path, body, _) in &all {
            let (status, refused) = ask(&server, method, path, body.clone()).await;
            let text = refused["error"].as_str().unwrap();
            assert!(status == 404 && text.contains(" of that id"), "{method} {path}: {status} {refused}");
        }
        assert_eq!(get(&server, "/v1/ai/trash").await.1, json!({"secrets": []}));
        assert_eq!(get(&server, "/v1/ai/dynamic-secrets").await.1, json!({"dynamicSecrets": []}));
    }
    for (method, path, body, _) in &all {
        let (status, _) = server.manage(&Client::host(), method, path, body.clone()).await;
        assert_eq!(status, 403, "a machine is no agent: {method} {path}");
    }
    assert_eq!(server.engine.app.live.read().state.secrets.len(), before);
    server.put(Entity::Agent(assistant())).await;
    for (method, path, body, _) in &all {
        let (status, answer) = ask(&server, method, path, body.clone()).await;
        // The second of restore and purge finds it gone from the trash; there is one version to roll back to, or it is paused.
        let is_late = path.ends_with("/purge") || path.ends_with("/rollback");
        assert!(status == 200 || is_late, "{method} {path}: {status} {answer}");
    }
}
