//! An identity on disk and one in memory: get, fields, list, export.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::driver::Driver;
use crate::python::python;
use crate::server::text;
use crate::team::{PLAIN, Team};

#[tokio::test]
async fn an_identity_on_disk_reads_lists_and_exports() {
    let Some(python) = python("an_identity_on_disk_reads_lists_and_exports") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let file = host.home.join("vaults").join(&team.vault).join("identity.json");
    let identity: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let expected = json!({
        "machineId": host.id, "machineName": "web-1", "vaultId": team.vault, "apiUrl": team.server.url,
        "privateKeyPath": text(&file.with_file_name("private.pem")),
    });
    assert_eq!(identity, expected);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let client = &mut host.client;
    assert_eq!(client.does("vaults", json!([])).await, json!([team.vault]));
    let structured = json!({"username": "shop", "password": "s3cret"});
    // By whatever there is, by vault, and by path.
    for identity in [json!([]), json!([team.vault]), json!([team.vault.trim_start_matches("vault_")]), json!([file])] {
        client.does("open", identity).await;
        assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    }
    assert_eq!(client.call("get_fields", &[&team.structured]).await, Ok(structured));
    assert_eq!(client.call("get_field", &[&team.structured, "password"]).await, Ok(json!("s3cret")));
    let raised = client.call("get_field", &[&team.structured, "port"]).await.unwrap_err();
    assert_eq!((raised.class.as_str(), raised.status), ("FieldNotFoundError", None));
    assert!(raised.text.contains("username") && raised.text.contains("password"), "{raised:?}");
    let raised = client.call("get_fields", &[&team.plain]).await.unwrap_err();
    assert_eq!((raised.class.as_str(), raised.status), ("SecretStructureError", None));

    let item = |id: &str, name: &str, fields: Value, project: &str| json!({"id": id, "name": name, "field_names": fields, "project_id": project});
    let shop = json!([
        item(&team.plain, "Stripe API-key", Value::Null, &team.shop),
        item(&team.structured, "db", json!(r#"["username","password"]"#), &team.shop),
    ]);
    assert_eq!(client.call("list_secrets", &[]).await, Ok(shop.clone()));
    assert_eq!(client.call("list_secrets_by_project", &[&team.shop]).await, Ok(shop));
    assert_eq!(client.call("list_secrets_by_project", &[&team.books]).await, Ok(json!([])));

    let shop = json!({"STRIPE_API_KEY": PLAIN, "DB_USERNAME": "shop", "DB_PASSWORD": "s3cret"});
    assert_eq!(client.call("export", &[]).await, Ok(shop.clone()));
    assert_eq!(client.call("export", &[&team.shop]).await, Ok(shop.clone()));
    assert_eq!(client.call("export", &[&team.books]).await, Ok(json!({})));

    // A second project, and a secret in the first that this address may not read: it is left out of an export.
    team.server.admin(&["project", "add-machine", "books", "--machine", &host.id]).await;
    let closed = team.secret("shop", "closed", "x", &[]).await;
    let policy = team.server.file("elsewhere.json", r#"{"ipAllowlist":["203.0.113.0/24"]}"#);
    team.server.admin(&["policy", "set", "--project", "shop", "--name", "away", "--file", text(&policy)]).await;
    team.server.admin(&["policy", "bind", &closed, "--policy", "away"]).await;
    let (books, ledger) = (team.books.clone(), team.ledger.clone());
    team.server.admin(&["grant", "create", "--machine", &host.id, "--secret", &ledger, "--secret", &closed]).await;
    let client = &mut host.client;
    let mut both = shop;
    both["LEDGER"] = json!("42");
    assert_eq!(client.call("export", &[]).await, Ok(both));
    assert_eq!(client.call("export", &[&books]).await, Ok(json!({"LEDGER": "42"})));
    assert_eq!(client.call("list_secrets", &[]).await.unwrap().as_array().unwrap().len(), 4);
    assert_eq!(client.get(&ledger).await, Ok(json!("42")));
}

#[tokio::test]
async fn a_machine_enrols_in_memory_and_reads() {
    let Some(python) = python("a_machine_enrols_in_memory_and_reads") else { return };
    let team = Team::new(python).await;
    let token = team.token(&["--name-pattern", "job-{hostname}", "--max-uses", "2"]).await;
    let home = team.server.directory("job");
    let environment = [("SIKKERKEY_API_URL", team.server.url.as_str()), ("HOSTNAME", "runner-7")];
    let mut client = Driver::start(python, &home, &environment);
    for _ in 0..2 {
        let named = json!({"vault_id": team.vault, "token": token["token"], "name": "unheard"});
        client.ask("bootstrap", json!([]), named).await.unwrap();
        assert_eq!(client.does("get", json!(["machine_name"])).await, json!("job-runner-7"));
        assert_eq!(client.does("get", json!(["vault_id"])).await, json!(team.vault));
        assert_eq!(client.does("get", json!(["api_url"])).await, json!(team.server.url));
        assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
        assert_eq!(client.call("export", &[]).await, Ok(json!({"STRIPE_API_KEY": PLAIN})));
    }
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "nothing is written");
}
