//! Reads that another machine has to approve, and everybody who would like to do without.

use std::time::Duration;

use serde_json::{Value, json};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::fleet::{Fleet, FleetSubject};
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::policy::Policy;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Change, Entity, EntityKind};
use tokio::time::timeout;

use crate::fixture::*;

const WINDOW: i64 = 600;

/// A machine of the co-signer, `hq/boss`.
fn boss() -> Client {
    Client { address: "10.0.0.7".into(), ..Client::new(uuid(0xb1), 0xb1) }
}

/// Another machine of the co-signer.
fn deputy() -> Client {
    Client { address: "10.0.0.8".into(), ..Client::new(uuid(0xb2), 0xb2) }
}

/// Another pod of the reader.
fn second_pod() -> Client {
    Client::new(uuid(0x15), 0x15)
}

fn machine(client: &Client, name: &str, fleet: Option<&Fleet>) -> Entity {
    Entity::Machine(Machine {
        id: client.id.parse().unwrap(),
        public_key: client.key.public_key(),
        name: name.into(),
        fleet: fleet.map(|it| it.id.clone()),
        pod: None,
        ..pod()
    })
}

fn workload(service_account: &str) -> FleetSubject {
    FleetSubject::Workload {
        service_accounts: vec![service_account.into()],
        lifetime_seconds: 3600,
        delivery: std::sync::Arc::new(delivery(&["db"])),
        delivery_revision: "rev1".into(),
    }
}

fn boss_fleet() -> Fleet {
    Fleet { id: uuid(0xf2).parse().unwrap(), managed: managed("hq", "boss"), subject: workload("boss"), ..fleet() }
}

fn co_signed(window: i64) -> Policy {
    let approver = Approver::Object(ObjectKey { namespace: "hq".into(), name: "boss".into() });
    let co_sign = Some(CoSign { approver, window_seconds: window.unsigned_abs() });
    Policy { managed: Some(managed("shop", "guard")), ..policy(PolicyDocument { co_sign, ..Default::default() }) }
}

async fn guarded() -> Server {
    let server = Server::new().await;
    let guarded = |name: &str| Secret { policy: Some("guard".into()), ..secret(name, "shop") };
    for entity in [
        Entity::Fleet(boss_fleet()),
        machine(&boss(), "boss-1", Some(&boss_fleet())),
        machine(&deputy(), "boss-2", Some(&boss_fleet())),
        machine(&second_pod(), "shop/web-2", Some(&fleet())),
        Entity::Policy(co_signed(WINDOW)),
    ] {
        server.put(entity).await;
    }
    server.put_secret(guarded("db"), "hunter2").await;
    server.put_secret(guarded("api"), "other").await;
    server.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db", "sk_api"]))).await;
    server
}

/// What waits for a machine.
async fn waiting(server: &Server, client: &Client) -> Vec<Value> {
    let answer = server.get(client, "/v1/cosign").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["requests"].as_array().unwrap().clone()
}

/// Reads, is denied for lack of consent, and gives the request that waits for it.
async fn asked(server: &Server, reader: &Client, secret: &str) -> Value {
    let answer = server.get(reader, &format!("/v1/secret/{secret}")).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(server.last_audit().await.denial, Some(DenialReason::CoSignMissing));
    let waiting = waiting(server, &boss()).await;
    let request = waiting.into_iter().find(|it| it["secretId"] == secret).unwrap();
    let text = format!("waits for Machine hq/boss, request {}", request["id"].as_str().unwrap());
    assert_eq!(answer.error(), text);
    request
}

/// What a machine signs that approves what it was shown.
fn consent(server: &Server, approver: &Client, request: &Value) -> Value {
    json!({
        "requestId": request["id"], "vaultId": request["vaultId"], "approverId": approver.id,
        "readerId": request["readerId"], "secretId": request["secretId"],
        "policyRevision": request["policyRevision"], "notAfter": now(server) + WINDOW * 1000,
    })
}

fn now(server: &Server) -> i64 {
    use sikkerkey_server::clock::Clock as _;
    server.clock.now().0
}

async fn answer(server: &Server, client: &Client, request: &Value, verb: &str, body: &Value) -> Answer {
    let target = format!("/v1/cosign/{}/{verb}", request["id"].as_str().unwrap());
    server.post(client, &target, &body.to_string()).await
}

async fn approve(server: &Server, client: &Client, request: &Value) -> Answer {
    answer(server, client, request, "approve", &consent(server, client, request)).await
}

async fn status(server: &Server, client: &Client, secret: &str) -> u16 {
    server.get(client, &format!("/v1/secret/{secret}")).await.status.as_u16()
}

#[tokio::test]
async fn an_approval_is_worth_the_reads_of_one_fleet_and_secret_until_it_ends() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    assert_eq!(
        request,
        json!({
            "id": request["id"], "vaultId": "vault_v", "approverId": boss().id, "readerId": fleet().id,
            "reader": "Machine shop/web", "askedFrom": POD_ADDRESS, "askedAt": START, "secretId": "sk_db",
            "askedBy": "machine shop/web-1 (pod shop/web-1, uid pod-1, node node-7, service account web-sa)",
            "secret": "shop/db", "policy": "guard", "policyRevision": 1, "windowSeconds": WINDOW,
        })
    );
    let settled = approve(&server, &boss(), &request).await;
    let until = START + WINDOW * 1000;
    assert_eq!(settled.json(), json!({"id": request["id"], "verdict": "Approved", "until": until}));
    let row = server.last_audit().await;
    assert_eq!((row.action, row.machine.unwrap().to_string()), (Action::CoSignApprove, boss().id));

    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200, "every read in the window");
    assert_eq!(status(&server, &second_pod(), "sk_db").await, 200, "and of every pod");
    assert_eq!(status(&server, &Client::pod(), "sk_api").await, 403, "but of no other secret");

    let server = server.restart().await.unwrap();
    server.clock.advance_seconds(WINDOW - 1);
    assert_eq!(status(&server, &second_pod(), "sk_db").await, 200, "until its last second, whoever restarts");
    server.clock.advance_seconds(1);
    let again = asked(&server, &second_pod(), "sk_db").await;
    assert_ne!(again["id"], request["id"]);
}

#[tokio::test]
async fn however_often_and_from_however_many_pods_a_read_is_tried_one_request_waits() {
    let server = guarded().await;
    for _ in 0..20 {
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
        assert_eq!(status(&server, &second_pod(), "sk_db").await, 403);
    }
    assert_eq!(waiting(&server, &boss()).await.len(), 1);
    let asked = server.audit().await.into_iter().filter(|it| it.action == Action::CoSignRequest);
    assert_eq!(asked.count(), 1);
    let usage = server.engine.app.live.read().ledger.secret_usage(&"sk_db".parse().unwrap()).usage;
    assert_eq!((usage.reads, usage.denied), (0, 40), "a denied read does not count as one");
}

#[tokio::test]
async fn nobody_approves_their_own_reads_nor_those_of_their_fleet_nor_those_of_others() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    for client in [Client::pod(), second_pod()] {
        let refused = approve(&server, &client, &request).await;
        assert_eq!((refused.status.as_u16(), waiting(&server, &client).await.len()), (403, 0));
        assert_eq!(refused.error(), "nobody approves their own reads, nor those of their fleet");
    }
    let refused = approve(&server, &Client::host(), &request).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.error().starts_with("no request of that id waits for this machine"));
    assert_eq!(approve(&server, &Client::agent(), &request).await.status, 403, "an agent is no machine");

    // A policy that names its reader lets nobody read.
    let mut own = co_signed(WINDOW);
    own.document.co_sign.as_mut().unwrap().approver =
        Approver::Object(ObjectKey { namespace: "shop".into(), name: "web".into() });
    server.put(Entity::Policy(Policy { revision: 2, ..own })).await;
    let denied = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!(denied.error(), "Machine shop/web would approve its own reads: name another in coSign");
    assert_eq!(waiting(&server, &second_pod()).await, Vec::<Value>::new());
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
}

#[tokio::test]
async fn an_approval_is_taken_once() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    let target = format!("/v1/cosign/{}/approve", request["id"].as_str().unwrap());
    let body = consent(&server, &boss(), &request).to_string();
    let signed = boss().request(&*server.clock, "POST", &target, body.as_bytes());
    assert_eq!(server.send(signed.clone()).await.status, 200);
    assert_eq!(server.send(signed).await.status, 401, "the same bytes again are a replay");
    let again = approve(&server, &deputy(), &request).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.error(), "the request was approved already, until 2026-03-04T12:10:00Z");
    server.clock.advance_seconds(60);
    let again = approve(&server, &boss(), &request).await;
    assert_eq!(
        again.json()["until"],
        START + WINDOW * 1000,
        "who lost the answer hears it again, and it is no longer one"
    );
    assert!(server.last_audit().await.detail.ends_with("told again"));
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);

    // What was approved once is not approved by it again.
    server.clock.advance_seconds(WINDOW);
    let next = asked(&server, &Client::pod(), "sk_db").await;
    let old = answer(&server, &boss(), &next, "approve", &consent(&server, &boss(), &request)).await;
    assert_eq!(old.status, 409);
    assert_eq!(old.error(), "requestId is not that of the request: list it again, and answer what it says");
    assert_eq!(approve(&server, &boss(), &request).await.status, 404, "the old request is gone");
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
}

#[tokio::test]
async fn every_field_of_what_is_approved_is_compared() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    let other = asked(&server, &Client::pod(), "sk_api").await;
    for (field, value) in [
        ("requestId", other["id"].clone()),
        ("vaultId", json!("vault_w")),
        ("approverId", json!(deputy().id)),
        ("readerId", json!(uuid(0xf3))),
        ("secretId", json!("sk_api")),
        ("policyRevision", json!(2)),
    ] {
        let mut body = consent(&server, &boss(), &request);
        body[field] = value;
        let refused = answer(&server, &boss(), &request, "approve", &body).await;
        assert_eq!(refused.status, 409, "{field}: {}", refused.text());
        assert_eq!(
            refused.error(),
            format!("{field} is not that of the request: list it again, and answer what it says")
        );
    }
    for (seconds, text) in [
        (0, "notAfter is past: check the clock"),
        (WINDOW + 61, "notAfter is further away than the policy's window of 600 s"),
    ] {
        let mut body = consent(&server, &boss(), &request);
        body["notAfter"] = json!(now(&server) + seconds * 1000);
        let refused = answer(&server, &boss(), &request, "approve", &body).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, text));
    }
    for spoil in
        [|it: &mut Value| drop(it.as_object_mut().unwrap().remove("secretId")), |it: &mut Value| it["more"] = json!(1)]
    {
        let mut body = consent(&server, &boss(), &request);
        spoil(&mut body);
        assert_eq!(answer(&server, &boss(), &request, "approve", &body).await.status, 400);
    }
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
    // A clock that is a little ahead does no harm, and gives no more than the window.
    let mut body = consent(&server, &boss(), &request);
    body["notAfter"] = json!(now(&server) + (WINDOW + 60) * 1000);
    let approved = answer(&server, &boss(), &request, "approve", &body).await;
    assert_eq!(approved.json()["until"], START + WINDOW * 1000);
}

#[tokio::test]
async fn an_approver_that_is_no_longer_in_good_standing_does_not_count() {
    let disabled = |client: &Client| {
        let Entity::Machine(it) = machine(client, "boss-1", Some(&boss_fleet())) else { unreachable!() };
        Change::put(Entity::Machine(Machine { enabled: false, ..it }))
    };
    let gone = |client: &Client| {
        Change::Remove(sikkerkey_server::model::EntityKey { kind: EntityKind::Machine, id: client.id.clone() })
    };
    for fall in [&disabled as &dyn Fn(&Client) -> Change, &gone] {
        let server = guarded().await;
        let request = asked(&server, &Client::pod(), "sk_db").await;
        assert_eq!(approve(&server, &boss(), &request).await.status, 200);
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);
        server.apply(vec![fall(&boss())]).await.unwrap();
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
        // Another machine of the co-signer is asked, and may approve.
        let [again] = &*waiting(&server, &deputy()).await else { panic!("one request waits") };
        assert_ne!(again["id"], request["id"]);
        assert_eq!(approve(&server, &deputy(), again).await.status, 200);
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);
        // Whoever fell cannot approve any more.
        let listed = server.get(&boss(), "/v1/cosign").await;
        assert!([401, 403].contains(&listed.status.as_u16()), "{}", listed.text());
    }
}

#[tokio::test]
async fn another_revision_of_the_policy_voids_what_was_asked_and_what_was_approved() {
    let server = guarded().await;
    let (approved, pending) =
        (asked(&server, &Client::pod(), "sk_db").await, asked(&server, &Client::pod(), "sk_api").await);
    assert_eq!(approve(&server, &boss(), &approved).await.status, 200);
    server.put(Entity::Policy(Policy { revision: 2, ..co_signed(WINDOW) })).await;
    let void = approve(&server, &boss(), &pending).await;
    assert_eq!(void.status, 409);
    assert!(void.error().starts_with("the request is void"), "{}", void.error());
    let again = asked(&server, &Client::pod(), "sk_db").await;
    assert_eq!((again["policyRevision"].clone(), again["id"] == approved["id"]), (json!(2), false));
}

#[tokio::test]
async fn what_is_no_longer_granted_waits_for_nobody() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    server.remove(EntityKind::Grant, &uuid(1)).await;
    assert_eq!(waiting(&server, &boss()).await, Vec::<Value>::new());
    assert_eq!(approve(&server, &boss(), &request).await.status, 409);
}

#[tokio::test]
async fn a_refusal_stands_for_as_long_as_an_approval_would() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    let refused = answer(&server, &boss(), &request, "deny", &consent(&server, &boss(), &request)).await;
    assert_eq!(refused.json()["verdict"], "Denied");
    let denied = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    let id = request["id"].as_str().unwrap();
    let text = format!("Machine hq/boss refused request {id}: it can be asked again at 2026-03-04T12:10:00Z");
    assert_eq!((denied.status.as_u16(), denied.error()), (403, text));
    assert_eq!(server.last_audit().await.denial, Some(DenialReason::CoSignRefused));
    assert_eq!(waiting(&server, &boss()).await, Vec::<Value>::new());
    server.clock.advance_seconds(WINDOW);
    asked(&server, &Client::pod(), "sk_db").await;
}

fn sync(held: &Value, wait: u32) -> String {
    json!({"deliveryRevision": "rev1", "held": {"shop/db": held}, "waitSeconds": wait}).to_string()
}

/// Begins a sync that waits, and comes back when the server holds it.
async fn begin(server: &Server, held: Value) -> tokio::task::JoinHandle<Answer> {
    let before = server.engine.app.metrics.waiting.get();
    let request = Client::pod().request(&*server.clock, "POST", "/v1/machine/sync", sync(&held, 55).as_bytes());
    let router = server.router.clone();
    let task = tokio::spawn(async move { send_to(&router, request).await });
    while server.engine.app.metrics.waiting.get() == before {
        assert!(!task.is_finished(), "it was answered at once");
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn a_sidecar_that_waits_gets_its_value_with_the_approval_and_keeps_it_when_that_ends() {
    let server = guarded().await;
    let first = server.post(&Client::pod(), "/v1/machine/sync", "{}").await.json();
    let denied = &first["secrets"]["shop/db"]["denied"];
    let [request] = &*waiting(&server, &boss()).await else { panic!("one request waits") };
    assert_eq!(
        *denied,
        json!({"reason": "CoSignMissing", "message": format!("waits for Machine hq/boss, request {}", request["id"].as_str().unwrap())})
    );
    let come = async |task: tokio::task::JoinHandle<Answer>| {
        timeout(Duration::from_secs(10), task).await.unwrap().unwrap().json()["secrets"]["shop/db"].clone()
    };
    // Refused: it is told. Another revision: a request that can be answered is named.
    let task = begin(&server, json!({"denied": "CoSignMissing"})).await;
    answer(&server, &boss(), request, "deny", &consent(&server, &boss(), request)).await;
    assert_eq!(come(task).await["denied"]["reason"], "CoSignRefused");
    let task = begin(&server, json!({"denied": "CoSignRefused"})).await;
    server.put(Entity::Policy(Policy { revision: 2, ..co_signed(WINDOW) })).await;
    let denied = come(task).await["denied"].clone();
    let [next] = &*waiting(&server, &boss()).await else { panic!("one request waits") };
    assert_eq!(denied["message"], format!("waits for Machine hq/boss, request {}", next["id"].as_str().unwrap()));

    let task = begin(&server, json!({"denied": "CoSignMissing"})).await;
    assert_eq!(approve(&server, &boss(), next).await.status, 200);
    assert_eq!(come(task).await["value"]["value"], "hunter2");

    // The end of the approval takes nothing away and asks nobody; a new version does.
    server.clock.advance_seconds(WINDOW);
    let held = json!({"version": {"id": "sk_db", "version": 1}});
    let quiet = server.post(&Client::pod(), "/v1/machine/sync", &sync(&held, 0)).await.json();
    assert_eq!((quiet["secrets"].clone(), waiting(&server, &boss()).await.len()), (json!({}), 0));
    let task = begin(&server, held).await;
    let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    server.apply(server.version(&secret, "second")).await.unwrap();
    assert_eq!(come(task).await["denied"]["reason"], "CoSignMissing");
    assert_eq!(waiting(&server, &boss()).await.len(), 1);
}

#[tokio::test]
async fn a_protected_policy_is_answered_by_a_host_that_a_person_approved_and_by_no_other() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    server.put(Entity::Policy(Policy { protected: true, ..co_signed(WINDOW) })).await;
    assert!(waiting(&server, &boss()).await.is_empty());
    for verb in ["approve", "deny"] {
        let refused = answer(&server, &boss(), &request, verb, &consent(&server, &boss(), &request)).await;
        let text = format!(
            "policy guard is protected, and takes the answer of a host that a person approved: sikkerkey-server admin machine approve {}",
            boss().id
        );
        assert_eq!((refused.status.as_u16(), refused.error()), (403, text));
    }
    let held = Machine::clone(&server.engine.app.live.read().state.machines[&boss().id.parse().unwrap()]);
    server.put(Entity::Machine(Machine { approved_by_person: true, ..held.clone() })).await;
    assert_eq!(waiting(&server, &boss()).await.len(), 1);
    assert!(waiting(&server, &deputy()).await.is_empty());
    assert_eq!(approve(&server, &boss(), &request).await.status, 200);
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);
    // As it is at the time of the read.
    server.put(Entity::Machine(held)).await;
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
}

#[tokio::test]
async fn an_approval_is_listed_and_can_be_taken_back_by_any_machine_that_may_give_it() {
    let server = guarded().await;
    let request = asked(&server, &Client::pod(), "sk_db").await;
    approve(&server, &boss(), &request).await;
    let [listed] = &*waiting(&server, &deputy()).await else { panic!("it is listed until it ends") };
    assert_eq!((&listed["id"], &listed["approvedUntil"]), (&request["id"], &json!(START + WINDOW * 1000)));
    server.clock.advance_seconds(10);
    let denied = answer(&server, &deputy(), &request, "deny", &consent(&server, &deputy(), &request)).await;
    assert_eq!(denied.json()["until"], START + (WINDOW + 10) * 1000, "{}", denied.text());
    let refused = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!((refused.status.as_u16(), server.last_audit().await.denial), (403, Some(DenialReason::CoSignRefused)));
    assert_eq!(waiting(&server, &boss()).await, Vec::<Value>::new());
    // And what is refused is not approved by another.
    assert_eq!(approve(&server, &boss(), &request).await.status, 409);
}

#[tokio::test]
async fn an_approval_ends_with_the_grant_the_binding_and_the_reader_it_was_given_for() {
    type Break = fn() -> Vec<Entity>;
    let changes: [(&str, Break); 3] = [
        ("the grant was made anew", || vec![Entity::Grant(grant(9, Grantee::Fleet(fleet().id), &["sk_db", "sk_api"]))]),
        ("others may be the reader", || vec![Entity::Fleet(Fleet { subject: workload("evil"), ..fleet() })]),
        ("the secret was bound anew", Vec::new),
    ];
    for (what, change) in changes {
        let server = guarded().await;
        let request = asked(&server, &Client::pod(), "sk_db").await;
        approve(&server, &boss(), &request).await;
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 200);
        if what.contains("grant") {
            server.remove(EntityKind::Grant, &uuid(1)).await;
        }
        for entity in change() {
            server.put(entity).await;
        }
        if what.contains("bound") {
            let held = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
            server.put(Entity::Secret(Secret { bindings: held.bindings + 1, ..held })).await;
        }
        assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403, "{what}");
        let listed = waiting(&server, &boss()).await;
        assert!(listed.iter().all(|it| it["approvedUntil"].is_null()), "{what}: {listed:?}");
    }
}

#[tokio::test]
async fn whoever_lets_machines_enrol_by_himself_does_not_bury_the_others() {
    let server = guarded().await;
    let mut changes = Vec::new();
    for n in 0x40..0x70_u8 {
        let machine = Machine {
            id: uuid(n).parse().unwrap(),
            public_key: key(n).public_key(),
            // A pod's name, as it is told of a pod.
            name: "shop/web-1 (pod shop/web-1, uid pod-1)".into(),
            enrolled_by: Some(uuid(0xe1)),
            ..host()
        };
        let id = machine.id.clone();
        changes.push(Change::put(Entity::Machine(machine)));
        let membership = sikkerkey_server::model::membership::Membership { machine: id.clone(), ..member("shop") };
        changes.push(Change::put(Entity::Membership(membership)));
        changes.push(Change::put(Entity::Grant(grant(n, Grantee::Machine(id), &["sk_db"]))));
    }
    server.apply(changes).await.unwrap();
    let mut last = String::new();
    for n in 0x40..0x70_u8 {
        last = server.get(&Client::new(uuid(n), n), "/v1/secret/sk_db").await.error();
    }
    assert!(last.ends_with("too many requests wait already, so none was left"), "{last}");
    let listed = waiting(&server, &boss()).await;
    assert_eq!(listed.len(), 20);
    // Nobody passes for another by a name of his own.
    let named =
        format!("ephemeral machine \"shop/web-1 (pod shop/web-1, uid pod-1)\" of enrolment token {}", uuid(0xe1));
    assert!(
        listed.iter().all(|it| it["reader"] == named.as_str() && it["askedBy"] == named.as_str()),
        "{:?}",
        listed[0]
    );
    // The others are heard all the same.
    assert_eq!(status(&server, &Client::pod(), "sk_db").await, 403);
    let listed = waiting(&server, &boss()).await;
    let fleet = fleet().id.to_string();
    assert_eq!((listed.len(), listed.iter().filter(|it| it["readerId"] == fleet.as_str()).count()), (21, 1));
}
