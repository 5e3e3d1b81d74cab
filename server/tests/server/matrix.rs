//! Who gets which status where: every actor on every route, in every state of the world, as one table.
//!
//! The table is compared with the committed `matrix.txt`. To write it anew: `UPDATE_GOLDEN=1 cargo test -p
//! sikkerkey-server --test server matrix`.

use std::fmt::Write as _;

use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_server::model::account::Standing;
use sikkerkey_server::model::allowlist::Allowlist;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::{Change, Entity};

use crate::fixture::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/matrix.txt");

type Flaw = fn(&mut Machine);

/// Machines of a host's kind, each with its own flaw, and a key of its own.
const HOSTS: [(&str, u8, Flaw); 6] = [
    ("host", 0x12, |_| ()),
    ("host without grant", 0x21, |_| ()),
    ("host without membership", 0x22, |_| ()),
    ("host that waits for approval", 0x23, |it| it.approval = Approval::Pending),
    ("host that is disabled", 0x24, |it| it.enabled = false),
    ("ephemeral machine whose time is over", 0x25, |it| {
        it.enrolled_by = Some(uuid(0xe1));
        it.expires_at = Some(Millis(START));
    }),
];

fn seed(n: u8) -> u8 {
    if n == 0x12 { 2 } else { n }
}

const ROUTES: [(&str, &str, &str); 13] = [
    ("GET", "/v1/secret/sk_db", ""),
    ("GET", "/v1/secret/sk_ledger", ""),
    ("GET", "/v1/secret/sk_none", ""),
    ("GET", "/v1/secrets", ""),
    ("POST", "/v1/secrets/list", r#"{"projectId":"proj_shop"}"#),
    ("POST", "/v1/secrets/export", ""),
    ("POST", "/v1/secrets/export", r#"{"projectId":"proj_shop"}"#),
    ("POST", "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#),
    ("GET", "/v1/cli/projects", ""),
    ("GET", "/v1/cli/secrets", ""),
    ("POST", "/v1/verify-access", r#"{"projectId":"proj_shop"}"#),
    ("POST", "/v1/machine/sync", "{}"),
    ("POST", "/v1/ai/kubernetes/inventory", "{}"),
];

type Prepare = fn(&Server) -> Vec<Entity>;

const WORLDS: [(&str, Prepare); 4] = [
    ("as it should be", |_| vec![]),
    ("project shop is frozen", |server| {
        let project = server.engine.app.live.read().state.projects[&"proj_shop".parse().unwrap()].clone();
        vec![Entity::Project(Project { frozen: true, ..project })]
    }),
    ("the account is suspended", |_| vec![Entity::Account(account(Standing::Suspended))]),
    ("the vault's IP allowlist is on and empty", |_| {
        vec![Entity::Allowlist(Allowlist { vault: "vault_v".parse().unwrap(), enabled: true, entries: vec![] })]
    }),
];

async fn world(prepare: Prepare) -> Server {
    let server = Server::new().await;
    server.put_secret(secret("ledger", "payments"), "money").await;
    let mut changes = Vec::new();
    for (n, (_, id, spoil)) in (0x30..).zip(HOSTS) {
        let mut machine = Machine { id: uuid(id).parse().unwrap(), public_key: key(seed(id)).public_key(), ..host() };
        spoil(&mut machine);
        let id = machine.id.clone();
        if machine.id.as_str() != uuid(0x22) {
            changes.push(Change::put(Entity::Membership(Membership { machine: id.clone(), ..member("shop") })));
        }
        if machine.id.as_str() != uuid(0x21) {
            changes.push(Change::put(Entity::Grant(grant(n, Grantee::Machine(id), &["sk_db"]))));
        }
        changes.push(Change::put(Entity::Machine(machine)));
    }
    server.apply(changes).await.unwrap();
    for entity in prepare(&server) {
        server.put(entity).await;
    }
    server
}

#[tokio::test]
async fn the_matrix_of_who_gets_what_is_as_committed() {
    let mut actors: Vec<(&str, Client)> = vec![("pod", Client::pod())];
    actors.extend(HOSTS.map(|(name, id, _)| (name, Client::new(uuid(id), seed(id)))));
    actors.push(("agent", Client::agent()));
    actors.push(("nobody", Client::new(uuid(0x77), 9)));
    let mut table = String::from("Status by actor and route. Made by matrix.rs: see there.\n");
    for (name, prepare) in WORLDS {
        writeln!(table, "\n== {name}").unwrap();
        let server = world(prepare).await;
        for (route, (method, target, body)) in (1..).zip(ROUTES) {
            writeln!(table, "\n{method} {target}{}{body}", if body.is_empty() { "" } else { " " }).unwrap();
            for (place, (name, client)) in (1..).zip(&actors) {
                // Each from an address of its own: nothing here is about lockouts.
                let request = client.request(&*server.clock, method, target, body.as_bytes());
                let answer = server.send(request.from(&format!("10.9.{place}.{route}"))).await;
                let selected = answer.json()["secrets"].as_array().map(|it| format!(" {} secrets", it.len()));
                let text = selected.or_else(|| answer.json()["valid"].as_bool().map(|it| format!(" valid {it}")));
                writeln!(table, "  {:<38} {}{}", name, answer.status.as_u16(), text.unwrap_or_default()).unwrap();
            }
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let committed = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(table == committed, "the matrix is another one: UPDATE_GOLDEN=1 writes it, git diff shows how\n{table}");
}
