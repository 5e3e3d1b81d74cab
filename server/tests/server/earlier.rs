//! A database of an earlier version opens, and all that is in it is in force: rows, values, keys, audit.
//!
//! `earlier/*.sql` are dumps that the version before scopes, hosts and accounts has left on either kind of database. They
//! are never made anew: a change of what is stored has to read them. Their root key is the one of every test, `5e…`.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use sikkerkey_protocol::kubernetes::Inventory;
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::secret::Secret;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::database::TestDatabase;
use crate::fixture::*;
use crate::wire::verify_audit;

const SQLITE: &str = include_str!("earlier/sqlite.sql");
const POSTGRES: &str = include_str!("earlier/postgres.sql");

/// A server on such a database, soon after its last row.
async fn server() -> Server {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let database = TestDatabase::make(directory.path()).await;
    match &database {
        TestDatabase::Sqlite(path) => {
            let root_key = directory.path().join("root.key");
            std::fs::write(&root_key, "5e".repeat(32)).unwrap();
            std::fs::set_permissions(&root_key, std::fs::Permissions::from_mode(0o600)).unwrap();
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection: SqliteConnection = options.connect().await.unwrap();
            sqlx::raw_sql(SQLITE).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        TestDatabase::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(POSTGRES)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
    let last: i64 = database.query("select max(time) || '' from audit").await[0].parse().unwrap();
    Server::open_at(directory, Millis(last + 1000)).await
}

/// The machine or agent whose key has this seed.
fn client(server: &Server, seed: u8) -> Client {
    let world = server.engine.app.live.read();
    let is_it = |it: &&Arc<Machine>| it.public_key == key(seed).public_key();
    let machine = world.state.machines.values().find(is_it).map(|it| it.id.to_string());
    let agent = || world.state.agents.values().find(|it| it.public_key == key(seed).public_key());
    Client::new(machine.or_else(|| agent().map(|it| it.id.to_string())).unwrap(), seed)
}

fn secret_named(server: &Server, name: &str) -> Secret {
    let world = server.engine.app.live.read();
    world.state.secrets.values().find(|it| it.name == name).unwrap().clone()
}

async fn read(server: &Server, client: &Client, name: &str) -> (u16, String) {
    let id = secret_named(server, name).id;
    let answer = server.get(client, &format!("/v1/secret/{id}")).await;
    (answer.status.as_u16(), answer.json()["value"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_database_of_an_earlier_version_opens_and_all_of_it_is_in_force() {
    let mut server = server().await;
    // Once as it was found, and once as this version has left it.
    for _ in 0..2 {
        let [host, pending, job, assistant, operator, pod] = [1, 2, 3, 4, 5, 7].map(|seed| client(&server, seed));
        assert_eq!(read(&server, &host, "plain").await, (200, "second value".to_owned()));
        let structured = r#"{"username":"shop","password":"s3cret"}"#;
        assert_eq!(read(&server, &host, "structured").await, (200, structured.to_owned()));
        assert_eq!(read(&server, &host, "guarded").await, (200, "guarded value".to_owned()));
        assert_eq!(read(&server, &job, "plain").await, (200, "second value".to_owned()));
        assert_eq!(read(&server, &host, "gone").await.0, 404);
        assert_eq!(read(&server, &pending, "plain").await.0, 403);
        let (status, made) = read(&server, &pod, "db").await;
        assert_eq!((status, made.len()), (200, 24));

        // An agent from before scopes may what it could.
        let project = secret_named(&server, "guarded").project;
        let listed = server.get(&assistant, &format!("/v1/ai/projects/{project}/policies")).await;
        assert_eq!(listed.json()["policies"][0]["name"], "often", "{}", listed.text());
        let inventory = server.call(&operator, &Inventory {}).await;
        assert_eq!(inventory.status, 200, "{}", inventory.text());
        let canary = secret_named(&server, "honey").id;
        assert!(server.engine.app.live.read().state.canaries.contains_key(&canary));
        verify_audit(&server).await;
        server = server.restart().await.unwrap();
    }
}
