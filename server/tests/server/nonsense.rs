//! Bodies that are nonsense: on every route an answer that says so, and the server goes on.

use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Machine;
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::process::Process;
use crate::wire::Dice;

const SEED: u64 = 0x6e6f_6e73;

/// Every route with a body that nobody signs, with a body that it would take but for the token.
fn unsigned() -> [(&'static str, Value); 4] {
    let (public_key, token) = (key(50).public_key(), "5e".repeat(32));
    let proof = key(50).sign(&possession(Purpose::Register, &token, &public_key)).to_string();
    let public_key = public_key.to_string();
    [
        (
            "/v1/bootstrap/register",
            json!({"token": token, "publicKey": public_key, "proof": proof, "hostname": "web-1"}),
        ),
        (
            "/v1/vault_v/enroll/register",
            json!({"token": token, "publicKey": public_key, "hostname": "ci", "name": "ci"}),
        ),
        ("/v1/ai-bootstrap/register", json!({"token": token, "publicKey": public_key})),
        ("/v1/ai/kubernetes/login", json!({"token": token, "publicKey": public_key, "proof": proof})),
    ]
}

/// Every route with a body that a machine signs, with a body that it takes.
fn of_machines() -> [(&'static str, Value); 7] {
    let public_key = key(51).public_key();
    let proof = key(51).sign(&possession(Purpose::Renew, &uuid(0x11), &public_key)).to_string();
    let held = json!({"shop/db": {"version": {"id": "sk_db", "version": 1}}, "shop/x": {"denied": "NotGranted"}});
    [
        ("/v1/secrets/list", json!({"projectId": "proj_shop"})),
        ("/v1/secrets/export", json!({"projectId": "proj_shop", "applicationId": "web"})),
        ("/v1/secrets/poll", json!({"watch": ["sk_db", "sk_none"]})),
        ("/v1/verify-access", json!({"projectId": "proj_shop"})),
        ("/v1/machine/sync", json!({"deliveryRevision": "rev1", "held": held, "waitSeconds": 0})),
        ("/v1/machine/renew", json!({"publicKey": public_key.to_string(), "proof": proof})),
        ("/v1/machine/resign", json!({})),
    ]
}

/// Every route with a body that an agent signs, with a body that it takes.
fn of_agents() -> Vec<(&'static str, Value)> {
    let object = |name: &str| serde_json::to_value(managed("shop", name).object).unwrap();
    let name = |name: &str| json!({"namespace": "shop", "name": name});
    let identity = |name: &str| json!({"namespace": "shop", "name": name, "uid": "u"});
    let apply = |kind: &'static str, object: Value, rest: Value| {
        let mut body = json!({"object": object});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        (kind, body)
    };
    let delivery = serde_json::to_value(delivery(&["db"])).unwrap();
    let policy = json!({
        "timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon"], "start": "08:00", "end": "24:00"},
        "ipAllowlist": ["10.0.0.0/8"], "rateCap": {"perMinute": 10, "perDay": 100, "countedBy": "Pod"},
        "coSign": {"machine": name("web"), "windowSeconds": 60},
        "ttl": {"expiresAt": START * 2, "maxReads": 5}, "rotateAfterReads": 3,
    });
    let secret = |source: Value| {
        apply(
            "/v1/ai/kubernetes/secrets/apply",
            object("new"),
            json!({"source": source, "policy": "guard", "rotation": {"everySeconds": 3600, "olderThan": START}}),
        )
    };
    let pod = json!({
        "namespace": "shop", "name": "web-2", "uid": "pod-2", "node": "node-7", "serviceAccount": "web",
    });
    let key = key(52).public_key().to_string();
    vec![
        apply(
            "/v1/ai/kubernetes/machines/apply",
            object("web"),
            json!({"manualApproval": false, "suspended": false, "subject": {"workload": {
                "serviceAccounts": ["web"], "lifetimeSeconds": 3600, "delivery": delivery}}}),
        ),
        apply(
            "/v1/ai/kubernetes/machines/apply",
            object("host"),
            json!({"manualApproval": false, "suspended": false, "subject": {"host": {
                "publicKey": key, "lifetimeSeconds": 3600}}}),
        ),
        secret(json!({"generate": {"fields": [
            {"name": "user", "content": {"literal": "web"}},
            {"name": "password", "content": {"generated": {"length": 20, "charset": "Symbols"}}}]}})),
        secret(json!({"generate": {"plain": {"length": 20, "charset": "UUID"}}})),
        secret(json!({"sealed": {"keyId": "k", "ciphertext": "AAAA", "namespaceScope": true}})),
        secret(json!({"supplied": {"value": "x", "fieldNames": [], "from": {"name": "old", "key": "password"}}})),
        secret(json!({"kept": {}})),
        secret(json!({"external": {"fields": ["a", "b"]}})),
        apply(
            "/v1/ai/kubernetes/grants/apply",
            object("grant"),
            json!({"machine": name("web"), "secrets": ["db", "new"], "expiresAt": START * 2}),
        ),
        apply("/v1/ai/kubernetes/policies/apply", object("guard"), json!({"policy": policy})),
        (
            "/v1/ai/kubernetes/delete",
            json!({"kind": "Secret", "namespace": "shop", "name": "none", "uid": "u", "trash": true}),
        ),
        (
            "/v1/ai/kubernetes/rewind",
            json!({"kind": "Secret", "namespace": "shop", "name": "none", "uid": "u", "from": 2, "to": 1}),
        ),
        ("/v1/ai/kubernetes/inventory", json!({})),
        ("/v1/ai/kubernetes/vouchers/issue", json!({"machine": name("web"), "pod": pod, "publicKey": key})),
        ("/v1/ai/kubernetes/pods/gone", json!({"uids": ["pod-9"]})),
        (
            "/v1/ai/kubernetes/explain",
            json!({"machine": identity("web"), "secret": identity("db"), "podUid": "u", "address": "10.1.2.3", "askedBy": "jane"}),
        ),
        (
            "/v1/ai/kubernetes/audit",
            json!({"kind": "Machine", "object": identity("web"), "limit": 50, "askedBy": "jane"}),
        ),
    ]
}

/// One of each kind.
pub fn documents() -> Vec<Value> {
    unsigned().into_iter().chain(of_machines()).chain(of_agents()).map(|(_, it)| it).collect()
}

fn post(target: &str, body: Vec<u8>, n: usize) -> Signed {
    let headers = vec![("content-type", "application/json".into())];
    // Each from an address of its own, so that no lock is in the way.
    let address = format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
    Signed { method: "POST", target: target.into(), headers, body, address }
}

/// Values that somebody may have forgotten.
fn nasty(dice: &mut Dice) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u32::MAX),
        json!(1e300),
        json!(""),
        json!("\0"),
        json!("a\0b"),
        json!("\u{202e}\u{feff}é\u{10ffff}"),
        json!("a".repeat(5_000)),
        json!("../../etc"),
        json!("24:01"),
        json!("99999999999999999999-01-01"),
        json!("::ffff:0:0/0"),
        json!("'; drop table audit; --"),
        json!([]),
        json!({}),
        json!(vec!["\0"; 200]),
        json!([[[[[[[[[]]]]]]]]]),
        json!({"\0": {"": null}}),
    ];
    values[dice.below(values.len())].clone()
}

/// Replaces, removes or doubles something somewhere in it.
fn spoil(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(object) if !object.is_empty() && dice.below(6) > 0 => {
            let name = object.keys().nth(dice.below(object.len())).unwrap().clone();
            match dice.below(8) {
                0 => drop(object.remove(&name)),
                1 => drop(object.insert("\0".into(), nasty(dice))),
                _ => spoil(object.get_mut(&name).unwrap(), dice),
            }
        }
        Value::Array(array) if !array.is_empty() && dice.below(6) > 0 => {
            let place = dice.below(array.len());
            if dice.below(6) == 0 {
                array.push(array[place].clone());
            } else {
                spoil(&mut array[place], dice);
            }
        }
        value => *value = nasty(dice),
    }
}

/// A body of random bytes, a cut or flipped one, or one of which parts are spoilt.
fn body(good: &Value, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = good.to_string().into_bytes();
    match dice.below(4) {
        0 => (0..dice.below(200)).map(|_| dice.next().to_be_bytes()[0]).collect(),
        1 => {
            for _ in 0..=dice.below(3) {
                let place = dice.below(bytes.len());
                bytes[place] = dice.next().to_be_bytes()[0];
            }
            bytes.truncate(bytes.len() - dice.below(3).min(bytes.len()));
            bytes
        }
        _ => {
            let mut spoilt = good.clone();
            for _ in 0..=dice.below(2) {
                spoil(&mut spoilt, dice);
            }
            spoilt.to_string().into_bytes()
        }
    }
}

async fn still_serves(server: &Server) {
    let host = Client { address: "10.0.0.10".into(), ..Client::host() };
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.text(), r#"{"value":"hunter2"}"#);
}

#[tokio::test]
async fn ten_thousand_random_bodies_on_each_route_that_nobody_signs_are_refused_and_break_nothing() {
    const BODIES: usize = 10_000;
    let server = Server::new().await;
    for (place, (target, good)) in (0..).zip(unsigned()) {
        // The template itself gets as far as its token.
        let answer = server.send(post(target, good.to_string().into_bytes(), 0)).await;
        assert_eq!(answer.status, 401, "{target} {}", answer.text());
        let mut dice = Dice(SEED + place);
        let mut seen = std::collections::BTreeMap::new();
        for n in 0..BODIES {
            let body = body(&good, &mut dice);
            let answer = server.send(post(target, body.clone(), n)).await;
            let status = answer.status.as_u16();
            assert!([400, 401, 429].contains(&status), "{target} {status}: {:?}", String::from_utf8_lossy(&body));
            assert!(!answer.error().is_empty());
            *seen.entry(status).or_insert(0) += 1;
        }
        assert!(seen[&400] > BODIES / 4 && seen[&401] > BODIES / 100, "{target} {seen:?}");
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn spoilt_bodies_that_are_signed_are_answered_and_hurt_no_group_they_are_in() {
    const BODIES: usize = 150;
    let server = Server::new().await;
    server.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    let (pod, agent) = (Client::pod(), Client { address: "10.0.0.9".into(), ..Client::agent() });
    let machines = of_machines().into_iter().filter(|(it, _)| *it != "/v1/machine/resign").map(|it| (&pod, it));
    let signed = machines.chain(of_agents().into_iter().map(|it| (&agent, it)));
    let mut dice = Dice(SEED);
    let mut statuses = std::collections::BTreeMap::new();
    for (client, (target, good)) in signed {
        if target != "/v1/machine/renew" {
            let answer = server.post(client, target, &good.to_string()).await;
            let is_sealed = good.to_string().contains("sealed");
            assert!(is_sealed || [200, 400, 409].contains(&answer.status.as_u16()), "{target} {}", answer.text());
        }
        for _ in 0..BODIES / 10 {
            let mut answers = JoinSet::new();
            for _ in 0..10 {
                let body = body(&good, &mut dice);
                let request = client.request(&*server.clock, "POST", target, &body);
                let router = server.router.clone();
                answers.spawn(async move { (send_to(&router, request).await, body) });
            }
            for (answer, body) in answers.join_all().await {
                let status = answer.status.as_u16();
                assert!(status < 500, "{target} {status} {} to {:?}", answer.text(), String::from_utf8_lossy(&body));
                *statuses.entry(status).or_insert(0) += 1;
            }
        }
        // A machine whose key was renewed after all would have no business here any more.
        server.put(Entity::Machine(Machine { expires_at: None, ..crate::fixture::pod() })).await;
    }
    assert!(statuses[&200] > 100 && statuses[&400] > 500, "{statuses:?}");
    still_serves(&server).await;
    server.restart().await.unwrap();
}

#[tokio::test]
async fn deep_json_is_refused_on_every_route_and_overflows_no_stack() {
    let server = Server::new().await;
    server.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    let directory = server.stop().await;
    let mut process = Process::start(directory.path(), "info").await;
    let mut connection = process.connect().await;
    let deep = |open: &str, close: &str, length: usize| {
        let levels = length / (open.len() + close.len());
        format!("{}{}", open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    // Without a word, as a key that nobody knows, and where something is expected that has depth itself.
    let bodies = |length: usize| {
        [
            deep("[", "]", length),
            vec![b'['; length],
            deep("{\"a\":", "}", length),
            b"{\"a\":".repeat(length / 5),
            [b"{\"held\":".to_vec(), vec![b'['; length - 16]].concat(),
            [b"{\"unknown\":".to_vec(), deep("[", "]", length - 16), b"}".to_vec()].concat(),
            [b"{\"subject\":".to_vec(), deep("{\"workload\":", "}", length - 16), b"}".to_vec()].concat(),
        ]
    };
    for (n, (target, _)) in (0..).zip(unsigned()) {
        for body in bodies(30_000) {
            let (status, text) = connection.send(post(target, body, n)).await.unwrap();
            assert!(status == 400 || status == 429, "{target} {status} {text:?}");
        }
    }
    for (client, target, length) in of_machines()
        .into_iter()
        .map(|(it, _)| (Client::pod(), it, 120_000))
        .chain(of_agents().into_iter().map(|(it, _)| (Client::agent(), it, 1_000_000)))
    {
        for body in bodies(length) {
            let is_an_object = body.ends_with(b"}");
            let request = client.request(&SystemClock, "POST", target, &body);
            let (status, text) = connection.send(request).await.unwrap();
            // A route that takes names it does not know does not look at what stands there.
            assert!(status == 400 || (status == 200 && is_an_object), "{target} {status} {text:?}");
            if status == 200 && target.ends_with("resign") {
                // And who has resigned is nobody.
                break;
            }
        }
    }
    let host = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(connection.send(host).await.unwrap().0, 200);
    assert!(process.child.try_wait().unwrap().is_none());
}
