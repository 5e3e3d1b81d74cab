//! Who gets which status where: every kind of actor, on the routes of machines and on some of each other plane, in every state
//! of the world and under each axis of a policy, as one table.
//!
//! The table is compared with the committed `matrix.txt`. To write it anew: `UPDATE_GOLDEN=1 cargo test -p
//! sikkerkey-server --test server matrix`.

use std::fmt::Write as _;

use sikkerkey_protocol::co_sign::CoSignVerdict;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::policy::{Approver, CoSign, CountedBy, Day, PolicyDocument, RateCap, TimeWindow, Ttl};
use sikkerkey_server::model::account::Standing;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::allowlist::Allowlist;
use sikkerkey_server::model::co_sign::{Answer, CoSignRequest};
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;
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

const ROUTES: [(&str, &str, &str); 20] = [
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
    ("GET", "/v1/cosign", ""),
    ("POST", "/v1/cosign/00000000-0000-4000-8000-000000000001/approve", CONSENT),
    ("POST", "/v1/cosign/00000000-0000-4000-8000-000000000001/deny", CONSENT),
    ("GET", "/v1/ai/projects/proj_shop/policies", ""),
    ("GET", "/v1/ai/explain/00000000-0000-4000-8000-000000000012/sk_db", ""),
    ("POST", "/v1/ai/kubernetes/inventory", "{}"),
    ("POST", "/v1/ai/kubernetes/explain", EXPLAIN),
    ("POST", "/v1/ai/kubernetes/audit", AUDIT),
];

const EXPLAIN: &str = r#"{"machine":{"namespace":"shop","name":"web","uid":"u"},"secret":{"namespace":"shop","name":"db","uid":"u"},"askedBy":"jane"}"#;
const AUDIT: &str =
    r#"{"kind":"Secret","object":{"namespace":"shop","name":"db","uid":"u"},"limit":50,"askedBy":"jane"}"#;

/// An answer to a request that is not there.
const CONSENT: &str = r#"{"requestId":"0","vaultId":"vault_v","approverId":"00000000-0000-4000-8000-000000000012","readerId":"0","secretId":"sk_db","policyRevision":1,"notAfter":0}"#;

/// The routes on which a policy has a say, and those on which it must have none.
const READING: [&str; 6] =
    ["/v1/secret/sk_db", "/v1/secrets", "/v1/secrets/export", "/v1/secrets/poll", "/v1/machine/sync", "/v1/cosign"];

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

/// Each axis of a policy that guards `db`, where it lets through and where it denies.
const AXES: [(&str, Prepare); 14] = [
    ("the policy is not in force", |server| vec![guarded(server)]),
    ("timeWindow: open", |server| under(server, window("12:00"))),
    ("timeWindow: opens in a minute", |server| under(server, window("12:01"))),
    ("ipAllowlist: 10.0.0.0/8", |server| under(server, ranges("10.0.0.0/8"))),
    ("ipAllowlist: 192.0.2.0/24", |server| under(server, ranges("192.0.2.0/24"))),
    ("rateCap: 1 each minute", |server| {
        let rate_cap = Some(RateCap { per_minute: Some(1), per_day: None, counted_by: CountedBy::Machine });
        under(server, PolicyDocument { rate_cap, ..Default::default() })
    }),
    ("rateCap: 1 each day", |server| {
        let rate_cap = Some(RateCap { per_minute: None, per_day: Some(1), counted_by: CountedBy::Machine });
        under(server, PolicyDocument { time_zone: Some("UTC".into()), rate_cap, ..Default::default() })
    }),
    ("ttl: ends now", |server| under(server, ttl(Some(START), None))),
    ("ttl: ends in a second", |server| under(server, ttl(Some(START + 1000), None))),
    ("ttl: 2 reads by everybody", |server| under(server, ttl(None, Some(2)))),
    ("coSign: by a machine that is not there", |server| under(server, co_sign(&uuid(0x99)))),
    ("coSign: by the host without grant", |server| under(server, co_sign(&uuid(0x21)))),
    ("coSign: the pod is approved by the host without grant", |server| {
        let mut entities = under(server, co_sign(&uuid(0x21)));
        entities.push(Entity::CoSign(CoSignRequest {
            id: uuid(0xc1),
            vault: host().vault,
            project: "proj_shop".parse().unwrap(),
            secret: "sk_db".parse().unwrap(),
            reader: pod().grantee(),
            policy: policy(PolicyDocument::default()).id,
            revision: 1,
            bindings: 0,
            grants: [uuid(1)].into(),
            who: Some(fleet().who()),
            asked_by: pod().id,
            asked_as: "machine shop/web-1".into(),
            asked_from: POD_ADDRESS.parse().unwrap(),
            asked_at: Millis(START),
            answer: Some(Answer {
                by: uuid(0x21).parse().unwrap(),
                at: Millis(START),
                verdict: CoSignVerdict::Approved,
                until: Millis(START + 1000),
            }),
        }));
        entities
    }),
    ("rotateAfterReads: 1", |server| {
        under(server, PolicyDocument { rotate_after_reads: Some(1), ..Default::default() })
    }),
];

/// `db`, as it is, with a policy.
fn guarded(server: &Server) -> Entity {
    let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    Entity::Secret(Secret { policy: Some("guard".into()), ..secret })
}

fn under(server: &Server, document: PolicyDocument) -> Vec<Entity> {
    vec![guarded(server), Entity::Policy(policy(document))]
}

fn window(start: &str) -> PolicyDocument {
    let window = TimeWindow { days: vec![Day::Wed], start: start.into(), end: "24:00".into() };
    PolicyDocument { time_zone: Some("UTC".into()), time_window: Some(window), ..Default::default() }
}

fn ranges(cidr: &str) -> PolicyDocument {
    PolicyDocument { ip_allowlist: Some(vec![cidr.into()]), ..Default::default() }
}

fn ttl(expires_at: Option<i64>, max_reads: Option<u32>) -> PolicyDocument {
    PolicyDocument { ttl: Some(Ttl { expires_at, max_reads }), ..Default::default() }
}

fn co_sign(machine: &str) -> PolicyDocument {
    let co_sign = CoSign { approver: Approver::Machine(machine.parse().unwrap()), window_seconds: 600 };
    PolicyDocument { co_sign: Some(co_sign), ..Default::default() }
}

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
    let assistant =
        Agent { id: uuid(0xa2).parse().unwrap(), public_key: key(0xa2).public_key(), cluster: None, ..agent() };
    changes.push(Change::put(Entity::Agent(assistant)));
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
    actors.push(("agent of a cluster", Client::agent()));
    actors.push(("agent of people", Client::new(uuid(0xa2), 0xa2)));
    actors.push(("nobody", Client::new(uuid(0x77), 9)));
    let mut table = String::from("Status by actor and route. Made by matrix.rs: see there.\n");
    let axes = AXES.map(|(name, prepare)| (name, prepare, &READING[..]));
    let worlds = WORLDS.map(|(name, prepare)| (name, prepare, &[][..]));
    for (name, prepare, only) in worlds.into_iter().chain(axes) {
        writeln!(table, "\n== {name}").unwrap();
        let server = world(prepare).await;
        let routes = ROUTES.into_iter().filter(|(_, target, _)| only.is_empty() || only.contains(target));
        for (route, (method, target, body)) in (1..).zip(routes) {
            let shown = if [CONSENT, EXPLAIN, AUDIT].contains(&body) { "…" } else { body };
            writeln!(table, "\n{method} {target}{}{shown}", if shown.is_empty() { "" } else { " " }).unwrap();
            for (place, (name, client)) in (1..).zip(&actors) {
                // Each from an address of its own: nothing here is about lockouts.
                let request = client.request(&*server.clock, method, target, body.as_bytes());
                let before = server.audit().await.len();
                let answer = server.send(request.from(&format!("10.9.{place}.{route}"))).await;
                let json = answer.json();
                let selected = json["secrets"].as_array().map(|it| format!(" {} secrets", it.len()));
                let requests = json["requests"].as_array().map(|it| format!(" {} requests", it.len()));
                let news = json["secrets"]["shop/db"].as_object().and_then(|it| it.keys().next());
                let changed = json["changes"]["sk_db"]["status"].as_str().map(|it| format!(" {it}"));
                let text = selected.or(requests).or(changed).or_else(|| news.map(|it| format!(" {it}")));
                let text = text.or_else(|| json["valid"].as_bool().map(|it| format!(" valid {it}")));
                let rows = server.audit().await.split_off(before);
                let denied = rows.last().and_then(|it| it.denial).filter(|_| answer.status.is_client_error());
                let text = text.or_else(|| denied.map(|it| format!(" {}", it.as_str())));
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
