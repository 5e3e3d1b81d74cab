//! Every refusal, with its status and the reason that stands in the audit.

use sikkerkey_protocol::denial::DenialReason::{self, *};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::policy::{CountedBy, Day, PolicyDocument, RateCap, TimeWindow, Ttl};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::account::Standing;
use sikkerkey_server::model::fleet::Fleet;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::{Secret, SecretPhase};
use sikkerkey_server::model::{Entity, EntityKind};

use crate::fixture::*;

type Spoil = fn(Signed) -> Signed;

#[tokio::test]
async fn what_is_not_signed_well_is_refused_before_anything_else() {
    let cases: [(&str, Spoil, u16); 16] = [
        ("no machine", |it| it.without("x-machine-id"), 401),
        ("no timestamp", |it| it.without("x-timestamp"), 401),
        ("no nonce", |it| it.without("x-nonce"), 401),
        ("no signature", |it| it.without("x-signature"), 401),
        ("a header twice", |it| it.and("x-nonce", "again"), 401),
        (
            "the same header twice",
            |it| {
                let id = uuid(0x11);
                it.and("x-machine-id", &id)
            },
            401,
        ),
        (
            "two names for the signer",
            |it| {
                let id = uuid(0x11);
                it.and("x-agent-id", &id)
            },
            401,
        ),
        ("no uuid", |it| it.with("x-machine-id", "web"), 401),
        ("no number", |it| it.with("x-timestamp", "now"), 401),
        ("a colon in the nonce", |it| it.with("x-nonce", "a:b"), 401),
        ("no base64", |it| it.with("x-signature", "%%%"), 401),
        ("too old", |it| it.with("x-timestamp", &(START / 1000 - 301).to_string()), 401),
        ("too new", |it| it.with("x-timestamp", &(START / 1000 + 61).to_string()), 401),
        ("another nonce", |it| it.with("x-nonce", "other"), 401),
        (
            "another body",
            |mut it| {
                it.body = b"{}".to_vec();
                it
            },
            401,
        ),
        (
            "a query",
            |mut it| {
                it.target.push_str("?a=b");
                it
            },
            400,
        ),
    ];
    for (name, spoil, status) in cases {
        let server = Server::new().await;
        let before = server.audit().await.len();
        let request = spoil(Client::pod().request(&*server.clock, "GET", "/v1/secret/sk_db", b""));
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{name}");
        assert!(!answer.error().is_empty());
        let rows = server.audit().await.split_off(before);
        let failures = rows.iter().filter(|it| it.action == Action::AuthFailure).count();
        assert_eq!((rows.len(), failures), if status == 401 { (1, 1) } else { (0, 0) }, "{name}: {rows:?}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_one_path_and_one_method_only() {
    let server = Server::new().await;
    server.put_secret(secret("second", "shop"), "x").await;
    let request = Client::pod().request(&*server.clock, "GET", "/v1/secret/sk_second", b"");
    assert_eq!(server.send(Signed { target: "/v1/secret/sk_db".into(), ..request.clone() }).await.status, 401);
    assert_eq!(server.send(Signed { target: "/v1/secret/sk%5Fdb".into(), ..request.clone() }).await.status, 401);
    let list = Client::pod().request(&*server.clock, "GET", "/v1/secrets/list", b"");
    assert_eq!(server.send(Signed { method: "POST", ..list }).await.status, 401);
}

#[tokio::test]
async fn an_agent_reads_nothing_and_a_machine_manages_nothing() {
    let server = Server::new().await;
    for target in ["/v1/secret/sk_db", "/v1/secrets", "/v1/cli/secrets"] {
        let answer = server.get(&Client::agent(), target).await;
        assert_eq!((answer.status.as_u16(), answer.text().contains("never reads")), (403, true), "{target}");
        assert_eq!(server.last_audit().await.action, Action::ManagementDenied);
    }
    let answer = server.post(&Client::pod(), "/v1/ai/kubernetes/inventory", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("answers agents")), (403, true));
    assert_eq!(server.post(&Client::agent(), "/v1/ai/kubernetes/inventory", "{}").await.status, 200);
    // The other spelling of the header that documents use for agents.
    let request = Client::agent().request(&*server.clock, "POST", "/v1/ai/kubernetes/inventory", b"{}");
    let request = request.without("x-machine-id").and("x-agent-id", &uuid(0xa1));
    assert_eq!(server.send(request).await.status, 200);
}

/// What is changed before the pod reads `sk_db`.
type Prepare = fn() -> Vec<Entity>;

fn locked(document: PolicyDocument) -> Vec<Entity> {
    let mut guarded = secret("db", "shop");
    guarded.version = 1;
    guarded.policy = Some("guard".into());
    vec![Entity::Policy(policy(document)), Entity::Secret(guarded)]
}

fn with_pod(change: fn(&mut Machine)) -> Vec<Entity> {
    let mut machine = pod();
    change(&mut machine);
    vec![Entity::Machine(machine)]
}

#[tokio::test]
async fn every_denial_has_its_status_and_its_reason() {
    let cases: [(u16, DenialReason, Prepare); 17] = [
        (403, AccountNotActive, || vec![Entity::Account(account(Standing::Suspended))]),
        (403, AccountNotActive, || vec![Entity::Account(account(Standing::Banned))]),
        (403, AccountNotActive, || vec![Entity::Account(account(Standing::PendingVerification))]),
        (403, MachineNotApproved, || with_pod(|it| it.approval = Approval::Pending)),
        (403, MachineNotApproved, || vec![Entity::Fleet(Fleet { approval: Approval::Pending, ..fleet() })]),
        (403, MachineSuspended, || with_pod(|it| it.enabled = false)),
        (403, MachineSuspended, || vec![Entity::Fleet(Fleet { suspended: true, ..fleet() })]),
        (401, MachineExpired, || with_pod(|it| it.expires_at = Some(Millis(START)))),
        (403, GrantExpired, || {
            let grant = grant(1, Grantee::Fleet(fleet().id), &["sk_db"]);
            vec![Entity::Grant(Grant { expires_at: Some(Millis(START)), ..grant })]
        }),
        (403, NotGranted, || vec![Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &[]))]),
        (404, NotGranted, || {
            vec![Entity::Secret(Secret { phase: SecretPhase::Retained, version: 1, ..secret("db", "shop") })]
        }),
        (404, ValueMissing, || vec![Entity::Secret(secret("db", "shop"))]),
        (403, PolicyMissing, || {
            vec![Entity::Secret(Secret { policy: Some("none".into()), version: 1, ..secret("db", "shop") })]
        }),
        (403, OutsideTimeWindow, || {
            let window = TimeWindow { days: vec![Day::Thu], start: "08:00".into(), end: "17:00".into() };
            locked(PolicyDocument {
                time_zone: Some("Europe/Oslo".into()),
                time_window: Some(window),
                ..PolicyDocument::default()
            })
        }),
        (403, AddressNotAllowed, || {
            locked(PolicyDocument { ip_allowlist: Some(vec!["192.168.0.0/16".into()]), ..PolicyDocument::default() })
        }),
        (403, PolicyEnded, || {
            let ttl = Ttl { expires_at: Some(START), max_reads: None };
            locked(PolicyDocument { ttl: Some(ttl), ..PolicyDocument::default() })
        }),
        (429, RateCapReached, || {
            let cap = RateCap { per_minute: Some(0), per_day: None, counted_by: CountedBy::Machine };
            locked(PolicyDocument { rate_cap: Some(cap), ..PolicyDocument::default() })
        }),
    ];
    for (status, reason, prepare) in cases {
        let server = Server::new().await;
        for entity in prepare() {
            server.put(entity).await;
        }
        let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
        assert_eq!(answer.status, status, "{reason:?}: {}", answer.text());
        assert!(!answer.error().contains("hunter2"));
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429, "{reason:?}");
        let row = server.last_audit().await;
        assert_eq!((row.action, row.denial), (Action::SecretReadDenied, Some(reason)));
        assert_eq!(row.machine, Some(pod().id));

        // An export leaves the secret out, or is refused as a whole when the machine is.
        let export = server.post(&Client::pod(), "/v1/secrets/export", "").await;
        let whole = matches!(reason, AccountNotActive | MachineNotApproved | MachineSuspended | MachineExpired);
        assert_eq!(export.status, if whole { status } else { 200 }, "{reason:?}");
        assert_eq!(export.text() == r#"{"secrets":[]}"#, !whole, "{reason:?}");
    }
}

#[tokio::test]
async fn a_frozen_project_answers_423() {
    let server = Server::new().await;
    let project = server.engine.app.live.read().state.projects[&"proj_shop".parse().unwrap()].clone();
    server.put(Entity::Project(Project { frozen: true, ..project })).await;
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 423);
    assert_eq!(server.last_audit().await.denial, Some(ProjectFrozen));
}

#[tokio::test]
async fn a_secret_of_a_foreign_project_looks_like_one_that_is_not_there() {
    let server = Server::new().await;
    server.put_secret(secret("ledger", "payments"), "x").await;
    let (foreign, missing, nonsense) = (
        server.get(&Client::pod(), "/v1/secret/sk_ledger").await,
        server.get(&Client::pod(), "/v1/secret/sk_nothing").await,
        server.get(&Client::pod(), "/v1/secret/whatever").await,
    );
    for answer in [&missing, &nonsense] {
        assert_eq!((answer.status, &answer.body), (foreign.status, &foreign.body));
    }
    assert_eq!((foreign.status.as_u16(), foreign.text()), (404, r#"{"error":"no such secret"}"#));
    let denied: Vec<_> = server.audit().await.into_iter().filter(|it| it.denial == Some(NotGranted)).collect();
    assert_eq!(denied.len(), 3);
}

#[tokio::test]
async fn a_revoked_grant_is_refused_on_the_very_next_request() {
    let server = Server::new().await;
    let pod = Client::pod();
    for _ in 0..20 {
        assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
        server.remove(EntityKind::Grant, &uuid(1)).await;
        assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 403);
        server.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db"]))).await;
    }
}

#[tokio::test]
async fn three_bad_signatures_lock_the_address_and_others_go_on() {
    let server = Server::new().await;
    let (pod, host) = (Client::pod(), Client::host());
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
    let forged = || {
        let request = Client { address: "203.0.113.9".into(), ..Client::new(uuid(0x11), 99) };
        request.request(&*server.clock, "GET", "/v1/secret/sk_db", b"")
    };
    for _ in 0..3 {
        assert_eq!(server.send(forged()).await.status, 401);
    }
    let rows = server.audit().await;
    let locks: Vec<_> = rows.iter().filter(|it| it.action == Action::LockoutStart).collect();
    assert!(locks.iter().any(|it| it.detail.starts_with("address 203.0.113.9 is locked out until 2026-03-04T12:30")));

    let locked = server.send(forged()).await;
    assert_eq!((locked.status.as_u16(), locked.headers["retry-after"].to_str().unwrap()), (429, "1800"));
    // Also with a good signature, and as anybody else.
    let good = host.request(&*server.clock, "GET", "/v1/secret/sk_db", b"").from("203.0.113.9");
    assert_eq!(server.send(good).await.status, 429);
    // The machine goes on from where it always was.
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
    // From an address that never authenticated as it, it is locked.
    let elsewhere = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"").from("198.51.100.1");
    assert_eq!(server.send(elsewhere).await.status, 429);

    server.clock.advance_seconds(1800);
    let good = host.request(&*server.clock, "GET", "/v1/secret/sk_db", b"").from("203.0.113.9");
    assert_eq!(server.send(good).await.status, 200);
}

#[tokio::test]
async fn a_restart_opens_no_way_to_lock_a_machine_out_of_its_own_address() {
    let server = Server::new().await;
    let pod = Client::pod();
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
    let server = server.restart().await.unwrap();
    for n in 1..5 {
        let forged = Client { address: format!("203.0.113.{n}"), ..Client::new(uuid(0x11), 99) };
        assert_eq!(server.get(&forged, "/v1/secret/sk_db").await.status.as_u16(), if n < 4 { 401 } else { 429 });
    }
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn a_replay_makes_no_address_the_machines_own() {
    let server = Server::new().await;
    let pod = Client::pod();
    let request = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(request.clone()).await.status, 200);
    let thief = "198.51.100.1";
    assert_eq!(server.send(request.from(thief)).await.status, 401);
    for n in 1..4 {
        let forged = Client { address: format!("203.0.113.{n}"), ..Client::new(uuid(0x11), 99) };
        assert_eq!(server.get(&forged, "/v1/secret/sk_db").await.status, 401);
    }
    let good = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(good.clone().from(thief)).await.status, 429);
    assert_eq!(server.send(good).await.status, 200);
}

#[tokio::test]
async fn stale_and_replayed_requests_lock_nobody_out() {
    let server = Server::new().await;
    let pod = Client::pod();
    let request = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(request.clone()).await.status, 200);
    for _ in 0..10 {
        assert_eq!(server.send(request.clone()).await.status, 401);
    }
    server.clock.advance_seconds(301);
    for _ in 0..10 {
        assert_eq!(server.send(request.clone()).await.status, 401);
    }
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn a_flood_of_unsigned_requests_does_not_grow_the_audit() {
    let server = Server::new().await;
    let before = server.audit().await.len();
    for _ in 0..200 {
        let request = Client::pod().request(&*server.clock, "GET", "/v1/secrets", b"").without("x-signature");
        assert_eq!(server.send(request).await.status, 401);
    }
    assert_eq!(server.audit().await.len() - before, 5);
    let directory = server.stop().await;
    let sql = "select kind || ' ' || count from activity where kind = 'unauthenticated'";
    let rows = TestDatabase::of(directory.path()).query(sql).await;
    assert_eq!(rows, ["unauthenticated 195"]);
}

#[tokio::test]
async fn malformed_bodies_and_routes_get_a_clear_answer() {
    let server = Server::new().await;
    let pod = Client::pod();
    let huge = format!("{{\"projectId\":\"{}\"}}", "x".repeat(1024 * 1024));
    let deep = format!("{{\"watch\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let cases = [
        ("/v1/secrets/poll", "{", 400, "the body is not JSON"),
        ("/v1/secrets/poll", r#"{"watch":"sk_db"}"#, 400, "another shape"),
        ("/v1/secrets/poll", &deep, 400, "the body"),
        ("/v1/secrets/list", &huge, 400, "larger than 128 KiB"),
        ("/v1/nothing", "", 404, "no such route"),
        ("/v1/secrets", "", 405, "another method"),
    ];
    for (target, body, status, text) in cases {
        let answer = server.post(&pod, target, body).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.error().contains(text), "{target}: {}", answer.text());
    }
}
