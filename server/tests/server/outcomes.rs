//! Every request leaves exactly one trace: rows in the audit, or one more in a counter.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::audit::verify::Verifier;
use sikkerkey_server::clock::{Clock, SystemClock};
use sikkerkey_server::ledger::ActivityKind;
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::{Entity, EntityKind};

use crate::fixture::*;
use crate::process::Process;

/// Counters by kind.
async fn counters(data: &Path) -> BTreeMap<String, u64> {
    let rows = TestDatabase::of(data).query("select kind || ' ' || sum(count) from activity group by kind").await;
    let pairs = rows.iter().map(|it| it.split_once(' ').unwrap());
    pairs.map(|(kind, count)| (kind.to_owned(), count.parse().unwrap())).collect()
}

/// What a request leaves behind.
enum Trace {
    /// A row: action, machine, reason, and a part of its detail.
    Row(Action, Option<String>, Option<DenialReason>, &'static str),
    /// One more in a counter.
    Count(&'static str),
}
use Trace::{Count, Row};

type Prepare = fn() -> Vec<Entity>;
type Send = fn(&dyn Clock) -> Signed;

fn get(clock: &dyn Clock, client: &Client, target: &str) -> Signed {
    client.request(clock, "GET", target, b"")
}

fn post(clock: &dyn Clock, client: &Client, target: &str, body: &str) -> Signed {
    client.request(clock, "POST", target, body.as_bytes())
}

fn machine(change: fn(&mut Machine)) -> Vec<Entity> {
    let mut machine = pod();
    change(&mut machine);
    vec![Entity::Machine(machine)]
}

fn same() -> Vec<Entity> {
    Vec::new()
}

const SK_DB: &str = "/v1/secret/sk_db";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
async fn each_request_leaves_one_row_with_machine_address_and_reason_or_one_count() {
    use DenialReason::{MachineExpired, MachineNotApproved, MachineSuspended, NotGranted};
    let pod_id = || Some(uuid(0x11));
    let cases: Vec<(&str, Prepare, Send, u16, Trace)> = vec![
        (
            "a read",
            same,
            |it| get(it, &Client::pod(), SK_DB),
            200,
            Row(Action::SecretRead, pod_id(), None, "v1 db; pod shop/web-1 on node node-7"),
        ),
        (
            "an export",
            same,
            |it| post(it, &Client::pod(), "/v1/secrets/export", ""),
            200,
            Row(Action::SecretRead, pod_id(), None, "v1 db"),
        ),
        (
            "a secret that is not there",
            same,
            |it| get(it, &Client::pod(), "/v1/secret/sk_no"),
            404,
            Row(Action::SecretReadDenied, pod_id(), Some(NotGranted), "sk_no"),
        ),
        (
            "a machine that was disabled",
            || machine(|it| it.enabled = false),
            |it| get(it, &Client::pod(), SK_DB),
            403,
            Row(Action::SecretReadDenied, pod_id(), Some(MachineSuspended), "disabled"),
        ),
        (
            "a list by one",
            || machine(|it| it.enabled = false),
            |it| get(it, &Client::pod(), "/v1/secrets"),
            403,
            Row(Action::SecretReadDenied, pod_id(), Some(MachineSuspended), "disabled"),
        ),
        (
            "a poll by one that waits",
            || machine(|it| it.approval = Approval::Pending),
            |it| post(it, &Client::pod(), "/v1/secrets/poll", r#"{"watch":[]}"#),
            403,
            Row(Action::SecretReadDenied, pod_id(), Some(MachineNotApproved), "approval"),
        ),
        (
            "an identity that ended",
            || machine(|it| it.expires_at = Some(Millis(START))),
            |it| get(it, &Client::pod(), SK_DB),
            401,
            Row(Action::SecretReadDenied, pod_id(), Some(MachineExpired), "ended"),
        ),
        (
            "another's signature",
            same,
            |it| get(it, &Client::new(uuid(0x11), 9), SK_DB),
            401,
            Row(Action::AuthFailure, pod_id(), None, "bad signature"),
        ),
        (
            "a machine nobody knows",
            same,
            |it| get(it, &Client::new(uuid(0x77), 9), SK_DB),
            401,
            Row(Action::AuthFailure, Some(uuid(0x77)), None, "unknown machine"),
        ),
        (
            "a stale request",
            same,
            |it| Client::pod().request_with(it.now().seconds() - 301, "stale", "GET", SK_DB, b""),
            401,
            Row(Action::AuthFailure, pod_id(), None, "outside the window"),
        ),
        (
            "no signature",
            same,
            |it| get(it, &Client::pod(), SK_DB).without("x-signature"),
            401,
            Row(Action::AuthFailure, None, None, "authentication"),
        ),
        (
            "an agent that reads",
            same,
            |it| get(it, &Client::agent(), SK_DB),
            403,
            Row(Action::ManagementDenied, None, None, "never reads"),
        ),
        (
            "a machine that manages",
            same,
            |it| post(it, &Client::pod(), "/v1/ai/kubernetes/inventory", "{}"),
            403,
            Row(Action::ManagementDenied, pod_id(), None, "answers agents"),
        ),
        (
            "a bad token",
            same,
            |it| post(it, &Client::pod(), "/v1/bootstrap/register", &register("sk_bt_nothing")),
            401,
            Row(Action::AuthFailure, None, None, ""),
        ),
        ("a list", same, |it| get(it, &Client::pod(), "/v1/secrets"), 200, Count("list")),
        ("a list of projects", same, |it| get(it, &Client::pod(), "/v1/cli/projects"), 200, Count("list")),
        (
            "a poll",
            same,
            |it| post(it, &Client::pod(), "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#),
            200,
            Count("poll"),
        ),
        ("no JSON", same, |it| post(it, &Client::pod(), "/v1/secrets/poll", "{"), 400, Count("malformed")),
        ("a query", same, |it| get(it, &Client::pod(), "/v1/secret/sk_db?a=b"), 400, Count("malformed")),
        (
            "a body that is too large",
            same,
            |it| post(it, &Client::pod(), "/v1/secrets/list", &"x".repeat(200_000)),
            400,
            Count("malformed"),
        ),
        (
            "an agent's nonsense",
            same,
            |it| post(it, &Client::agent(), "/v1/ai/kubernetes/inventory", "["),
            400,
            Count("malformed"),
        ),
        (
            "a token's nonsense",
            same,
            |it| post(it, &Client::pod(), "/v1/bootstrap/register", "["),
            400,
            Count("malformed"),
        ),
    ];
    for (name, prepare, request, status, trace) in cases {
        let server = Server::new().await;
        for entity in prepare() {
            server.put(entity).await;
        }
        let before = server.audit().await.len();
        let answer = server.send(request(&*server.clock)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let rows = server.audit().await.split_off(before);
        let counted = counters(server.stop().await.path()).await;
        match trace {
            Row(action, machine, denial, detail) => {
                let [row] = &rows[..] else { panic!("{name}: {rows:?}") };
                assert_eq!((row.action, row.denial), (action, denial), "{name}: {row:?}");
                assert_eq!(row.machine.as_ref().map(ToString::to_string), machine, "{name}: {row:?}");
                assert_eq!(row.source_ip, Some(POD_ADDRESS.parse().unwrap()), "{name}");
                assert!(row.detail.contains(detail), "{name}: {}", row.detail);
                assert_eq!(counted, BTreeMap::new(), "{name}");
            }
            Count(kind) => {
                assert_eq!(rows, [], "{name}");
                assert_eq!(counted, BTreeMap::from([(kind.to_owned(), 1)]), "{name}");
            }
        }
    }
}

fn register(token: &str) -> String {
    let key = key(50).public_key();
    format!(r#"{{"token":"{token}","publicKey":"{key}","hostname":"h"}}"#)
}

#[tokio::test]
async fn a_replay_a_revoked_machine_and_a_lockout_leave_their_traces() {
    let server = Server::new().await;
    let request = get(&*server.clock, &Client::pod(), SK_DB);
    assert_eq!(server.send(request.clone()).await.status, 200);
    assert_eq!(server.send(request).await.status, 401);
    let row = server.last_audit().await;
    assert_eq!((row.action, row.machine), (Action::AuthFailure, Some(pod().id)));
    assert!(row.detail.contains("received before"), "{}", row.detail);

    server.remove(EntityKind::Machine, &uuid(0x12)).await;
    assert_eq!(server.get(&Client::host(), SK_DB).await.status, 401);
    let row = server.last_audit().await;
    assert_eq!((row.action, row.actor), (Action::AuthFailure, Actor::Machine(host().id)));

    let forged = Client { address: "203.0.113.9".into(), ..Client::new(uuid(0x11), 99) };
    for status in [401, 401, 401, 429, 429] {
        assert_eq!(server.get(&forged, SK_DB).await.status, status);
    }
    let rows = server.audit().await;
    let failures = rows.iter().filter(|it| it.source_ip == Some("203.0.113.9".parse().unwrap()));
    let actions: Vec<_> = failures.map(|it| it.action).filter(|it| *it == Action::AuthFailure).collect();
    assert_eq!(actions.len(), 3);
    let counted = counters(server.stop().await.path()).await;
    assert_eq!(counted, BTreeMap::from([("locked_out".to_owned(), 2)]));
}

#[tokio::test]
async fn requests_that_are_counted_late_are_added_to_their_minute() {
    let server = Server::new().await;
    let (floods, then) = (server.engine.app.floods.clone(), server.clock.now());
    floods.count(ActivityKind::Unauthenticated, then, "first");
    let server = server.restart().await.unwrap();
    // As after a database that took no writes for minutes.
    server.clock.advance_seconds(600);
    assert_eq!(server.get(&Client::pod(), "/v1/secrets").await.status, 200);
    for who in ["second", "third"] {
        server.engine.app.floods.count(ActivityKind::Unauthenticated, then, who);
    }
    let server = server.restart().await.unwrap();
    let minute = then.0 / 60_000;
    let found = server.engine.app.records.activity(minute, minute + 1).await.unwrap();
    let [(key, activity)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(key.kind, ActivityKind::Unauthenticated);
    assert_eq!((activity.count, &*activity.first, &*activity.last), (3, "first", "third"));
    let directory = server.stop().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]).args(TestDatabase::of(directory.path()).arguments(directory.path()));
    command.args(["activity", "--from", "2026-03-04", "--to", "2026-03-04T12:10:00Z"]);
    let output = command.output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!([{
        "minute": "2026-03-04T12:00:00Z", "kind": "unauthenticated", "count": 3, "first": "first", "last": "third"
    }]);
    assert_eq!(answer["activity"], expected, "the list is of ten minutes later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_parallel_load_the_answers_of_each_status_are_as_many_as_the_outcomes() {
    const CLIENTS: u8 = 8;
    const ROUNDS: u64 = 60;
    let server = Arc::new(Server::new().await);
    let before = server.audit().await.len();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let server = Arc::clone(&server);
        clients.spawn(async move {
            let mut answers: BTreeMap<(&str, u16), u64> = BTreeMap::new();
            let (pod, host) = (Client::pod(), Client::host());
            let forger = Client { address: format!("203.0.113.{n}"), ..Client::new(uuid(0x60 + n), 77) };
            for round in 0..ROUNDS {
                let clock = &*server.clock;
                let read = get(clock, &pod, SK_DB);
                let stale = pod.request_with(clock.now().seconds() - 400, &format!("s{n}-{round}"), "GET", SK_DB, b"");
                for (kind, request) in [
                    ("read", read.clone()),
                    ("read", read),
                    ("read", get(clock, &host, SK_DB)),
                    ("read", get(clock, &host, "/v1/secret/sk_no")),
                    ("read", stale),
                    ("read", get(clock, &forger, SK_DB)),
                    ("list", get(clock, &pod, "/v1/secrets")),
                    ("poll", post(clock, &host, "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#)),
                    ("poll", post(clock, &host, "/v1/secrets/poll", "{")),
                ] {
                    let status = server.send(request).await.status.as_u16();
                    *answers.entry((kind, status)).or_default() += 1;
                }
            }
            answers
        });
    }
    let mut answers: BTreeMap<(&str, u16), u64> = BTreeMap::new();
    while let Some(joined) = clients.join_next().await {
        for (key, count) in joined.unwrap() {
            *answers.entry(key).or_default() += count;
        }
    }
    let server = Arc::into_inner(server).unwrap();
    let records = server.engine.app.records.after(0, u32::MAX).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    records.iter().try_for_each(|row| verifier.next(row)).unwrap();
    let rows = server.audit().await.split_off(before);
    let counted = counters(server.stop().await.path()).await;
    let of = |action: Action| rows.iter().filter(|it: &&Entry| it.action == action).count() as u64;
    let answered = |kind, status| answers.get(&(kind, status)).copied().unwrap_or_default();
    let count = |kind: &str| counted.get(kind).copied().unwrap_or_default();
    let rounds = u64::from(CLIENTS) * ROUNDS;

    assert_eq!(answered("read", 200), 2 * rounds, "of a request sent twice one succeeds: {answers:?}");
    assert_eq!(of(Action::SecretRead), answered("read", 200));
    assert_eq!(of(Action::SecretReadDenied), answered("read", 404));
    assert_eq!(of(Action::AuthFailure) + count("unauthenticated"), answered("read", 401));
    assert_eq!(count("locked_out"), answered("read", 429));
    assert!(answered("read", 429) > 0 && count("unauthenticated") > 0, "{answers:?} {counted:?}");
    assert_eq!(count("list"), answered("list", 200));
    assert_eq!(count("poll"), answered("poll", 200));
    assert_eq!(count("malformed"), answered("poll", 400));
    let known = [200, 404, 401, 429, 400];
    assert!(answers.keys().all(|(_, status)| known.contains(status)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_the_counters_have_every_poll_that_was_answered() {
    let server = Server::new().await;
    let directory = server.stop().await;
    let (mut sent, mut answered) = (0, 0);
    for round in 1..=2 {
        let mut process = Process::start(directory.path(), "info").await;
        let (begun, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut connection = process.connect().await;
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            clients.spawn(async move {
                let host = Client::host();
                loop {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let poll = post(&SystemClock, &host, "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#);
                    let Ok((status, _)) = connection.send(poll).await else { return };
                    assert_eq!(status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while done.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
        process.child.kill().await.unwrap();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        sent += begun.load(Ordering::Relaxed);
        answered += done.load(Ordering::Relaxed);
        let counted = counters(directory.path()).await["poll"];
        assert!((answered..=sent).contains(&counted), "round {round}: {answered} {counted} {sent}");
    }
}

#[tokio::test]
async fn the_audit_and_what_leaves_it_hold_no_value_no_token_and_no_signature() {
    const VALUE: &str = "canary-value-81c4f0d2";
    const TOKEN: &str = "sk_bt_canary-token-5b1f77e0";
    let server = Server::new().await;
    server.put_secret(secret("canary", "shop"), VALUE).await;
    let granted = grant(9, sikkerkey_server::model::machine::Grantee::Fleet(fleet().id), &["sk_canary"]);
    server.put(Entity::Grant(granted)).await;
    let (pod, clock) = (Client::pod(), &*server.clock);
    let mut needles = vec![VALUE.to_owned(), TOKEN.to_owned()];
    let read = get(clock, &pod, "/v1/secret/sk_canary");
    for (request, status) in [
        (read.clone(), 200),
        (read, 401),
        (post(clock, &pod, "/v1/secrets/export", ""), 200),
        (post(clock, &pod, "/v1/machine/sync", "{}"), 200),
        (get(clock, &pod, &format!("/v1/secret/{VALUE}")).with("x-signature", "AAAA"), 401),
        (get(clock, &pod, &format!("/v1/secret/{VALUE}")), 404),
        (get(clock, &Client::new(uuid(0x11), 9), SK_DB), 401),
        (post(clock, &pod, "/v1/secrets/poll", &format!(r#"{{"watch":"{VALUE}"}}"#)), 400),
        (post(clock, &pod, "/v1/bootstrap/register", &register(TOKEN)), 401),
        (post(clock, &Client::agent(), "/v1/ai/kubernetes/inventory", &format!(r#"{{"{VALUE}":1}}"#)), 200),
    ] {
        needles.extend(request.headers.iter().filter(|it| it.0 == "x-signature").map(|it| it.1.clone()));
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    needles.retain(|it| it.len() > 8);
    assert!(needles.len() > 8);
    let directory = server.stop().await;
    let database = TestDatabase::of(directory.path());
    let mut texts = database.query("select entry from audit").await;
    assert!(texts.len() > 15);
    texts.extend(database.query("select first_of || ' ' || last_of from activity").await);
    for text in &texts {
        let found: Vec<_> = needles.iter().filter(|it| text.contains(*it)).collect();
        assert!(found.is_empty(), "{found:?} in {text}");
    }
}
