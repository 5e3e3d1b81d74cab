//! From where a vault's machines may come.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::allowlist::{AllowedRange, Allowlist};
use sikkerkey_server::model::machine::Machine;

use crate::fixture::*;

/// Ranges, and whether each counts.
type Entries = &'static [(&'static str, bool)];

fn list(enabled: bool, entries: Entries) -> Entity {
    let entry = |(cidr, enabled): &(&str, bool)| AllowedRange {
        cidr: (*cidr).to_owned(),
        label: String::new(),
        enabled: *enabled,
    };
    let entries = entries.iter().map(entry).collect();
    Entity::Allowlist(Allowlist { vault: "vault_v".parse().unwrap(), enabled, entries })
}

const DENIED: &str = r#"{"error":"Access denied"}"#;

#[tokio::test]
async fn a_list_in_force_lets_in_whom_it_names() {
    let server = Server::new().await;
    let cases: [(bool, Entries, &str, bool); 9] = [
        (true, &[], POD_ADDRESS, false),
        (false, &[], POD_ADDRESS, true),
        (false, &[("192.0.2.0/24", true)], POD_ADDRESS, true),
        (true, &[("10.0.0.0/8", true)], POD_ADDRESS, true),
        (true, &[("10.0.0.0/8", false)], POD_ADDRESS, false),
        (true, &[("192.0.2.0/24", true), ("10.0.0.5/32", true)], POD_ADDRESS, true),
        // An IPv4 address in IPv6 clothes is that address, on either side.
        (true, &[("10.0.0.5/32", true)], "[::ffff:10.0.0.5]", true),
        (true, &[("::ffff:10.0.0.0/104", true)], POD_ADDRESS, true),
        (true, &[("2001:db8::/32", true)], "[2001:db9::1]", false),
    ];
    for (enabled, entries, address, is_in) in cases {
        server.put(list(enabled, entries)).await;
        let client = Client { address: address.into(), ..Client::host() };
        let answer = server.get(&client, "/v1/secret/sk_db").await;
        assert_eq!(answer.status.as_u16(), if is_in { 200 } else { 403 }, "{entries:?} {address}: {}", answer.text());
        if !is_in {
            assert_eq!(answer.text(), DENIED);
        }
    }
}

#[tokio::test]
async fn every_route_of_a_machine_is_behind_it_and_an_agent_is_not() {
    let server = Server::new().await;
    server.put(list(true, &[])).await;
    for (method, target, body) in [
        ("GET", "/v1/secret/sk_db", ""),
        ("GET", "/v1/secrets", ""),
        ("POST", "/v1/secrets/list", "{}"),
        ("POST", "/v1/secrets/export", ""),
        ("POST", "/v1/secrets/poll", r#"{"watch":[]}"#),
        ("GET", "/v1/cli/projects", ""),
        ("GET", "/v1/cli/secrets", ""),
        ("POST", "/v1/verify-access", r#"{"projectId":"proj_shop"}"#),
        ("POST", "/v1/machine/sync", "{}"),
        ("POST", "/v1/machine/resign", "{}"),
    ] {
        let answer = server.send(Client::pod().request(&*server.clock, method, target, body.as_bytes())).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (403, DENIED), "{target}");
    }
    assert_eq!(server.post(&Client::agent(), "/v1/ai/kubernetes/inventory", "{}").await.status, 200);
}

#[tokio::test]
async fn it_is_looked_at_before_the_signature_and_its_denials_are_audited_within_bounds() {
    let server = Server::new().await;
    server.put(list(true, &[])).await;
    let forged = Client::new(uuid(0x12), 99);
    let before = server.audit().await.len();
    for _ in 0..20 {
        assert_eq!(server.get(&forged, "/v1/secret/sk_db").await.text(), DENIED);
    }
    let rows = server.audit().await.split_off(before);
    assert_eq!(rows.len(), 5, "the rest is counted");
    for row in rows {
        assert_eq!((row.action, row.denial), (Action::ManagementDenied, Some(DenialReason::AddressNotAllowed)));
        assert_eq!((row.actor, row.source_ip.unwrap().to_string()), (Actor::Machine(host().id), POD_ADDRESS.into()));
    }
    // It is no failed authentication: nobody is locked out by it.
    server.put(list(false, &[])).await;
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn an_unknown_machine_learns_nothing_of_the_list() {
    let server = Server::new().await;
    server.put(list(true, &[])).await;
    assert_eq!(server.get(&Client::new(uuid(0x77), 9), "/v1/secret/sk_db").await.status, 401);
    // Nor does another vault's.
    let elsewhere = Machine { id: uuid(0x33).parse().unwrap(), vault: "vault_w".parse().unwrap(), ..host() };
    server.put(Entity::Machine(Machine { public_key: key(9).public_key(), ..elsewhere })).await;
    let answer = server.get(&Client::new(uuid(0x33), 9), "/v1/secrets").await;
    assert!(answer.error().contains("account"), "{}", answer.text());
}
