//! Values that somebody moves about in the database: to another secret, project or vault.

use sikkerkey_server::model::account::Vault;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Change, Entity};
use sikkerkey_server::store::StoreError;

use crate::fixture::*;

/// `shop` has `sk_db`, `payments` of the same vault has `sk_ledger`, and another vault's project has `sk_theirs`. Each
/// has a reader: the pod, the host, and a host of the other vault.
async fn prepared() -> Server {
    let server = Server::new().await;
    server.put_secret(secret("ledger", "payments"), "money").await;
    let vault = Vault { id: "vault_w".parse().unwrap(), account: "account".into(), name: "others".into() };
    let project = {
        let app = &server.engine.app;
        let id = "proj_theirs".parse().unwrap();
        let entropy = &sikkerkey_server::entropy::SystemEntropy;
        let wrapped_key = app.keyring.new_project_key(&vault.id, &id, entropy).unwrap();
        Project {
            id,
            vault: vault.id.clone(),
            name: "theirs".into(),
            namespace: None,
            wrapped_key,
            frozen: false,
            description: String::new(),
            created_at: None,
        }
    };
    let theirs = Machine {
        id: uuid(0x61).parse().unwrap(),
        vault: vault.id.clone(),
        public_key: key(0x61).public_key(),
        ..host()
    };
    server.put(Entity::Vault(vault.clone())).await;
    server.put(Entity::Project(project)).await;
    let theirs_id = theirs.id.clone();
    server
        .put_secret(Secret { vault: vault.id.clone(), managed: None, ..secret("theirs", "theirs") }, "not ours")
        .await;
    let membership = |vault: &Vault, project: &str, machine: &Machine| {
        Entity::Membership(Membership {
            vault: vault.id.clone(),
            project: format!("proj_{project}").parse().unwrap(),
            machine: machine.id.clone(),
            ..member("shop")
        })
    };
    let ours = Vault { id: "vault_v".parse().unwrap(), ..vault.clone() };
    server
        .apply(vec![
            Change::put(membership(&vault, "theirs", &theirs)),
            Change::put(Entity::Machine(theirs)),
            Change::put(membership(&ours, "payments", &host())),
            Change::put(Entity::Grant(sikkerkey_server::model::grant::Grant {
                project: "proj_payments".parse().unwrap(),
                ..grant(0x62, Grantee::Machine(host().id), &["sk_ledger"])
            })),
            Change::put(Entity::Grant(sikkerkey_server::model::grant::Grant {
                vault: vault.id.clone(),
                project: "proj_theirs".parse().unwrap(),
                ..grant(0x61, Grantee::Machine(theirs_id), &["sk_theirs"])
            })),
        ])
        .await
        .unwrap();
    server
}

const VALUES: [(&str, &str); 3] = [("sk_db", "hunter2"), ("sk_ledger", "money"), ("sk_theirs", "not ours")];

/// Whoever may read each secret.
fn reader(secret: &str) -> Client {
    match secret {
        "sk_db" => Client::pod(),
        "sk_ledger" => Client::host(),
        _ => Client::new(uuid(0x61), 0x61),
    }
}

#[tokio::test]
async fn a_value_opens_in_its_own_vault_project_secret_and_version_alone() {
    // Every pair, in either direction, with and without the columns that say where it belongs.
    let server = prepared().await;
    for (secret, value) in VALUES {
        let answer = server.get(&reader(secret), &format!("/v1/secret/{secret}")).await;
        assert_eq!(answer.text(), format!(r#"{{"value":"{value}"}}"#));
    }
    let (mut directory, clock) = (server.directory.clone(), server.clock.clone());
    server.stop().await;
    let database = TestDatabase::of(directory.path());
    let columns = ["vault", "project", "field_names", "wrapped_key", "ciphertext", "version"];
    database.execute("create table kept as select * from version").await;
    let (mut refused_to_start, mut did_not_open) = (0, 0);
    // Each takes from the next, or from the one after that: all six pairs.
    for rotation in [1, 2] {
        let from = |n: usize| VALUES[(n + rotation) % VALUES.len()];
        let cases: Vec<_> = (0..).zip(VALUES).map(|(n, (to, _))| format!("when '{to}' then '{}'", from(n).0)).collect();
        for moved in [&columns[3..5], &columns[4..5], &columns[3..4], &columns[..5], &columns[..]] {
            let list = moved.join(", ");
            database
                .execute(&format!(
                    "delete from version; insert into version select * from kept;
                     update version set ({list}) =
                         (select {list} from kept where kept.secret = case version.secret {} end)",
                    cases.join(" ")
                ))
                .await;
            let server = match Server::open(directory.clone(), clock.clone()).await {
                Ok(server) => server,
                Err(error) => {
                    assert!(error.downcast_ref::<StoreError>().is_some(), "{error:?}");
                    refused_to_start += 1;
                    continue;
                }
            };
            for (n, (to, _)) in (0..).zip(VALUES) {
                let answer = server.get(&reader(to), &format!("/v1/secret/{to}")).await;
                let case = format!("{list} of {} in {to}: {}", from(n).0, answer.text());
                assert_eq!(answer.status, 503, "{case}");
                assert!(VALUES.iter().all(|(_, value)| !answer.text().contains(value)), "{case}");
                assert!(server.last_audit().await.detail.contains("does not open"), "{case}");
                assert_eq!(server.engine.app.metrics.unreadable_values.get(), n as u64 + 1, "{case}");
            }
            did_not_open += 1;
            directory = server.stop().await;
        }
    }
    assert_eq!((refused_to_start, did_not_open), (0, 10));

    // As another version of its own.
    database.execute("delete from version; insert into version select * from kept").await;
    database.execute("update version set version = 2 where secret = 'sk_db'").await;
    let error = Server::open(directory, clock).await.err().unwrap().to_string();
    assert!(error.contains("the value of sk_db"), "{error}");
}

#[tokio::test]
async fn a_project_key_moved_to_another_project_refuses_to_start() {
    for (to, from) in [("proj_shop", "proj_payments"), ("proj_shop", "proj_theirs"), ("proj_theirs", "proj_payments")] {
        let server = prepared().await;
        let (clock, database) = (server.clock.clone(), server.database());
        let directory = server.stop().await;
        let key = |id: &str| format!("select doc from entity where kind = 'Project' and id = '{id}'");
        let key_of = |doc: String| serde_json::from_str::<serde_json::Value>(&doc).unwrap();
        let mine = key_of(database.query(&key(to)).await.remove(0));
        let theirs = key_of(database.query(&key(from)).await.remove(0));
        let text = |it: &serde_json::Value| find(it, "wrapped_key").unwrap().to_string();
        let (mine, theirs) = (text(&mine), text(&theirs));
        assert_ne!(mine, theirs);
        database
            .execute(&format!("update entity set doc = replace(doc, '{mine}', '{theirs}') where id = '{to}'"))
            .await;
        let error = Server::open(directory, clock).await.err().unwrap().to_string();
        assert!(error.contains(&format!("the Project {to} in the database was not written by this server")), "{error}");
    }
}

/// The value of a key, however deep.
fn find<'v>(value: &'v serde_json::Value, key: &str) -> Option<&'v serde_json::Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| object.values().find_map(|it| find(it, key)))
}
